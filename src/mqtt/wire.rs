//! What MQTT 5 properties mean here, in both directions, and how large a packet is.

use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};

use crate::job::Origin;
use crate::job::units::Client;
use crate::service::Message;

/// One message on its way out.
#[derive(Clone, Debug, PartialEq)]
pub struct Outgoing {
    /// Where to.
    pub topic: String,
    /// The bytes.
    pub payload: Vec<u8>,
    /// What the bytes are.
    pub content: Content,
    /// Whether the broker keeps it.
    pub retain: bool,
    /// Correlation Data to echo.
    pub correlation: Option<Vec<u8>>,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// JSON.
    Json,
    /// A plain word.
    Text,
    /// A picture of this Content Type.
    Picture(&'static str),
}

impl Outgoing {
    /// JSON that is not kept.
    pub fn json(topic: String, body: String, correlation: Option<Vec<u8>>) -> Self {
        Self { topic, payload: body.into_bytes(), content: Content::Json, retain: false, correlation }
    }

    /// Something that the broker keeps.
    pub fn retained(topic: String, body: String, content: Content) -> Self {
        Self { topic, payload: body.into_bytes(), content, retain: true, correlation: None }
    }

    /// Its MQTT 5 properties.
    pub fn properties(&self) -> PublishProperties {
        let (content_type, is_text) = match self.content {
            Content::Json => ("application/json", true),
            Content::Text => ("text/plain", true),
            Content::Picture(name) => (name, false),
        };
        PublishProperties {
            payload_format_indicator: is_text.then_some(1),
            content_type: Some(content_type.to_owned()),
            correlation_data: self.correlation.clone().map(Into::into),
            ..PublishProperties::default()
        }
    }

    /// An upper bound of the packet's size in bytes: fixed header, packet identifier, lengths and properties included.
    pub fn packet_bytes(&self) -> usize {
        /// Fixed header 5, topic length 2, packet identifier 2, property length 4, format indicator 2, two property heads of 3.
        const OVERHEAD: usize = 5 + 2 + 2 + 4 + 2 + 3 + 3;
        let content_type = match self.content {
            Content::Picture(name) => name.len(),
            Content::Json | Content::Text => 16,
        };
        OVERHEAD + self.topic.len() + self.payload.len() + content_type + self.correlation.as_ref().map_or(0, Vec::len)
    }
}

/// A publish as the desk takes it.
pub fn message(publish: &Publish, client: Client, origin: Origin) -> Message {
    let properties = publish.properties.as_ref();
    Message {
        client,
        origin,
        payload: publish.payload.to_vec(),
        retained: publish.retain,
        redelivered: publish.dup,
        correlation: properties.and_then(|properties| properties.correlation_data.as_ref()).map(|data| data.to_vec()),
        expiry: properties
            .and_then(|properties| properties.message_expiry_interval)
            .map(|seconds| Duration::from_secs(u64::from(seconds))),
        asks_for_topic: properties.is_some_and(|properties| properties.response_topic.is_some()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_above_the_real_size_but_close() {
        let outgoing = Outgoing {
            topic: "diffused/jet1/reply/esp32/a1/image/0".to_owned(),
            payload: vec![7; 5000],
            content: Content::Picture("image/png"),
            retain: false,
            correlation: Some(vec![1, 2, 3]),
        };
        let properties = Some(outgoing.properties());
        let publish = Publish::new(
            &outgoing.topic,
            rumqttc::v5::mqttbytes::QoS::AtLeastOnce,
            outgoing.payload.clone(),
            properties,
        );
        let real = publish.size();
        assert!(outgoing.packet_bytes() >= real && outgoing.packet_bytes() < real + 16, "{real}");
    }
}
