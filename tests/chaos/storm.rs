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
use super::oracle::Seen;
use super::requester::{self, Errand};
use super::weather::{Weather, script};
use super::wire::Wire;
use super::wreck::Wreck;

/// How long a node may take to be online.
const PATIENCE: Duration = Duration::from_secs(60);

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
    let limits = format!("[limits]\nqueue = {}\nper_client = 4\n[engine]\njobs = {}\n", weather.queue, weather.jobs);
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
        let (kills, recoveries, at_once) = (self.kills, self.recoveries, self.weather.jobs as usize);
        Wreck { seen, work: self.node.work(), at_once, kills, recoveries, retained, exit, took }
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
