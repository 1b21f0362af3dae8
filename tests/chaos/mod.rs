//! Proof by destruction: the service as a process of its own, with a generator that does what the prompt says.
//!
//! The tests here are the short form. The full form is `tests/reliability.sh`, which runs the ignored tests of `full` one
//! by one and prints their figures; `docs/reliability.md` shows what they were.
//!
//! | module | what it is |
//! |---|---|
//! | `fake_node`, `picture` | the example `fake-node`, and the pictures that it paints |
//! | `wire`, `requester`, `monitor` | requesters with a client of their own |
//! | `mosquitto`, `node` | the two processes that are killed |
//! | `oracle`, `steady` | what may be and what may not; pure |
//! | `storm`, `weather`, `wreck` | random kills, how many, and what came of them |
//! | `asker`, `overload`, `soak` | requests without kills: too many, and very many |
//! | `watchdog` | a supervisor as systemd |

mod asker;
mod dice;
mod full;
mod monitor;
mod mosquitto;
pub mod node;
pub mod oracle;
mod overload;
mod picture;
mod requester;
mod soak;
pub mod steady;
mod storm;
mod watchdog;
mod weather;
mod wire;
mod wreck;

use std::collections::BTreeSet;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use self::asker::Asker;
use self::mosquitto::Mosquitto;
use self::node::Node;
use self::oracle::{Fault, What};
use self::overload::{Flood, QUEUE};
use self::soak::Soak;
use self::watchdog::Supervisor;
use self::weather::Weather;
use self::wreck::Wreck;

/// Microseconds since 1970.
fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}

/// What a node that is online leaves at the broker.
fn own_topics() -> BTreeSet<String> {
    ["availability", "defaults", "info", "state"].map(|topic| format!("diffused/jet1/{topic}")).into()
}

/// Bad weather for half a minute.
fn squall() -> Weather {
    Weather {
        seed: dice::seed(),
        clients: 8,
        requests: 160,
        queue: 16,
        jobs: 1,
        pass: 25,
        service: Duration::from_millis(1200),
        broker: Duration::from_secs(8),
        away: Duration::from_millis(300),
        wiped: false,
        patience: Duration::from_secs(3),
        limit: Duration::from_secs(60),
    }
}

fn survives(weather: &Weather) -> Wreck {
    let folder = tempfile::tempdir().unwrap();
    let wreck = storm::rage(weather, folder.path());
    println!("{}", wreck.report());
    if let Ok(job) = std::env::var("CHAOS_STORY") {
        println!("{}", wreck.story(&job));
    }
    assert_eq!(wreck.faults(), BTreeSet::new());
    assert_eq!(wreck.retained, own_topics());
    assert_eq!(wreck.exit, Some(0));
    wreck
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_when_service_and_broker_are_killed_at_random() {
    let wreck = survives(&squall());
    assert!(wreck.kills.0 >= 1 && wreck.kills.1 >= 1, "the storm passed by: {:?}", wreck.kills);
    the_oracle_sees_what_is_planted(&wreck);
}

#[test]
fn nothing_is_lost_when_the_broker_forgets_everything_with_every_kill() {
    survives(&Weather { wiped: true, ..squall() });
}

#[test]
fn nothing_is_lost_and_nothing_comes_twice_when_four_jobs_at_the_same_time_are_killed() {
    let wreck = survives(&Weather { jobs: 4, pass: 100, ..squall() });
    assert!(wreck.most_at_once() > 1, "no two jobs were at work at the same time");
    the_oracle_sees_what_is_planted(&wreck);
}

#[test]
fn a_request_that_kills_the_process_is_given_up_after_two_attempts_and_the_rest_is_served() {
    let never = Duration::from_secs(24 * 3600);
    for jobs in [1, 3] {
        let calm = Weather { clients: 1, requests: 140, jobs, pass: 20, service: never, broker: never, ..squall() };
        let wreck = survives(&calm);
        let tries = |job: &str| wreck.work.iter().filter(|work| work.begins && work.job == job).count();
        assert_eq!((tries("c00-00133"), tries("c00-00033"), tries("c00-00066")), (2, 2, 1));
        let given_up: Vec<&str> =
            wreck.seen.iter().filter(|event| outcome_code(event) == "poison").map(|event| event.job.as_str()).collect();
        assert_eq!(given_up, ["c00-00133"]);
    }
}

#[test]
fn a_hang_is_noticed_by_the_watchdog_and_slow_work_is_not_taken_for_one() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Mosquitto::start(folder.path());
    let node = Node::new(folder.path(), broker.port, "", &["--patience", "1000"]);
    let mut supervisor = Supervisor::start(node, folder.path(), Duration::from_millis(600));
    let mut asker = Asker::open(broker.port, "a");
    let mut wait_for = |asker: &mut Asker, job: &str, script: &str| {
        let (begun, mut asked) = (Instant::now(), None);
        while !asker.outcomes.contains_key(job) {
            assert!(begun.elapsed() < Duration::from_secs(30), "no outcome of {job}");
            if asked.is_none_or(|asked: Instant| asked.elapsed() > Duration::from_secs(5)) {
                asker.ask(job, script);
                asked = Some(Instant::now());
            }
            asker.hear(Duration::from_millis(20));
            supervisor.look();
        }
        (asker.outcomes[job].clone(), supervisor.kills)
    };
    let (slow, kills) = wait_for(&mut asker, "slow", "slow:2500");
    assert_eq!((slow.state.as_str(), kills), ("done", 0));
    asker.ask("after", "");
    let (hung, kills) = wait_for(&mut asker, "hung", "hang");
    assert_eq!((hung.code.as_str(), kills), ("poison", 2));
    let (after, kills) = wait_for(&mut asker, "later", "");
    assert_eq!((after.state.as_str(), kills), ("done", 2));
    assert_eq!(asker.outcomes["after"].state, "done");
}

#[test]
fn twenty_times_too_many_requests_are_all_answered_and_the_queue_keeps_its_limit() {
    let folder = tempfile::tempdir().unwrap();
    // How soon is a matter of the full form, which has the machine for itself.
    is_answered(&overload::flood(folder.path(), Duration::from_secs(6), "0"), f64::INFINITY);
}

/// Every request has an answer in so many milliseconds, and the queue was full but not more than that.
fn is_answered(flood: &Flood, limit: f64) {
    println!("{}", flood.report());
    assert_eq!((flood.lost, flood.strange), (0, 0), "lost, refused for another reason than a full queue");
    assert!(flood.deepest <= QUEUE && flood.deepest > QUEUE / 2, "the queue was {} deep", flood.deepest);
    assert!(flood.rejected as usize > flood.accepted * 10, "this is no flood");
    let p99 = steady::quantile(&flood.reject_ms, 0.99);
    assert!(p99 < limit, "rejected after {p99:.0} ms");
}

#[test]
fn jobs_leave_nothing_behind_in_memory_and_a_leak_would_be_seen() {
    let sound = soak_of(2000, 0);
    let leaking = soak_of(2000, 8 * 1024);
    assert_eq!((sound.failed, sound.spread()), (0, (0.0, 0.0)), "jobs that failed; descriptors and threads");
    // A thousand jobs leak eight thousand KiB in the second half.
    assert!(sound.growth() <= 2048.0, "memory grows");
    assert!(leaking.growth() > 2048.0, "a leak is not seen");
}

fn soak_of(jobs: u64, leak: u64) -> Soak {
    let folder = tempfile::tempdir().unwrap();
    let soak = soak::soak(folder.path(), jobs, leak, 200);
    println!("{}", soak.report());
    soak
}

fn outcome_code(event: &oracle::Seen) -> &str {
    match &event.what {
        What::Outcome(outcome) => &outcome.code,
        _ => "",
    }
}

/// Everything that the oracle must notice, put into what was really seen.
fn the_oracle_sees_what_is_planted(wreck: &Wreck) {
    let done = |event: &&oracle::Seen| matches!(&event.what, What::Outcome(outcome) if outcome.state == "done");
    let victim = wreck.seen.iter().find(done).unwrap().clone();
    let job = victim.job.clone();
    let planted = |change: &dyn Fn(&mut Wreck)| {
        let mut wreck = wreck.clone();
        change(&mut wreck);
        wreck.faults().into_iter().collect::<Vec<Fault>>()
    };
    let is_outcome = |event: &oracle::Seen| event.job == job && matches!(event.what, What::Outcome(_));
    let is_picture = |event: &oracle::Seen| event.job == job && matches!(event.what, What::Picture { .. });
    let failed = |code: &str| oracle::Seen {
        what: What::Outcome(oracle::Outcome { state: "failed".to_owned(), code: code.to_owned(), images: Vec::new() }),
        ..victim.clone()
    };
    let lost = planted(&|wreck| wreck.seen.retain(|event| !is_outcome(event)));
    assert_eq!(lost, [Fault::Lost(job.clone())]);
    let twice = planted(&|wreck| wreck.seen.push(failed("internal")));
    assert!(twice.contains(&Fault::TwoOutcomes(job.clone())), "{twice:?}");
    let missing = planted(&|wreck| wreck.seen.retain(|event| !is_picture(event)));
    assert_eq!(missing, [Fault::Missing(job.clone())]);
    let changed = planted(&|wreck| {
        let event = wreck.seen.iter().find(|event| is_picture(event)).unwrap().clone();
        let What::Picture { k, pixels, .. } = event.what else { return };
        let what = What::Picture { k, bytes: requester::sha256(b"one byte is another"), pixels };
        wreck.seen.push(oracle::Seen { job: event.job, time: event.time, what });
    });
    assert!(changed.contains(&Fault::OtherBytes(job.clone())), "{changed:?}");
    let again = planted(&|wreck| {
        let begin = wreck.work.iter().rfind(|work| work.begins && work.job == job).unwrap().clone();
        wreck.work.push(oracle::Work { time: now(), life: u32::MAX, ..begin });
    });
    assert!(again.contains(&Fault::MadeAgain(job.clone())), "{again:?}");
    let repainted = planted(&|wreck| {
        for event in wreck.seen.iter_mut().filter(|event| event.job == job) {
            if let What::Picture { pixels, .. } = &mut event.what {
                *pixels = requester::sha256(b"another picture");
            }
        }
    });
    assert_eq!(repainted, [Fault::OtherPixels(job.clone())]);
    let unscripted = planted(&|wreck| {
        wreck.seen.retain(|event| !is_outcome(event));
        wreck.seen.push(failed("internal"));
    });
    assert_eq!(unscripted, [Fault::Unexpected(job.clone())]);
    let stubborn = planted(&|wreck| {
        let begin = wreck.work.iter().find(|work| work.begins && work.job == job).unwrap().clone();
        wreck.work.extend([1, 2].map(|life| oracle::Work { life, ..begin.clone() }));
    });
    assert!(stubborn.contains(&Fault::ThirdTry(job.clone())), "{stubborn:?}");
    let poisoned = planted(&|wreck| {
        wreck
            .seen
            .retain(|event| !(is_outcome(event) || event.job == job && matches!(event.what, What::Started { .. })));
        wreck.seen.push(failed("poison"));
        let first = wreck.work.iter().find(|work| work.begins && work.job == job).unwrap().life;
        wreck.work.retain(|work| work.job != job || work.life == first);
    });
    assert_eq!(poisoned, [Fault::Poison(job.clone())]);
}
