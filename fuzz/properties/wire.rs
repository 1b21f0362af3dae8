//! What MQTT 5 says beside a payload becomes a message, and a message that is handed back is as large as it is said to be.

use diffused::job::Origin;
use diffused::mqtt::ReplyPrefixes;
use diffused::mqtt::wire::{self, Outgoing};
use rumqttc::v5::mqttbytes::QoS;
use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

use super::draw::Draw;
use super::ground::client;

pub fn check(data: &[u8]) {
    let mut draw = Draw(data);
    let publish = publish(&mut draw);
    let prefixes = ReplyPrefixes::new(vec!["answers".to_owned()]).expect("a good prefix");
    let message = wire::message(&publish, client(), Origin::Request, &prefixes);
    let attachment = message.attachment.as_ref().map_or(0, Vec::len);
    assert!(attachment == 0 || attachment == publish.payload.len(), "the picture is the payload");
    assert!(message.reply.is_none() || message.fault.is_none() || message.attachment.is_none());
    assert_eq!(message.retained, publish.retain);
    let back = Outgoing::handed_back("diffused/pool/studio/handback/1/esp32".to_owned(), &publish);
    let sent = Publish::new(&back.topic, QoS::AtLeastOnce, back.payload.clone(), Some(back.properties()));
    assert!(back.packet_bytes() >= sent.size(), "{} bytes are more than {}", sent.size(), back.packet_bytes());
}

fn publish(draw: &mut Draw<'_>) -> Publish {
    let has = draw.byte();
    let text = |draw: &mut Draw<'_>, words: &[&str]| match draw.byte() % 2 {
        0 => draw.one_of(words).to_owned(),
        _ => draw.text(300),
    };
    let maybe = |bit: u8| has & (1 << bit) != 0;
    let users = if maybe(3) { draw.below(6) } else { 0 };
    let properties = PublishProperties {
        content_type: maybe(0).then(|| text(draw, &["image/png", "IMAGE/", "image", "text/plain", "application/json"])),
        response_topic: maybe(1).then(|| text(draw, &["answers/esp32", "answers/x", "$SYS/esp32", "answers/esp32/#"])),
        correlation_data: maybe(2).then(|| draw.bytes(300).to_vec().into()),
        user_properties: (0..users)
            .map(|_| (text(draw, &["request", "REQUEST", "key"]), text(draw, &["{}", "x"])))
            .collect(),
        message_expiry_interval: maybe(4).then(|| draw.number() as u32),
        payload_format_indicator: maybe(5).then(|| draw.byte()),
        topic_alias: maybe(6).then(|| draw.number() as u16),
        subscription_identifiers: if maybe(7) { vec![draw.number() as usize; draw.below(4)] } else { Vec::new() },
    };
    let flags = draw.byte();
    let mut publish = Publish::new("diffused/jet1/request/esp32", QoS::AtLeastOnce, draw.0.to_vec(), None);
    publish.properties = (flags & 4 == 0).then_some(properties);
    (publish.retain, publish.dup) = (flags & 1 != 0, flags & 2 != 0);
    publish
}
