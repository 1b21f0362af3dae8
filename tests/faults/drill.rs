//! Takes a store through its life and destroys it in all ways that a disk knows. The full form of `tests/faults`.
//!
//!     store-drill drive FOLDER MARKS JOBS        every call's name and what is in the store after it go to MARKS
//!     store-drill drive-old FOLDER MARKS         the same for the upgrade of an old store
//!     store-drill check FOLDER                   what is in a store, as JSON, and how long it took to open
//!     store-drill power JOBS [SEED [PLANTED [N]]] records a run and cuts the power at every operation, at random
//!                                                every N-th
//!     store-drill upgrade [SEED [PLANTED [N]]]   the same for the upgrade of an old store
//!     store-drill crash JOBS CALLS               kills the run at every operation of the first CALLS calls of each kind
//!     store-drill compare JOBS                   counts the same run's operations with the shim and with strace

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod calls;
mod crash;
mod dice;
mod disk;
mod dump;
#[path = "../support/flat.rs"]
mod flat;
mod old;
mod outside;
mod power;
#[path = "../support/preload.rs"]
mod preload;
mod record;
mod shim;
mod trace;
mod trial;

use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use diffused::service::Store;
use serde_json::{Value, json};

use self::power::{Plan, Planted, replay};

/// A store opens at least as fast as this, whatever happened to it. Only asked here: the tests may run on a busy machine.
const OPENS_WITHIN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let is_well = match arguments.as_slice() {
        ["drive", folder, marks, jobs] => {
            trace::drive(Path::new(folder), Path::new(marks), jobs.parse().unwrap());
            true
        }
        ["drive-old", folder, marks] => {
            old::drive(Path::new(folder), Path::new(marks));
            true
        }
        ["check", folder] => check(Path::new(folder)),
        ["power", jobs, rest @ ..] => power(&launch, jobs.parse().unwrap(), rest, 50, Plan::of_a_life),
        ["upgrade", rest @ ..] => power(&launch_old, 0, rest, 2, Plan::of_an_upgrade),
        ["crash", jobs, calls] => {
            crash(crash::Plan { jobs: jobs.parse().unwrap(), calls: calls.parse().unwrap(), operations: usize::MAX })
        }
        ["compare", jobs] => compare(jobs.parse().unwrap()),
        _ => panic!("usage: store-drill drive|drive-old|check|power|upgrade|crash|compare, see its source"),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn launch(folder: &Path, marks: &Path, jobs: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("drive").args([folder, marks]).arg(jobs.to_string());
    command
}

fn launch_old(folder: &Path, marks: &Path, _: u64) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.arg("drive-old").args([folder, marks]);
    command
}

fn check(folder: &Path) -> bool {
    let begun = Instant::now();
    let _store = Store::open(folder, "check", None).unwrap();
    let took = begun.elapsed();
    let file = folder.join("store.sqlite");
    let tables: Value = serde_json::from_str(&dump::dump(&file).unwrap()).unwrap();
    let broken = dump::broken_rules(&file).unwrap();
    println!("{}", json!({"open_ms": took.as_secs_f64() * 1e3, "tables": tables, "broken_rules": broken}));
    broken.is_empty()
}

/// A planted fault is looked for at every `sparse`-th operation only.
fn power(launch: crash::Launch<'_>, jobs: u64, rest: &[&str], sparse: u64, plan: fn(u64, u64, u64) -> Plan) -> bool {
    let seed = rest.first().map_or(1, |seed| seed.parse().unwrap());
    let planted = match rest.get(1) {
        None | Some(&"nothing") => Planted::Nothing,
        Some(&"no-sync") => Planted::NoSync,
        Some(&"no-sync-of-log") => Planted::NoSyncOfLog,
        Some(&"no-sync-of-folders") => Planted::NoSyncOfFolders,
        Some(&"no-sync-of-copy") => Planted::NoSyncOfCopy,
        Some(other) => panic!("nobody can plant {other}"),
    };
    let begun = Instant::now();
    let steps = crash::record(launch, jobs);
    let every = if planted == Planted::Nothing { 1 } else { sparse };
    let chance_every = rest.get(2).map_or(every, |every| every.parse().unwrap());
    let report = replay(&steps, &Plan { planted, ..plan(every, chance_every, seed) });
    println!("{report:#?}\nin {:?}, planted: {planted:?}", begun.elapsed());
    (report.faults == 0) == (planted == Planted::Nothing) && opens_soon(report.slowest)
}

fn crash(plan: crash::Plan) -> bool {
    let begun = Instant::now();
    let report = crash::kill(&launch, plan);
    let kills: u64 = report.kills.values().sum();
    println!("{report:#?}\n{kills} kills in {:?}", begun.elapsed());
    report.faults.is_empty() && opens_soon(report.slowest)
}

fn opens_soon(slowest: Duration) -> bool {
    let is_soon = slowest <= OPENS_WITHIN;
    if !is_soon {
        println!("an opening took {slowest:?}, which is more than {OPENS_WITHIN:?}");
    }
    is_soon
}

/// The shim's record must have what strace sees from outside, or something passes it by. Files that are opened with
/// `O_TRUNC` are cut without a call: the lock, once an opening.
fn compare(jobs: u64) -> bool {
    let [mut inside, outside] = outside::compare(&launch, jobs);
    println!("shim {inside:?}\nstrace {outside:?}");
    let openings = inside.remove("cuts").unwrap_or(0) - outside.get("cuts").copied().unwrap_or(0);
    println!("{openings} cuts by opening");
    let mut outside = outside;
    outside.remove("cuts");
    inside == outside
}
