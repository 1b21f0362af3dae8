//! The shim's record against what strace sees from outside: nothing may pass it by.

use std::collections::BTreeMap;
use std::process::Command;

use super::crash::{Launch, STORE};
use super::power::memory;
use super::record::{self, Step};
use super::shim::Spell;

/// Calls that change files, as strace names them, with what the record calls them.
const CALLS: [(&str, &str); 12] = [
    ("write", "writes"),
    ("pwrite64", "writes"),
    ("writev", "writes"),
    ("pwritev", "writes"),
    ("ftruncate", "cuts"),
    ("fallocate", "cuts"),
    ("fsync", "syncs"),
    ("fdatasync", "syncs"),
    ("unlink", "removals"),
    ("unlinkat", "removals"),
    ("rename", "renames"),
    ("mmap", "maps"),
];

/// The operations of one run as both saw them: the shim, then strace.
pub fn compare(launch: Launch<'_>, jobs: u64) -> [BTreeMap<&'static str, u64>; 2] {
    let folder = memory();
    let [root, marks, file, seen] = ["disk", "marks", "record", "seen"].map(|name| folder.path().join(name));
    std::fs::create_dir(&root).unwrap();
    let drive = launch(&root.join(STORE), &marks, jobs);
    let names: Vec<&str> = CALLS.iter().map(|(call, _)| *call).collect();
    let mut strace = Command::new("strace");
    strace.args(["-f", "-y", "-e", &format!("trace={}", names.join(",")), "-o"]).arg(&seen);
    strace.arg(drive.get_program()).args(drive.get_args());
    let spell = Spell { root: root.to_str().unwrap(), record: Some(&file), marks: Some(&marks), ..Spell::default() };
    spell.cast(&mut strace);
    assert!(strace.status().expect("strace must be installed").success());
    let text = String::from_utf8_lossy(&std::fs::read(&seen).unwrap()).into_owned();
    [inside(&record::read(&file)), outside(&text, root.to_str().unwrap())]
}

fn inside(steps: &[Step]) -> BTreeMap<&'static str, u64> {
    let names = steps.iter().filter_map(|step| match step {
        Step::Write { .. } => Some("writes"),
        // A file that is opened anew with nothing in it is no call of its own; only the lock is.
        Step::Cut { .. } => Some("cuts"),
        Step::Sync { .. } => Some("syncs"),
        Step::Remove { .. } => Some("removals"),
        Step::File { .. } | Step::Folder { .. } | Step::Mark(_) => None,
    });
    count(names)
}

fn outside(text: &str, root: &str) -> BTreeMap<&'static str, u64> {
    let names = text.lines().filter_map(|line| {
        let line = line.split_once(' ').map_or(line, |(_, call)| call.trim_start());
        let (call, rest) = line.split_once('(')?;
        let name = CALLS.iter().find(|(name, _)| *name == call)?.1;
        let path = rest.split(['>', '"']).find(|part| part.contains(root))?;
        let is_memory = path.ends_with("-shm") || name == "maps" && !rest.contains("MAP_SHARED");
        let failed = rest.contains(" = -1 ");
        (!is_memory && !failed).then_some(name)
    });
    count(names)
}

fn count<'a>(names: impl Iterator<Item = &'a str>) -> BTreeMap<&'a str, u64> {
    let mut counts = BTreeMap::new();
    names.for_each(|name| *counts.entry(name).or_default() += 1);
    counts
}
