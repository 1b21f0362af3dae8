//! What MQTT 5 properties mean here, in both directions, and how large a packet is.

use std::borrow::Cow;
use std::time::Duration;

use rumqttc::v5::mqttbytes::v5::{Publish, PublishProperties};
use serde_json::{Map, Value};

use super::reply::ReplyPrefixes;
use crate::job::units::Client;
use crate::job::{Code, Origin, Rejection};
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
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// JSON.
    Json,
    /// JSON that is worth nothing once it is late.
    Progress,
    /// JSON of the node whose store has this mark.
    Marked(String),
    /// A plain word.
    Text,
    /// A part of something.
    Bytes,
    /// A picture of this Content Type.
    Picture(&'static str),
    /// A JPEG of picture `k` after so many steps.
    Preview {
        /// Index of the picture.
        k: usize,
        /// Steps done.
        step: usize,
    },
    /// Somebody else's message, with its own properties.
    Handed(Box<PublishProperties>),
}

impl Outgoing {
    /// JSON that is not kept.
    pub fn json(topic: String, body: String, correlation: Option<Vec<u8>>) -> Self {
        Self { topic, payload: body.into_bytes(), content: Content::Json, retain: false, correlation }
    }

    /// JSON that is worth nothing once it is late.
    pub fn progress(topic: String, body: String, correlation: Option<Vec<u8>>) -> Self {
        Self { content: Content::Progress, ..Self::json(topic, body, correlation) }
    }

    /// Something that the broker keeps.
    pub fn retained(topic: String, body: String, content: Content) -> Self {
        Self { topic, payload: body.into_bytes(), content, retain: true, correlation: None }
    }

    /// A picture on its way.
    pub fn preview(topic: String, k: usize, step: usize, bytes: Vec<u8>, correlation: Option<Vec<u8>>) -> Self {
        Self { topic, payload: bytes, content: Content::Preview { k, step }, retain: false, correlation }
    }

    /// A request as it came, on another topic.
    pub fn handed_back(topic: String, publish: &Publish) -> Self {
        let properties = publish.properties.clone().unwrap_or_default();
        // These two belong to the connection on which it came.
        let properties = PublishProperties { topic_alias: None, subscription_identifiers: Vec::new(), ..properties };
        let payload = publish.payload.to_vec();
        Self { topic, payload, content: Content::Handed(Box::new(properties)), retain: false, correlation: None }
    }

    /// Its MQTT 5 properties.
    pub fn properties(&self) -> PublishProperties {
        let (content_type, is_text) = match &self.content {
            Content::Json | Content::Progress | Content::Marked(_) => ("application/json", true),
            Content::Text => ("text/plain", true),
            Content::Bytes => ("application/octet-stream", false),
            Content::Picture(name) => (*name, false),
            Content::Preview { .. } => ("image/jpeg", false),
            Content::Handed(properties) => return PublishProperties::clone(properties),
        };
        let user_properties = match &self.content {
            Content::Marked(mark) => vec![(MARK.to_owned(), mark.clone())],
            Content::Preview { k, step } => {
                vec![("k".to_owned(), k.to_string()), ("step".to_owned(), step.to_string())]
            }
            _ => Vec::new(),
        };
        let passes = matches!(self.content, Content::Progress | Content::Preview { .. });
        PublishProperties {
            payload_format_indicator: is_text.then_some(1),
            message_expiry_interval: passes.then_some(PASSES),
            content_type: Some(content_type.to_owned()),
            correlation_data: self.correlation.clone().map(Into::into),
            user_properties,
            ..PublishProperties::default()
        }
    }

    /// The message, if its packet has at most `limit` bytes, or what is left of it without its Correlation Data, or
    /// without its tags as well, both of which only repeat what the requester said.
    pub fn within(&self, limit: usize) -> Option<Cow<'_, Self>> {
        if self.packet_bytes() <= limit {
            return Some(Cow::Borrowed(self));
        }
        let bare = Self { correlation: None, ..self.clone() };
        if bare.packet_bytes() <= limit {
            return Some(Cow::Owned(bare));
        }
        if bare.content != Content::Json {
            return None;
        }
        let mut json: Map<String, Value> = serde_json::from_slice(&bare.payload).ok()?;
        json.shift_remove("tags")?;
        let plain = Self { payload: Value::from(json).to_string().into_bytes(), ..bare };
        (plain.packet_bytes() <= limit).then_some(Cow::Owned(plain))
    }

    /// An upper bound of the packet's size in bytes: fixed header, packet identifier, lengths and properties included.
    pub fn packet_bytes(&self) -> usize {
        /// Fixed header 5, topic length 2, packet identifier 2, property length 4, format indicator 2.
        const OVERHEAD: usize = 5 + 2 + 2 + 4 + 2;
        OVERHEAD + self.topic.len() + self.payload.len() + property_bytes(&self.properties())
    }
}

/// Bytes of the properties that have a length of their own, each with its head.
fn property_bytes(properties: &PublishProperties) -> usize {
    /// Identifier and length.
    const HEAD: usize = 3;
    /// Message Expiry, which has a fixed size.
    const FIXED: usize = 5;
    let one = |bytes: Option<usize>| bytes.map_or(0, |bytes| HEAD + bytes);
    let users = properties.user_properties.iter().map(|(key, value)| HEAD + 2 + key.len() + value.len());
    one(properties.content_type.as_ref().map(String::len))
        + one(properties.correlation_data.as_ref().map(|data| data.len()))
        + one(properties.response_topic.as_ref().map(String::len))
        + properties.message_expiry_interval.map_or(0, |_| FIXED)
        + users.sum::<usize>()
}

/// Correlation Data, which is echoed.
pub fn correlation(publish: &Publish) -> Option<Vec<u8>> {
    publish.properties.as_ref()?.correlation_data.as_ref().map(|data| data.to_vec())
}

/// Seconds after which progress and previews tell nobody anything.
const PASSES: u32 = 10;

/// The user property that tells whose `state` it is.
const MARK: &str = "store";

/// The mark of the store that a `state` came from.
pub fn mark(publish: &Publish) -> Option<&str> {
    let properties = &publish.properties.as_ref()?.user_properties;
    properties.iter().find(|(key, _)| key == MARK).map(|(_, mark)| mark.as_str())
}

/// A publish as the desk takes it.
pub fn message(publish: &Publish, client: Client, origin: Origin, prefixes: &ReplyPrefixes) -> Message {
    let none = PublishProperties::default();
    let properties = publish.properties.as_ref().unwrap_or(&none);
    let (reply, denied) = match properties.response_topic.as_ref().map(|topic| prefixes.check(topic, &client)) {
        None => (None, None),
        Some(Ok(topic)) => (Some(topic), None),
        Some(Err(denied)) => (None, Some(denied)),
    };
    let (payload, attachment, unread) = content(publish, properties);
    Message {
        client,
        origin,
        payload,
        attachment,
        retained: publish.retain,
        redelivered: publish.dup,
        correlation: correlation(publish),
        expiry: properties.message_expiry_interval.map(|seconds| Duration::from_secs(u64::from(seconds))),
        reply,
        hops: None,
        fault: denied.or(unread),
    }
}

/// The request, and the picture that came with it: a message of Content Type `image/*` is an init image, and its
/// request stands in the user property `request`.
fn content(publish: &Publish, properties: &PublishProperties) -> (Vec<u8>, Option<Vec<u8>>, Option<Rejection>) {
    let payload = publish.payload.to_vec();
    if !properties.content_type.as_deref().is_some_and(is_picture) {
        return (payload, None, None);
    }
    match properties.user_properties.iter().find(|(key, _)| key == "request") {
        Some((_, request)) => (request.clone().into_bytes(), Some(payload), None),
        None => {
            let message = "a message of Content Type image/* must have its request in the user property request";
            (payload, None, Some(Rejection::new(Code::Malformed, message)))
        }
    }
}

fn is_picture(content_type: &str) -> bool {
    content_type.split_once('/').is_some_and(|(kind, _)| kind.eq_ignore_ascii_case("image"))
}

#[cfg(test)]
mod tests {
    use rumqttc::v5::mqttbytes::QoS;

    use super::*;

    fn publish(outgoing: &Outgoing) -> Publish {
        let properties = Some(outgoing.properties());
        Publish::new(&outgoing.topic, QoS::AtLeastOnce, outgoing.payload.clone(), properties)
    }

    #[test]
    fn the_bound_is_above_the_real_size_but_close() {
        let contents = [
            Content::Json,
            Content::Bytes,
            Content::Progress,
            Content::Marked("0123456789abcdef".to_owned()),
            Content::Picture("image/png"),
            Content::Preview { k: 3, step: 120 },
            Content::Handed(Box::new(PublishProperties {
                message_expiry_interval: Some(60),
                response_topic: Some("answers/esp32".to_owned()),
                user_properties: vec![("request".to_owned(), "{}".to_owned()); 3],
                ..PublishProperties::default()
            })),
        ];
        for content in contents {
            let outgoing = Outgoing {
                topic: "diffused/jet1/reply/esp32/a1/image/0".to_owned(),
                payload: vec![7; 5000],
                content,
                retain: false,
                correlation: Some(vec![1, 2, 3]),
            };
            let real = publish(&outgoing).size();
            assert!(outgoing.packet_bytes() >= real && outgoing.packet_bytes() < real + 16, "{real} {outgoing:?}");
        }
    }

    #[test]
    fn what_does_not_fit_loses_its_correlation_data_first_and_then_its_tags() {
        let body = r#"{"state":"done","v":1,"tags":{"room":"kitchen"}}"#.to_owned();
        let status = Outgoing::json("t".to_owned(), body, Some(vec![7; 100]));
        let size = status.packet_bytes();
        let fits = |limit| status.within(limit).map(|fitting| (fitting.correlation.is_some(), fitting.payload.len()));
        let all = status.payload.len();
        assert_eq!(fits(size), Some((true, all)));
        assert_eq!(fits(size - 1), Some((false, all)));
        assert_eq!(fits(size - 103 - 1), Some((false, r#"{"state":"done","v":1}"#.len())));
        assert_eq!(fits(30), None);
        let picture = Outgoing { content: Content::Bytes, ..status };
        assert_eq!(picture.within(size - 104), None);
    }

    #[test]
    fn a_picture_may_be_the_payload_and_the_request_a_property() {
        let mut publish = Publish::new("x", QoS::AtLeastOnce, vec![1, 2], None);
        let request = ("request".to_owned(), r#"{"prompt":"x"}"#.to_owned());
        let properties = |user_properties| PublishProperties {
            content_type: Some("image/png".to_owned()),
            user_properties,
            ..PublishProperties::default()
        };
        publish.properties = Some(properties(vec![request]));
        let read = |publish: &Publish| {
            message(publish, Client::try_from("esp32").unwrap(), Origin::Request, &ReplyPrefixes::default())
        };
        let message = read(&publish);
        assert_eq!((message.payload.as_slice(), message.attachment), (&br#"{"prompt":"x"}"#[..], Some(vec![1, 2])));
        publish.properties = Some(properties(Vec::new()));
        assert_eq!(read(&publish).fault.map(|fault| fault.code), Some(Code::Malformed));
    }
}
