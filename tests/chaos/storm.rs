//! Requests of many clients while the service and the broker are killed at random.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::dice::Dice;
use super::monitor::Monitor;
use super::mosquitto::Mosquitto;
use super::node::Node;
use super::oracle::{Fault, Seen, Work, judge};
use super::requester::{self, Errand, sha256};
use super::wire::Wire;
use super::{picture, steady};

/// How long a node may take to be online.
const PATIENCE: Duration = Duration::from_secs(60);

/// How bad the weather is.
#[derive(Clone)]
pub struct Weather {
    pub seed: u64,
    pub clients: usize,
    /// Requests of all clients together.
    pub requests: u64,
    /// Jobs that the queue holds.
    pub queue: usize,
    /// Milliseconds that a picture takes.
    pub pass: u64,
    /// Mean times between kills.
    pub service: Duration,
    pub broker: Duration,
    /// Mean time that the broker stays away.
    pub away: Duration,
    /// Whether the broker loses its state with every kill.
    pub wiped: bool,
    /// After how long a requester asks again.
    pub patience: Duration,
    /// How long it may take altogether.
    pub limit: Duration,
}

/// What came of it.
#[derive(Clone)]
pub struct Wreck {
    pub seen: Vec<Seen>,
    pub work: Vec<Work>,
    /// Kills of the service, and of the broker.
    pub kills: (usize, usize),
    /// Seconds until `online`: after a start of the service, and after the broker came back.
    pub recoveries: (Vec<f64>, Vec<f64>),
    /// Retained topics at the end, below the node's own.
    pub retained: BTreeSet<String>,
    /// Exit code of the clean stop at the end.
    pub exit: Option<i32>,
    pub took: Duration,
}

impl Wreck {
    /// What the oracle says.
    pub fn faults(&self) -> BTreeSet<Fault> {
        judge(&self.seen, &self.work, &|job| expected(job), &|seed| sha256(&picture::pixels(seed, 64, 64)))
    }

    /// The figures, for people.
    pub fn report(&self) -> String {
        let count =
            |wanted: &str| self.seen.iter().filter(|seen| format!("{:?}", seen.what).starts_with(wanted)).count();
        let jobs: BTreeSet<&str> = self.seen.iter().map(|seen| seen.job.as_str()).collect();
        let again = self.work.iter().filter(|work| work.begins).count() as i64 - jobs.len() as i64;
        let poison: BTreeSet<&str> = self
            .seen
            .iter()
            .filter(|seen| matches!(&seen.what, super::oracle::What::Outcome(outcome) if outcome.code == "poison"))
            .map(|seen| seen.job.as_str())
            .collect();
        let times = |name: &str, times: &[f64]| {
            format!(
                "{name}: {} times, median {:.2} s, p99 {:.2} s",
                times.len(),
                steady::quantile(times, 0.5),
                steady::quantile(times, 0.99)
            )
        };
        format!(
            "{} jobs in {:.0} s; sent {} times, refused {}, outcomes heard {}, pictures heard {}\n\
             kills: service {}, broker {}; begun again {again}, poison {}\nonline again after {}\nonline again after {}",
            jobs.len(),
            self.took.as_secs_f64(),
            count("Sent"),
            count("Refused"),
            count("Outcome"),
            count("Picture"),
            self.kills.0,
            self.kills.1,
            poison.len(),
            times("a kill of the service", &self.recoveries.0),
            times("the broker's return", &self.recoveries.1),
        )
    }
}

/// What a job's prompt says after its name: one in two hundred kills the process the first time, some fail.
pub fn script(job: &str) -> &'static str {
    let number: u64 = job.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
    match number % 200 {
        33 => "crash-once",
        66 | 166 => "fail",
        99 => "oom",
        133 => "crash",
        _ => "",
    }
}

fn expected(job: &str) -> &'static str {
    match script(job) {
        "fail" => "inference",
        "oom" => "out_of_memory",
        "crash" => "poison",
        _ => "done",
    }
}

/// Lets the storm go over a node and its requesters until every request has its outcome.
pub fn rage(weather: &Weather, folder: &Path) -> Wreck {
    let broker = Mosquitto::saving(folder);
    let errand = Errand {
        port: broker.port,
        jobs: weather.requests / weather.clients as u64,
        window: 2,
        patience: weather.patience,
        silence: weather.patience * 3,
        script,
        give_up: AtomicBool::new(false),
        over: AtomicUsize::new(0),
    };
    let limits = format!("[limits]\nqueue = {}\nper_client = 4\n", weather.queue);
    let node = Node::new(folder, broker.port, &limits, &["--pass", &weather.pass.to_string()]);
    let mut storm = Storm::new(weather, broker, node);
    storm.rise();
    let begun = Instant::now();
    let seen = thread::scope(|scope| {
        let errand = &errand;
        let requesters: Vec<_> =
            (0..weather.clients).map(|number| scope.spawn(move || requester::run(errand, number))).collect();
        while requesters.iter().any(|requester| !requester.is_finished()) {
            storm.blow();
            if begun.elapsed() > weather.limit {
                errand.give_up.store(true, Ordering::Relaxed);
            }
            thread::sleep(Duration::from_millis(5));
        }
        requesters.into_iter().flat_map(|requester| requester.join().unwrap()).collect()
    });
    storm.calm(seen, begun.elapsed())
}

/// The storm itself: one thread kills and starts.
struct Storm<'a> {
    weather: &'a Weather,
    dice: Dice,
    broker: Mosquitto,
    node: Node,
    monitor: Monitor,
    next_service: Instant,
    next_broker: Instant,
    /// When the broker comes back, while it is away.
    back: Option<Instant>,
    /// The node dies once more as soon as it works on this job again.
    again: Option<String>,
    /// Since when `online` is waited for, and whether it was the broker that went.
    waiting: Option<(i64, bool)>,
    kills: (usize, usize),
    recoveries: (Vec<f64>, Vec<f64>),
}

impl<'a> Storm<'a> {
    fn new(weather: &'a Weather, broker: Mosquitto, mut node: Node) -> Self {
        let now = Instant::now();
        let monitor = Monitor::start(broker.port);
        node.spawn();
        Self {
            next_service: now,
            next_broker: now,
            weather,
            dice: Dice::new(weather.seed),
            broker,
            node,
            monitor,
            back: None,
            again: None,
            waiting: Some((super::now(), false)),
            kills: (0, 0),
            recoveries: (Vec::new(), Vec::new()),
        }
    }

    /// The calm before: the node comes up.
    fn rise(&mut self) {
        let end = Instant::now() + PATIENCE;
        while self.waiting.is_some() && Instant::now() < end {
            self.look();
            thread::sleep(Duration::from_millis(5));
        }
        // The first kills do not keep a short storm waiting.
        let (service, broker) = (self.weather.service, self.weather.broker);
        self.next_service = Instant::now() + self.dice.wait(service).min(service / 4);
        self.next_broker = Instant::now() + self.dice.wait(broker).min(broker / 4);
    }

    /// What happens at this moment.
    fn blow(&mut self) {
        let now = Instant::now();
        if self.node.has_ended() {
            self.start_node();
        }
        if now >= self.next_service {
            // One kill in four is for the job at hand: it is made to be begun again, and the process to die over it again.
            self.again = (self.dice.below(4) == 0).then(|| self.node.at_hand()).flatten();
            self.kill_node();
            self.next_service = now + self.dice.wait(self.weather.service);
        } else if let (Some(again), Some(at_hand)) =
            (&self.again, self.again.as_ref().and_then(|_| self.node.at_hand()))
        {
            let struck = *again == at_hand;
            self.again = None;
            if struck {
                self.kill_node();
            }
        }
        match self.back {
            None if now >= self.next_broker => {
                self.broker.kill();
                self.kills.1 += 1;
                if self.weather.wiped {
                    self.broker.wipe();
                }
                self.back = Some(now + self.dice.wait(self.weather.away).min(Duration::from_secs(5)));
            }
            Some(back) if now >= back => {
                self.broker.spawn();
                self.broker.wait();
                self.back = None;
                self.next_broker = Instant::now() + self.dice.wait(self.weather.broker);
                self.waiting = Some((super::now(), true));
            }
            _ => {}
        }
        self.look();
    }

    fn kill_node(&mut self) {
        self.node.kill();
        self.kills.0 += 1;
        self.start_node();
    }

    /// As systemd would, but at once.
    fn start_node(&mut self) {
        self.node.spawn();
        self.waiting = Some((super::now(), false));
    }

    /// Whether the node is back. A kill on the way begins the wait anew.
    fn look(&mut self) {
        let (Some((since, broker)), None) = (self.waiting, self.back) else { return };
        let Some(online) = self.monitor.online_after(since) else { return };
        let list = if broker { &mut self.recoveries.1 } else { &mut self.recoveries.0 };
        list.push((online - since) as f64 / 1e6);
        self.waiting = None;
    }

    /// The storm is over: the node is let be, looked at, and stopped.
    fn calm(mut self, seen: Vec<Seen>, took: Duration) -> Wreck {
        if self.back.take().is_some() {
            self.broker.spawn();
            self.broker.wait();
            self.waiting = Some((super::now(), true));
        }
        self.rise();
        let retained = retained(self.broker.port);
        let exit = self.node.stop();
        Wreck { seen, work: self.node.work(), kills: self.kills, recoveries: self.recoveries, retained, exit, took }
    }
}

/// For looking closer: what happened, in order.
impl Wreck {
    pub fn story(&self, job: &str) -> String {
        let seen = self.seen.iter().filter(|seen| seen.job == job).map(|seen| (seen.time, format!("{:?}", seen.what)));
        let work =
            self.work.iter().filter(|work| work.job == job).map(|work| {
                (work.time, format!("{} in life {}", if work.begins { "begun" } else { "made" }, work.life))
            });
        let mut all: Vec<_> = seen.chain(work).collect();
        all.sort();
        let first = all.first().map_or(0, |first| first.0);
        all.iter().map(|(time, what)| format!("{job} {:9.3} s  {what}\n", (time - first) as f64 / 1e6)).collect()
    }
}

/// The topics that the broker keeps.
fn retained(port: u16) -> BTreeSet<String> {
    let mut wire = Wire::open(port, "collector", true, &["#".to_owned()]).unwrap();
    let end = Instant::now() + Duration::from_secs(1);
    let mut topics = BTreeSet::new();
    while Instant::now() < end {
        let heard = wire.hear(Duration::from_millis(100)).unwrap();
        topics.extend(heard.into_iter().filter(|heard| heard.retained).map(|heard| heard.topic));
    }
    topics
}
