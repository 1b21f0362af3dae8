//! The store on a real disk, with statuses that are easy to read.

mod basics;
mod clock;
mod commands;
mod faults;
mod limits;
mod measures;
mod migration;
mod order;
mod outbox;
mod parts;
mod recent;

use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::job::request::Arrival;
use crate::job::units::{Client, JobId};
use crate::job::{Limits, Mode, ModelFacts, Origin, Request, Rules};
use crate::picture::{Encoded, Format};

/// A moment that every test begins with.
fn noon() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000)
}

fn after(seconds: u64) -> SystemTime {
    noon() + Duration::from_secs(seconds)
}

fn client(name: &str) -> Client {
    if name == "shortcut" { Client::shortcut() } else { Client::try_from(name).unwrap() }
}

fn id(name: &str) -> JobId {
    JobId::try_from(name).unwrap()
}

/// A request of `esp32`.
fn request(id: &str, more: &str) -> Request {
    request_of("esp32", id, more, noon())
}

fn request_of(who: &str, id: &str, more: &str, time: SystemTime) -> Request {
    parse(who, &format!(r#"{{"id":"{id}","prompt":"x"{more}}}"#), time)
}

fn parse(who: &str, payload: &str, time: SystemTime) -> Request {
    let model = ModelFacts::flat(&[Mode::Text]);
    let limits = Limits { request_bytes: 1000, prompt_chars: 100, pixels: 4096, steps: 150, count: 4 };
    let rules = Rules::bare(limits, vec![model]);
    let arrival = Arrival {
        client: client(who),
        origin: if who == "shortcut" { Origin::Shortcut } else { Origin::Request },
        payload: payload.as_bytes(),
        attachment: None,
        find: &|_| None,
        time,
        correlation: None,
        expiry: None,
        fresh_id: JobId::random([1; 16]),
        fresh_seed: 7_u32.into(),
    };
    Request::parse(&arrival, &rules).unwrap()
}

/// How the tests admit, if nothing else is said.
fn admission(request: &Request, time: SystemTime) -> Admission<'_> {
    let most = u64::MAX;
    let correlation = Some(&b"xyz"[..]);
    Admission {
        request,
        hash: [9; 32],
        correlation,
        reply: None,
        redelivered: false,
        time,
        queue: most,
        per_client: most,
    }
}

fn admit_as(store: &Store, admission: &Admission<'_>) -> Accepted {
    let accepted = |seq, position| format!(r#"{{"state":"accepted","seq":{seq},"position":{position}}}"#);
    store.admit(admission, accepted).unwrap()
}

fn admit(store: &Store, request: &Request) -> Accepted {
    admit_as(store, &admission(request, noon()))
}

/// Admits a new job of `who`.
fn come(store: &Store, who: &str, id: &str, more: &str, time: SystemTime) {
    let request = request_of(who, id, more, time);
    assert_eq!(admit_as(store, &admission(&request, time)), Accepted::New);
}

/// The job whose turn it is at that time.
fn turn(store: &Store, now: SystemTime) -> Queued {
    store.next_job(now).unwrap().unwrap()
}

fn status(state: &str) -> impl Fn(u64) -> String {
    move |seq| format!(r#"{{"state":"{state}","seq":{seq},"tags":{{"a":"b"}}}}"#)
}

fn status_of(state: &str) -> impl Fn(&JobId, &str, u64) -> String {
    move |_, _, seq| status(state)(seq)
}

fn begin(store: &Store, key: JobKey) {
    store.begin(key, noon(), status("started")).unwrap().unwrap();
}

fn picture(bytes: usize) -> Encoded {
    Encoded { format: Format::Png, width: 1, height: 1, bytes: (0..bytes).map(|byte| byte as u8).collect() }
}

fn delivery(encoded: &Encoded, part_bytes: u32) -> Delivery<'_> {
    Delivery { encoded, sha256: "5a".to_owned(), seed: 7, part_bytes, push: true }
}

/// Brings a job to its end with small pictures, as many as there are part sizes.
fn finish(store: &Store, key: JobKey, part_bytes: &[u32]) {
    let encoded = picture(10);
    let pictures: Vec<_> = part_bytes.iter().map(|part_bytes| delivery(&encoded, *part_bytes)).collect();
    finish_with(store, key, &pictures, noon());
}

fn finish_with(store: &Store, key: JobKey, pictures: &[Delivery<'_>], time: SystemTime) {
    let images: Vec<Value> = (0..)
        .zip(pictures)
        .map(|(k, picture): (u8, _)| {
            let parts = picture.encoded.bytes.len().checked_div(picture.part_bytes as usize).unwrap_or(0);
            json!({"k": k, "part_bytes": picture.part_bytes, "parts": parts})
        })
        .collect();
    let done = |seq| json!({"state": "done", "seq": seq, "images": images, "tags": {"a": "b"}}).to_string();
    store.finish(key, &Finished { state: State::Done, pictures, time }, done).unwrap();
}

/// Takes the next message out of the outbox.
fn post_comes(store: &Store) -> Option<Mail> {
    let mail = store.next_mail(&[]).unwrap()?;
    store.delivered(mail.key).unwrap();
    Some(mail)
}

/// Empties the outbox; each message as `id state`, `id picture k`, `id manifest k` or `id part k.i`.
fn deliver_all(store: &Store) -> Vec<String> {
    std::iter::from_fn(|| post_comes(store)).map(|mail| told(&mail)).collect()
}

fn told(mail: &Mail) -> String {
    let what = match &mail.kind {
        MailKind::Status(body) => body.split('"').nth(3).unwrap().to_owned(),
        MailKind::Picture { k, .. } => format!("picture {k}"),
        MailKind::Manifest(facts) => format!("manifest {}", facts.k),
        MailKind::Part { facts, index, .. } => format!("part {}.{index}", facts.k),
    };
    format!("{} {what}", mail.address.id.as_str())
}

fn store() -> (TempDir, Store) {
    limited(None)
}

fn limited(max_bytes: Option<u64>) -> (TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path(), "boot-1", max_bytes).unwrap();
    (folder, store)
}

/// Numbers that look random and are the same in each run.
fn random(seed: u64) -> impl FnMut(u64) -> u64 {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    move |below| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 16) % below
    }
}
