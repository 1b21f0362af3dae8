//! Power cuts: the recorded run, cut at every operation, on a disk that keeps no more than it promised.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::Duration;

use super::crash::STORE;
use super::dice::Dice;
use super::disk::{Disk, Survival, Tree};
use super::old::has_its_copy;
use super::record::Step;
use super::trial::{Allowed, History, Moment, examine};

/// What is cut, and where.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Nothing is cut before so many calls were acknowledged.
    pub after: usize,
    /// What must hold of the store's folder, before it is opened.
    pub also: fn(&Path) -> Result<(), String>,
    /// Every how many-th operation is cut.
    pub every: u64,
    /// Every how many-th operation is cut where chance decides what survives.
    pub chance_every: u64,
    /// Every how many-th cut is examined deeply.
    pub deeply: u64,
    /// Of the chance in what survives.
    pub seed: u64,
    /// A fault of the store, for the check of the check.
    pub planted: Planted,
}

/// What a store might do wrong.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Planted {
    /// Nothing.
    Nothing,
    /// It never syncs a file, as with `synchronous=OFF`.
    NoSync,
    /// It never syncs its log.
    NoSyncOfLog,
    /// It never syncs a folder.
    NoSyncOfFolders,
    /// It never syncs the copy that it makes before an upgrade.
    NoSyncOfCopy,
}

impl Plan {
    /// The store's whole life, from the first opening on.
    pub fn of_a_life(every: u64, chance_every: u64, seed: u64) -> Self {
        Self { after: 0, also: |_| Ok(()), every, chance_every, deeply: 20, seed, planted: Planted::Nothing }
    }

    /// The upgrade of an old store.
    pub fn of_an_upgrade(every: u64, chance_every: u64, seed: u64) -> Self {
        Self { after: 1, also: has_its_copy, ..Self::of_a_life(every, chance_every, seed) }
    }
}

/// What was found.
#[derive(Debug, Default)]
pub struct Report {
    /// Operations that were recorded.
    pub operations: u64,
    /// Calls that were acknowledged, by kind.
    pub calls: BTreeMap<String, u64>,
    /// Stores that were opened, by what survived.
    pub cuts: BTreeMap<String, u64>,
    /// The longest opening.
    pub slowest: Duration,
    /// Cuts after which something was wrong.
    pub faults: u64,
    /// What was wrong in the first few.
    pub examples: Vec<String>,
}

struct Cut {
    name: String,
    kind: String,
    tree: Tree,
    allowed: Allowed,
    deeply: bool,
}

/// The ways in which the disk may forget.
const SURVIVALS: [Survival; 6] = [
    Survival::All,
    Survival::Synced,
    Survival::Scattered,
    Survival::Shredded,
    Survival::Torn(512),
    Survival::Torn(4096),
];

/// Cuts a recorded run and examines what is left each time, with as many threads as there are processors.
pub fn replay(steps: &[Step], plan: &Plan) -> Report {
    let marks = steps.iter().filter_map(|step| if let Step::Mark(mark) = step { Some(mark.as_str()) } else { None });
    let history = History::read(marks);
    let report = Mutex::new(Report { calls: history.kinds(), ..Report::default() });
    let (sender, receiver) = sync_channel(8);
    let receiver = Mutex::new(receiver);
    thread::scope(|scope| {
        for _ in 0..thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| work(&receiver, plan, &report));
        }
        let operations = cut_all(steps, &history, plan, &sender);
        drop(sender);
        report.lock().unwrap().operations = operations;
    });
    report.into_inner().unwrap()
}

fn cut_all(steps: &[Step], history: &History, plan: &Plan, sender: &SyncSender<Cut>) -> u64 {
    let (mut disk, mut moment, mut operations, mut cuts) = (Disk::default(), Moment::default(), 0_u64, 0_u64);
    let mut dice = Dice::new(plan.seed);
    let (mut seen, mut names) = (None, BTreeMap::new());
    for (index, step) in steps.iter().enumerate() {
        if let Step::Mark(mark) = step {
            moment = moment.after(mark);
            continue;
        }
        if !is_forgotten(step, plan.planted, &mut names) {
            disk.apply(step);
        }
        operations += 1;
        let now = strictest(moment, &steps[index + 1..]);
        if now.acknowledged < plan.after || !operations.is_multiple_of(plan.every) && now == moment {
            continue;
        }
        for survival in SURVIVALS {
            if survival == Survival::Synced && seen.replace((disk.synced, now)) == Some((disk.synced, now))
                || is_chance(survival) && (!disk.has_pending() || !operations.is_multiple_of(plan.chance_every))
            {
                continue;
            }
            cuts += 1;
            let cut = Cut {
                name: format!("{survival:?}"),
                kind: format!("operation {operations}, call {} {}", now.acknowledged, history.kind(now.acknowledged)),
                tree: disk.cut(survival, &mut dice),
                allowed: history.allowed(now),
                deeply: cuts.is_multiple_of(plan.deeply),
            };
            sender.send(cut).unwrap();
        }
    }
    operations
}

fn is_chance(survival: Survival) -> bool {
    !matches!(survival, Survival::Synced | Survival::All)
}

/// The moment at which this state of the disk has to hold most: after the acknowledgements that followed at once.
fn strictest(moment: Moment, next: &[Step]) -> Moment {
    let mut strictest = moment;
    let mut now = moment;
    for step in next {
        let Step::Mark(mark) = step else { break };
        now = now.after(mark);
        if !now.begun {
            strictest = now;
        }
    }
    strictest
}

/// Whether a planted fault takes this step away. `names` remembers which node is the log and which are folders.
fn is_forgotten(step: &Step, planted: Planted, names: &mut BTreeMap<u64, String>) -> bool {
    match step {
        Step::File { node, path } => drop(names.insert(*node, path.clone())),
        Step::Folder { node, .. } => drop(names.insert(*node, "/".to_owned())),
        _ => {}
    }
    let Step::Sync { node } = step else { return false };
    let name = names.get(node).map_or("", String::as_str);
    match planted {
        Planted::Nothing => false,
        Planted::NoSync => name != "/",
        Planted::NoSyncOfLog => name.ends_with("-wal"),
        Planted::NoSyncOfFolders => name == "/",
        Planted::NoSyncOfCopy => name.contains(".format"),
    }
}

fn work(cuts: &Mutex<Receiver<Cut>>, plan: &Plan, report: &Mutex<Report>) {
    let folder = memory();
    loop {
        let Ok(cut) = cuts.lock().unwrap().recv() else { return };
        let root = folder.path().join("cut");
        write(&root, &cut.tree);
        let store = root.join(STORE);
        let result = (plan.also)(&store).and_then(|()| examine(&store, &cut.allowed, cut.deeply));
        std::fs::remove_dir_all(&root).unwrap();
        let mut report = report.lock().unwrap();
        *report.cuts.entry(cut.name.clone()).or_default() += 1;
        match result {
            Ok(took) => report.slowest = report.slowest.max(took),
            Err(fault) => {
                report.faults += 1;
                if report.examples.len() < 20 {
                    report.examples.push(format!("{}, {}: {fault}", cut.name, cut.kind));
                }
            }
        }
    }
}

/// A folder in memory where there is one: what is tested is what was recorded, not this machine's disk.
pub fn memory() -> tempfile::TempDir {
    let shared = Path::new("/dev/shm");
    if shared.is_dir() { tempfile::tempdir_in(shared) } else { tempfile::tempdir() }.unwrap()
}

fn write(root: &PathBuf, tree: &Tree) {
    std::fs::create_dir_all(root).unwrap();
    // A folder stands before what is in it.
    for (path, bytes) in tree {
        match bytes {
            None => std::fs::create_dir(root.join(path)).unwrap(),
            Some(bytes) => std::fs::write(root.join(path), bytes).unwrap(),
        }
    }
}
