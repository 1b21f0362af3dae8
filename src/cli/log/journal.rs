//! The journal's own protocol: each entry one datagram of named fields
//! (systemd's "Native Journal Protocol"), so that `journalctl` finds the entries of a job.
//!
//! Not through `tracing-journald`: there the fields would be missing from the line that people read, and its socket
//! cannot be another one for a test.

use std::fmt::Debug;
use std::io;
use std::io::stderr;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultFields, Writer};
use tracing_subscriber::layer::Context;

const SOCKET: &str = "/run/systemd/journal/socket";
/// Bytes of a value that are written; an entry must fit into one datagram.
const LONGEST: usize = 16 * 1024;

/// The journal.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

/// Whether standard error leads to the journal: systemd tells by `JOURNAL_STREAM`, which programs that a service starts
/// inherit, also where their standard error goes elsewhere.
pub(super) fn has_stderr() -> bool {
    let stream = std::env::var("JOURNAL_STREAM");
    let about = rustix::fs::fstat(stderr());
    stream.ok().zip(about.ok()).is_some_and(|(stream, about)| stream == format!("{}:{}", about.st_dev, about.st_ino))
}

impl Journal {
    /// The journal, if that is what standard error leads to.
    pub(super) fn of_stderr() -> Option<Self> {
        has_stderr().then(|| Self::at(Path::new(SOCKET)).ok()).flatten()
    }

    fn at(path: &Path) -> io::Result<Self> {
        let journal = Self { socket: UnixDatagram::unbound()?, path: path.to_owned() };
        // An entry without a field is passed over; it only shows that somebody listens.
        journal.socket.send_to(&[], path)?;
        Ok(journal)
    }
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let entry = Entry::of(event);
        if self.socket.send_to(&entry.bytes, &self.path).is_err() {
            // What the journal does not take in fields it may take as a line.
            eprintln!("{}", entry.line);
        }
    }
}

struct Entry {
    /// The message with its fields, for people.
    line: String,
    bytes: Vec<u8>,
}

impl Entry {
    fn of(event: &Event<'_>) -> Self {
        let about = event.metadata();
        let mut line = String::new();
        let _ = DefaultFields::new().format_fields(Writer::new(&mut line), event);
        let mut entry = Self { line: String::new(), bytes: Vec::new() };
        entry.put("MESSAGE", &line);
        entry.put("PRIORITY", priority(*about.level()));
        entry.put("SYSLOG_IDENTIFIER", env!("CARGO_PKG_NAME"));
        entry.put("CODE_FILE", about.file().unwrap_or_default());
        entry.put("CODE_LINE", &about.line().unwrap_or_default().to_string());
        entry.put("DIFFUSED_TARGET", about.target());
        event.record(&mut entry);
        Self { line, ..entry }
    }

    /// The form with a length, in which a value may hold anything.
    fn put(&mut self, name: &str, value: &str) {
        let value = &value[..value.floor_char_boundary(LONGEST)];
        self.bytes.extend(name.as_bytes());
        self.bytes.push(b'\n');
        self.bytes.extend((value.len() as u64).to_le_bytes());
        self.bytes.extend(value.as_bytes());
        self.bytes.push(b'\n');
    }

    /// `job` becomes `DIFFUSED_JOB`: systemd itself writes a `JOB_ID` about units.
    fn field(&mut self, field: &Field, value: &str) {
        if field.name() == "message" {
            return;
        }
        let letter = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
        let name: String = field.name().chars().map(letter).collect();
        self.put(&format!("DIFFUSED_{name}"), value);
    }
}

impl Visit for Entry {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.field(field, &format!("{value:?}"));
    }
}

/// As syslog counts.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

#[cfg(test)]
mod tests {
    use tracing_subscriber::layer::SubscriberExt;
    use tracing_subscriber::registry;

    use super::*;

    /// The fields of an entry, read as the journal reads them.
    fn fields(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            let (name, rest) = (&bytes[..end], &bytes[end + 1..]);
            let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
            let (value, rest) = rest[8..].split_at(length);
            assert_eq!(rest[0], b'\n');
            fields.push((String::from_utf8(name.to_vec()).unwrap(), String::from_utf8(value.to_vec()).unwrap()));
            bytes = &rest[1..];
        }
        assert!(bytes.is_empty());
        fields
    }

    /// What a journal hears of this.
    fn heard(work: impl FnOnce()) -> Vec<Vec<(String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let listening = UnixDatagram::bind(&path).unwrap();
        listening.set_nonblocking(true).unwrap();
        tracing::subscriber::with_default(registry().with(Journal::at(&path).unwrap()), work);
        let mut buffer = vec![0; 1 << 18];
        let entries = std::iter::from_fn(|| listening.recv(&mut buffer).ok().map(|length| fields(&buffer[..length])));
        entries.filter(|entry| !entry.is_empty()).collect()
    }

    #[test]
    fn an_entry_has_the_line_for_people_and_every_field_by_itself() {
        let absent: Option<u64> = None;
        let entries = heard(|| {
            tracing::info!(target: "diffused::job", job = "a1", ms = 39_800_u64, code = %"two\nlines", absent, "job done");
            tracing::error!("bad");
        });
        let value = |entry: usize, name: &str| {
            let found: Vec<_> = entries[entry].iter().filter(|(field, _)| field == name).collect();
            assert!(found.len() < 2, "{name} is there twice");
            found.first().map(|(_, value)| value.as_str())
        };
        assert_eq!(value(0, "MESSAGE"), Some("job done job=\"a1\" ms=39800 code=two\nlines"));
        assert_eq!((value(0, "PRIORITY"), value(1, "PRIORITY")), (Some("6"), Some("3")));
        assert_eq!(value(0, "SYSLOG_IDENTIFIER"), Some("diffused"));
        assert_eq!((value(0, "DIFFUSED_JOB"), value(0, "DIFFUSED_MS")), (Some("a1"), Some("39800")));
        assert_eq!(value(0, "DIFFUSED_CODE"), Some("two\nlines"));
        assert_eq!((value(0, "DIFFUSED_ABSENT"), value(0, "DIFFUSED_TARGET")), (None, Some("diffused::job")));
        assert_eq!(value(0, "CODE_FILE"), Some(file!()));
        assert_eq!((value(1, "MESSAGE"), value(1, "DIFFUSED_JOB"), entries.len()), (Some("bad"), None, 2));
    }

    #[test]
    fn a_value_of_any_length_fits() {
        let long = "ö".repeat(1_000_000);
        let entries = heard(|| tracing::info!(long, "long"));
        let long = entries[0].iter().find(|(name, _)| name == "DIFFUSED_LONG").unwrap();
        assert_eq!(long.1.len(), LONGEST);
    }

    #[test]
    fn where_no_journal_listens_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        assert!(Journal::at(&folder.path().join("socket")).is_err());
    }
}
