//! Lines that are slow, late, in crumbs, or dead without a word.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::peer::{Peer, job};
use super::size::broker;
use super::{Behind, a_moment};
use crate::support::shim::Weather;

/// A picture of about this many bytes, in one packet.
fn request(bytes: u32) -> Value {
    let width = 256;
    let height = bytes.div_ceil(2 * width) / 8 * 8;
    json!({"prompt": "x", "steps": 1, "seed": 7, "width": width, "height": height, "output": {"format": "rgb565"}})
}

/// What a slow line did to a picture.
pub struct Passage {
    pub connections: usize,
    pub took: Duration,
    /// Of a part; 0 if it came whole.
    pub part_bytes: u64,
}

/// Takes a picture of so many bytes over this line.
pub fn passage(weather: Weather, keep_alive: u64, bytes: u32) -> Passage {
    let mosquitto = broker(0);
    let peer = Peer::start(mosquitto.port);
    let node = Behind::online("jet1", mosquitto.port, weather, &format!("keep_alive = '{keep_alive}s'"), &peer);
    let begun = Instant::now();
    peer.ask("jet1", "a1", &request(bytes));
    peer.outcome(&job("jet1", "a1"));
    let took = begun.elapsed();
    let pictures = peer.pictures(&job("jet1", "a1")).unwrap();
    Passage { connections: node.shim.connections(), took, part_bytes: pictures[0].part_bytes }
}

#[test]
fn a_packet_longer_than_one_and_a_half_keep_alives_does_not_break_the_connection() {
    let slow = Weather { rate: Some(16_000), ..Weather::default() };
    let passage = passage(slow, 5, 150_000);
    assert!(passage.took > Duration::from_millis(7500), "{:?}", passage.took);
    assert_eq!((passage.connections, passage.part_bytes), (1, 0), "after {:?}", passage.took);
}

#[test]
fn a_late_line_and_one_of_single_bytes_are_lines() {
    for (weather, bytes) in [
        (Weather { delay: Duration::from_millis(200), ..Weather::default() }, 8192),
        (Weather { piece: Some(1), ..Weather::default() }, 8192),
    ] {
        assert_eq!(passage(weather, 5, bytes).connections, 1);
    }
}

#[test]
fn a_line_that_swallows_everything_is_noticed_and_what_was_under_way_arrives() {
    let (noticed, first) = half_open(5, 150_000);
    println!("a dead line was noticed after {noticed:?}");
    assert!(noticed <= Duration::from_secs(20), "four keep-alives, got {noticed:?}");
    assert_eq!(first, 1, "made once");
}

/// How long it takes until a new connection stands, and how often the picture was made.
pub fn half_open(keep_alive: u64, bytes: u32) -> (Duration, usize) {
    let mosquitto = broker(0);
    let peer = Peer::start(mosquitto.port);
    let lines = format!("keep_alive = '{keep_alive}s'");
    let node = Behind::online("jet1", mosquitto.port, Weather::default(), &lines, &peer);
    node.node.painter.hold.store(true, std::sync::atomic::Ordering::SeqCst);
    peer.ask("jet1", "a1", &request(bytes));
    peer.status(&job("jet1", "a1"), "started");
    a_moment();
    node.shim.swallow();
    let begun = Instant::now();
    node.node.painter.let_go();
    // The broker keeps what is asked meanwhile.
    peer.ask("jet1", "a2", &request(8192));
    peer.hears_word("jet1", "online", 2);
    let noticed = begun.elapsed();
    for id in ["a1", "a2"] {
        peer.outcome(&job("jet1", id));
        peer.pictures(&job("jet1", id)).unwrap();
    }
    (noticed, node.node.painter.finished() - 1)
}
