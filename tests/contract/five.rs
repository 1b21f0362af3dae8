//! What only MQTT 5 can say, as no row can show it: Correlation Data of any bytes, and topics by their alias.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Packet, Publish, PublishProperties};
use rumqttc::v5::{Client, Event, MqttOptions};
use serde_json::{Value, json};

use crate::support::PATIENCE;
use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;

const REQUESTS: &str = "diffused/jet1/request/esp32";
const REPLIES: &str = "diffused/jet1/reply/esp32/#";

/// A requester that sees properties as they are; mosquitto_sub prints them as text.
struct Requester {
    client: Client,
    heard: Receiver<Publish>,
}

impl Requester {
    fn start(broker: &Mosquitto) -> Self {
        let mut options = MqttOptions::new("esp32", "127.0.0.1", broker.port);
        options.set_keep_alive(Duration::from_secs(30));
        let (client, mut connection) = Client::new(options, 8);
        let (sink, heard) = channel();
        let (granted, grants) = channel();
        std::thread::spawn(move || {
            for event in connection.iter() {
                match event {
                    Ok(Event::Incoming(Packet::Publish(publish))) => drop(sink.send(publish)),
                    Ok(Event::Incoming(Packet::SubAck(_))) => drop(granted.send(())),
                    Ok(_) => {}
                    Err(_) => return,
                }
            }
        });
        client.subscribe(REPLIES, QoS::AtLeastOnce).unwrap();
        grants.recv_timeout(PATIENCE).unwrap();
        Self { client, heard }
    }

    /// What is said of a request with this Correlation Data, up to this state: each message's topic below the id, and
    /// its Correlation Data.
    fn ask(&self, request: &str, correlation: Option<&[u8]>, last: &str) -> Vec<(String, Option<Vec<u8>>)> {
        let correlation_data = correlation.map(|bytes| bytes.to_vec().into());
        let properties = PublishProperties { correlation_data, ..PublishProperties::default() };
        self.client.publish_with_properties(REQUESTS, QoS::AtLeastOnce, false, request.to_owned(), properties).unwrap();
        let mut all = Vec::new();
        loop {
            let publish = self.heard.recv_timeout(PATIENCE).unwrap();
            let topic = String::from_utf8_lossy(&publish.topic).into_owned();
            let properties = publish.properties.unwrap_or_default();
            let kind = topic.split('/').skip(5).collect::<Vec<_>>().join("/");
            let is_last =
                kind == "status" && serde_json::from_slice::<Value>(&publish.payload).unwrap()["state"] == json!(last);
            all.push((kind, properties.correlation_data.map(|bytes| bytes.to_vec())));
            if is_last {
                return all;
            }
        }
    }
}

#[test]
fn correlation_data_that_is_no_text_comes_back_to_the_byte_with_every_message() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    // Its lines end where a byte is no text.
    drop(listener);
    let requester = Requester::start(&broker);
    let bytes: Vec<u8> = (0..=255).rev().collect();
    let request = r#"{"prompt":"x","progress":true}"#;
    let in_parts = r#"{"prompt":"x","output":{"format":"bmp","part_bytes":4096}}"#;
    for (request, last, kinds) in [
        (request, "done", &["status", "progress", "image/0"][..]),
        (in_parts, "done", &["status", "manifest/0", "part/0.0", "part/0.3"]),
        ("{", "rejected", &["status"]),
    ] {
        let heard = requester.ask(request, Some(&bytes), last);
        assert!(heard.iter().all(|(_, back)| back.as_deref() == Some(&*bytes)), "{request}: {heard:?}");
        let missing: Vec<_> = kinds.iter().filter(|kind| !heard.iter().any(|(other, _)| other == *kind)).collect();
        assert!(missing.is_empty(), "{request}: no {missing:?} in {heard:?}");
    }
    let heard = requester.ask(request, None, "done");
    assert!(heard.iter().all(|(_, back)| back.is_none()), "nobody asked for it: {heard:?}");
}

/// A client that sends what a library would not.
struct Bare(TcpStream);

impl Bare {
    fn connect(broker: &Mosquitto) -> Self {
        let mut bare = Self(TcpStream::connect(("127.0.0.1", broker.port)).unwrap());
        bare.0.set_read_timeout(Some(PATIENCE)).unwrap();
        // MQTT 5, clean start, keep-alive of 60 s, no properties.
        bare.send(0x10, b"\0\x04MQTT\x05\x02\0\x3c\0\0\x04bare");
        let mut head = [0; 2];
        bare.0.read_exact(&mut head).unwrap();
        let mut rest = vec![0; usize::from(head[1])];
        bare.0.read_exact(&mut rest).unwrap();
        assert_eq!((head[0], rest[1]), (0x20, 0), "the broker refused the connection");
        bare
    }

    /// At QoS 0, with a topic alias.
    fn publish(&mut self, topic: &str, alias: u16, payload: &str) {
        let length = (topic.len() as u16).to_be_bytes();
        let alias = [&[3, 0x23][..], &alias.to_be_bytes()].concat();
        self.send(0x30, &[&length[..], topic.as_bytes(), &alias, payload.as_bytes()].concat());
    }

    fn send(&mut self, kind: u8, body: &[u8]) {
        assert!(body.len() < 128, "its length has one byte");
        self.0.write_all(&[&[kind, body.len() as u8][..], body].concat()).unwrap();
    }

    /// What the broker says before it closes the connection.
    fn last_words(mut self) -> Vec<u8> {
        let mut words = Vec::new();
        self.0.read_to_end(&mut words).unwrap();
        words
    }
}

#[test]
fn topics_may_go_by_an_alias_and_one_that_means_nothing_costs_only_its_client() {
    const DISCONNECT: u8 = 0xe0;
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    let mut client = Bare::connect(&broker);
    client.publish(REQUESTS, 1, r#"{"id":"named","prompt":"x"}"#);
    client.publish("", 1, r#"{"id":"short","prompt":"x"}"#);
    client.publish("", 1, r#"{"id":"again","prompt":"x"}"#);
    for id in ["named", "short", "again"] {
        listener.status(id, "done");
    }
    client.publish("", 2, r#"{"id":"nowhere","prompt":"x"}"#);
    assert_eq!(client.last_words().first(), Some(&DISCONNECT));
    broker.publish(REQUESTS, r#"{"id":"good","prompt":"x"}"#, &[]);
    listener.status("good", "done");
    assert_eq!(node.painter.finished(), 4);
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
}
