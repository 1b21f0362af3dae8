//! Four nodes of a pool and many requesters: one node busy, one paused, one full; perhaps one is killed and one stopped.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::{Duration, Instant};

use diffused::job::units::{Client, JobId};
use diffused::mqtt::requester::{Answer, AskError, Patience, Target};
use diffused::mqtt::{Broker, Pool, Requester};
use serde_json::json;
use tempfile::TempDir;

use super::ear::{Ear, now};
use super::figures::Figures;
use super::spans::Span;
use crate::chaos::node::Node;
use crate::support::eventually;

/// What happens to a pool.
#[derive(Clone, Copy)]
pub struct Course {
    pub port: u16,
    pub requests: usize,
    /// Between two requests.
    pub every: Duration,
    /// How long a picture takes.
    pub pass: Duration,
    /// How long the busy and the full node are occupied at first.
    pub own: Duration,
    pub patience: Patience,
    /// How long a requester waits for its picture.
    pub timeout: Duration,
    /// Whether n3 is killed and n4 stopped on the way, and both come back when everybody has a picture.
    pub storm: bool,
}

/// A node of the fleet.
pub struct Member {
    pub name: &'static str,
    pub node: Node,
    /// When it would take work.
    pub willing: Vec<Span>,
    since: Option<i64>,
    _folder: TempDir,
}

impl Member {
    fn start(name: &'static str, course: &Course) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let queue = if name == "n4" { 1 } else { 16 };
        let lines = format!("[pool]\nnames = ['studio']\n[limits]\nqueue = {queue}\n");
        let pass = course.pass.as_millis().to_string();
        let mut node = Node::named(name, folder.path(), course.port, &lines, &["--pass", &pass]);
        node.spawn();
        Self { name, node, willing: Vec::new(), since: None, _folder: folder }
    }

    fn opens(&mut self) {
        self.since = Some(now());
    }

    fn closes(&mut self) {
        self.willing.extend(self.since.take().map(|since| (since, now())));
    }

    /// The times in which it made pictures; one that it died over lasts until then.
    pub fn busy(&self) -> Vec<Span> {
        let work = self.node.work();
        let end = |at: usize| {
            let ends = work[at..].iter().find(|it| !it.begins && it.life == work[at].life && it.job == work[at].job);
            let death = || self.willing.iter().map(|span| span.1).find(|until| *until >= work[at].time);
            ends.map(|it| it.time).or_else(death).unwrap_or(work[at].time)
        };
        (0..work.len()).filter(|at| work[*at].begins).map(|at| (work[at].time, end(at))).collect()
    }
}

/// Runs it to its end.
pub fn run(course: Course) -> Figures {
    let ear = Ear::open(course.port);
    let mut fleet: Vec<Member> = ["n1", "n2", "n3", "n4"].map(|name| Member::start(name, &course)).into();
    for member in &mut fleet {
        ear.online(member.name, 0);
        member.opens();
    }
    occupy(&ear, "n1", course.own);
    occupy(&ear, "n4", course.own);
    order(&ear, "n2", "pause");
    fleet[1].closes();
    let answers = thread::scope(|scope| {
        let mut requesters = Vec::new();
        for index in 0..course.requests {
            change(&ear, &mut fleet, &course, index);
            requesters.push(scope.spawn(move || ask(&course, index)));
            let next = Instant::now() + course.every;
            while Instant::now() < next {
                thread::sleep(Duration::from_millis(5));
                strike(&mut fleet[2], &course, index);
            }
        }
        requesters.into_iter().map(|it| it.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(!course.storm || fleet[2].since.is_none(), "n3 never worked, so it was not killed");
    fleet.iter_mut().for_each(Member::closes);
    if course.storm {
        come_back(&ear, &mut fleet);
    }
    ear.catch_up();
    Figures::of(&ear.all(), &fleet, answers)
}

/// What changes before this request.
fn change(ear: &Ear, fleet: &mut [Member], course: &Course, index: usize) {
    let quarter = course.requests / 4;
    if index == quarter {
        order(ear, "n2", "resume");
        fleet[1].opens();
    }
    if course.storm && index == 3 * quarter {
        fleet[3].closes();
        assert_eq!(fleet[3].node.stop(), Some(0));
    }
}

/// From the middle on n3 dies as soon as it works for somebody: a death that matters.
fn strike(member: &mut Member, course: &Course, index: usize) {
    let is_time = course.storm && index >= course.requests / 2 && member.since.is_some();
    if is_time && member.node.work().last().is_some_and(|work| work.begins) {
        member.node.kill();
        member.closes();
    }
}

/// A job of the node's own.
fn occupy(ear: &Ear, node: &str, time: Duration) {
    let id = format!("own-{node}");
    let request = json!({"id": id, "prompt": format!("{id} slow:{}", time.as_millis())});
    ear.publish(&format!("diffused/{node}/request/own"), request.to_string());
    let topic = format!("diffused/{node}/reply/own/{id}/status");
    ear.wait(&format!("{node} is occupied"), |said| said.topic == topic && said.text("state") == "started");
}

fn order(ear: &Ear, node: &str, command: &str) {
    ear.publish(&format!("diffused/{node}/admin/ops"), json!({"id": command, "command": command}).to_string());
    let topic = format!("diffused/{node}/reply/ops/{command}/answer");
    ear.wait(&format!("{node} obeys"), |said| said.topic == topic);
}

/// One requester with one request, by the rule.
fn ask(course: &Course, index: usize) -> (String, Result<Answer, AskError>) {
    let name = format!("q{index:02}");
    let broker = Broker {
        host: "127.0.0.1".to_owned(),
        port: course.port,
        client_id: format!("requester-{name}"),
        ..Broker::for_requester()
    };
    let target = Target::pool("diffused", Pool::try_from("studio").unwrap()).unwrap();
    let mut requester = Requester::new(broker, target, Client::try_from(name.as_str()).unwrap());
    requester.patience = course.patience;
    let request = json!({"id": name, "prompt": name, "progress": false}).to_string();
    let id = JobId::try_from(name.as_str()).unwrap();
    let answer = requester.ask(&id, &request, course.timeout, &AtomicBool::new(false), |_| {});
    (name, answer)
}

/// The dead come back and make what they had accepted, which nobody waits for any more.
fn come_back(ear: &Ear, fleet: &mut [Member]) {
    let since = now();
    for member in fleet.iter_mut().filter(|member| ["n3", "n4"].contains(&member.name)) {
        member.node.spawn();
        ear.online(member.name, since);
    }
    let made = || fleet.iter().map(|member| member.node.work().len()).sum::<usize>();
    let mut seen = BTreeSet::new();
    eventually("they have nothing to do", || {
        thread::sleep(Duration::from_millis(1500));
        !seen.insert(made())
    });
}
