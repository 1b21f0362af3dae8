//! Connections that are reset after any byte, in both directions.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

use serde_json::{Value, json};

use super::peer::{Peer, Picture, job};
use super::size::broker;
use super::{Behind, a_moment};
use crate::support::shim::Way;

/// A picture of 8 kB, whole or in parts.
fn request(parts: bool) -> Value {
    let mut output = json!({"format": "rgb565"});
    if parts {
        output["part_bytes"] = json!(1024);
    }
    json!({"prompt": "x", "steps": 1, "seed": 7, "output": output})
}

/// Where a connection is reset: after so many bytes of what goes this way for one job.
#[derive(Clone, Copy, Debug)]
pub struct Tear {
    pub way: Way,
    pub share: f64,
    pub parts: bool,
}

/// What came of it.
pub struct Torn {
    /// The job may be over before the byte is reached, only when the line brings less than was measured.
    pub was_cut: bool,
    pub pictures: Vec<Picture>,
}

/// Bytes that one job takes on both ways.
struct Measure {
    up: u64,
    down: u64,
}

fn measure(port: u16, peer: &Peer, parts: bool) -> (Measure, Vec<Picture>) {
    let name = format!("measure-{parts}");
    let node = Behind::fair(&name, port, peer);
    a_moment();
    let before = (node.shim.bytes(Way::Up), node.shim.bytes(Way::Down));
    peer.ask(&name, "a1", &request(parts));
    peer.outcome(&job(&name, "a1"));
    a_moment();
    let (up, down) = (node.shim.bytes(Way::Up) - before.0, node.shim.bytes(Way::Down) - before.1);
    (Measure { up, down }, peer.pictures(&job(&name, "a1")).unwrap())
}

fn tear(port: u16, peer: &Peer, name: &str, tear: Tear, measure: &Measure) -> Torn {
    let node = Behind::fair(name, port, peer);
    a_moment();
    let bytes = if tear.way == Way::Up { measure.up } else { measure.down };
    node.shim.cut_after(tear.way, (bytes as f64 * tear.share) as u64);
    let request = request(tear.parts);
    peer.ask(name, "a1", &request);
    let end = peer.outcome(&job(name, "a1"));
    assert_eq!(end["state"], "done", "{tear:?}");
    // What follows the outcome is torn too: the last acknowledgements, and the repetition.
    let first = peer.pictures(&job(name, "a1")).unwrap_or_else(|fault| panic!("{tear:?}: {fault}"));
    let again = peer.again(name, "a1", &request).unwrap_or_else(|fault| panic!("{tear:?}: {fault}"));
    assert_eq!(first, again, "{tear:?}");
    assert_eq!(node.node.painter.finished(), 1, "{tear:?}: made twice");
    assert_eq!(node.shim.connections(), 1 + node.shim.cuts(), "{tear:?}: connections");
    Torn { was_cut: node.shim.cuts() == 1, pictures: first }
}

/// Tears nodes off one broker, so many at a time; returns how many were cut.
pub fn tear_all(tears: &[Tear], at_a_time: usize) -> usize {
    let mosquitto = broker(0);
    let peer = Peer::start(mosquitto.port);
    let measures = [false, true].map(|parts| measure(mosquitto.port, &peer, parts));
    let cut = AtomicU64::new(0);
    for (batch, tears) in tears.chunks(at_a_time).enumerate() {
        // What was heard of earlier batches is not looked through again.
        let peer = Peer::start(mosquitto.port);
        thread::scope(|scope| {
            for (number, one) in tears.iter().enumerate() {
                let (peer, cut, (measure, pictures)) = (&peer, &cut, &measures[usize::from(one.parts)]);
                let port = mosquitto.port;
                scope.spawn(move || {
                    let torn = tear(port, peer, &format!("jet-{batch}-{number}"), *one, measure);
                    assert_eq!(&torn.pictures, pictures, "{one:?}: another picture than on a fair line");
                    cut.fetch_add(u64::from(torn.was_cut), Ordering::SeqCst);
                });
            }
        });
    }
    cut.load(Ordering::SeqCst) as usize
}

/// So many places, spread evenly, with a shift.
pub fn places(up: usize, down: usize, shift: f64) -> Vec<Tear> {
    let spread = |way, count: usize| {
        (0..count).map(move |index| Tear {
            way,
            share: ((index as f64 + shift) / count as f64).min(0.999),
            parts: index % 2 == 1,
        })
    };
    spread(Way::Up, up).chain(spread(Way::Down, down)).collect()
}

#[test]
fn a_connection_that_is_reset_after_any_byte_costs_nothing_but_time() {
    let tears = places(14, 6, 0.5);
    let cut = tear_all(&tears, 10);
    assert!(cut >= 18, "{cut} of {} were cut", tears.len());
}

#[test]
fn the_judge_sees_what_is_planted() {
    use diffused::job::hex;
    use rumqttc::v5::mqttbytes::QoS;
    use rumqttc::v5::mqttbytes::v5::Publish;
    use sha2::{Digest, Sha256};

    let sha256 = hex(&Sha256::digest(b"abcd"));
    let image = |parts: u32| {
        let part_bytes = if parts == 0 { 0 } else { 2 };
        json!({"k": 0, "bytes": 4, "sha256": sha256, "part_bytes": part_bytes, "parts": parts})
    };
    let done = |parts| json!({"state": "done", "seq": 3, "images": [image(parts)]});
    let said = |end: &str, payload: &str| Publish::new(end, QoS::AtLeastOnce, payload.to_owned(), None);
    let judge = |statuses: &[Value], heard: &[Publish]| {
        super::peer::judge("a1", statuses, &|end| {
            heard.iter().filter(|publish| publish.topic == end.as_bytes()).cloned().collect()
        })
    };
    let whole = [said("image/0", "abcd")];
    let manifest = image(2).to_string();
    let parts = [said("manifest/0", &manifest), said("part/0.0", "ab"), said("part/0.1", "cd")];
    assert_eq!(judge(&[done(0)], &whole).unwrap()[0].bytes, b"abcd");
    assert_eq!(judge(&[done(2)], &parts).unwrap()[0].bytes, b"abcd");
    let mut replay = done(0);
    replay["replay"] = json!(true);
    assert!(judge(&[done(0), replay.clone(), json!({"state": "started"})], &whole).is_ok());

    let fault = |statuses: &[Value], heard: &[Publish]| judge(statuses, heard).unwrap_err();
    assert!(fault(&[], &whole).contains("0 outcomes"));
    let failed = json!({"state": "failed", "seq": 3});
    assert!(fault(&[done(0), failed.clone()], &whole).contains("2 outcomes"));
    assert!(fault(&[failed], &whole).contains("not done"));
    assert!(fault(&[done(0)], &[]).contains("whole false"));
    assert!(fault(&[replay], &[]).contains("whole false"), "a repetition without its picture");
    assert!(fault(&[done(0)], &[said("image/0", "abcd"), said("image/0", "abce")]).contains("other bytes"));
    assert!(fault(&[done(0)], &[said("image/0", "abce")]).contains("not those of the status"));
    assert!(fault(&[done(2)], &parts[..2]).contains("is missing"));
    let both: Vec<Publish> = whole.iter().chain(&parts).cloned().collect();
    assert!(fault(&[done(2)], &both).contains("whole true, manifest true"));
    assert!(fault(&[done(0)], &both).contains("whole true, manifest true"));
    let odd = [said("manifest/0", &manifest), said("part/0.0", "abc"), said("part/0.1", "d")];
    assert!(fault(&[done(2)], &odd).contains("instead of 2"));
}
