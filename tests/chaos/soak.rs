//! Many jobs, and whether anything grows.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::asker::{self, Asker};
use super::mosquitto::Mosquitto;
use super::node::Node;
use super::steady;

/// Requesters, and the jobs that each has open at a time.
const CLIENTS: u64 = 4;
const WINDOW: usize = 16;

/// What was measured.
pub struct Soak {
    pub jobs: u64,
    /// Jobs that did not end as `done`.
    pub failed: u64,
    pub took: Duration,
    /// Kibibytes of memory, file descriptors and threads, at even distances of jobs.
    pub memory: Vec<f64>,
    pub descriptors: Vec<f64>,
    pub threads: Vec<f64>,
}

impl Soak {
    /// Kibibytes by which memory grew in the second half.
    pub fn growth(&self) -> f64 {
        steady::growth(&self.memory)
    }

    /// How far file descriptors and threads differ in the second half.
    pub fn spread(&self) -> (f64, f64) {
        let spread = |series: &[f64]| {
            let half = &series[series.len() / 2..];
            steady::quantile(half, 1.0) - steady::quantile(half, 0.0)
        };
        (spread(&self.descriptors), spread(&self.threads))
    }

    pub fn report(&self) -> String {
        let at =
            |share: f64| self.memory.get((share * (self.memory.len() - 1) as f64) as usize).copied().unwrap_or(0.0);
        format!(
            "{} jobs in {:.0} s, {:.0} a second, {} not done; memory {:.0} KiB after a tenth, {:.0} in the middle, {:.0} at \
             the end; grew by {:.0} KiB in the second half; descriptors {:?}, threads {:?}, spread {:?}",
            self.jobs,
            self.took.as_secs_f64(),
            self.jobs as f64 / self.took.as_secs_f64(),
            self.failed,
            at(0.1),
            at(0.5),
            at(1.0),
            self.growth(),
            self.descriptors.last(),
            self.threads.last(),
            self.spread(),
        )
    }
}

/// Puts `jobs` jobs through a node that loses `leak` bytes with each; it is looked at `looks` times.
pub fn soak(folder: &Path, jobs: u64, leak: u64, looks: u64) -> Soak {
    let memory = tempfile::tempdir_in("/dev/shm").unwrap();
    let broker = Mosquitto::start(folder);
    let lines = format!(
        "[store]\ndir = '{}'\nkeep = '60s'\n[limits]\nqueue = 1000\nper_client = 100\n",
        memory.path().join("store").display()
    );
    let mut node = Node::new(folder, broker.port, &lines, &["--leak", &leak.to_string()]);
    node.spawn();
    asker::greet(broker.port);
    let (begun, over) = (Instant::now(), AtomicU64::new(0));
    let mut soak = Soak {
        jobs,
        failed: 0,
        took: Duration::ZERO,
        memory: Vec::new(),
        descriptors: Vec::new(),
        threads: Vec::new(),
    };
    thread::scope(|scope| {
        let (port, over) = (broker.port, &over);
        let clients: Vec<_> =
            (0..CLIENTS).map(|number| scope.spawn(move || pump(port, number, jobs / CLIENTS, over))).collect();
        let mut next = 0;
        while clients.iter().any(|client| !client.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            if over.load(Ordering::Relaxed) >= next {
                next += jobs / looks;
                soak.memory.push(node.status("VmRSS") as f64);
                soak.descriptors.push(node.descriptors() as f64);
                soak.threads.push(node.status("Threads") as f64);
            }
        }
        soak.failed = clients.into_iter().map(|client| client.join().unwrap()).sum();
    });
    soak.took = begun.elapsed();
    soak
}

/// One client's share; returns how many did not end as they should.
fn pump(port: u16, number: u64, jobs: u64, all: &AtomicU64) -> u64 {
    let mut asker = Asker::open(port, &format!("s{number}"));
    let (mut asked, mut over, mut failed) = (0, 0, 0);
    while over < jobs {
        while asked < jobs && asked - over < WINDOW as u64 {
            asker.ask(&format!("{number}-{asked}"), "");
            asked += 1;
        }
        asker.hear(Duration::from_secs(1));
        for (_, outcome) in std::mem::take(&mut asker.outcomes) {
            over += 1;
            all.fetch_add(1, Ordering::Relaxed);
            failed += u64::from(outcome.state != "done");
        }
        asker.forget();
    }
    failed
}
