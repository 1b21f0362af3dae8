//! A requester without a bad line: what it asked, what it heard, and whether that is as the contract promises.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use diffused::job::hex;
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, PublishProperties};
use rumqttc::v5::{Client, Event, MqttOptions};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// How long an answer may take.
pub const PATIENCE: Duration = Duration::from_secs(240);

/// So that every peer has a name of its own.
static NUMBER: AtomicUsize = AtomicUsize::new(0);

/// Somebody who hears everything, and asks.
pub struct Peer {
    client: Client,
    heard: Arc<Mutex<Vec<Publish>>>,
    over: Arc<AtomicBool>,
}

/// A picture as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Picture {
    pub bytes: Vec<u8>,
    /// Of a part; 0 if it came whole.
    pub part_bytes: u64,
}

impl Peer {
    /// Its session outlives the broker.
    pub fn start(port: u16) -> Self {
        let name = format!("peer-{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut options = MqttOptions::new(name, "127.0.0.1", port);
        options.set_clean_start(false).set_session_expiry_interval(Some(3600));
        options.set_keep_alive(Duration::from_secs(60)).set_max_packet_size(Some(64 << 20));
        let (client, mut connection) = Client::new(options, 1000);
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (sink, asker) = (Arc::clone(&heard), client.clone());
        let over = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&over);
        let (ready, subscribed) = std::sync::mpsc::channel();
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => {
                        asker.try_subscribe("diffused/#", QoS::AtLeastOnce).unwrap();
                    }
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(ready.send(())),
                    Ok(Event::Incoming(Packet::Publish(publish))) => sink.lock().unwrap().push(publish),
                    Ok(_) => {}
                    Err(_) if stop.load(Ordering::SeqCst) => return,
                    Err(_) => thread::sleep(Duration::from_millis(100)),
                }
            }
        });
        subscribed.recv_timeout(PATIENCE).unwrap();
        Self { client, heard, over }
    }

    pub fn say(&self, topic: &str, payload: impl Into<Vec<u8>>, properties: PublishProperties) {
        let payload: Vec<u8> = payload.into();
        self.client.try_publish_with_properties(topic, QoS::AtLeastOnce, false, payload, properties).unwrap();
    }

    /// Sends `request` with this id as client `esp32`.
    pub fn ask(&self, node: &str, id: &str, request: &Value) {
        self.say(&format!("diffused/{node}/request/esp32"), with_id(id, request), PublishProperties::default());
    }

    /// Everything on topics with this end.
    pub fn on(&self, end: &str) -> Vec<Publish> {
        self.heard.lock().unwrap().iter().filter(|publish| publish.topic.ends_with(end.as_bytes())).cloned().collect()
    }

    /// What came on topics with this end, for a person to read.
    fn told(&self, end: &str) -> Vec<String> {
        self.on(end)
            .iter()
            .rev()
            .take(12)
            .map(|publish| String::from_utf8_lossy(&publish.payload).into_owned())
            .collect()
    }

    /// The first message that fits, on a topic with this end.
    pub fn first(&self, end: &str, fits: impl Fn(&Publish) -> bool) -> Publish {
        let begun = Instant::now();
        loop {
            if let Some(publish) = self.on(end).into_iter().find(&fits) {
                return publish;
            }
            assert!(begun.elapsed() < PATIENCE, "nothing fits on {end}; heard there: {:?}", self.told(end));
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a word on `availability`, the `number`th of its kind.
    pub fn hears_word(&self, node: &str, word: &str, number: usize) {
        let end = format!("{node}/availability");
        let begun = Instant::now();
        while self.on(&end).iter().filter(|publish| publish.payload == word).count() < number {
            assert!(begun.elapsed() < PATIENCE, "{node} is not {word} for the {number}th time");
            thread::sleep(Duration::from_millis(20));
        }
    }

    pub fn status(&self, job: &str, state: &str) -> Value {
        read(&self.first(&format!("{job}/status"), |publish| read(publish)["state"] == state))
    }

    /// The last status of a job, below `<node>/reply/esp32/`; it comes with nothing missing, or this fails.
    pub fn outcome(&self, job: &str) -> Value {
        read(&self.first(&format!("{job}/status"), |publish| is_last(&read(publish))))
    }

    /// The pictures of a finished job, joined, each whole and in one form only; else what is wrong.
    pub fn pictures(&self, job: &str) -> Result<Vec<Picture>, String> {
        self.pictures_since(0, job)
    }

    /// Likewise, of what came after so many messages.
    fn pictures_since(&self, mark: usize, job: &str) -> Result<Vec<Picture>, String> {
        let below = format!("diffused/{job}/");
        let mut heard: BTreeMap<String, Vec<Publish>> = BTreeMap::new();
        for publish in &self.heard.lock().unwrap()[mark..] {
            if let Some(end) = topic(publish).strip_prefix(&below) {
                heard.entry(end.to_owned()).or_default().push(publish.clone());
            }
        }
        let on = |end: &str| heard.get(end).cloned().unwrap_or_default();
        let statuses: Vec<Value> = on("status").iter().map(read).collect();
        judge(job, &statuses, &on)
    }

    /// Asks for the same again once its outcome came, and returns the pictures of the repeated answer, complete by itself.
    pub fn again(&self, node: &str, id: &str, request: &Value) -> Result<Vec<Picture>, String> {
        let job = job(node, id);
        let mark = self.heard.lock().unwrap().len();
        self.ask(node, id, request);
        let is_replayed_end = |publish: &Publish| read(publish)["replay"] == true && is_last(&read(publish));
        self.first(&format!("{job}/status"), is_replayed_end);
        self.pictures_since(mark, &job)
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let _ = self.client.try_disconnect();
    }
}

/// Where the answers to a job of `esp32` go.
pub fn job(node: &str, id: &str) -> String {
    format!("{node}/reply/esp32/{id}")
}

pub fn with_id(id: &str, request: &Value) -> String {
    let mut request = request.clone();
    request["id"] = json!(id);
    request.to_string()
}

pub fn read(publish: &Publish) -> Value {
    serde_json::from_slice(&publish.payload).unwrap_or_default()
}

fn is_last(status: &Value) -> bool {
    !["accepted", "started"].iter().any(|state| status["state"] == *state)
}

fn topic(publish: &Publish) -> String {
    String::from_utf8_lossy(&publish.topic).into_owned()
}

/// Holds what was heard of a job against the contract; pure, so that it can be tried on what must be noticed.
pub fn judge(job: &str, statuses: &[Value], on: &dyn Fn(&str) -> Vec<Publish>) -> Result<Vec<Picture>, String> {
    let without_replay = |status: &Value| {
        let mut status = status.clone();
        status.as_object_mut().map(|status| status.shift_remove("replay"));
        status.to_string()
    };
    let ends: BTreeSet<String> = statuses.iter().filter(|status| is_last(status)).map(without_replay).collect();
    if ends.len() != 1 {
        return Err(format!("{job} has {} outcomes: {ends:?}", ends.len()));
    }
    let end: Value = ends.first().map(|end| serde_json::from_str(end).unwrap()).unwrap();
    if end["state"] != "done" {
        return Err(format!("{job} is not done: {end}"));
    }
    end["images"].as_array().unwrap().iter().map(|image| picture(job, image, on)).collect()
}

fn picture(job: &str, image: &Value, on: &dyn Fn(&str) -> Vec<Publish>) -> Result<Picture, String> {
    let k = &image["k"];
    let number = |key: &str| image[key].as_u64().unwrap();
    let (parts, part_bytes) = (number("parts"), number("part_bytes"));
    let whole = one(&format!("image/{k}"), &on(&format!("image/{k}")))?;
    let manifest = one(&format!("manifest/{k}"), &timeless(&on(&format!("manifest/{k}"))))?;
    let bytes = match (parts, whole, manifest) {
        (0, Some(whole), None) => whole,
        (1.., None, Some(manifest)) => {
            let manifest: Value = serde_json::from_slice(&manifest).unwrap();
            for key in ["bytes", "sha256", "part_bytes", "parts"] {
                if manifest[key] != image[key] {
                    return Err(format!("{job}: {key} of the manifest is not that of the status: {manifest} {image}"));
                }
            }
            let mut bytes = Vec::new();
            for i in 0..parts {
                let end = format!("part/{k}.{i}");
                let part = one(&end, &on(&end))?.ok_or_else(|| format!("{job}: {end} is missing"))?;
                if i + 1 < parts && part.len() as u64 != part_bytes {
                    return Err(format!("{job}: {end} has {} bytes instead of {part_bytes}", part.len()));
                }
                bytes.extend(part);
            }
            bytes
        }
        (_, whole, manifest) => {
            let (whole, manifest) = (whole.is_some(), manifest.is_some());
            return Err(format!("{job}: {parts} parts, but whole {whole}, manifest {manifest}"));
        }
    };
    let sha256 = hex(&Sha256::digest(&bytes));
    if image["sha256"] != sha256 || number("bytes") != bytes.len() as u64 {
        return Err(format!("{job}: the bytes of picture {k} are not those of the status"));
    }
    Ok(Picture { bytes, part_bytes })
}

/// Manifests without what differs when they are sent again.
fn timeless(manifests: &[Publish]) -> Vec<Publish> {
    let without_time = |publish: &Publish| {
        let mut manifest = read(publish);
        manifest.as_object_mut().map(|manifest| manifest.shift_remove("time"));
        Publish { payload: manifest.to_string().into(), ..publish.clone() }
    };
    manifests.iter().map(without_time).collect()
}

/// A message that may come several times, but not with other bytes.
fn one(what: &str, came: &[Publish]) -> Result<Option<Vec<u8>>, String> {
    let Some(first) = came.first() else { return Ok(None) };
    if came.iter().any(|publish| publish.payload != first.payload) {
        return Err(format!("{what} came with other bytes"));
    }
    Ok(Some(first.payload.to_vec()))
}
