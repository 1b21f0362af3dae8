//! Calls of a store, with requests, pictures and statuses made up from dice.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diffused::app::rules;
use diffused::config::Config;
use diffused::job::request::Arrival;
use diffused::job::units::{Client, JobId};
use diffused::job::{Origin, Request, Rules, hex};
use diffused::picture::{Encoded, Format};
use diffused::service::store::{Accepted, Admission, Delivery, Finished, JobKey, State, Store, StoreError};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::dice::Dice;
use super::flat::flat;

/// Time begins at this second since 1970.
pub const BEGIN: u64 = 1_800_000_000;

/// Brings every job to its end and delivers everything, as a service does that starts again.
pub fn carry_on(store: &Store) -> Result<(), StoreError> {
    store.recover()?;
    while let Some(job) = store.next_job(time(BEGIN))? {
        store.begin(job.key, time(BEGIN), |seq| status("started", seq))?;
        finish(store, job.key, State::Done, 1, time(BEGIN), &mut Dice::new(1))?;
    }
    while let Some(mail) = store.next_mail(&[])? {
        store.delivered(mail.key)?;
    }
    Ok(())
}

pub fn admit(store: &Store, request: &Request, content: u8, time: SystemTime) -> Result<Accepted, StoreError> {
    let admission = Admission {
        request,
        hash: [content; 32],
        correlation: Some(b"correlation"),
        reply: None,
        redelivered: false,
        time,
        queue: 1000,
        per_client: 1000,
    };
    store.admit(&admission, |seq, _| status("accepted", seq))
}

pub fn cancel(store: &Store, client: &Client, id: Option<&JobId>, time: SystemTime) {
    store.cancel(client, id, time, |_, _, seq| status("cancelled", seq)).unwrap();
}

pub fn finish(
    store: &Store,
    key: JobKey,
    state: State,
    count: u64,
    time: SystemTime,
    dice: &mut Dice,
) -> Result<(), StoreError> {
    let pictures = pictures(dice, count);
    let deliveries = pictures.iter().map(|encoded| Delivery {
        encoded,
        sha256: sha256(&encoded.bytes),
        seed: 7,
        part_bytes: if dice.below(3) == 0 { 4000 } else { 0 },
        push: dice.coin(),
    });
    let deliveries: Vec<_> = deliveries.collect();
    let end = Finished { state, pictures: &deliveries, time };
    store.finish(key, &end, |seq| match state {
        State::Done => done(seq, count),
        _ => status(state.name(), seq),
    })
}

/// Pictures of a hundred bytes to some hundred thousand, mostly small.
fn pictures(dice: &mut Dice, count: u64) -> Vec<Encoded> {
    let mut picture = || {
        let most = if dice.below(25) == 0 { 300_000 } else { 12_000 };
        Encoded { format: Format::Png, width: 64, height: 64, bytes: bytes(dice, most) }
    };
    (0..count).map(|_| picture()).collect()
}

pub fn bytes(dice: &mut Dice, most: u64) -> Vec<u8> {
    (0..100 + dice.below(most)).map(|_| dice.number() as u8).collect()
}

/// The SHA-256 of some bytes, in hex.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// A status as far as the store looks into it.
fn done(seq: u64, count: u64) -> String {
    let images: Vec<_> = (0..count).map(|k| json!({"k": k, "part_bytes": 0, "parts": 0})).collect();
    json!({"state": "done", "seq": seq, "images": images}).to_string()
}

pub fn status(state: &str, seq: u64) -> String {
    format!(r#"{{"state":"{state}","seq":{seq}}}"#)
}

pub fn client(number: u64) -> Client {
    Client::try_from(format!("client{}", number % 5).as_str()).unwrap()
}

/// Every seventh through the `prompt` topic, every eleventh with a deadline.
pub fn request(rules: &Rules, number: u64, count: u64, now: SystemTime) -> Request {
    let payload =
        format!(r#"{{"id":"job{number}","prompt":"a red circle","count":{count},"priority":{}}}"#, number % 3);
    let shortcut = number % 7 == 3;
    let arrival = Arrival {
        client: if shortcut { Client::shortcut() } else { client(number) },
        origin: if shortcut { Origin::Shortcut } else { Origin::Request },
        payload: payload.as_bytes(),
        attachment: None,
        find: &|_| None,
        time: now,
        correlation: None,
        expiry: (number % 11 == 4).then_some(Duration::from_secs(20)),
        fresh_id: JobId::random([number as u8; 16]),
        fresh_seed: 7_u32.into(),
    };
    Request::parse(&arrival, rules).unwrap()
}

pub fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Rules of a node with the flat model.
pub fn flat_rules() -> Rules {
    let text = "[node]\nname = 'jet1'\n[mqtt]\nurl = 'mqtt://127.0.0.1'\n";
    let file = Path::new("drill.toml");
    rules(&Config::parse(text, file).unwrap(), vec![flat()], file).unwrap()
}
