//! More requests than the service can ever serve.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::asker::{self, Asker};
use super::mosquitto::Mosquitto;
use super::node::Node;
use super::oracle::Work;
use super::steady;

/// Milliseconds that a picture takes: ten jobs a second are all that the node can do.
const PASS: u64 = 100;
/// Requests a second for every job a second that it can do.
const TIMES: u64 = 20;
const CLIENTS: u64 = 20;
/// Jobs that the queue holds.
pub const QUEUE: i64 = 16;

/// What was measured.
pub struct Flood {
    pub asked: usize,
    pub accepted: usize,
    pub rejected: u64,
    /// Rejections with another code than `queue_full`.
    pub strange: u64,
    /// Accepted jobs without an outcome, and requests without an answer.
    pub lost: usize,
    pub reject_ms: Vec<f64>,
    pub accept_ms: Vec<f64>,
    /// Most jobs that were accepted and not yet made.
    pub deepest: i64,
    /// Kibibytes of memory, ten times a second.
    pub memory: Vec<f64>,
}

impl Flood {
    pub fn report(&self) -> String {
        format!(
            "{} requests, {TIMES} times what the node can do: {} accepted, {} rejected, deepest queue {} of {QUEUE}\n\
             rejected after: median {:.1} ms, p99 {:.1} ms, longest {:.1} ms; accepted after: p99 {:.1} ms\n\
             memory: {:.0} KiB at the end, grew by {:.0} KiB in the second half",
            self.asked,
            self.accepted,
            self.rejected,
            self.deepest,
            steady::quantile(&self.reject_ms, 0.5),
            steady::quantile(&self.reject_ms, 0.99),
            steady::quantile(&self.reject_ms, 1.0),
            steady::quantile(&self.accept_ms, 0.99),
            self.memory.last().copied().unwrap_or(0.0),
            steady::growth(&self.memory),
        )
    }
}

/// Floods a node for some time.
pub fn flood(folder: &Path, time: Duration, leak: &str) -> Flood {
    let broker = Mosquitto::start(folder);
    let limits = format!("[limits]\nqueue = {QUEUE}\nper_client = 4\n");
    let mut node = Node::new(folder, broker.port, &limits, &["--pass", &PASS.to_string(), "--leak", leak]);
    node.spawn();
    asker::greet(broker.port);
    let stop = AtomicBool::new(false);
    let mut memory = Vec::new();
    let askers: Vec<Asker> = thread::scope(|scope| {
        let (stop, port) = (&stop, broker.port);
        let threads: Vec<_> = (0..CLIENTS).map(|number| scope.spawn(move || pour(port, number, stop))).collect();
        let end = Instant::now() + time;
        while Instant::now() < end {
            thread::sleep(Duration::from_millis(100));
            memory.push(node.status("VmRSS") as f64);
        }
        stop.store(true, Ordering::Relaxed);
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    measure(&askers, &node.work(), memory)
}

/// One client's share: requests at an even pace, whatever the answers; then the outcomes are waited for.
fn pour(port: u16, number: u64, stop: &AtomicBool) -> Asker {
    let mut asker = Asker::open(port, &format!("f{number:02}"));
    let every = Duration::from_millis(PASS * CLIENTS / TIMES);
    let mut next = Instant::now() + every.mul_f64(number as f64 / CLIENTS as f64);
    let mut asked = 0;
    while !stop.load(Ordering::Relaxed) {
        asker.hear(next.saturating_duration_since(Instant::now()).max(Duration::from_millis(1)));
        if Instant::now() >= next {
            asker.ask(&format!("{number}-{asked}"), "");
            asked += 1;
            next += every;
        }
    }
    let end = Instant::now() + Duration::from_secs(60);
    while (asker.waiting() > 0 || asker.outcomes.len() < asker.accepted.len()) && Instant::now() < end {
        asker.hear(Duration::from_millis(100));
    }
    asker
}

fn measure(askers: &[Asker], work: &[Work], memory: Vec<f64>) -> Flood {
    let all = |list: &dyn Fn(&Asker) -> Vec<f64>| askers.iter().flat_map(list).collect::<Vec<f64>>();
    let accepted: usize = askers.iter().map(|asker| asker.accepted.len()).sum();
    let rejected: u64 = askers.iter().flat_map(|asker| asker.rejected.values()).sum();
    let full: u64 = askers.iter().filter_map(|asker| asker.rejected.get("queue_full")).sum();
    let waiting: usize = askers.iter().map(Asker::waiting).sum();
    let over: usize = askers.iter().map(|asker| asker.outcomes.len()).sum();
    Flood {
        asked: accepted + rejected as usize + waiting,
        accepted,
        rejected,
        strange: rejected - full,
        lost: accepted.abs_diff(over) + waiting,
        reject_ms: all(&|asker| asker.reject_ms.clone()),
        accept_ms: all(&|asker| asker.accept_ms.clone()),
        deepest: deepest(askers, work),
        memory,
    }
}

/// The most jobs that were accepted and not yet made. A requester hears `accepted` after the job is in the queue, and the
/// generator notes the end before the job leaves it: what is counted here is never more than what was there.
fn deepest(askers: &[Asker], work: &[Work]) -> i64 {
    let taken = askers.iter().flat_map(|asker| &asker.accepted).map(|(time, _)| (*time, 1));
    let made = work.iter().filter(|work| !work.begins && work.job != "hello").map(|work| (work.time, -1));
    let mut changes: Vec<(i64, i64)> = taken.chain(made).collect();
    changes.sort_unstable();
    let mut depth = 0;
    let mut most = 0;
    for (_, change) in changes {
        depth += change;
        most = most.max(depth);
    }
    most
}
