//! Somebody who asks for jobs on a broker that nobody kills, and hears how they fare.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::oracle::Outcome;
use super::requester::outcome;
use super::wire::Wire;

/// A client with one connection.
pub struct Asker {
    name: String,
    wire: Wire,
    /// When each request was sent that has no answer yet.
    unanswered: BTreeMap<String, Instant>,
    /// Jobs accepted.
    pub accepted: Vec<(i64, String)>,
    /// Milliseconds until `accepted`, and until `rejected`.
    pub accept_ms: Vec<f64>,
    pub reject_ms: Vec<f64>,
    /// Codes of rejections, with their number.
    pub rejected: BTreeMap<String, u64>,
    pub outcomes: BTreeMap<String, Outcome>,
    pub attempts: BTreeMap<String, u64>,
}

impl Asker {
    pub fn open(port: u16, name: &str) -> Self {
        let wire = Wire::open(port, name, true, &[format!("diffused/jet1/reply/{name}/+/status")]).unwrap();
        Self {
            name: name.to_owned(),
            wire,
            unanswered: BTreeMap::new(),
            accepted: Vec::new(),
            accept_ms: Vec::new(),
            reject_ms: Vec::new(),
            rejected: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            attempts: BTreeMap::new(),
        }
    }

    /// Asks for a job; its prompt is its id and then `script`.
    pub fn ask(&mut self, job: &str, script: &str) {
        let request = json!({"id": job, "prompt": format!("{job} {script}").trim_end(), "progress": false}).to_string();
        self.unanswered.insert(job.to_owned(), Instant::now());
        self.wire.publish(&format!("diffused/jet1/request/{}", self.name), request.as_bytes()).unwrap();
    }

    /// Requests without an answer.
    pub fn waiting(&self) -> usize {
        self.unanswered.len()
    }

    /// Forgets what is not looked at in a run of many jobs.
    pub fn forget(&mut self) {
        self.accepted.clear();
        self.attempts.clear();
        self.accept_ms.clear();
        self.reject_ms.clear();
    }

    /// Takes what comes within this time.
    pub fn hear(&mut self, patience: Duration) {
        for heard in self.wire.hear(patience).unwrap() {
            let job = heard.topic.split('/').nth(4).unwrap().to_owned();
            let status: Value = serde_json::from_slice(&heard.payload).unwrap();
            let text = |key: &str| status.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
            let waited = self.unanswered.remove(&job).map(|sent| sent.elapsed().as_secs_f64() * 1e3);
            match text("state").as_str() {
                "accepted" => {
                    self.accepted.push((super::now(), job));
                    self.accept_ms.extend(waited);
                }
                "rejected" => {
                    *self.rejected.entry(text("code")).or_default() += 1;
                    self.reject_ms.extend(waited);
                }
                "started" => {
                    self.attempts.insert(job, status.get("attempt").and_then(Value::as_u64).unwrap_or(0));
                }
                _ => {
                    self.outcomes.insert(job, outcome(&status));
                }
            }
        }
    }
}

/// Until the node serves.
pub fn greet(port: u16) {
    let mut asker = Asker::open(port, "greeter");
    while asker.outcomes.is_empty() {
        asker.ask("hello", "");
        asker.hear(Duration::from_millis(500));
    }
}
