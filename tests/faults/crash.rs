//! The process dies instead of an operation: in every kind of call, before and after its commit.

use std::collections::BTreeMap;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::power::memory;
use super::record::{self, Step};
use super::shim::Spell;
use super::trial::{History, Moment, examine};

/// SIGKILL.
const KILLED: i32 = 9;
/// The store's folder, from the outermost one.
pub const STORE: &str = "store";

/// Makes the command that drives a store in a folder (first argument) with marks (second) through so many jobs.
pub type Launch<'a> = &'a dyn Fn(&Path, &Path, u64) -> Command;

/// Runs the drill to its end under the shim and hands back what it did.
pub fn record(launch: Launch<'_>, jobs: u64) -> Vec<Step> {
    let folder = memory();
    let (root, marks, file) = (folder.path().join("disk"), folder.path().join("marks"), folder.path().join("record"));
    std::fs::create_dir(&root).unwrap();
    let spell = Spell { root: root.to_str().unwrap(), record: Some(&file), marks: Some(&marks), ..Spell::default() };
    let mut command = launch(&root.join(STORE), &marks, jobs);
    spell.cast(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    record::read(&file)
}

/// Kills of a run, by the kind of the call in which they came.
#[derive(Debug, Default)]
pub struct Report {
    /// How often it was killed.
    pub kills: BTreeMap<String, u64>,
    /// The longest opening.
    pub slowest: Duration,
    /// What was wrong after it.
    pub faults: Vec<String>,
}

/// Where the drill is killed.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Jobs of the run.
    pub jobs: u64,
    /// The first so many calls of each kind.
    pub calls: usize,
    /// At most so many operations of each call, the first and the last among them.
    pub operations: usize,
}

/// Kills the drill at operations of each kind of call.
pub fn kill(launch: Launch<'_>, plan: Plan) -> Report {
    let steps = record(launch, plan.jobs);
    let marks = steps.iter().filter_map(|step| if let Step::Mark(mark) = step { Some(mark.as_str()) } else { None });
    let history = History::read(marks);
    let mut report = Report::default();
    for (operation, call) in operations(&steps, &history, plan) {
        *report.kills.entry(history.kind(call).to_owned()).or_default() += 1;
        match kill_at(launch, plan.jobs, operation, &history) {
            Ok(took) => report.slowest = report.slowest.max(took),
            Err(fault) => {
                report.faults.push(format!("killed at operation {operation} in {}: {fault}", history.kind(call)));
            }
        }
    }
    report
}

/// The operations to die at, from 1, each with its call. The first one of the next call is the moment after a call's end.
fn operations(steps: &[Step], history: &History, plan: Plan) -> Vec<(u64, usize)> {
    let (mut moment, mut operation) = (Moment::default(), 0);
    let mut calls: BTreeMap<usize, Vec<u64>> = BTreeMap::new();
    for step in steps {
        match step {
            Step::Mark(mark) => moment = moment.after(mark),
            // The outermost folder is no operation.
            Step::Folder { path, .. } if path.is_empty() => {}
            _ => {
                operation += 1;
                calls.entry(moment.acknowledged).or_default().push(operation);
            }
        }
    }
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut chosen = Vec::new();
    for (call, operations) in calls {
        let times = seen.entry(history.kind(call)).or_default();
        *times += 1;
        if *times <= plan.calls {
            chosen.extend(spread(&operations, plan.operations).map(|operation| (operation, call)));
        }
    }
    chosen
}

/// At most so many of them, evenly, the first and the last among them.
fn spread(operations: &[u64], most: usize) -> impl Iterator<Item = u64> {
    let (last, count) = (operations.len() - 1, operations.len().min(most));
    (0..count).map(move |index| operations[last * index / (count - 1).max(1)])
}

fn kill_at(launch: Launch<'_>, jobs: u64, operation: u64, history: &History) -> Result<Duration, String> {
    let folder = memory();
    let (root, marks) = (folder.path().join("disk"), folder.path().join("marks"));
    std::fs::create_dir(&root).unwrap();
    let spell = Spell { root: root.to_str().unwrap(), kill: Some(operation), ..Spell::default() };
    let mut command = launch(&root.join(STORE), &marks, jobs);
    spell.cast(&mut command);
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    if status.signal() != Some(KILLED) {
        return Err(format!("the drill ended with {status} instead of being killed"));
    }
    let said = std::fs::read_to_string(&marks).unwrap();
    let moment = said.lines().fold(Moment::default(), Moment::after);
    examine(&root.join(STORE), &history.allowed(moment), true)
}
