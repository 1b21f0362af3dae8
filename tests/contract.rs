//! Bad input gets the contract's code, the node stays up, and the next good request is served.

use serde_json::{Value, json};

use crate::support::broker::Mosquitto;
use crate::support::fake::Painter;
use crate::support::listener::Listener;
use crate::support::node::Node;

/// A request of client `esp32` that must be rejected: its payload and the expected code and field.
struct Bad(&'static str, &'static [u8], &'static str, &'static str);

const BAD: &[Bad] = &[
    Bad("not JSON", br#"{"id":"x","prompt""#, "malformed", ""),
    Bad("trailing bytes", br#"{"prompt":"x"} y"#, "malformed", ""),
    Bad("a key twice", br#"{"prompt":"x","prompt":"y"}"#, "malformed", ""),
    Bad("no UTF-8", b"\xff\xfea\0 cat", "malformed", ""),
    Bad("UTF-16 JSON", b"{\0\"\0", "malformed", ""),
    Bad("too deep", b"{\"prompt\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[", "malformed", ""),
    Bad("infinite", br#"{"prompt":"x","guidance_scale":1e999}"#, "malformed", ""),
    Bad("unknown key", br#"{"prompt":"x","stepz":3}"#, "invalid_field", "\"stepz\""),
    Bad("foreign key", br#"{"prompt":"x","cfg_scale":3}"#, "invalid_field", "cfg_scale"),
    Bad("no prompt", br#"{"seed":1}"#, "invalid_field", "prompt"),
    Bad("blank prompt", b"   ", "invalid_field", "prompt"),
    Bad("prompt of the wrong type", br#"{"prompt":7}"#, "invalid_field", "prompt"),
    Bad("steps of the wrong type", br#"{"prompt":"x","steps":"20"}"#, "invalid_field", "steps"),
    Bad("a fraction of a step", br#"{"prompt":"x","steps":2.5}"#, "invalid_field", "steps"),
    Bad("no steps", br#"{"prompt":"x","steps":0}"#, "invalid_field", "steps"),
    Bad("too many steps", br#"{"prompt":"x","steps":400}"#, "invalid_field", "steps"),
    Bad("negative guidance", br#"{"prompt":"x","guidance_scale":-1}"#, "invalid_field", "guidance_scale"),
    Bad("seed too large", br#"{"prompt":"x","seed":9007199254740992}"#, "invalid_field", "seed"),
    Bad("seed -2", br#"{"prompt":"x","seed":-2}"#, "invalid_field", "seed"),
    Bad("size not of eights", br#"{"prompt":"x","width":60}"#, "invalid_field", "width"),
    Bad("negative size", br#"{"prompt":"x","height":-64}"#, "invalid_field", "height"),
    Bad("too many pixels", br#"{"prompt":"x","width":8192,"height":8192}"#, "size_not_supported", "width"),
    Bad("too many pictures", br#"{"prompt":"x","count":5}"#, "invalid_field", "count"),
    Bad("short deadline", br#"{"prompt":"x","deadline_ms":10}"#, "invalid_field", "deadline_ms"),
    Bad("no time", br#"{"prompt":"x","not_after":"tomorrow"}"#, "invalid_field", "not_after"),
    Bad("output key", br#"{"prompt":"x","output":{"fromat":"png"}}"#, "invalid_field", "\"output.fromat\""),
    Bad("output format", br#"{"prompt":"x","output":{"format":"gif"}}"#, "invalid_field", "output.format"),
    Bad("later format", br#"{"prompt":"x","output":{"format":"mono"}}"#, "unsupported_mode", "output.format"),
    Bad("id with a path", br#"{"id":"../x","prompt":"x"}"#, "invalid_field", "id"),
    Bad("id is a topic word", br#"{"id":"reply","prompt":"x"}"#, "invalid_field", "id"),
    Bad("version 2", br#"{"v":2,"prompt":"x"}"#, "unsupported_version", "v"),
    Bad("model", br#"{"prompt":"x","model":"../../etc"}"#, "unknown_model", "model"),
    Bad("sampler", br#"{"prompt":"x","sampler":"magic"}"#, "unknown_sampler", "sampler"),
    Bad("schedule", br#"{"prompt":"x","schedule":"magic"}"#, "unknown_schedule", "schedule"),
    Bad("a picture that is none", br#"{"prompt":"x","init_image":{"data":"aGVsbG8="}}"#, "invalid_image", "init_image"),
    Bad("no base64", br#"{"prompt":"x","init_image":{"data":"?"}}"#, "invalid_image", "init_image"),
    Bad("a bomb", br#"{"prompt":"x","init_image":{"data":"iVBORw0KGgoAAAANSUhEUgAA6mAAAOpgCAAAAACluSqeAAAACElEQVR4nAMAAAAAAUgGidIAAAAASUVORK5CYII="}}"#, "image_too_large", "init_image"),
    Bad("a picture without data", br#"{"prompt":"x","init_image":{}}"#, "invalid_field", "init_image"),
    Bad("a picture by name", br#"{"prompt":"x","init_image":"cat.png"}"#, "invalid_field", "init_image"),
    Bad("an earlier result", br#"{"prompt":"x","init_image":{"result":"a/0"}}"#, "unsupported_mode", "init_image"),
    Bad("strength 2", br#"{"prompt":"x","strength":2}"#, "invalid_field", "strength"),
    Bad("a mask alone", br#"{"prompt":"x","mask":{"data":"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="}}"#, "invalid_field", "mask"),
    Bad("fit", br#"{"prompt":"x","init_fit":"shrink"}"#, "invalid_field", "init_fit"),
    Bad("depth", br#"{"prompt":"x","depth":{"data":"iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNoAAAAggCBd81ytgAAAABJRU5ErkJggg=="}}"#, "unsupported_mode", "depth"),
    Bad("depth of nothing", br#"{"prompt":"x","depth":7}"#, "invalid_field", "depth"),
    Bad("interval", br#"{"prompt":"x","guidance_interval":[0.5,0.2]}"#, "invalid_field", "guidance_interval"),
    Bad("ramp", br#"{"prompt":"x","guidance_ramp":"steep"}"#, "invalid_field", "guidance_ramp"),
    Bad("rescale", br#"{"prompt":"x","guidance_rescale":1.5}"#, "invalid_field", "guidance_rescale"),
    Bad("seed source", br#"{"prompt":"x","seed_source":"mps"}"#, "invalid_field", "seed_source"),
    Bad("variation", br#"{"prompt":"x","variation":{"seed":3}}"#, "invalid_field", "variation.strength"),
    Bad("restart", br#"{"prompt":"x","restart":{"from":3,"to":2}}"#, "invalid_field", "restart.from"),
    Bad("resample", br#"{"prompt":"x","steps":100,"resample":{"repeats":20}}"#, "invalid_field", "resample"),
    Bad("a label that is unknown", br#"{"prompt":"x","classifier":{"label":"cat"}}"#, "invalid_field", "classifier.label"),
    Bad("a lora by name", br#"{"prompt":"x","loras":["style"]}"#, "invalid_field", "loras"),
    Bad("a lora without a name", br#"{"prompt":"x","loras":[{"scale":1}]}"#, "invalid_field", "loras.name"),
    Bad("a scale of 9", br#"{"prompt":"x","loras":[{"name":"style","scale":9}]}"#, "invalid_field", "loras.scale"),
    Bad("a weight of a lora", br#"{"prompt":"x","loras":[{"name":"style","weight":1}]}"#, "invalid_field", "\"loras.weight\""),
    Bad("no such lora", br#"{"prompt":"x","loras":[{"name":"../style"}]}"#, "unknown_adapter", "loras"),
    Bad("no such lora in the prompt", br#"{"prompt":"x <lora:none:0.5>"}"#, "unknown_adapter", "prompt"),
    Bad("no such hypernetwork", br#"{"prompt":"x","hypernetworks":[{"name":"style"}]}"#, "unknown_adapter", "hypernetworks"),
    Bad("half a pair", br#"{"prompt":"<dreamartist:style>"}"#, "unknown_adapter", "prompt"),
    Bad("a lora that does not fit", br#"{"prompt":"<lora:wide>"}"#, "adapter_mismatch", "prompt"),
    Bad("an embedding that does not fit", br#"{"prompt":"x","negative_prompt":"narrow"}"#, "adapter_mismatch", "negative_prompt"),
    Bad("clip_skip 5", br#"{"prompt":"x","clip_skip":5}"#, "invalid_field", "clip_skip"),
    Bad("clip_skip 3", br#"{"prompt":"x","clip_skip":3}"#, "unsupported_mode", "clip_skip"),
    Bad("seventeen conditions", br#"{"prompt":"a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a AND a"}"#, "invalid_field", "prompt"),
    Bad("preview", br#"{"prompt":"x","preview":{"every":1}}"#, "unsupported_mode", "preview"),
    Bad("syntax", br#"{"prompt":"x","prompt_syntax":"comfy"}"#, "invalid_field", "prompt_syntax"),
    Bad("nine tags", br#"{"prompt":"x","tags":{"a":"","b":"","c":"","d":"","e":"","f":"","g":"","h":"","i":""}}"#, "invalid_field", "tags"),
];

#[test]
fn every_kind_of_bad_request_gets_its_code_and_field() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let node = Node::online(&broker, Painter::default(), &listener);
    for (index, Bad(what, payload, code, field)) in BAD.iter().enumerate() {
        broker.publish("diffused/jet1/request/esp32", payload, &[]);
        let rejected = nth_rejection(&listener, index);
        assert_eq!(rejected["code"], json!(code), "{what}: {rejected}");
        assert_eq!(rejected.get("field").and_then(Value::as_str).unwrap_or(""), *field, "{what}: {rejected}");
        assert!(rejected["message"].as_str().unwrap().len() <= 160, "{what}");
    }
    assert_eq!(node.painter.begun(), 0);
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"good","prompt":"x"}"#, &[]);
    listener.status("good", "done");
}

#[test]
fn what_depends_on_the_message_itself_is_refused_too() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[limits]\nrequest_bytes = 300\nprompt_chars = 100";
    let node = Node::with(&broker, Painter::default(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    let topic = "diffused/jet1/request/esp32";
    broker.publish(topic, "x".repeat(301), &[]);
    assert_eq!(nth_rejection(&listener, 0)["code"], json!("payload_too_large"));
    broker.publish(topic, "x".repeat(101), &[]);
    assert_eq!(nth_rejection(&listener, 1)["code"], json!("prompt_too_long"));
    broker.publish(topic, "x", &["-r"]);
    let retained = nth_rejection(&listener, 2);
    assert_eq!(retained["code"], json!("retained_request"));
    assert!(retained["id"].as_str().unwrap().starts_with("invalid-"));
    broker.publish(topic, "x", &["-D", "publish", "response-topic", "homeassistant/x"]);
    assert_eq!(nth_rejection(&listener, 3)["code"], json!("reply_topic_denied"));
    broker.publish(topic, "", &[]);
    broker.publish("diffused/jet1/request/status", "x", &[]);
    broker.publish(topic, r#"{"id":"good","prompt":"x"}"#, &[]);
    listener.status("good", "done");
    assert_eq!(node.painter.begun(), 1, "empty messages and clients that are topic words are ignored");
}

#[test]
fn requests_at_any_quality_of_service_and_protocol_version_are_served() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    for (id, flags) in [("q0", ["-q", "0"]), ("q2", ["-q", "2"]), ("v311", ["-V", "mqttv311"])] {
        broker.publish("diffused/jet1/request/esp32", format!(r#"{{"id":"{id}","prompt":"x"}}"#), &flags);
        listener.status(id, "done");
    }
}

#[test]
fn correlation_data_and_message_expiry_stand_in_for_id_and_deadline() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::holding(), &listener);
    let properties = ["-D", "publish", "correlation-data", "job-7", "-D", "publish", "message-expiry-interval", "1"];
    broker.publish("diffused/jet1/request/esp32", "x", &properties);
    assert_eq!(listener.status("job-7", "expired")["code"], json!("expired"));
}

#[test]
fn commands_that_cannot_be_done_are_answered() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let topic = "diffused/jet1/command/esp32";
    broker.publish(topic, r#"{"id":"c1","command":"list","what":"jobs"}"#, &[]);
    let answer = listener.first("reply/esp32/c1/answer").json();
    assert_eq!((&answer["ok"], &answer["code"]), (&json!(false), &json!("unsupported_mode")));
    broker.publish(topic, r#"{"id":"c2","command":"cancel","job":"nobody"}"#, &[]);
    assert_eq!(listener.first("reply/esp32/c2/answer").json()["code"], json!("not_found"));
    broker.publish(topic, "cancel!", &[]);
    assert_eq!(listener.first("reply/esp32/command/answer").json()["code"], json!("malformed"));
}

#[test]
fn a_picture_that_the_broker_would_not_take_is_made_smaller_or_fails_its_job_and_never_the_connection() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 3000");
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let ask = |id: &str, format: &str| {
        let output = json!({"format": format});
        let request = json!({"id": id, "prompt": "x", "width": 1024, "height": 1024, "output": output});
        broker.publish("diffused/jet1/request/esp32", request.to_string(), &[]);
    };
    ask("lossless", "png");
    assert_eq!(listener.status("lossless", "failed")["code"], json!("output_too_large"));
    ask("lossy", "jpeg");
    listener.status("lossy", "done");
    assert!(listener.first("lossy/image/0").payload.len() < 3000);
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
}

#[test]
fn an_answer_that_the_broker_would_not_take_with_its_correlation_data_goes_without() {
    let broker = Mosquitto::with("allow_anonymous true\nmax_packet_size 3000");
    let listener = Listener::start(&broker);
    let _node = Node::online(&broker, Painter::default(), &listener);
    let long = "x".repeat(2850);
    let topic = "diffused/jet1/request/esp32";
    let properties = ["-D", "publish", "correlation-data", &long];
    broker.publish(topic, "{", &properties);
    assert_eq!(nth_rejection(&listener, 0)["code"], json!("malformed"));
    broker.publish(topic, r#"{"id":"a1","prompt":"x","progress":true}"#, &properties);
    listener.status("a1", "done");
    listener.first("a1/image/0");
    assert_eq!(listener.on("jet1/availability").len(), 1, "the connection was never lost");
}

#[test]
fn the_operators_defaults_hold_for_what_a_request_leaves_out() {
    let broker = Mosquitto::start();
    let listener = Listener::start(&broker);
    let lines = "[defaults]\nwidth = 128\ndeadline_ms = 1500\n[defaults.output]\nformat = 'jpeg'";
    let node = Node::with(&broker, Painter::holding(), lines, tempfile::tempdir().unwrap());
    listener.first_where("jet1/availability", |heard| heard.text() == "online");
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a1","prompt":"x"}"#, &[]);
    listener.status("a1", "expired");
    broker.publish("diffused/jet1/request/esp32", r#"{"id":"a2","prompt":"x","deadline_ms":60000}"#, &[]);
    listener.status("a2", "started");
    node.painter.let_go();
    let image = listener.status("a2", "done")["images"][0].clone();
    assert_eq!((&image["width"], &image["format"]), (&json!(128), &json!("jpeg")));
}

/// The rejections of client `esp32` in the order they came.
fn nth_rejection(listener: &Listener, index: usize) -> Value {
    let mut found = None;
    crate::support::eventually(&format!("rejection {index}"), || {
        let all: Vec<Value> = listener
            .all()
            .iter()
            .filter(|heard| heard.topic.contains("/reply/esp32/") && heard.topic.ends_with("/status"))
            .map(crate::support::listener::Heard::json)
            .filter(|status| status["state"] == json!("rejected"))
            .collect();
        found = all.get(index).cloned();
        found.is_some()
    });
    found.unwrap()
}

#[test]
fn every_error_code_has_its_line_in_the_readme() {
    let readme = std::fs::read_to_string(crate::support::program::root().join("README.md")).unwrap();
    for code in diffused::job::Code::ALL {
        assert!(readme.contains(&format!("\n| `{code}` | ")), "{code} has no line");
    }
}
