//! Commands, an administrator's orders, and the answers to them.

use diffused::job::AdapterKind;
use diffused::job::command::{Admin, COMMANDS};
use diffused::service::store::State;
use serde_json::{Value, json};

use super::build::{
    Row, closed, count, document, flag, id, list, names, object, one_of, or, short_list, text, whole, with,
};
use super::reports::{fault, head};

/// A command of a client.
pub fn command() -> Value {
    let any = json!({"anyOf": [id(), {"const": "*"}]});
    let ranges = json!({"oneOf": [count_u32(), {"type": "array", "items": count_u32(), "minItems": 2, "maxItems": 2}]});
    let parts = with(short_list(ranges, 64), json!({"minItems": 1}));
    let get = order(
        "get",
        &["job"],
        vec![
            ("job", id(), "the job"),
            ("k", whole(0_u8..=15), "only this picture"),
            ("parts", parts, "only these parts of it: numbers, or first and last"),
        ],
    );
    let list = order(
        "list",
        &["what"],
        vec![
            ("what", names(["jobs", "models", "adapters"]), "of what"),
            ("after", text(), "only what comes after this id or name"),
            ("limit", or(whole(1_u8..=32), 8), "at most so many; fewer come if the answer would be too large"),
        ],
    );
    let shapes = vec![
        order("cancel", &["job"], vec![("job", any, "the job, or * for all of this client")]),
        with(get, json!({"dependentRequired": {"parts": ["k"]}})),
        list,
        order("repeat", &[], Vec::new()),
    ];
    document("command", "A command of a client", one_of(shapes))
}

/// An order of an administrator.
pub fn admin() -> Value {
    let rows = vec![
        ("id", id(), "names the order; the answer goes to reply/<client>/<id>/answer"),
        ("v", json!({"const": 1}), "version of the contract"),
        ("command", names(Admin::ALL.map(Admin::name)), ""),
    ];
    document("admin", "An order of an administrator", closed(&["command"], rows))
}

/// The answer to a command or to an order.
pub fn answer() -> Value {
    let job = |more: Vec<Row>| [vec![("job", id(), "the job")], more].concat();
    let page = |what: &'static str, entry: Value| {
        done("list", &[what, "more"], vec![(what, list(entry), ""), ("more", flag(), "whether there are more")])
    };
    let adapter = names(AdapterKind::ALL.map(AdapterKind::name));
    let entry = |more: Vec<Row>| object(&["name"], [vec![("name", text(), "")], more].concat());
    let listed =
        vec![("id", id(), ""), ("state", names(State::ALL.map(State::name)), ""), ("images", count(), "pictures")];
    let mut shapes = vec![
        done("cancel", &["jobs"], vec![("jobs", count(), "jobs that were ended, or are about to be")]),
        done(
            "get",
            &["job", "state", "sent"],
            job(vec![("state", names(State::ALL.map(State::name)), ""), ("sent", count(), "messages that will come")]),
        ),
        page("jobs", object(&["id", "state", "images"], listed)),
        page("models", entry(vec![("family", text(), ""), ("default", flag(), "")])),
        page("adapters", entry(vec![("kind", adapter, "")])),
        done("repeat", &["job", "seed"], job(vec![("seed", count(), "the new seed")])),
        done("clear", &["jobs"], vec![("jobs", count(), "jobs that were ended")]),
    ];
    shapes.extend(
        Admin::ALL.iter().filter(|order| **order != Admin::Clear).map(|order| done(order.name(), &[], Vec::new())),
    );
    shapes.push(refused());
    document("answer", "The answer to a command or an order", one_of(shapes))
}

fn count_u32() -> Value {
    whole(0..=u32::MAX)
}

fn order(name: &str, required: &[&str], more: Vec<Row>) -> Value {
    let rows = vec![
        ("id", id(), "names the command; the answer goes to reply/<client>/<id>/answer"),
        ("v", json!({"const": 1}), "version of the contract"),
        ("command", json!({"const": name}), ""),
    ];
    closed(&[&["command"], required].concat(), [rows, more].concat())
}

fn done(name: &str, required: &[&str], more: Vec<Row>) -> Value {
    let first = vec![("command", json!({"const": name}), ""), ("ok", json!({"const": true}), "")];
    let required = [&["command", "ok", "node", "seq", "v"], required].concat();
    object(&required, [first, head(), more].concat())
}

fn refused() -> Value {
    let words = [&[""], COMMANDS.as_slice(), &Admin::ALL.map(Admin::name)].concat();
    let first = vec![("command", names(words), "empty if it could not be read"), ("ok", json!({"const": false}), "")];
    let required = ["command", "ok", "node", "seq", "v", "code", "message", "retryable"];
    object(&required, [first, head(), fault()].concat())
}
