//! What is told must be true of the node, and of a kind that Home Assistant takes.

use std::collections::BTreeSet;

use serde_json::Map;

use super::*;
use crate::job::command::{Admin, Command};
use crate::job::{Limits, Mode, ModelFacts, Rules};
use crate::mqtt::door::Door;

fn topics() -> Topics {
    Topics::new("home/art", "jet-1").unwrap()
}

fn settings() -> HomeAssistant {
    HomeAssistant {
        prefix: Prefix::try_from("homeassistant").unwrap(),
        form: Form::Device,
        client: Client::try_from("homeassistant").unwrap(),
        area: Some("Studio".to_owned()),
    }
}

fn rules() -> Rules {
    let flat = ModelFacts::flat(&[Mode::Text]);
    let limits = Limits { request_bytes: 9999, prompt_chars: 99, pixels: 64 * 96, steps: 50, count: 1 };
    Rules::bare(limits, vec![flat.clone(), ModelFacts { name: "other".to_owned(), fixed_size: true, ..flat }])
}

fn choices(defaults: Value) -> Choices {
    Choices::new(&rules(), defaults.as_object().unwrap())
}

fn announced(form: Form, image: Option<Format>) -> Vec<(String, Value)> {
    let (topics, choices) = (topics(), choices(json!({"model": "flat", "width": 64, "height": 64})));
    let announcements =
        settings().announcements(&Shown { topics: &topics, choices, board: Some("a board"), image }, form);
    announcements.into_iter().map(|one| (one.topic, serde_json::from_str(&one.payload).unwrap())).collect()
}

/// The entities of the device form by their object.
fn components(image: Option<Format>) -> Map<String, Value> {
    announced(Form::Device, image)[0].1["components"].as_object().unwrap().clone()
}

#[test]
fn everything_that_the_issue_names_is_an_entity_of_one_device() {
    let device = announced(Form::Device, Some(Format::Jpeg));
    assert_eq!(device.len(), 1);
    let (topic, whole) = &device[0];
    assert_eq!(topic, "homeassistant/device/home_art_jet-1/config");
    assert_eq!(settings().form_of(&topics(), topic), Some(Form::Device));
    for other in ["homeassistant/device/home_art_jet-2/config", "ha/device/home_art_jet-1/config", "homeassistant"] {
        assert_eq!(settings().form_of(&topics(), other), None, "{other}");
    }
    assert_eq!(whole["device"]["name"], json!("diffused jet-1"));
    assert_eq!((&whole["device"]["suggested_area"], &whole["device"]["model"]), (&json!("Studio"), &json!("a board")));
    let expected = "image job prompt generate cancel negative model sampler size steps guidance seed accept state \
        queue progress duration done failed temperature power memory problem";
    let objects: Vec<_> = components(Some(Format::Jpeg)).keys().cloned().collect();
    assert_eq!(objects.join(" "), expected);
}

#[test]
fn both_forms_tell_the_same_entities() {
    let mut singles = Map::new();
    for (topic, mut single) in announced(Form::Single, Some(Format::Jpeg)) {
        let levels: Vec<_> = topic.split('/').collect();
        assert_eq!(settings().form_of(&topics(), &topic), Some(Form::Single), "{topic}");
        let ["homeassistant", platform, "home_art_jet-1", object, "config"] = levels[..] else { panic!("{topic}") };
        let single_map = single.as_object_mut().unwrap();
        for shared in ["device", "origin", "availability", "qos"] {
            assert!(single_map.remove(shared).is_some(), "{topic} lacks {shared}");
        }
        single_map.insert("platform".to_owned(), json!(platform));
        singles.insert(object.to_owned(), single);
    }
    assert_eq!(singles, components(Some(Format::Jpeg)));
}

#[test]
fn every_topic_is_one_that_the_node_has() {
    let topics = topics();
    let said =
        [topics.state(), topics.defaults(), topics.shortcut_picture(), topics.shortcut_status(), topics.availability()];
    let mut seen = 0;
    for (topic, whole) in announced(Form::Single, Some(Format::Jpeg)) {
        assert_eq!(whole["availability"], json!([{"topic": topics.availability()}]));
        for (key, value) in whole.as_object().unwrap().iter().filter(|(key, _)| key.ends_with("topic")) {
            let place = value.as_str().unwrap();
            seen += 1;
            match key.as_str() {
                "command_topic" => assert!(hears(&topics, place), "{topic}: nobody hears {place}"),
                _ => assert!(said.contains(&place.to_owned()), "{topic}: nobody says {place}"),
            }
        }
    }
    assert!(seen > 25, "{seen} topics");
    assert!(!hears(&topics, &topics.state()) && !hears(&topics, "home/art/jet-1/command/image"));
}

/// Whether what is published there is taken by the node, and not its own.
fn hears(topics: &Topics, topic: &str) -> bool {
    topics.door(topic).is_some_and(|door| door != Door::State)
}

#[test]
fn no_entity_has_anothers_id_an_abbreviated_topic_or_its_own_availability() {
    let components = components(Some(Format::Jpeg));
    let ids: BTreeSet<_> = components.values().map(|one| one["unique_id"].to_string()).collect();
    assert_eq!(ids.len(), components.len());
    for (object, component) in &components {
        let text = component.to_string();
        assert!(!text.contains('~') && component.get("availability").is_none(), "{object}: {text}");
        assert!(component["platform"].is_string() && component["name"].is_string(), "{object}: {text}");
    }
}

#[test]
fn buttons_and_the_switch_send_what_the_node_understands() {
    let components = components(Some(Format::Jpeg));
    let said = |object: &str, key: &str| components[object][key].as_str().unwrap().as_bytes().to_vec();
    let command = |object| Command::parse(&said(object, "payload_press"), false, 999).map(|order| order.what);
    assert_eq!(command("generate"), Ok(Command::Repeat));
    assert_eq!(command("cancel"), Ok(Command::Cancel { job: None }));
    let order = |key| Admin::parse(&said("accept", key), false, 999).map(|order| order.what);
    assert_eq!((order("payload_on"), order("payload_off")), (Ok(Admin::Resume), Ok(Admin::Pause)));
    assert_eq!(components["accept"]["command_topic"], json!("home/art/jet-1/admin/homeassistant"));
}

#[test]
fn a_node_without_the_prompt_topic_shows_nothing_of_it_and_no_browser_gets_bytes_for_a_panel() {
    let shown = |image| {
        let with_a_name = |(_, one): &(String, Value)| one.get("name").is_some();
        let shown: Vec<String> = components(image).into_iter().filter(with_a_name).map(|(object, _)| object).collect();
        assert_eq!(shown.len(), announced(Form::Single, image).len());
        shown.join(" ")
    };
    let closed = "accept state queue progress duration done failed temperature power memory problem";
    assert_eq!(shown(None), closed);
    assert_eq!(components(Some(Format::Png))["image"]["content_type"], json!("image/png"));
    let raw = shown(Some(Format::Rgb565));
    assert!(raw.starts_with("job prompt") && raw.ends_with(closed), "{raw}");
    // What is not shown any more has to be said, or it would stay.
    assert_eq!(components(None)["image"], json!({"platform": "image"}));
}

#[test]
fn sizes_are_what_the_model_makes_within_the_limits_and_what_is_set_now() {
    let sizes = |defaults| choices(defaults).sizes;
    assert_eq!(
        sizes(json!({"model": "flat", "width": 64, "height": 64})),
        ["64x64", "96x64", "64x96", "80x48", "48x80"]
    );
    assert_eq!(sizes(json!({"model": "flat", "width": 40, "height": 72}))[..2], ["40x72", "64x64"]);
    assert_eq!(sizes(json!({"model": "other", "width": 64, "height": 64})), ["64x64"]);
    assert_eq!(choices(json!({})).models, ["flat", "other"]);
}

#[test]
fn a_whole_device_stays_below_a_small_brokers_limit() {
    let bytes = announced(Form::Device, Some(Format::Jpeg))[0].1.to_string().len();
    assert!(bytes < 10 * 1024, "{bytes} bytes");
    for (topic, single) in announced(Form::Single, Some(Format::Jpeg)) {
        assert!(single.to_string().len() < 1536, "{topic}");
    }
}

#[test]
fn a_prefix_is_plain_and_does_not_hold_the_nodes_topics() {
    for wrong in ["", "a/", "/a", "a/+", "#", "$SYS", "a b", &"x".repeat(65)] {
        assert!(Prefix::try_from(wrong).is_err(), "{wrong}");
    }
    let with = |prefix| HomeAssistant { prefix: Prefix::try_from(prefix).unwrap(), ..settings() };
    assert!(with("home").swallows(&topics()) && with("home/art").swallows(&topics()));
    assert!(!with("hom").swallows(&topics()) && !with("homeassistant").swallows(&topics()));
    assert_eq!(with("lab/ha").status(), "lab/ha/status");
}
