mod pool;

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::job::hex;
use crate::mqtt::requester::Update;
use crate::mqtt::{Pool, Topics};

const REQUEST: &str = r#"{"id":"a1","prompt":"a star"}"#;

/// An errand, and a clock that tests move.
struct Trial {
    errand: Errand,
    now: Instant,
}

impl Trial {
    fn of(target: Target, payload: &str) -> Self {
        let errand = Errand::new(Order {
            target,
            client: Client::try_from("cam").unwrap(),
            id: JobId::try_from("a1").unwrap(),
            payload: payload.to_owned(),
            patience: Patience::default(),
            most: 100_000,
        });
        let mut trial = Self { errand, now: Instant::now() };
        trial.happens(Event::Up { max_packet: 1000 });
        trial
    }

    /// A request to jet1 that was sent.
    fn sent() -> Self {
        let mut trial = Self::of(Topics::new("diffused", "jet1").unwrap().into(), REQUEST);
        assert_eq!(published(&trial.happens(Event::Granted)), ["diffused/jet1/request/cam"]);
        trial
    }

    /// A request to the pool studio that was sent.
    fn pool() -> Self {
        let mut trial = Self::of(Target::pool("diffused", Pool::try_from("studio").unwrap()).unwrap(), REQUEST);
        assert_eq!(published(&trial.happens(Event::Granted)), ["diffused/pool/studio/request/cam"]);
        trial
    }

    fn tries(&mut self, event: Event<'_>) -> Result<Vec<Act>, AskError> {
        self.errand.react(event, self.now)
    }

    fn happens(&mut self, event: Event<'_>) -> Vec<Act> {
        self.tries(event).unwrap()
    }

    fn hears(&mut self, topic: &str, payload: impl AsRef<[u8]>) -> Vec<Act> {
        self.happens(message(topic, payload.as_ref()))
    }

    fn after(&mut self, seconds: f64) -> Vec<Act> {
        self.now += Duration::from_secs_f64(seconds);
        self.happens(Event::Tick)
    }
}

fn message<'a>(topic: &'a str, payload: &'a [u8]) -> Event<'a> {
    Event::Message { topic, payload, retained: false, mark: None }
}

fn published(acts: &[Act]) -> Vec<&str> {
    let published = acts.iter().filter_map(|act| match act {
        Act::Publish { topic, .. } => Some(topic.as_str()),
        _ => None,
    });
    published.collect()
}

/// The commands among some acts, without their ids.
fn commands(acts: &[Act]) -> Vec<Value> {
    let payload = |act: &Act| if let Act::Publish { payload, .. } = act { Some(payload.clone()) } else { None };
    let read = |payload: Vec<u8>| {
        let mut json: Value = serde_json::from_slice(&payload).unwrap();
        json.as_object_mut().unwrap().remove("id").unwrap();
        json
    };
    acts.iter().filter_map(payload).map(read).collect()
}

fn state(state: &str, seq: u64) -> String {
    json!({"state": state, "id": "a1", "seq": seq, "code": "inference", "message": "no", "retryable": false})
        .to_string()
}

fn picture(parts: usize) -> Vec<u8> {
    (0..parts * 10).map(|byte| byte as u8).collect()
}

/// `done` with a picture in parts of ten bytes; no parts: whole.
fn done(bytes: &[u8], parts: usize) -> String {
    let part_bytes = if parts > 0 { 10 } else { 0 };
    let image = json!({"k": 0, "bytes": bytes.len(), "sha256": hex(&Sha256::digest(bytes)), "part_bytes": part_bytes,
        "parts": parts});
    json!({"state": "done", "id": "a1", "seq": 3, "images": [image]}).to_string()
}

#[test]
fn a_silent_node_gets_the_same_request_every_ten_seconds() {
    let mut trial = Trial::sent();
    assert!(trial.after(9.9).is_empty());
    let again = trial.after(0.2);
    assert_eq!(again, [Act::Publish { topic: "diffused/jet1/request/cam".into(), payload: REQUEST.into() }]);
    assert_eq!(trial.after(10.1).len(), 1);
    trial.hears("diffused/jet1/reply/cam/a1/status", state("accepted", 1));
    assert!(trial.after(100.0).is_empty());
}

#[test]
fn a_full_queue_is_tried_again_when_the_node_says_so() {
    let mut trial = Trial::sent();
    let full = json!({"state": "rejected", "seq": 1, "code": "queue_full", "retryable": true, "retry_after_ms": 30000});
    let told = trial.hears("diffused/jet1/reply/cam/a1/status", full.to_string());
    assert!(matches!(told.as_slice(), [Act::Tell(Update::Status(_))]));
    assert!(trial.after(29.0).is_empty());
    assert_eq!(trial.after(2.0).len(), 1);
}

#[test]
fn a_no_that_is_final_ends_the_errand() {
    let mut trial = Trial::sent();
    let refused = trial.tries(message("diffused/jet1/reply/cam/a1/status", state("failed", 2).as_bytes()));
    assert!(matches!(refused, Err(AskError::Refused { state, .. }) if state == "failed"));
    let unread = unreadable_id(&Sha256::digest(REQUEST).into());
    let topic = format!("diffused/jet1/reply/cam/{unread}/status");
    let refused = Trial::sent().tries(message(&topic, state("rejected", 1).as_bytes()));
    assert!(matches!(refused, Err(AskError::Refused { state, .. }) if state == "rejected"));
}

#[test]
fn a_picture_may_come_after_done_twice_and_damaged() {
    let mut trial = Trial::sent();
    trial.hears("diffused/jet1/reply/cam/a1/status", done(&picture(3), 0));
    trial.hears("diffused/jet1/reply/cam/a1/image/0", b"damaged");
    assert_eq!(trial.errand.result(), None);
    assert_eq!(commands(&trial.after(3.1)), [json!({"command": "get", "job": "a1", "k": 0})]);
    trial.hears("diffused/jet1/reply/cam/a1/image/0", picture(3));
    trial.hears("diffused/jet1/reply/cam/a1/image/0", picture(3));
    assert_eq!(trial.errand.result().unwrap().pictures, [picture(3)]);
}

#[test]
fn missing_parts_are_asked_for_by_number_after_three_seconds_and_again_after_five() {
    let mut trial = Trial::sent();
    let bytes = picture(12);
    for i in [0, 1, 2, 11, 10, 6, 7, 8] {
        trial.hears(&format!("diffused/jet1/reply/cam/a1/part/0.{i}"), &bytes[i * 10..][..10]);
    }
    trial.hears("diffused/jet1/reply/cam/a1/status", done(&bytes, 12));
    assert!(trial.after(2.9).is_empty());
    let get = json!({"command": "get", "job": "a1", "k": 0, "parts": [[3, 5], 9]});
    let acts = trial.after(0.2);
    assert_eq!((published(&acts), commands(&acts)), (vec!["diffused/jet1/command/cam"], vec![get]));
    assert!(trial.after(4.8).is_empty());
    trial.hears("diffused/jet1/reply/cam/a1/part/0.4", &bytes[40..50]);
    // Parts are coming, so nothing is asked for yet.
    assert!(trial.after(0.3).is_empty());
    let get = json!({"command": "get", "job": "a1", "k": 0, "parts": [3, 5, 9]});
    assert_eq!(commands(&trial.after(3.0)), [get]);
    for i in [3, 5, 9] {
        trial.hears(&format!("diffused/jet1/reply/cam/a1/part/0.{i}"), &bytes[i * 10..][..10]);
    }
    assert_eq!(trial.errand.result().unwrap().pictures, [bytes]);
}

#[test]
fn a_node_that_keeps_its_parts_is_asked_for_them_in_batches() {
    let request = r#"{"id":"a1","prompt":"a star","output":{"push":false}}"#;
    let mut trial = Trial::of(Topics::new("diffused", "jet1").unwrap().into(), request);
    trial.happens(Event::Granted);
    let bytes = picture(40);
    let acts = trial.hears("diffused/jet1/reply/cam/a1/status", done(&bytes, 40));
    assert_eq!(commands(&acts), [json!({"command": "get", "job": "a1", "k": 0, "parts": [[0, 31]]})]);
    let mut next = Vec::new();
    for i in 0..32 {
        assert!(commands(&next).is_empty(), "before part {i}");
        next = trial.hears(&format!("diffused/jet1/reply/cam/a1/part/0.{i}"), &bytes[i * 10..][..10]);
    }
    assert_eq!(commands(&next), [json!({"command": "get", "job": "a1", "k": 0, "parts": [[32, 39]]})]);
}

#[test]
fn what_parts_do_not_bring_the_whole_picture_and_then_the_request_shall() {
    let mut trial = Trial::sent();
    trial.hears("diffused/jet1/reply/cam/a1/status", done(&picture(2), 2));
    let rounds: Vec<Act> = (0..5).flat_map(|_| trial.after(5.1)).collect();
    let parts = json!({"command": "get", "job": "a1", "k": 0, "parts": [[0, 1]]});
    let whole = json!({"command": "get", "job": "a1", "k": 0});
    assert_eq!(commands(&rounds[..4]), [parts.clone(), parts, whole.clone(), whole]);
    assert_eq!(published(&rounds[4..]), ["diffused/jet1/request/cam"]);
}

#[test]
fn a_node_that_has_no_such_parts_any_more_is_asked_for_the_picture() {
    let mut trial = Trial::sent();
    trial.hears("diffused/jet1/reply/cam/a1/status", done(&picture(2), 2));
    trial.after(3.1);
    let no = json!({"command": "get", "ok": false, "code": "not_found", "message": "no", "field": "parts"});
    let acts = trial.hears("diffused/jet1/reply/cam/a1-get-1/answer", no.to_string());
    assert_eq!(commands(&acts), [json!({"command": "get", "job": "a1", "k": 0})]);
    trial.hears("diffused/jet1/reply/cam/a1/image/0", picture(2));
    assert_eq!(trial.errand.result().unwrap().pictures, [picture(2)]);
}

#[test]
fn a_node_that_knows_no_get_gets_the_request_again_and_one_that_forgot_the_job_too_but_not_for_ever() {
    let mut trial = Trial::sent();
    for round in 1..=4 {
        trial.hears("diffused/jet1/reply/cam/a1/status", done(&picture(2), 0));
        assert_eq!(published(&trial.after(5.1)), ["diffused/jet1/command/cam"]);
        let topic = format!("diffused/jet1/reply/cam/a1-get-{round}/answer");
        let code = if round == 1 { "unsupported_mode" } else { "not_found" };
        let no = json!({"command": "get", "ok": false, "code": code, "message": "no"}).to_string();
        let answer = trial.tries(message(&topic, no.as_bytes()));
        match round {
            4 => assert!(matches!(answer, Err(AskError::Refused { code, .. }) if code == "not_found")),
            _ => assert_eq!(published(&answer.unwrap()), ["diffused/jet1/request/cam"], "round {round}"),
        }
    }
}

#[test]
fn statuses_that_come_twice_are_told_once() {
    let mut trial = Trial::sent();
    let told = |trial: &mut Trial| trial.hears("diffused/jet1/reply/cam/a1/status", state("accepted", 1)).len();
    assert_eq!((told(&mut trial), told(&mut trial)), (1, 0));
}

#[test]
fn a_request_that_no_packet_holds_is_not_sent() {
    let large = json!({"id": "a1", "prompt": "x".repeat(1000)}).to_string();
    let target: Target = Topics::new("diffused", "jet1").unwrap().into();
    let order = |payload: String| Order {
        target: target.clone(),
        client: Client::try_from("cam").unwrap(),
        id: JobId::try_from("a1").unwrap(),
        payload,
        patience: Patience::default(),
        most: 1000,
    };
    let up = |payload| Errand::new(order(payload)).react(Event::Up { max_packet: 1000 }, Instant::now());
    assert!(up(REQUEST.to_owned()).is_ok());
    assert!(matches!(up(large), Err(AskError::Refused { code, .. }) if code == "payload_too_large"));
}

#[test]
fn a_denied_request_is_an_end_and_a_denied_command_is_none() {
    let mut trial = Trial::sent();
    trial.happens(Event::Acknowledged { denied: false });
    trial.hears("diffused/jet1/reply/cam/a1/status", done(&picture(1), 0));
    assert_eq!(published(&trial.after(3.1)), ["diffused/jet1/command/cam"]);
    assert_eq!(published(&trial.happens(Event::Acknowledged { denied: true })), ["diffused/jet1/request/cam"]);
    assert!(matches!(trial.tries(Event::Acknowledged { denied: true }), Err(AskError::Denied(_))));
}

#[test]
fn pictures_that_are_too_large_are_not_waited_for() {
    let mut trial = Trial::sent();
    let large = done(&vec![0; 100_001], 0);
    let refused = trial.tries(message("diffused/jet1/reply/cam/a1/status", large.as_bytes()));
    assert_eq!(refused, Err(AskError::TooLarge { most: 100_000 }));
}
