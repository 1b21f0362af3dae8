//! A pool of four nodes on brokers of different make: nothing is lost, and how long it takes.
//!
//! The short form runs with the suite; `tests/fleet.sh` runs the ignored tests, with the patience of real requesters, and
//! prints the figures of `docs/fleet.md`.

mod course;
mod ear;
mod figures;
mod sharing;
mod spans;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use diffused::mqtt::requester::Patience;

use self::course::Course;
use self::figures::Figures;
use crate::support::broker::Mosquitto;
use crate::support::mqtt5::Mqtt5;

/// What is measured must not wait for the nodes of another course.
static TURN: Mutex<()> = Mutex::new(());

fn short(port: u16, storm: bool) -> Course {
    let patience =
        Patience { accepted: Duration::from_secs(2), offline: Duration::from_secs(2), ..Patience::default() };
    Course {
        port,
        requests: 40,
        every: Duration::from_millis(80),
        pass: Duration::from_millis(150),
        own: Duration::from_millis(1500),
        patience,
        timeout: Duration::from_secs(300),
        storm,
    }
}

/// With the patience of real requesters.
fn full(port: u16, storm: bool) -> Course {
    Course {
        patience: Patience::default(),
        every: Duration::from_millis(250),
        pass: Duration::from_millis(500),
        ..short(port, storm)
    }
}

fn holds(course: Course) -> Figures {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let figures = course::run(course);
    println!("{figures}");
    assert!(figures.faults.is_empty(), "{:?}", figures.faults);
    assert_eq!(figures.waits.len(), course.requests);
    assert!(figures.most_hops <= 16, "{figures}");
    figures
}

fn makes_each_picture_once(port: u16) {
    // On a busy machine an answer may take longer than the impatient wait for it.
    let figures = holds(Course { patience: Patience::default(), ..short(port, false) });
    assert_eq!((figures.extra, figures.repeated), (0, 0), "{figures}");
    assert!(figures.handbacks > 0, "{figures}");
}

fn loses_nothing(port: u16) {
    let figures = holds(short(port, true));
    assert!(figures.repeated > 0, "nobody had to be asked twice: {figures}");
}

#[test]
fn a_pool_on_mosquitto_with_a_busy_a_paused_and_a_full_node_makes_each_picture_once() {
    makes_each_picture_once(Mosquitto::start().port);
}

#[test]
fn a_pool_on_mqtt5_with_a_busy_a_paused_and_a_full_node_makes_each_picture_once() {
    makes_each_picture_once(Mqtt5::start().port);
}

#[test]
fn a_pool_on_mosquitto_loses_nothing_when_a_node_dies_and_one_leaves() {
    loses_nothing(Mosquitto::start().port);
}

#[test]
fn a_pool_on_mqtt5_loses_nothing_when_a_node_dies_and_one_leaves() {
    loses_nothing(Mqtt5::start().port);
}

#[test]
#[ignore = "minutes; tests/fleet.sh runs it"]
fn full_on_mosquitto() {
    for storm in [false, true] {
        let broker = Mosquitto::start();
        println!("mosquitto, storm {storm}");
        holds(full(broker.port, storm));
    }
}

#[test]
#[ignore = "minutes; tests/fleet.sh runs it"]
fn full_on_mqtt5() {
    for storm in [false, true] {
        let broker = Mqtt5::start();
        println!("mqtt5, storm {storm}");
        holds(full(broker.port, storm));
    }
}

/// The control: whoever asks only once loses what a dead node had accepted, and the course must see that.
#[test]
#[ignore = "tests/fleet.sh runs it"]
fn full_control_without_the_rule_requests_are_lost() {
    let broker = Mosquitto::start();
    let never = Duration::from_secs(3600);
    let patience = Patience { accepted: never, offline: never, ..Patience::default() };
    let figures = course::run(Course { patience, timeout: Duration::from_secs(12), ..short(broker.port, true) });
    println!("mosquitto, storm, requesters that ask once\n{figures}");
    assert!(!figures.faults.is_empty(), "nothing was lost: {figures}");
}
