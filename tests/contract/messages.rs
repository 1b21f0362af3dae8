//! What MQTT 5 says beside a payload: answers' topics, correlation, content, more properties than anybody needs.

use rumqttc::v5::mqttbytes::v5::PublishProperties;

use super::pictures::golden;
use super::row::{DONE, Row};

const GOOD: &str = r#"{"prompt":"x"}"#;

/// Topics that no answer goes to; `CLIENT` becomes the row's client. Only `diffused/answers` is allowed.
const DENIED: &[&str] = &[
    "homeassistant/CLIENT",
    "homeassistant/switch/x/set",
    "$SYS/CLIENT",
    "diffused/answers",
    "diffused/answers/other",
    "diffused/answers/CLIENTx",
    "diffused/answers/xCLIENT",
    "diffused/answersx/CLIENT",
    "diffused/answers//CLIENT",
    "diffused/answers/CLIENT/",
    "/diffused/answers/CLIENT",
    "diffused/answers/a/b/c/d/CLIENT",
    "diffused/jet1/reply/CLIENT",
    "diffused/jet1/request/CLIENT",
    "diffused/jet1/admin/CLIENT",
];

pub fn rows() -> Vec<Row> {
    let long = format!("diffused/answers/CLIENT/{}", "x".repeat(240));
    let denied = DENIED.iter().copied().chain([long.as_str()]).map(|topic| {
        let row = Row::new(GOOD, "reply_topic_denied", "").properties(to(topic));
        Row { what: format!("the response topic {topic}"), ..row }
    });
    denied.chain(correlations()).chain(contents()).chain(properties()).collect()
}

fn to(topic: &str) -> PublishProperties {
    PublishProperties { response_topic: Some(topic.to_owned()), ..PublishProperties::default() }
}

/// Letters, because mosquitto_sub prints them as they are.
fn correlations() -> impl Iterator<Item = Row> {
    [0, 1, 128, 129, 60_000].into_iter().flat_map(|bytes| {
        let properties =
            PublishProperties { correlation_data: Some(vec![b'c'; bytes].into()), ..PublishProperties::default() };
        [Row::new(GOOD, DONE, ""), Row::new("{", "malformed", "")]
            .map(|row| Row { what: format!("{bytes} bytes of Correlation Data"), ..row.properties(properties.clone()) })
    })
}

fn contents() -> Vec<Row> {
    let content = |name: &str, request: Option<&str>| PublishProperties {
        content_type: Some(name.to_owned()),
        user_properties: request.map(|request| ("request".to_owned(), request.to_owned())).into_iter().collect(),
        ..PublishProperties::default()
    };
    let png = golden("png_rgb");
    let named = |row: Row, name: &str| Row { what: format!("{} as {name}", row.what), ..row };
    let lies = ["text/plain", "application/octet-stream", "", "image", "imagery/png", "a/b/c; charset=\"", "\u{202e}"]
        .map(|name| named(Row::new(GOOD, DONE, "").properties(content(name, None)), name));
    let mut rows = vec![
        Row::new(png.clone(), DONE, "").properties(content("image/png", Some(GOOD))),
        Row::new(png.clone(), DONE, "").properties(content("IMAGE/x-what", Some("a cat"))),
        Row::new(png.clone(), "malformed", "").properties(content("image/png", None)),
        Row::new(png.clone(), "malformed", "").properties(content("image/png", Some("{"))),
        Row::new(png.clone(), "malformed", "").properties(content("text/plain", None)),
        Row::new(png.clone(), "malformed", "").properties(content("application/json", Some(GOOD))),
        Row::new(GOOD, "malformed", "").properties(content("image/png", None)),
        Row::new(GOOD, "invalid_image", "init_image").properties(content("image/png", Some(GOOD))),
        Row::new(png.clone(), "invalid_field", "init_image")
            .properties(content("image/png", Some(r#"{"prompt":"x","init_image":{"upload":"a"}}"#))),
        Row::new(png.clone(), "invalid_field", "prompt").properties(content("image/png", Some("  "))),
        Row::new(png, "invalid_field", "steps").properties(content("image/png", Some(r#"{"prompt":"x","steps":0}"#))),
    ];
    rows.extend(lies);
    rows
}

fn properties() -> Vec<Row> {
    let many = (0..1000).map(|n| (format!("key {n}"), "value".repeat(8))).collect();
    let twice = ["a", "b"].map(|prompt| ("request".to_owned(), prompt.to_owned())).to_vec();
    let users = |user_properties| PublishProperties { user_properties, ..PublishProperties::default() };
    let expiry = |seconds| PublishProperties { message_expiry_interval: Some(seconds), ..PublishProperties::default() };
    let utf8 = PublishProperties { payload_format_indicator: Some(0), ..PublishProperties::default() };
    vec![
        Row { what: "1,000 user properties".to_owned(), ..Row::new(GOOD, DONE, "").properties(users(many)) },
        Row::new(GOOD, DONE, "").properties(users(twice)),
        Row::new(GOOD, DONE, "").properties(expiry(u32::MAX)),
        Row::new(GOOD, DONE, "").properties(expiry(3600)),
        Row::new(GOOD, DONE, "").properties(utf8),
        Row::new(GOOD, DONE, "").properties(PublishProperties { topic_alias: Some(1), ..Default::default() }),
    ]
}
