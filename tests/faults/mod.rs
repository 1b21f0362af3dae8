//! Power cuts, crashes inside of the store's transitions, and sick disks: the short form of what `store-drill` does.

mod calls;
mod crash;
mod dice;
mod disk;
mod dump;
mod insist;
mod old;
mod power;
mod record;
mod shim;
mod sick;
mod trace;
mod trial;

use std::path::Path;
use std::process::Command;

use self::power::{Plan, Planted, replay};
use crate::support::{flat, preload};

/// Jobs of the short form.
const JOBS: u64 = 14;

/// The drill in a process of its own: this test binary again, told by its surroundings to do nothing else.
/// With no jobs the marks are the file that makes the disk sick; without a number of them it is an upgrade.
#[test]
#[ignore = "is started by the other tests"]
fn the_drill() {
    let Some(folder) = std::env::var_os("DRILL_FOLDER") else { return };
    let marks = std::env::var_os("DRILL_MARKS").unwrap();
    let Ok(jobs) = std::env::var("DRILL_JOBS") else { return old::drive(Path::new(&folder), Path::new(&marks)) };
    match jobs.parse().unwrap() {
        0 => insist::suffer(Path::new(&folder), Path::new(&marks), &["F", "R", "W", "S", "A"]),
        jobs => trace::drive(Path::new(&folder), Path::new(&marks), jobs),
    }
}

fn launch(folder: &Path, marks: &Path, jobs: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "faults::the_drill", "--ignored", "--nocapture"]);
    command.env("DRILL_FOLDER", folder).env("DRILL_MARKS", marks).env("DRILL_JOBS", jobs.to_string());
    command
}

fn launch_old(folder: &Path, marks: &Path, jobs: u64) -> Command {
    let mut command = launch(folder, marks, jobs);
    command.env_remove("DRILL_JOBS");
    command
}

#[test]
fn a_power_cut_at_any_operation_loses_nothing_that_was_acknowledged() {
    let steps = crash::record(&launch, JOBS);
    let plan = Plan::of_a_life(5, 5, 1);
    let report = replay(&steps, &plan);
    eprintln!("{report:#?}");
    assert!(report.calls.len() >= 20, "the run has too few kinds of calls: {:?}", report.calls);
    assert_eq!(report.faults, 0, "{:#?}", report.examples);
    for planted in [Planted::NoSync, Planted::NoSyncOfLog, Planted::NoSyncOfFolders] {
        let report = replay(&steps, &Plan { every: 40, chance_every: 40, planted, ..plan });
        assert!(report.faults > 0, "{planted:?} was not noticed in {:?}", report.cuts);
    }
}

#[test]
fn a_power_cut_at_any_operation_of_an_upgrade_leaves_the_old_store_or_the_new_one_and_its_copy() {
    let steps = crash::record(&launch_old, 0);
    let plan = Plan::of_an_upgrade(1, 4, 1);
    let report = replay(&steps, &plan);
    eprintln!("{report:#?}");
    assert!(report.cuts["All"] > 100, "the upgrade has too few operations: {:?}", report.cuts);
    assert_eq!(report.faults, 0, "{:#?}", report.examples);
    for planted in [Planted::NoSync, Planted::NoSyncOfLog, Planted::NoSyncOfFolders, Planted::NoSyncOfCopy] {
        let report = replay(&steps, &Plan { every: 4, planted, ..plan });
        assert!(report.faults > 0, "{planted:?} was not noticed in {:?}", report.cuts);
    }
}

#[test]
fn a_crash_inside_of_any_call_leaves_all_or_nothing_of_it() {
    let report = crash::kill(&launch, crash::Plan { jobs: JOBS, calls: 1, operations: 4 });
    eprintln!("{report:#?}");
    assert!(report.faults.is_empty(), "{:#?}", report.faults);
}

#[test]
fn what_failed_on_a_sick_disk_works_when_it_is_made_again_and_no_job_is_stuck() {
    let folder = power::memory();
    let [root, control] = ["disk", "control"].map(|name| folder.path().join(name));
    std::fs::create_dir(&root).unwrap();
    std::fs::write(&control, "").unwrap();
    let spell = shim::Spell { root: root.to_str().unwrap(), control: Some(&control), ..shim::Spell::default() };
    let mut command = launch(&root.join(crash::STORE), &control, 0);
    spell.cast(&mut command);
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(dump::broken_rules(&root.join(crash::STORE).join("store.sqlite")).unwrap(), [""; 0]);
}

/// What is done to a store behind its back, and what of it is noticed.
#[test]
fn a_planted_loss_is_noticed() {
    let plant = |sql: &str| {
        let folder = power::memory();
        let (store, marks) = (folder.path().join("store"), folder.path().join("marks"));
        trace::drive_some(&store, &marks, 6);
        let marks = std::fs::read_to_string(&marks).unwrap();
        let history = trial::History::read(marks.lines());
        let moment = marks.lines().fold(trial::Moment::default(), trial::Moment::after);
        rusqlite::Connection::open(store.join("store.sqlite")).unwrap().execute_batch(sql).unwrap();
        let holds = trial::examine(&store, &history.allowed(moment), true);
        (holds, dump::broken_rules(&store.join("store.sqlite")).unwrap())
    };
    plant("").0.unwrap();
    assert!(plant("DELETE FROM mail WHERE key = (SELECT max(key) FROM mail)").0.is_err());
    assert!(plant("UPDATE job SET priority = priority + 1 WHERE key = 1").0.is_err());
    let (holds, broken) = plant("UPDATE picture SET bytes = zeroblob(size) WHERE key = (SELECT max(key) FROM picture)");
    assert!(holds.is_err() && broken.iter().any(|rule| rule.contains("other bytes")), "{broken:?}");
    let (_, broken) = plant("DELETE FROM picture WHERE key = (SELECT max(key) FROM picture)");
    assert!(!broken.is_empty());
    let (_, broken) = plant("UPDATE job SET seq = 0 WHERE finished IS NOT NULL");
    assert!(broken.iter().any(|rule| rule.contains("last status")), "{broken:?}");
}
