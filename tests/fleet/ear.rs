//! Hears everything that is said on a broker, and when; and speaks to single nodes.

use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::Packet;
use rumqttc::v5::{Client, Event, MqttOptions};
use serde_json::Value;

use crate::support::eventually;

/// A message, and when it came in microseconds since 1970.
#[derive(Clone, Debug)]
pub struct Said {
    pub at: i64,
    pub topic: String,
    pub payload: Vec<u8>,
}

impl Said {
    /// A level of its topic, counted from 0.
    pub fn level(&self, index: usize) -> &str {
        self.topic.split('/').nth(index).unwrap_or_default()
    }

    pub fn text(&self, key: &str) -> String {
        let json: Value = serde_json::from_slice(&self.payload).unwrap_or_default();
        json.get(key).and_then(Value::as_str).unwrap_or_default().to_owned()
    }
}

/// A connection that hears everything below `diffused/`.
pub struct Ear {
    client: Client,
    said: Arc<Mutex<Vec<Said>>>,
}

impl Ear {
    pub fn open(port: u16) -> Self {
        let mut options = MqttOptions::new("ear", "127.0.0.1", port);
        options.set_clean_start(true).set_max_packet_size(Some(16 * 1024 * 1024));
        let (client, mut connection) = Client::new(options, 64);
        client.subscribe("diffused/#", QoS::AtLeastOnce).unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let ear = Self { client, said: Arc::clone(&said) };
        let granted = Arc::new(Mutex::new(false));
        let sink = Arc::clone(&granted);
        thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::SubAck(_))) => *sink.lock().unwrap() = true,
                    Ok(Event::Incoming(Packet::Publish(publish))) => said.lock().unwrap().push(Said {
                        at: now(),
                        topic: String::from_utf8_lossy(&publish.topic).into_owned(),
                        payload: publish.payload.to_vec(),
                    }),
                    Ok(_) => {}
                    // The broker is gone, or we said goodbye.
                    Err(_) => return,
                }
            }
        });
        eventually("the ear is subscribed", || *granted.lock().unwrap());
        ear
    }

    pub fn publish(&self, topic: &str, payload: impl Into<Vec<u8>>) {
        self.client.publish(topic, QoS::AtLeastOnce, false, payload.into()).unwrap();
    }

    /// Waits until everything has come that the broker had until now.
    pub fn catch_up(&self) {
        self.publish("diffused/heard", "");
        self.wait("the ear heard itself", |said| said.topic == "diffused/heard");
    }

    pub fn all(&self) -> Vec<Said> {
        self.said.lock().unwrap().clone()
    }

    /// Waits for a message that fits.
    pub fn wait(&self, what: &str, fits: impl Fn(&Said) -> bool) -> Said {
        let mut found = None;
        eventually(what, || {
            found = self.all().into_iter().find(|said| fits(said));
            found.is_some()
        });
        found.unwrap()
    }

    /// Waits until a node is online, after this time.
    pub fn online(&self, node: &str, since: i64) {
        let topic = format!("diffused/{node}/availability");
        self.wait(&format!("{node} online"), |said| {
            said.topic == topic && said.payload == b"online" && said.at >= since
        });
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        let _ = self.client.disconnect();
    }
}

/// Microseconds since 1970, the clock of `fake-node`.
pub fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
