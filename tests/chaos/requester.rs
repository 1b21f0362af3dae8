//! A requester that follows the rule: no word of a job for a while, and it sends the same request with the same id again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use diffused::job::hex;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::oracle::{Outcome, Seen, What};
use super::wire::{Heard, Wire};

/// What every requester of a run does.
pub struct Errand {
    pub port: u16,
    /// Requests of each requester.
    pub jobs: u64,
    /// Requests that it has open at a time.
    pub window: usize,
    /// Without `accepted` for so long, the request is sent again.
    pub patience: Duration,
    /// Accepted but without any word for so long, likewise: a broker that is killed forgets what it has acknowledged.
    pub silence: Duration,
    /// What the prompt of a job says after its name.
    pub script: fn(&str) -> &'static str,
    /// Requesters that must not go on are told so.
    pub give_up: AtomicBool,
    /// Jobs that are over.
    pub over: AtomicUsize,
}

/// A requester at work.
struct Requester<'a> {
    errand: &'a Errand,
    name: String,
    wire: Option<Wire>,
    open: BTreeMap<String, Open>,
    next: u64,
    seen: Vec<Seen>,
}

/// A job that is not over.
struct Open {
    /// When it is sent again.
    again: Instant,
    outcome: Option<Outcome>,
    pictures: BTreeMap<u64, String>,
}

/// Runs requester `number` to its end, and returns what it saw.
pub fn run(errand: &Errand, number: usize) -> Vec<Seen> {
    let name = format!("c{number:02}");
    let mut requester = Requester { errand, name, wire: None, open: BTreeMap::new(), next: 0, seen: Vec::new() };
    while !errand.give_up.load(Ordering::Relaxed) && !requester.is_over() {
        if requester.turn().is_err() {
            requester.wire = None;
            thread::sleep(Duration::from_millis(100));
        }
    }
    requester.seen
}

/// The pictures that a job asks for.
pub fn count(job: &str) -> u64 {
    1 + u64::from(job.ends_with('7'))
}

impl Requester<'_> {
    fn is_over(&self) -> bool {
        self.next == self.errand.jobs && self.open.is_empty()
    }

    fn turn(&mut self) -> std::io::Result<()> {
        if self.wire.is_none() {
            let filter = format!("diffused/jet1/reply/{}/#", self.name);
            // Every other one begins anew with every connection, as small devices do.
            let clean = self.name.ends_with(['1', '3', '5', '7', '9']);
            self.wire = Some(Wire::open(self.errand.port, &self.name, clean, &[filter])?);
        }
        while self.next < self.errand.jobs && self.open.len() < self.errand.window {
            let job = format!("{}-{:05}", self.name, self.next);
            self.next += 1;
            self.open.insert(job, Open { again: Instant::now(), outcome: None, pictures: BTreeMap::new() });
        }
        self.ask()?;
        let Some(wire) = &mut self.wire else { return Ok(()) };
        for heard in wire.hear(Duration::from_millis(50))? {
            self.note(&heard);
        }
        Ok(())
    }

    /// Sends what is due.
    fn ask(&mut self) -> std::io::Result<()> {
        let now = Instant::now();
        let due: Vec<String> =
            self.open.iter().filter(|(_, open)| open.again <= now).map(|(job, _)| job.clone()).collect();
        for job in due {
            let prompt = format!("{job} {}", (self.errand.script)(&job));
            let request = json!({"id": job, "prompt": prompt.trim_end(), "count": count(&job)}).to_string();
            self.see(&job, What::Sent);
            self.put_off(&job, self.errand.patience);
            if let Some(wire) = &mut self.wire {
                wire.publish(&format!("diffused/jet1/request/{}", self.name), request.as_bytes())?;
            }
        }
        Ok(())
    }

    fn note(&mut self, heard: &Heard) {
        let mut levels = heard.topic.split('/').skip(4);
        let (Some(job), Some(kind)) = (levels.next().map(str::to_owned), levels.next()) else { return };
        match kind {
            "status" => {
                let status: Value = serde_json::from_slice(&heard.payload).expect("a status is JSON");
                self.note_status(&job, &status);
            }
            "image" => {
                let k = levels.next().and_then(|k| k.parse().ok()).expect("a picture has a number");
                let bytes = sha256(&heard.payload);
                let pixels = sha256(&image::load_from_memory(&heard.payload).expect("a picture").to_rgb8());
                if let Some(open) = self.open.get_mut(&job) {
                    open.pictures.insert(k, bytes.clone());
                }
                self.see(&job, What::Picture { k, bytes, pixels });
                self.settle(&job);
            }
            _ => {}
        }
    }

    fn note_status(&mut self, job: &str, status: &Value) {
        let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        match text("state").as_str() {
            "accepted" => {
                self.see(job, What::Accepted);
                self.put_off(job, self.errand.silence);
            }
            "started" => {
                let attempt = status.get("attempt").and_then(Value::as_u64).unwrap_or(0);
                self.see(job, What::Started { attempt });
                self.put_off(job, self.errand.silence);
            }
            "rejected" => {
                let wait = status.get("retry_after_ms").and_then(Value::as_u64).unwrap_or(1000);
                self.see(job, What::Refused { code: text("code") });
                self.put_off(job, Duration::from_millis(wait));
            }
            _ => {
                let outcome = outcome(status);
                self.see(job, What::Outcome(outcome.clone()));
                if let Some(open) = self.open.get_mut(job) {
                    // Pictures come first: those that are missing now were lost on their way.
                    open.again = open.again.min(Instant::now() + Duration::from_secs(2));
                    open.outcome = Some(outcome);
                }
                self.settle(job);
            }
        }
    }

    /// A job with its outcome and all of its pictures is over.
    fn settle(&mut self, job: &str) {
        let over = self.open.get(job).is_some_and(|open| {
            let outcome = open.outcome.as_ref();
            outcome.is_some_and(|outcome| outcome.images.iter().all(|image| open.pictures.contains_key(&image.0)))
        });
        if over {
            self.open.remove(job);
            self.errand.over.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn put_off(&mut self, job: &str, wait: Duration) {
        if let Some(open) = self.open.get_mut(job) {
            open.again = Instant::now() + wait;
        }
    }

    fn see(&mut self, job: &str, what: What) {
        self.seen.push(Seen { time: super::now(), job: job.to_owned(), what });
    }
}

/// A final status.
pub fn outcome(status: &Value) -> Outcome {
    let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let images = status.get("images").and_then(Value::as_array).into_iter().flatten();
    let image = |image: &Value| {
        let number = |key: &str| image.get(key).and_then(Value::as_u64).unwrap_or(u64::MAX);
        let sha256 = image.get("sha256").and_then(Value::as_str).unwrap_or_default();
        (number("k"), number("seed"), sha256.to_owned())
    };
    Outcome { state: text("state"), code: text("code"), images: images.map(image).collect() }
}

/// As the contract writes it: 64 hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}
