//! What was made once out of a graph, for the next start: optimised graphs, compiled engines.
//!
//! Every entry is a folder of its own, named by a hash of everything that it depends on. An entry counts only with a list
//! of its files and their sizes, which is written last: what a power cut left half done is thrown away and made again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::job::hex;

/// The list of an entry's files.
const LIST: &str = "complete.json";
/// Of larger files only size and time are looked at: a graph with its weights inside takes seconds to read.
const SMALL: u64 = 16 << 20;

/// A folder of entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cache {
    folder: PathBuf,
}

/// A folder for what belongs to one key.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) folder: PathBuf,
    /// What it is about, the same for all versions of it.
    subject: String,
    /// Whether it was completed earlier.
    pub(super) is_complete: bool,
}

impl Cache {
    /// A folder that need not be there yet.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// The entry of `subject`, such as a graph on an accelerator, as long as `state` is the same.
    ///
    /// An incomplete or torn one is emptied. Fails if the folder cannot be made.
    pub(super) fn entry(&self, subject: &str, state: &str) -> io::Result<Entry> {
        let name = hex(&Sha256::digest([subject, state].concat()));
        let folder = self.folder.join(&name[..32]);
        let is_complete = is_complete(&folder);
        if !is_complete && folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        Ok(Entry { folder, subject: subject.to_owned(), is_complete })
    }

    /// Throws away what is about the same subject and is not this entry: the graph, the library or a setting has changed.
    pub(super) fn forget_others(&self, entry: &Entry) {
        for other in fs::read_dir(&self.folder).into_iter().flatten().flatten().map(|other| other.path()) {
            let is_older = other != entry.folder && list(&other).is_some_and(|list| list["subject"] == entry.subject);
            if is_older && let Err(error) = fs::remove_dir_all(&other) {
                tracing::warn!(folder = %other.display(), %error, "an old entry of the cache cannot be removed");
            }
        }
    }
}

impl Entry {
    /// Everything that belongs to it is there: it will be found by the next start.
    pub(super) fn complete(&self) -> io::Result<()> {
        let mut files = serde_json::Map::new();
        for file in fs::read_dir(&self.folder)? {
            let file = file?;
            File::open(file.path())?.sync_all()?;
            files.insert(file.file_name().to_string_lossy().into_owned(), json!(file.metadata()?.len()));
        }
        let draft = self.folder.join("complete.part");
        let mut list = File::create(&draft)?;
        list.write_all(json!({"subject": self.subject, "files": files}).to_string().as_bytes())?;
        list.sync_all()?;
        fs::rename(draft, self.folder.join(LIST))?;
        File::open(&self.folder)?.sync_all()
    }

    /// It proved to be of no use.
    pub(super) fn discard(&self) -> io::Result<()> {
        fs::remove_dir_all(&self.folder)?;
        fs::create_dir_all(&self.folder)
    }
}

fn list(folder: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(folder.join(LIST)).ok()?).ok()
}

fn is_complete(folder: &Path) -> bool {
    let Some(Value::Object(files)) = list(folder).map(|mut list| list["files"].take()) else { return false };
    files.iter().all(|(name, bytes)| fs::metadata(folder.join(name)).is_ok_and(|found| bytes == found.len()))
}

/// What a file is, without reading much of it: content if it is small, else size and time.
pub(super) fn identity(file: &Path) -> io::Result<String> {
    let found = fs::metadata(file)?;
    if found.len() <= SMALL {
        return Ok(format!("{:?}", Sha256::digest(fs::read(file)?)));
    }
    let time = found.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}", found.len(), time.as_nanos()))
}

/// What the machine is, as far as optimised graphs depend on it.
pub(super) fn machine() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let of_cpu = |line: &&str| ["model name", "flags", "Features", "CPU part"].iter().any(|key| line.starts_with(key));
    let mut lines: Vec<&str> = cpu.lines().filter(of_cpu).collect();
    lines.sort_unstable();
    lines.dedup();
    let board = ["/proc/device-tree/model", "/proc/driver/nvidia/version"]
        .map(|file| fs::read_to_string(file).unwrap_or_default());
    [lines.concat(), board.concat()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(cache: &Cache, state: &str) -> Entry {
        let entry = cache.entry("unet on cpu", state).unwrap();
        fs::write(entry.folder.join("model.onnx"), state).unwrap();
        entry.complete().unwrap();
        entry
    }

    #[test]
    fn an_entry_is_found_again_until_anything_that_it_depends_on_changes() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().join("made/on/demand"));
        assert!(!cache.entry("unet on cpu", "a").unwrap().is_complete);
        filled(&cache, "a");
        assert!(cache.entry("unet on cpu", "a").unwrap().is_complete);
        assert!(!cache.entry("unet on cpu", "b").unwrap().is_complete);
        assert!(!cache.entry("vae on cpu", "a").unwrap().is_complete);
    }

    #[test]
    fn a_torn_entry_is_emptied() {
        for tear in ["cut", "gone", "unlisted"] {
            let folder = tempfile::tempdir().unwrap();
            let cache = Cache::new(folder.path().to_owned());
            let file = filled(&cache, "some text").folder.join("model.onnx");
            match tear {
                "cut" => fs::write(&file, "some").unwrap(),
                "gone" => fs::remove_file(&file).unwrap(),
                _ => fs::remove_file(file.with_file_name(LIST)).unwrap(),
            }
            let entry = cache.entry("unet on cpu", "some text").unwrap();
            assert!(!entry.is_complete && fs::read_dir(&entry.folder).unwrap().count() == 0, "{tear}");
        }
    }

    #[test]
    fn older_entries_of_the_same_subject_go_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path().to_owned());
        let other = cache.entry("vae on cpu", "a").unwrap();
        other.complete().unwrap();
        filled(&cache, "a");
        let newer = filled(&cache, "b");
        cache.forget_others(&newer);
        assert!(!cache.entry("unet on cpu", "a").unwrap().is_complete);
        assert!(cache.entry("unet on cpu", "b").unwrap().is_complete);
        assert!(cache.entry("vae on cpu", "a").unwrap().is_complete);
    }

    #[test]
    fn a_small_file_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        let is = |text: &str| {
            fs::write(&file, text).unwrap();
            identity(&file).unwrap()
        };
        assert_eq!(is("a"), is("a"));
        assert_ne!(is("a"), is("b"));
        assert!(!machine().is_empty());
    }
}
