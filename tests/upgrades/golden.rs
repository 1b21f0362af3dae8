//! What lies in the stores of `tests/golden/stores`, and how one is made: each format's by the last program that wrote it.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diffused::app::rules;
use diffused::config::Config;
use diffused::job::request::Arrival;
use diffused::job::units::{Client, JobId, Tags};
use diffused::job::{Code, Failure, Made, Origin, Reading, Request, Rules, hex};
use diffused::picture::Picture;
use diffused::service::Reporter;
use diffused::service::store::{Admission, Delivery, Finished, JobKey, State, Store};
use sha2::{Digest, Sha256};

use crate::support::node::facts;
use crate::support::program::root;

/// All of it happened at this second since 1970, in the year 2096: no program that reads it forgets old jobs of it.
const TIME: u64 = 4_000_000_000;

/// The folder of these stores; each file bears its format.
pub fn folder() -> PathBuf {
    root().join("tests/golden/stores")
}

/// Jobs of `esp32`: all told; a picture told and of another, in parts, manifest and first part; done and not told;
/// failed; at work when the process died; waiting. And a prompt that waits.
pub const REQUESTS: [&str; 7] = [
    r#"{"id":"told","prompt":"a cat","seed":10}"#,
    r#"{"id":"half","prompt":"a dog","seed":20,"count":2,"output":{"format":"bmp","part_bytes":4096},"tags":{"room":"hall"}}"#,
    r#"{"id":"untold","prompt":"a fox","seed":30}"#,
    r#"{"id":"failed","prompt":"fail","seed":40}"#,
    r#"{"id":"died","prompt":"an owl","seed":50}"#,
    r#"{"id":"waits","prompt":"a hen","seed":60,"priority":2,"not_after":"2096-12-01T00:00:00Z"}"#,
    r#"{"id":"shortcut","prompt":"a bee","seed":70}"#,
];

/// To be run with the program whose format is to be kept, before that format is left:
/// `cargo test --test it upgrades::golden::make -- --ignored --exact`.
#[test]
#[ignore = "writes a golden store into the repository"]
fn make() {
    let place = tempfile::tempdir().unwrap();
    fill(place.path());
    let file = place.path().join("store.sqlite");
    let connection = rusqlite::Connection::open(&file).unwrap();
    let format: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(connection);
    std::fs::create_dir_all(folder()).unwrap();
    std::fs::copy(&file, folder().join(format!("format{format}.sqlite"))).unwrap();
}

fn fill(place: &Path) {
    let store = Store::open(place, "golden", None).unwrap();
    let (rules, reporter) = (node_rules(), Reporter::new("jet1"));
    // Clients take turns; so the last two come when the others are done with.
    let (worked, waiting) = REQUESTS.split_at(5);
    worked.iter().for_each(|payload| admit(&store, &reporter, &request(&rules, payload), payload));
    for payload in worked {
        let request = request(&rules, payload);
        let key = key(&store, &request);
        store.begin(key, time(), |seq| reporter.started(&request, seq, 1, &[])).unwrap().unwrap();
        match request.id.as_str() {
            "died" => {}
            "failed" => fail(&store, &reporter, key, &request),
            _ => finish(&store, &reporter, key, &request),
        }
    }
    waiting.iter().for_each(|payload| admit(&store, &reporter, &request(&rules, payload), payload));
    deliver(&store);
    store.put_upload(&client(), "sketch", &[7; 100], time()).unwrap();
    store.count("boot").unwrap();
    store.mark().unwrap();
}

/// Everything of `told`; of `half` all but the parts after the first.
fn deliver(store: &Store) {
    let keys = |id: &str| -> Vec<JobKey> {
        let others = std::iter::from_fn({
            let mut busy = Vec::new();
            move || {
                let mail = store.next_mail(&busy).unwrap()?;
                busy.push(mail.job);
                Some(mail)
            }
        });
        others.filter(|mail| mail.address.id.as_str() != id).map(|mail| mail.job).collect()
    };
    let next = |id: &str| store.next_mail(&keys(id)).unwrap();
    while let Some(mail) = next("told") {
        store.delivered(mail.key).unwrap();
    }
    // accepted, started, the manifest and the first part; `done` waits behind the pictures.
    for _ in 0..4 {
        store.delivered(next("half").unwrap().key).unwrap();
    }
}

fn key(store: &Store, request: &Request) -> JobKey {
    let job = store.next_job(time()).unwrap().unwrap();
    assert_eq!(job.address.id, request.id, "the jobs come in their order");
    job.key
}

fn admit(store: &Store, reporter: &Reporter, request: &Request, payload: &str) {
    let admission = Admission {
        request,
        hash: Sha256::digest(payload).into(),
        correlation: Some(b"golden"),
        reply: None,
        redelivered: false,
        time: time(),
        queue: 100,
        per_client: 100,
    };
    let reading = Reading { tokens: 2, chunks: 1, ..Reading::default() };
    store.admit(&admission, |seq, position| reporter.accepted(request, seq, position, None, &reading)).unwrap();
}

fn finish(store: &Store, reporter: &Reporter, key: JobKey, request: &Request) {
    let made: Vec<Made> = (0..request.recipe.count.get()).map(|k| paint(request, k)).collect();
    let encoded: Vec<_> = made.iter().map(|made| request.output.encode(made, &request.recipe, None).unwrap()).collect();
    let pictures = made.iter().zip(&encoded).map(|(made, encoded)| Delivery {
        encoded,
        sha256: hex(&Sha256::digest(&encoded.bytes)),
        seed: made.seed.get(),
        part_bytes: request.output.parts(encoded, None).map_or(0, |parts| parts.part_bytes),
        push: true,
    });
    let pictures: Vec<_> = pictures.collect();
    let end = Finished { state: State::Done, pictures: &pictures, time: time() };
    let ran = Duration::from_millis(1500);
    store.finish(key, &end, |seq| reporter.done(request, seq, ran, ran, &pictures)).unwrap();
}

fn fail(store: &Store, reporter: &Reporter, key: JobKey, request: &Request) {
    let failure = Failure::new(Code::Inference, "the painter was told to fail");
    let end = Finished { state: State::Failed, pictures: &[], time: time() };
    let status = |seq| reporter.failed(State::Failed, &request.id, seq, &failure, 0, &Tags::default());
    store.finish(key, &end, status).unwrap();
}

/// As the fake painter would.
fn paint(request: &Request, k: u8) -> Made {
    let (seed, size) = (request.recipe.seed.plus(k), request.recipe.size);
    let pixels = [(seed.get() % 256) as u8, 100, 200].repeat((size.width() * size.height()) as usize);
    Made { picture: Picture::new(size.width(), size.height(), pixels).unwrap(), seed }
}

fn request(rules: &Rules, payload: &str) -> Request {
    let shortcut = payload.contains("shortcut");
    let arrival = Arrival {
        client: if shortcut { Client::shortcut() } else { client() },
        origin: if shortcut { Origin::Shortcut } else { Origin::Request },
        payload: payload.as_bytes(),
        attachment: None,
        find: &|_| None,
        time: time(),
        correlation: None,
        expiry: None,
        fresh_id: JobId::random([1; 16]),
        fresh_seed: 7_u32.into(),
    };
    Request::parse(&arrival, rules).unwrap()
}

fn node_rules() -> Rules {
    let file = Path::new("golden.toml");
    let config = Config::parse("[node]\nname = 'jet1'\n[mqtt]\nurl = 'mqtt://127.0.0.1'\n", file).unwrap();
    rules(&config, vec![facts()], file).unwrap()
}

fn client() -> Client {
    Client::try_from("esp32").unwrap()
}

fn time() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(TIME)
}
