//! What the service logs: one line a job, in fields where the journal listens, and no flood.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;
use tempfile::TempDir;

use crate::support::broker::Mosquitto;
use crate::support::listener::Listener;
use crate::support::preload::compile;
use crate::support::program::{Service, diffused};

/// An entry of the journal: its fields.
type Entry = BTreeMap<String, String>;

/// Listens in the place of the journal; what a service says on standard error beside goes to a file.
struct Journal {
    entries: Arc<Mutex<Vec<Entry>>>,
    folder: TempDir,
    library: (TempDir, std::path::PathBuf),
}

impl Journal {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("socket")).unwrap();
        let entries = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&entries);
        std::thread::spawn(move || {
            let mut buffer = vec![0; 1 << 18];
            while let Ok(length) = socket.recv(&mut buffer) {
                sink.lock().unwrap().push(entry(&buffer[..length]));
            }
        });
        Self { entries, folder, library: compile(include_str!("logs/journal.c")) }
    }

    /// As systemd starts a service whose standard error is the journal.
    fn adopt(&self, command: &mut Command) {
        let stderr = File::create(self.folder.path().join("stderr")).unwrap();
        let about = stderr.metadata().unwrap();
        command.env("JOURNAL_STREAM", format!("{}:{}", about.dev(), about.ino())).stderr(stderr);
        command.env("LD_PRELOAD", &self.library.1).env("FAKE_JOURNAL", self.folder.path().join("socket"));
    }

    fn entries(&self) -> Vec<Entry> {
        self.entries.lock().unwrap().clone()
    }

    fn beside(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("stderr")).unwrap()
    }
}

/// The fields of a datagram: a name, a line's end, eight bytes of length, the value, a line's end.
fn entry(mut bytes: &[u8]) -> Entry {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    let mut fields = Entry::new();
    while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
        let (length, rest) = bytes[end + 1..].split_at(8);
        let (value, rest) = rest.split_at(u64::from_le_bytes(length.try_into().unwrap()) as usize);
        fields.insert(text(&bytes[..end]), text(value));
        bytes = rest.strip_prefix(b"\n").unwrap();
    }
    fields
}

const TOPIC: &str = "diffused/jet1/request/esp32";

/// A job with `canary` for its prompt, one that comes too late, and something that is no request.
fn work(broker: &Mosquitto, listener: &Listener) {
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish(TOPIC, r#"{"id":"a1","prompt":"canary","negative_prompt":"canary","steps":1}"#, &[]);
    listener.status("a1", "done");
    broker.publish(TOPIC, r#"{"id":"a3","prompt":"x","not_after":"2020-01-01T00:00:00Z"}"#, &[]);
    listener.status("a3", "expired");
    broker.publish(TOPIC, r#"{"id":"a2","prompt":"canary","steps":0}"#, &[]);
    listener.status("a2", "rejected");
}

#[test]
fn a_job_is_one_entry_of_the_journal_with_its_fields_and_without_its_prompt() {
    for (lines, asked) in [("", false), ("[log]\nprompts = true", true)] {
        let (broker, journal) = (Mosquitto::start(), Journal::start());
        let listener = Listener::start(&broker);
        let mut service = Service::with(&broker, lines, |command| {
            command.env("RUST_LOG", "trace");
            journal.adopt(command);
        });
        work(&broker, &listener);
        assert_eq!(service.stop(), Some(0));
        let entries = journal.entries();
        let of = |job: &str| -> Vec<&Entry> {
            entries.iter().filter(|entry| entry.get("DIFFUSED_JOB").is_some_and(|id| id == job)).collect()
        };
        let ends_of = |job: &str| -> Vec<&Entry> {
            of(job).into_iter().filter(|entry| entry["DIFFUSED_TARGET"] == "diffused::job").collect()
        };
        let (of_the_job, ends, late) = (of("a1"), ends_of("a1"), ends_of("a3"));
        assert_eq!((ends.len(), late.len()), (1, 1), "{of_the_job:#?} {late:#?}");
        assert_eq!((&late[0]["DIFFUSED_CODE"][..], &of("a2")[0]["DIFFUSED_CODE"][..]), ("expired", "invalid_field"));
        let known =
            ["PRIORITY", "SYSLOG_IDENTIFIER", "DIFFUSED_CLIENT", "DIFFUSED_PICTURES"].map(|name| &ends[0][name][..]);
        assert_eq!(known, ["6", "diffused", "esp32", "1"]);
        assert!(ends[0]["MESSAGE"].starts_with("job done job=\"a1\" client=\"esp32\" ms="), "{:?}", ends[0]);
        assert!(ends[0]["DIFFUSED_MS"].parse::<u64>().is_ok() && ends[0]["CODE_FILE"].ends_with("job.rs"));
        let loud = |entry: &&&Entry| entry["PRIORITY"].as_str() < "7";
        assert_eq!(of_the_job.iter().filter(loud).count(), if asked { 2 } else { 1 }, "{of_the_job:#?}");
        let told: Vec<_> =
            entries.iter().filter(|entry| entry.values().any(|value| value.contains("canary"))).collect();
        assert_eq!(told.len(), usize::from(asked), "{told:#?}");
        assert!(told.iter().all(|entry| entry["DIFFUSED_PROMPT"] == "canary"));
        assert_eq!(journal.beside(), "", "what the journal has as fields is no line as well");
    }
}

#[test]
fn the_log_is_text_or_json_where_standard_error_is_no_journal_or_the_operator_says_so() {
    let made = |lines: &str, is_adopted: bool| {
        let (broker, journal) = (Mosquitto::start(), Journal::start());
        let listener = Listener::start(&broker);
        let mut service = Service::with(&broker, lines, |command| match is_adopted {
            true => journal.adopt(command),
            // Of a service that started us, whose standard error is not ours.
            false => drop(command.env("JOURNAL_STREAM", "1:1")),
        });
        work(&broker, &listener);
        service.stop();
        assert_eq!(journal.entries(), []);
        let log = if is_adopted { journal.beside() } else { service.log() };
        log.lines().find(|line| line.contains("job done")).unwrap().to_owned()
    };
    let text = made("", false);
    assert!(text.contains("INFO diffused::job: job done job=\"a1\" client=\"esp32\" ms="), "{text}");
    let json: Value = serde_json::from_str(&made("[log]\nformat = 'json'", true)).unwrap();
    assert_eq!((&json["fields"]["job"], &json["target"]), (&Value::from("a1"), &Value::from("diffused::job")));
}

#[test]
fn why_the_service_cannot_start_is_an_error_of_the_journal_in_every_line() {
    let journal = Journal::start();
    let config = journal.folder.path().join("diffused.toml");
    std::fs::write(&config, "[limits]\nsteps = 0\n[log]\nlevel = 'loud'").unwrap();
    let mut command = diffused(&["run", "--config", config.to_str().unwrap()]);
    journal.adopt(&mut command);
    assert_eq!(command.status().unwrap().code(), Some(78));
    let said = journal.beside();
    assert!(said.starts_with("<3>diffused: ") && said.contains("limits.steps") && said.lines().count() > 1, "{said}");
    assert!(said.lines().all(|line| line.starts_with("<3>")), "{said}");
}

#[test]
fn a_flood_of_refusals_is_a_hundred_lines_and_a_count_of_the_others() {
    const FLOOD: usize = 300;
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let mut service = Service::start(&broker);
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let mut publisher = Command::new("mosquitto_pub")
        .args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &broker.port.to_string(), "-q", "1", "-t", TOPIC, "-l"])
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let requests: String = (0..FLOOD).map(|n| format!("{{\"id\":\"n{n}\",\"prompt\":\"x\",\"steps\":0}}\n")).collect();
    publisher.stdin.take().unwrap().write_all(requests.as_bytes()).unwrap();
    assert!(publisher.wait().unwrap().success());
    crate::support::eventually("all are answered", || {
        listener.on("/status").iter().filter(|heard| heard.state() == "rejected").count() >= FLOOD
    });
    assert_eq!(service.stop(), Some(0));
    let log = service.log();
    let written = log.lines().filter(|line| line.contains("request refused job=")).count();
    let counts = log.lines().filter(|line| line.contains(r#"like="request refused""#));
    let left_out: usize = counts.map(|line| number(line, "left_out=")).sum();
    assert_eq!(written + left_out, FLOOD, "{log}");
    // On a busy machine it may take more than ten seconds.
    assert!((100..=200).contains(&written), "{log}");
}

fn number(line: &str, key: &str) -> usize {
    line.split_whitespace().find_map(|word| word.strip_prefix(key)?.parse().ok()).unwrap_or(0)
}
