//! Takes values out of TOML tables and gathers what is wrong with them, instead of stopping at the first fault.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Map, Value as Json};
use toml::{Table, Value};

use super::Fault;

/// A file that is being read.
pub(super) struct Reader {
    table: Table,
    folder: PathBuf,
    faults: Vec<Fault>,
}

/// A table of the file that is being read; it has its default where a value is absent or faulty.
pub(super) struct Section<'a> {
    name: &'static str,
    table: Table,
    folder: &'a Path,
    faults: &'a mut Vec<Fault>,
}

impl Reader {
    pub(super) fn new(text: &str, folder: &Path) -> Self {
        let (table, faults) = match text.parse::<Table>() {
            Ok(table) => (table, Vec::new()),
            Err(error) => {
                let message = format!("not TOML: {}", error.to_string().trim_end().replace('\n', "\n    "));
                (Table::new(), vec![Fault { path: String::new(), message }])
            }
        };
        Self { table, folder: folder.to_owned(), faults }
    }

    pub(super) fn section(&mut self, name: &'static str) -> Section<'_> {
        let table = match self.table.remove(name) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => {
                let message = format!("must be a table, got {}", kind(&other));
                self.faults.push(Fault { path: name.to_owned(), message });
                Table::new()
            }
        };
        Section { name, table, folder: &self.folder, faults: &mut self.faults }
    }

    /// Whatever table is left is a fault.
    pub(super) fn finish(mut self) -> Vec<Fault> {
        for path in self.table.keys() {
            self.faults.push(Fault { path: path.clone(), message: "is not known".to_owned() });
        }
        self.faults
    }
}

impl Section<'_> {
    pub(super) fn fault(&mut self, key: &str, message: String) {
        let path = if key.is_empty() { self.name.to_owned() } else { format!("{}.{key}", self.name) };
        self.faults.push(Fault { path, message });
    }

    /// A table within this one; `name` is its whole path.
    pub(super) fn inner(&mut self, key: &str, name: &'static str) -> Section<'_> {
        let table = match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => self.mismatch(key, "a table", &other).unwrap_or_default(),
        };
        Section { name, table, folder: self.folder, faults: self.faults }
    }

    /// Whether a key has a table of its own.
    pub(super) fn has_table(&self, key: &str) -> bool {
        self.table.get(key).is_some_and(Value::is_table)
    }

    /// The keys that are there and were not taken yet.
    pub(super) fn keys(&self) -> Vec<String> {
        self.table.keys().cloned().collect()
    }

    /// A text, or a number as one.
    pub(super) fn word(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::Integer(number) => Some(number.to_string()),
            Value::String(text) => Some(text),
            other => self.mismatch(key, "a number or a name", &other),
        }
    }

    /// A table of words and truth values by name, for a library that takes texts.
    pub(super) fn words(&mut self, key: &str) -> BTreeMap<String, String> {
        let table = match self.table.remove(key) {
            None => Table::new(),
            Some(Value::Table(table)) => table,
            Some(other) => self.mismatch(key, "a table", &other).unwrap_or_default(),
        };
        let mut words = BTreeMap::new();
        for (name, value) in table {
            match value {
                Value::String(text) => drop(words.insert(name, text)),
                Value::Integer(number) => drop(words.insert(name, number.to_string())),
                Value::Boolean(flag) => drop(words.insert(name, u8::from(flag).to_string())),
                other => {
                    self.fault(key, format!("{name} must be a text, a number or a truth value, got {}", kind(&other)))
                }
            }
        }
        words
    }

    pub(super) fn text(&mut self, key: &str) -> Option<String> {
        match self.table.remove(key)? {
            Value::String(text) => Some(text),
            other => self.mismatch(key, "a text", &other),
        }
    }

    /// A list of texts; empty if absent.
    pub(super) fn texts(&mut self, key: &str) -> Vec<String> {
        let Some(value) = self.table.remove(key) else { return Vec::new() };
        let texts = value.as_array().and_then(|list| list.iter().map(|one| one.as_str().map(str::to_owned)).collect());
        texts.unwrap_or_else(|| {
            self.fault(key, "must be a list of texts".to_owned());
            Vec::new()
        })
    }

    pub(super) fn choice(&mut self, key: &str, choices: &[&str]) -> String {
        let default = choices.first().copied().unwrap_or_default();
        let text = self.text(key).unwrap_or_else(|| default.to_owned());
        if choices.contains(&text.as_str()) {
            return text;
        }
        self.fault(key, format!("must be one of {}, got {text:?}", choices.join(", ")));
        default.to_owned()
    }

    pub(super) fn flag(&mut self, key: &str, default: bool) -> bool {
        match self.table.remove(key) {
            None => default,
            Some(Value::Boolean(flag)) => flag,
            Some(other) => self.mismatch(key, "true or false", &other).unwrap_or(default),
        }
    }

    pub(super) fn number<T>(&mut self, key: &str, default: T, range: RangeInclusive<T>) -> T
    where
        T: TryFrom<i64> + PartialOrd + std::fmt::Display,
    {
        match self.table.remove(key) {
            None => default,
            Some(Value::Integer(number)) => match T::try_from(number).ok().filter(|number| range.contains(number)) {
                Some(number) => number,
                None => {
                    self.fault(key, format!("must be between {} and {}, got {number}", range.start(), range.end()));
                    default
                }
            },
            Some(other) => self.mismatch(key, "a whole number", &other).unwrap_or(default),
        }
    }

    pub(super) fn fraction(&mut self, key: &str) -> Option<f64> {
        match self.table.remove(key)? {
            Value::Integer(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            other => self.mismatch(key, "a number", &other),
        }
    }

    pub(super) fn duration(&mut self, key: &str, default: Duration, least: Duration) -> Duration {
        let Some(text) = self.text(key) else { return default };
        match humantime::parse_duration(&text) {
            Ok(duration) if duration >= least => return duration,
            Ok(_) => self.fault(key, format!("must be at least {}, got {text:?}", humantime::format_duration(least))),
            Err(_) => self.fault(key, format!("must be a duration such as 30s or 24h, got {text:?}")),
        }
        default
    }

    /// A size such as `6 GiB`.
    pub(super) fn bytes(&mut self, key: &str) -> Option<u64> {
        let text = self.text(key)?;
        match text.parse::<bytesize::ByteSize>() {
            Ok(size) if size.as_u64() > 0 => Some(size.as_u64()),
            _ => {
                self.fault(key, format!("must be a size such as 6 GiB or 800 MB, got {text:?}"));
                None
            }
        }
    }

    /// A path; a relative one is relative to the file's folder.
    pub(super) fn path(&mut self, key: &str) -> Option<PathBuf> {
        self.text(key).map(|text| self.folder.join(text))
    }

    /// A file that may also be a credential of systemd, such as `credential:password`.
    pub(super) fn file(&mut self, key: &str) -> Option<PathBuf> {
        let text = self.text(key)?;
        let Some(name) = text.strip_prefix("credential:") else { return Some(self.folder.join(text)) };
        let folder = std::env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from);
        credential(name, folder.as_deref()).map_err(|message| self.fault(key, message)).ok()
    }

    /// The content of a file, without the line's end. It never stands in a message.
    pub(super) fn secret(&mut self, key: &str) -> Option<String> {
        let file = self.file(key)?;
        match std::fs::read_to_string(&file) {
            Ok(text) => Some(text.trim_end_matches(['\r', '\n']).to_owned()),
            Err(error) => {
                self.fault(key, format!("{} cannot be read: {error}", file.display()));
                None
            }
        }
    }

    /// Everything that nobody took, as JSON.
    pub(super) fn rest(&mut self) -> Map<String, Json> {
        let table = std::mem::take(&mut self.table);
        match serde_json::to_value(&table) {
            Ok(Json::Object(map)) => map,
            _ => Map::new(),
        }
    }

    /// Whatever key is left is a fault; `later` names keys that this version does not know yet.
    pub(super) fn finish(mut self, later: &[&str]) {
        for key in std::mem::take(&mut self.table).keys() {
            let known = later.contains(&key.as_str());
            self.fault(key, if known { "is not supported by this version" } else { "is not known" }.to_owned());
        }
    }

    fn mismatch<T>(&mut self, key: &str, wanted: &str, came: &Value) -> Option<T> {
        self.fault(key, format!("must be {wanted}, got {}", kind(came)));
        None
    }
}

/// Where systemd put a credential of this name.
fn credential(name: &str, folder: Option<&Path>) -> Result<PathBuf, String> {
    let plain =
        !name.starts_with('.') && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    match folder {
        _ if name.is_empty() || !plain => {
            Err(format!("a credential's name must be of A-Z a-z 0-9 . _ -, got {name:?}"))
        }
        Some(folder) => Ok(folder.join(name)),
        None => Err(format!("there are no credentials here: the unit needs LoadCredential={name}:FILE")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "a text",
        Value::Integer(_) => "a whole number",
        Value::Float(_) => "a fraction",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a time",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_credential_lies_where_systemd_put_it_and_nowhere_else() {
        let folder = Path::new("/run/credentials/diffused.service");
        assert_eq!(credential("password", Some(folder)), Ok(folder.join("password")));
        assert!(credential("password", None).unwrap_err().contains("LoadCredential=password:FILE"));
        for name in ["", "../password", "a/b", ".hidden"] {
            assert!(credential(name, Some(folder)).is_err(), "{name}");
        }
    }
}
