//! Pictures of all sizes and brokers that take little.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::{Client, MqttOptions};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::peer::{Peer, job};
use super::{Behind, a_moment};
use crate::support::broker::Mosquitto;
use crate::support::eventually;
use crate::support::fake::Painter;
use crate::support::node::Node;
use crate::support::shim::{Shim, Weather};

/// A broker that takes packets of this size; of 0 it names no limit.
pub fn broker(limit: u32) -> Mosquitto {
    let limit = if limit == 0 { String::new() } else { format!("\nmax_packet_size {limit}") };
    Mosquitto::with(&format!("allow_anonymous true\nmax_queued_messages 0{limit}"))
}

/// In which form a picture should come.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Whole,
    Parts,
}

/// A picture that is asked for: its side in pixels and its `output`.
#[derive(Clone, Copy)]
pub struct Wish {
    pub side: u32,
    pub format: &'static str,
    pub max_bytes: Option<u32>,
}

impl Wish {
    fn request(&self) -> Value {
        let mut output = json!({"format": self.format});
        if let Some(bytes) = self.max_bytes {
            output["max_bytes"] = json!(bytes);
        }
        json!({"prompt": "x", "steps": 1, "seed": 7, "width": self.side, "height": self.side, "output": output})
    }

    /// What the contract says: re-encoded if the format or the request allows that, else in parts.
    fn form(&self, bytes: usize, limit: u32) -> Form {
        let may_shrink = self.format == "jpeg" || self.max_bytes.is_some();
        let fits = limit == 0 || bytes + 1024 <= limit as usize;
        if fits || may_shrink { Form::Whole } else { Form::Parts }
    }
}

/// What came of all wishes at a broker with this limit.
pub struct Told {
    pub connections: usize,
    pub pictures: usize,
    pub whole: usize,
    pub parts: u64,
    pub largest: usize,
    pub took: Duration,
}

/// Asks for all of them, holds the answers against the contract, and asks again.
pub fn try_all(limit: u32, wishes: &[Wish]) -> Told {
    let begun = Instant::now();
    let broker = broker(limit);
    let peer = Peer::start(broker.port);
    let node = Behind::fair("jet1", broker.port, &peer);
    let mut told = Told { connections: 0, pictures: 0, whole: 0, parts: 0, largest: 0, took: Duration::ZERO };
    for (number, wish) in wishes.iter().enumerate() {
        let id = format!("a{number}");
        peer.ask("jet1", &id, &wish.request());
        peer.outcome(&job("jet1", &id));
        let pictures = peer.pictures(&job("jet1", &id)).unwrap();
        let again = peer.again("jet1", &id, &wish.request()).unwrap();
        assert_eq!(pictures, again, "{id} is another picture when it is asked for again");
        for picture in &pictures {
            let form = if picture.part_bytes == 0 { Form::Whole } else { Form::Parts };
            let wanted = wish.form(picture.bytes.len(), limit);
            assert_eq!(form, wanted, "{} of {} bytes, limit {limit}", wish.format, picture.bytes.len());
            told.pictures += 1;
            told.whole += usize::from(form == Form::Whole);
            told.parts += (picture.bytes.len() as u64).checked_div(picture.part_bytes).unwrap_or(0);
            told.largest = told.largest.max(picture.bytes.len());
        }
    }
    told.connections = node.shim.connections();
    told.took = begun.elapsed();
    told
}

/// One of each kind for sides of this many pixels.
pub fn kinds(sides: &[u32]) -> Vec<Wish> {
    let kinds = |side: u32| {
        [("rgb565", None), ("bmp", None), ("png", None), ("jpeg", None), ("png", Some(60_000))]
            .map(|(format, max_bytes)| Wish { side, format, max_bytes })
    };
    sides.iter().copied().flat_map(kinds).collect()
}

#[test]
fn pictures_that_are_larger_than_the_broker_takes_come_in_parts_or_smaller_and_no_connection_breaks() {
    // 8 kB to 200 kB.
    for (limit, side) in [(2048, 64), (100_000, 256), (131_072, 256), (0, 256)] {
        let told = try_all(limit, &kinds(&[side]));
        assert_eq!(told.connections, 1, "limit {limit}");
    }
}

#[test]
fn a_client_of_the_library_alone_would_connect_for_ever() {
    let broker = broker(2048);
    let shim = Shim::start(broker.port, Weather::default());
    let mut options = MqttOptions::new("naive", "127.0.0.1", shim.port);
    options.set_clean_start(false).set_session_expiry_interval(Some(60));
    let (client, mut connection) = Client::new(options, 10);
    client.try_publish("x", QoS::AtLeastOnce, false, vec![0; 3000]).unwrap();
    let end = Instant::now() + Duration::from_secs(2);
    while Instant::now() < end {
        let _ = connection.recv_timeout(Duration::from_millis(100));
    }
    assert!(shim.connections() > 5, "{} connections", shim.connections());
}

/// A node that was asked for a picture as `a1` and holds it back, at a broker that may take less from its next start on.
struct Held {
    limits: TempDir,
    broker: Mosquitto,
    peer: Peer,
    node: Behind,
}

/// A picture of 12 kB.
const HELD: Wish = Wish { side: 64, format: "bmp", max_bytes: None };

impl Held {
    fn start() -> Self {
        let limits = tempfile::tempdir().unwrap();
        std::fs::write(limits.path().join("limit.conf"), "").unwrap();
        let include = format!("allow_anonymous true\nmax_queued_messages 0\ninclude_dir {}", limits.path().display());
        let broker = Mosquitto::with(&include);
        let peer = Peer::start(broker.port);
        let node = Behind::fair("jet1", broker.port, &peer);
        node.node.painter.hold.store(true, Ordering::SeqCst);
        peer.ask("jet1", "a1", &HELD.request());
        peer.status(&job("jet1", "a1"), "started");
        a_moment();
        Self { limits, broker, peer, node }
    }
}

/// The broker takes packets of 4 kB from its next start on.
fn take_less(limits: &TempDir) {
    std::fs::write(limits.path().join("limit.conf"), "max_packet_size 4096\n").unwrap();
}

/// Makes the picture while the broker is away.
fn paint_alone(painter: &Painter) {
    painter.let_go();
    eventually("the painter is done", || painter.finished() == 1);
    a_moment();
}

#[test]
fn a_broker_that_takes_less_after_a_restart_gets_what_waited_in_parts() {
    let Held { limits, mut broker, peer, node } = Held::start();
    broker.stop();
    paint_alone(&node.node.painter);
    take_less(&limits);
    broker.start_again();
    peer.outcome(&job("jet1", "a1"));
    let pictures = peer.pictures(&job("jet1", "a1")).unwrap();
    assert!(pictures[0].part_bytes > 0 && pictures[0].bytes.len() > 12_000, "in parts");
    assert_eq!(pictures, peer.again("jet1", "a1", &HELD.request()).unwrap());
    assert_eq!(node.shim.connections(), 2);
}

#[test]
fn a_job_that_was_stored_before_the_first_connection_goes_in_parts() {
    let Held { limits, mut broker, peer, node } = Held::start();
    let store = node.node.stop();
    broker.stop();
    take_less(&limits);
    // Nobody listens yet: the room is not known when the picture is stored.
    let node = Node::with(&broker, Painter { noise: true, ..Painter::default() }, "", store);
    paint_alone(&node.painter);
    broker.start_again();
    peer.outcome(&job("jet1", "a1"));
    assert!(peer.pictures(&job("jet1", "a1")).unwrap()[0].part_bytes > 0);
}
