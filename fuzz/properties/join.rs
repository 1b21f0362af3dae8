//! A requester's picture is the one of its SHA-256 whatever parts come, and never takes more than its room.

use diffused::job::hex;
use diffused::mqtt::requester::join::{Joiner, Plan, Taken};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::draw::Draw;

const ROOM: usize = 4096;

pub fn check(data: &[u8]) {
    let mut draw = Draw(data);
    let picture: Vec<u8> = (0..1 + draw.below(2000)).map(|n| (n * 7 + n / 256) as u8).collect();
    let part_bytes = 1 + draw.below(300);
    let mut joiner = Joiner::default();
    for _ in 0..200 {
        if draw.is_done() {
            break;
        }
        step(&mut draw, &mut joiner, &picture, part_bytes);
        assert!(joiner.held() <= ROOM, "{} bytes are held", joiner.held());
        let (there, all) = joiner.count();
        let missing: u32 = joiner.missing().iter().map(|(first, last)| last - first + 1).sum();
        assert_eq!((there <= all, missing), (true, all - there));
        if let Some(whole) = joiner.picture() {
            assert_eq!(sha256(whole), joiner.plan().expect("a plan").sha256(), "the picture is another one");
        }
    }
}

fn step(draw: &mut Draw<'_>, joiner: &mut Joiner, picture: &[u8], part_bytes: usize) {
    let good = |part: usize| picture.chunks(part_bytes).nth(part).unwrap_or_default();
    match draw.byte() % 8 {
        0 => {
            let parts = picture.len().div_ceil(part_bytes) as u32;
            let plan = Plan::new(picture.len(), part_bytes, parts, &sha256(picture)).expect("a good plan");
            assert!(joiner.announce(plan, ROOM) || joiner.held() > 0 || picture.len() + parts as usize > ROOM);
        }
        1 => {
            let number =
                |draw: &mut Draw<'_>| json!(if draw.byte() < 200 { draw.below(3000) as u64 } else { draw.number() });
            let said =
                json!({"bytes": number(draw), "part_bytes": number(draw), "parts": number(draw), "sha256": "00"});
            if let Ok(plan) = Plan::of(&said) {
                joiner.announce(plan, ROOM);
            }
        }
        2 => {
            let (part, bytes) = (draw.number() as u32, draw.bytes(400));
            joiner.part(part, bytes, ROOM);
        }
        3 => {
            let part = draw.below(picture.len());
            let strange = draw.bytes(400);
            let taken = joiner.part(part as u32, strange, ROOM);
            // A picture of one byte can be guessed.
            let is_guessed = strange == good(part);
            assert!(is_guessed || taken != Taken::Complete, "strange bytes hardly have this SHA-256: {part}");
        }
        _ => {
            let part = draw.below(picture.len().div_ceil(part_bytes));
            joiner.part(part as u32, good(part), ROOM);
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
