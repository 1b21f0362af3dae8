//! Listens with mosquitto's own client, so that nothing of ours reads what ours wrote.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::Value;

use super::broker::{Mosquitto, publish};
use super::{contract, eventually};

/// A message as mosquitto_sub printed it.
#[derive(Clone, Debug, PartialEq)]
pub struct Heard {
    pub topic: String,
    pub retained: bool,
    pub qos: u8,
    pub correlation: String,
    pub content_type: String,
    /// `name:value`, separated by blanks.
    pub user_properties: String,
    pub payload: Vec<u8>,
}

impl Heard {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.payload).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.payload).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The `state` of a status.
    pub fn state(&self) -> String {
        self.json().get("state").and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A mosquitto_sub on everything; killed when dropped.
pub struct Listener {
    child: Child,
    heard: Arc<Mutex<Vec<Heard>>>,
    checks: bool,
}

impl Listener {
    /// Hears everything below `diffused/` and what is told to Home Assistant, also what is sent while the broker was away from it for a moment.
    pub fn start(broker: &Mosquitto) -> Self {
        Self::at(broker.port)
    }

    /// The same at a broker of any make.
    pub fn at(port: u16) -> Self {
        let name = format!("listener-{}-{:?}", std::process::id(), std::thread::current().id());
        let text = port.to_string();
        let topics = ["diffused/#", "homeassistant/#", "ready"].iter().flat_map(|topic| ["-t", *topic]);
        let mut child = Command::new("mosquitto_sub")
            .args(["-V", "mqttv5", "-h", "127.0.0.1", "-p", &text, "-q", "1"])
            .args(topics)
            .args(["-i", &name.replace(['(', ')'], ""), "-c", "-x", "3600", "-F", "%r|%q|%t|%D|%C|%P|%x"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("mosquitto_sub must be installed");
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (lines, sink) = (BufReader::new(child.stdout.take().unwrap()), Arc::clone(&heard));
        std::thread::spawn(move || {
            for line in lines.lines().map_while(Result::ok) {
                sink.lock().unwrap().push(read(&line));
            }
        });
        let listener = Self { child, heard, checks: true };
        listener.wait_until_subscribed(port);
        listener
    }

    /// The same, for tests in which somebody plays a node and does not say everything that a node says.
    pub fn of_players(broker: &Mosquitto) -> Self {
        let mut listener = Self::start(broker);
        listener.checks = false;
        listener
    }

    fn wait_until_subscribed(&self, port: u16) {
        eventually("the listener is subscribed", || {
            publish(port, "ready", "1", &[]);
            self.all().iter().any(|heard| heard.topic == "ready")
        });
    }

    /// Everything so far.
    pub fn all(&self) -> Vec<Heard> {
        self.heard.lock().unwrap().clone()
    }

    /// Everything so far whose topic ends like this.
    pub fn on(&self, end: &str) -> Vec<Heard> {
        self.all().into_iter().filter(|heard| heard.topic.ends_with(end)).collect()
    }

    /// The first message on such a topic, once it is there.
    pub fn first(&self, end: &str) -> Heard {
        self.first_where(end, |_| true)
    }

    /// The first such message on such a topic, once it is there.
    pub fn first_where(&self, end: &str, fits: impl Fn(&Heard) -> bool) -> Heard {
        let mut found = None;
        eventually(&format!("a message on {end}; heard: {:?}", self.topics()), || {
            found = self.on(end).into_iter().find(|heard| fits(heard));
            found.is_some()
        });
        found.unwrap()
    }

    /// The status of this state, once it is there.
    pub fn status(&self, id: &str, state: &str) -> Value {
        self.first_where(&format!("/{id}/status"), |heard| heard.state() == state).json()
    }

    /// The states of a job so far, in the order of their numbers, each number once.
    pub fn states(&self, id: &str) -> Vec<String> {
        let mut states: Vec<(u64, String)> = self
            .on(&format!("/{id}/status"))
            .iter()
            .map(|heard| (heard.json().get("seq").and_then(Value::as_u64).unwrap_or(0), heard.state()))
            .collect();
        states.sort();
        states.dedup_by_key(|state| state.0);
        states.into_iter().map(|state| state.1).collect()
    }

    fn topics(&self) -> Vec<String> {
        self.all().into_iter().map(|heard| heard.topic).collect()
    }
}

impl Drop for Listener {
    /// Everything that was heard must be as the contract says.
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if self.checks && !std::thread::panicking() {
            let faults: Vec<String> = self.all().iter().flat_map(contract::faults).collect();
            assert!(faults.is_empty(), "not as the contract says: {}", faults.join("\n"));
        }
    }
}

fn read(line: &str) -> Heard {
    let mut parts = line.splitn(7, '|').map(str::to_owned);
    let mut next = || parts.next().unwrap_or_default();
    let (retained, qos) = (next() == "1", next().parse().unwrap_or_default());
    let (topic, correlation, content_type) = (next(), next(), next());
    let (user_properties, hex) = (next(), next());
    let digits: Vec<u8> = hex.bytes().map(|digit| (digit as char).to_digit(16).unwrap_or(0) as u8).collect();
    let payload = digits.chunks(2).map(|pair| pair[0] * 16 + pair.get(1).copied().unwrap_or(0)).collect();
    Heard { topic, retained, qos, correlation, content_type, user_properties, payload }
}
