//! A store's life: every transition that there is, the same each time, with a word before and after each call.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use diffused::app::rules;
use diffused::config::Config;
use diffused::diffusion::{SchedulerConfig, sampler};
use diffused::job::request::Arrival;
use diffused::job::units::{Client, ClipSkip, GuidanceScale, JobId, Size, Steps};
use diffused::job::{Mode, ModelFacts, Origin, Reading, Request, Rules};
use diffused::picture::{Encoded, Format};
use diffused::service::store::{
    Accepted, Admission, Again, Delivery, Finished, JobKey, MailKind, Queued, State, Store, StoreError,
};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::dice::Dice;
use super::dump::dump;

/// Calls of `forget` keep what ended within this time; the trace's clock moves by a second a call.
const KEEP: Duration = Duration::from_secs(240);
/// At the end jobs are forgotten in steps of so many seconds, in which no more end than one portion.
const FORGET_STEP: usize = 60;
/// The trace begins at this second since 1970.
const BEGIN: u64 = 1_800_000_000;

/// Takes a store in `folder` through so many jobs and writes what it does to `marks`: `BEGIN n kind` before a call,
/// `ACK n kind dump` once it returned, where the dump says what was in the store then.
pub fn drive(folder: &Path, marks: &Path, jobs: u64) {
    begin(folder, marks, jobs).finish_all(jobs);
}

/// The same, without what comes after the last admission.
pub fn drive_some(folder: &Path, marks: &Path, jobs: u64) {
    drop(begin(folder, marks, jobs));
}

fn begin(folder: &Path, marks: &Path, jobs: u64) -> Drill {
    let mut drill = Drill {
        folder: folder.to_owned(),
        store: None,
        marks: File::create(marks).unwrap(),
        rules: flat(),
        dice: Dice::new(7),
        seconds: BEGIN,
        calls: 0,
    };
    drill.open();
    for number in 0..jobs {
        drill.admissions(number);
        if drill.dice.below(4) > 0 {
            drill.work(number);
        }
        drill.deliver(3);
        drill.now_and_then(number);
    }
    drill
}

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

/// Takes one job a sick disk's letter through a store, with a disk that falls sick before each call and is well again
/// only after the call and the first attempt to heal failed. Every call must work when it is made again, and each job
/// must come to its end once.
pub fn suffer(folder: &Path, control: &Path, letters: &[&str]) {
    let store = Store::open(folder, "boot-1", None).unwrap();
    for (number, letter) in (0..).zip(letters) {
        let request = request(&flat(), number, 1, time(BEGIN));
        let sick = Sick { store: &store, control, letter };
        let admitted = sick.insist("admit", |store| admit(store, &request, 1, time(BEGIN)));
        assert!(matches!(admitted, Accepted::New | Accepted::Again), "{letter}: {admitted:?}");
        if *letter == "A" {
            // A new connection has read nothing yet. What SQLite then says is that the file is malformed.
            store.heal().unwrap();
            sick.insist("next_mail", |store| store.next_mail(&[]));
            store.heal().unwrap();
            sick.insist("next_job", |store| store.next_job(time(BEGIN)));
        }
        let job = store.next_job(time(BEGIN)).unwrap().expect("the job waits");
        let begun = sick.insist("begin", |store| store.begin(job.key, time(BEGIN), |seq| status("started", seq)));
        assert!(begun.is_some(), "{letter}: after the disk was well again the job could not begin, it would never end");
        sick.insist("finish", |store| finish(store, job.key, State::Done, 2, time(BEGIN), &mut Dice::new(1)));
        let mut outcomes = 0;
        while let Some(mail) = store.next_mail(&[]).unwrap() {
            outcomes += u32::from(matches!(&mail.kind, MailKind::Status(body) if body.contains("done")));
            store.delivered(mail.key).unwrap();
        }
        assert_eq!(outcomes, 1, "{letter}");
    }
}

struct Sick<'a> {
    store: &'a Store,
    control: &'a Path,
    letter: &'a str,
}

impl Sick<'_> {
    fn insist<T: std::fmt::Debug>(&self, name: &str, call: impl Fn(&Store) -> Result<T, StoreError>) -> T {
        std::fs::write(self.control, self.letter).unwrap();
        let fault = call(self.store).expect_err("on a sick disk it must not say that it is written");
        assert!(fault.is_passing(), "{name}, {}: {fault}", self.letter);
        assert!(self.store.heal().is_err(), "{name}, {}: it cannot be healed yet", self.letter);
        std::fs::write(self.control, "").unwrap();
        self.store.heal().unwrap();
        call(self.store).unwrap()
    }
}

struct Drill {
    folder: PathBuf,
    store: Option<Store>,
    marks: File,
    rules: Rules,
    dice: Dice,
    seconds: u64,
    calls: u64,
}

impl Drill {
    /// One call, with its marks; a second passes.
    fn call<T>(&mut self, kind: &str, work: impl FnOnce(&Store, SystemTime, &mut Dice) -> T) -> T {
        self.seconds += 1;
        self.mark("BEGIN", kind, "");
        let store = self.store.as_ref().unwrap();
        let result = work(store, time(self.seconds), &mut self.dice);
        self.acknowledge(kind);
        result
    }

    fn acknowledge(&mut self, kind: &str) {
        let dump = dump(&self.folder.join("store.sqlite")).unwrap();
        self.mark("ACK", kind, &dump);
        self.calls += 1;
    }

    fn mark(&mut self, word: &str, kind: &str, dump: &str) {
        let line = format!("{word} {} {kind} {dump}\n", self.calls);
        self.marks.write_all(line.as_bytes()).unwrap();
    }

    fn open(&mut self) {
        self.store = None;
        self.mark("BEGIN", "open", "");
        self.store = Some(Store::open(&self.folder, "boot-1", None).unwrap());
        self.acknowledge("open");
    }

    /// A request; now and then the same again, or another under its id, or one that finds no room.
    fn admissions(&mut self, number: u64) {
        let request = request(&self.rules, number, 1 + self.dice.below(3), time(self.seconds));
        let admitted = self.call("admit", |store, time, _| admit(store, &request, 1, time).unwrap());
        assert_eq!(admitted, Accepted::New);
        match self.dice.below(6) {
            0 => {
                let again = self.call("repeat", |store, time, _| admit(store, &request, 1, time).unwrap());
                assert_eq!(again, Accepted::Again);
            }
            1 => {
                let conflict = self.call("conflict", |store, time, _| admit(store, &request, 2, time).unwrap());
                assert_eq!(conflict, Accepted::Conflict);
            }
            2 => {
                let id = request.id.clone();
                self.call("cancel", |store, time, _| cancel(store, &request.client, Some(&id), time));
            }
            _ => {}
        }
    }

    /// The next job to one of its ends.
    fn work(&mut self, number: u64) {
        let job = self.call("next_job", |store, time, _| store.next_job(time).unwrap());
        let Some(job) = job else { return };
        let begun =
            self.call("begin", |store, time, _| store.begin(job.key, time, |seq| status("started", seq)).unwrap());
        assert!(begun.is_some());
        match number % 12 {
            3 => self.end("fail", &job, State::Failed, 0),
            5 => self.call("give_back", |store, _, _| store.give_back(job.key).unwrap()),
            7 => assert!(self.call("recover", |store, _, _| store.recover().unwrap()) > 0),
            9 => {
                let (client, id) = (job.address.client.clone(), job.address.id.clone());
                self.call("cancel_running", |store, time, _| cancel(store, &client, Some(&id), time));
                self.end("cancelled", &job, State::Cancelled, 0);
            }
            _ => {
                let count = 1 + self.dice.below(3);
                self.end("finish", &job, State::Done, count);
                self.call("count", |store, _, _| store.count("jobs_done").unwrap());
            }
        }
    }

    fn end(&mut self, kind: &str, job: &Queued, state: State, count: u64) {
        self.call(kind, |store, time, dice| {
            finish(store, job.key, state, count, time, dice).unwrap();
        });
    }

    /// Some of what waits in the outbox; now and then a picture that the broker would not take, or not as a whole.
    fn deliver(&mut self, most: u64) {
        for _ in 0..self.dice.below(most + 1) {
            let mail = self.call("next_mail", |store, _, _| store.next_mail(&[]).unwrap());
            let Some(mail) = mail else { return };
            let is_status = matches!(mail.kind, MailKind::Status(_));
            match self.dice.below(20) {
                0 if !is_status => self.call("give_up", |store, _, _| {
                    store.replace_pictures(mail.key, |_, _, seq| status("failed", seq)).unwrap();
                }),
                1 | 2 if !is_status => self.call("split", |store, _, _| store.split(mail.key, 3000).unwrap()),
                _ => self.call("delivered", |store, _, _| store.delivered(mail.key).unwrap()),
            }
        }
    }

    fn now_and_then(&mut self, number: u64) {
        let client = client(number);
        match number % 10 {
            1 => drop(self.call("upload", |store, time, dice| {
                let bytes = bytes(dice, 9000);
                store.put_upload(&client, &format!("sketch{}", number % 3), &bytes, time).unwrap()
            })),
            2 => self.call("set", |store, _, _| store.set("paused", Some(&number.to_string())).unwrap()),
            3 => self.call("unset", |store, _, _| store.set("paused", None).unwrap()),
            4 => drop(
                self.call("expire", |store, time, _| store.expire(time, |_, _, seq| status("expired", seq)).unwrap()),
            ),
            5 => {
                let id = JobId::try_from(format!("job{}", number - 5).as_str()).unwrap();
                self.call("again", |store, _, _| store.again(&client, &id, &Again::All).unwrap());
            }
            6 => self.call("heal", |store, _, _| store.heal().unwrap()),
            7 => drop(self.call("forget", |store, time, _| store.forget(time, KEEP).unwrap())),
            8 => drop(self.call("renew_shortcut", |store, _, _| store.renew_shortcut().unwrap())),
            _ => {}
        }
        if number % 40 == 10 {
            self.call("cancel_all", |store, time, _| cancel(store, &client, None, time));
        }
        if number % 40 == 30 {
            self.call("clear", |store, time, _| store.clear(time, |_, _, seq| status("cancelled", seq)).unwrap());
        }
        if number % 60 == 9 {
            self.open();
        }
    }

    fn finish_all(&mut self, jobs: u64) {
        for number in jobs..3 * jobs {
            self.work(number);
            self.deliver(12);
        }
        // One call forgets in portions, each a transaction. Here each has one portion, so that what it may leave is known.
        for seconds in (BEGIN..self.seconds).step_by(FORGET_STEP) {
            self.call("forget", |store, _, _| store.forget(time(seconds), Duration::ZERO).unwrap());
        }
        self.call("forget", |store, time, _| store.forget(time + KEEP, Duration::ZERO).unwrap());
    }
}

fn admit(store: &Store, request: &Request, content: u8, time: SystemTime) -> Result<Accepted, StoreError> {
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

fn cancel(store: &Store, client: &Client, id: Option<&JobId>, time: SystemTime) {
    store.cancel(client, id, time, |_, _, seq| status("cancelled", seq)).unwrap();
}

fn finish(
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
        sha256: hex(&encoded.bytes),
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

fn bytes(dice: &mut Dice, most: u64) -> Vec<u8> {
    (0..100 + dice.below(most)).map(|_| dice.number() as u8).collect()
}

/// The SHA-256 of some bytes, in hex.
pub fn hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A status as far as the store looks into it.
fn done(seq: u64, count: u64) -> String {
    let images: Vec<_> = (0..count).map(|k| json!({"k": k, "part_bytes": 0, "parts": 0})).collect();
    json!({"state": "done", "seq": seq, "images": images}).to_string()
}

fn status(state: &str, seq: u64) -> String {
    format!(r#"{{"state":"{state}","seq":{seq}}}"#)
}

fn client(number: u64) -> Client {
    Client::try_from(format!("client{}", number % 5).as_str()).unwrap()
}

/// Every seventh through the `prompt` topic, every eleventh with a deadline.
fn request(rules: &Rules, number: u64, count: u64, now: SystemTime) -> Request {
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

fn time(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

/// Rules for a model that counts words as tokens.
fn flat() -> Rules {
    let text = "[node]\nname = 'jet1'\n[mqtt]\nurl = 'mqtt://127.0.0.1'\n";
    let file = Path::new("drill.toml");
    let model = ModelFacts {
        name: "flat".to_owned(),
        family: "sd1",
        size: Size::new(64, 64).unwrap(),
        fixed_size: false,
        multiple: 8,
        steps: Steps::try_from(4).unwrap(),
        guidance_scale: GuidanceScale::try_from(5.0).unwrap(),
        guidance: "cfg",
        sampler: sampler::find("ddim").unwrap(),
        scheduler: SchedulerConfig::parse("{}").unwrap(),
        modes: vec![Mode::Text],
        encodes_at_random: false,
        estimates_depth: false,
        labels: Vec::new(),
        read: Arc::new(|_, _| Reading { tokens: 3, chunks: 1, lost: 0, ..Reading::default() }),
        clip_skip: ClipSkip::NONE,
        most_clip_skip: ClipSkip::NONE,
        adapters: Vec::new(),
    };
    rules(&Config::parse(text, file).unwrap(), vec![model], file).unwrap()
}
