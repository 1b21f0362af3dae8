//! Whatever is set as the defaults of a bare prompt, a bare prompt is taken afterwards.

use std::cell::OnceCell;
use std::sync::Arc;

use diffused::job::units::Client;
use diffused::job::{Origin, Request};
use diffused::service::{Activity, Bell, Desk, LiveRules, Message, Reporter, Store};
use serde_json::Value;
use tempfile::TempDir;

use super::draw::Draw;
use super::ground::{arrival, rules};
use super::request::FIELDS;

thread_local! {
    static DESK: OnceCell<(Desk, TempDir)> = const { OnceCell::new() };
}

pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let drawn = Value::Object(Draw(rest).object(FIELDS)).to_string();
    let payload = if kind % 4 == 0 { rest } else { drawn.as_bytes() };
    DESK.with(|desk| hold(&desk.get_or_init(open).0, payload));
}

fn open() -> (Desk, TempDir) {
    let folder = tempfile::tempdir().expect("a folder");
    let desk = Desk {
        rules: Arc::new(LiveRules::new(rules())),
        queue: 16,
        per_client: 4,
        meter: None,
        log_prompts: false,
        store: Arc::new(Store::open(folder.path(), "boot", None).expect("a store")),
        reporter: Reporter::new("jet1"),
        activity: Arc::new(Activity::new(1, 16, "flat")),
        bell: Arc::new(Bell::default()),
        notify: Arc::new(|_| {}),
    };
    (desk, folder)
}

fn hold(desk: &Desk, payload: &[u8]) {
    let message = Message {
        client: Client::shortcut(),
        origin: Origin::Shortcut,
        payload: payload.to_vec(),
        attachment: None,
        retained: false,
        redelivered: false,
        correlation: None,
        expiry: None,
        reply: None,
        hops: None,
        fault: None,
    };
    let before = desk.rules.now().shortcut_defaults.clone();
    desk.set_defaults(&message).expect("the store works");
    let now = desk.rules.now();
    let bare = Request::parse(&arrival(b"x", Origin::Shortcut), &now);
    let shown = String::from_utf8_lossy(payload);
    assert!(bare.is_ok(), "{:?} after {shown}", bare.err());
    assert!(now.shortcut_defaults == before || serde_json::from_slice::<Value>(payload).is_ok(), "{shown}");
    assert!(desk.defaults().contains_key("steps"), "the defaults can be told");
    if now.shortcut_defaults.len() > 12 {
        desk.rules.change_shortcut_defaults(serde_json::Map::new());
    }
}
