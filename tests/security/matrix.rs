//! Everybody does everything, and the broker is compared with what the contract says.

use std::collections::BTreeSet;

use super::people::{AUDITOR, Guarded, settle};

/// Who somebody is by the contract.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Asks for pictures.
    Requester,
    /// Makes them; a member of the pool `studio`.
    Node,
    /// A requester that also governs.
    Operator,
    /// A requester that also uses the topics for people, and sets what holds for them: Home Assistant.
    Dashboard,
}

pub const PEOPLE: [(&str, Role); 5] = [
    ("esp32", Role::Requester),
    ("alice", Role::Requester),
    ("jet1", Role::Node),
    ("operator", Role::Operator),
    ("homeassistant", Role::Dashboard),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    Write,
    Read,
}

/// What the contract's table of topics gives somebody: the direction of each row, and the rule that a requester's
/// name is a level of its topics. Written from the contract; the rules for brokers are not consulted.
pub fn may(name: &str, role: Role, act: Act, topic: &str) -> bool {
    let levels: Vec<&str> = topic.split('/').collect();
    if let ["homeassistant", rest @ ..] = levels.as_slice() {
        return in_home_assistant(name, role, act, rest);
    }
    let Some(("diffused", [place, rest @ ..])) = levels.split_first().map(|(first, rest)| (*first, rest)) else {
        return false;
    };
    if *place == "pool" {
        let [pool, rest @ ..] = rest else { return false };
        return in_pool(name, role, act, pool, rest);
    }
    let own = role == Role::Node && *place == name;
    match (rest, act) {
        (["prompt"], Act::Write) => role == Role::Dashboard,
        (["prompt"], Act::Read) => own,
        (["image"] | ["image", "status"], Act::Read) => role == Role::Dashboard,
        (["image"] | ["image", "status"], Act::Write) => own,
        (["command", "shortcut"], Act::Write) => role == Role::Dashboard,
        (["request" | "command", client] | ["upload", client, _], Act::Write) => *client == name,
        (["request" | "command" | "admin", _] | ["upload", _, _] | ["defaults", "set"], Act::Read) => own,
        (["admin", client], Act::Write) => governs(role) && *client == name,
        (["defaults", "set"], Act::Write) => governs(role),
        (["defaults"], Act::Read) => governs(role),
        (["availability" | "info" | "state"], Act::Read) => true,
        (["availability" | "info" | "state" | "defaults"], Act::Write) => own,
        (["reply", client, _, ..], Act::Read) => *client == name,
        (["reply", _, _, ..], Act::Write) => own,
        _ => false,
    }
}

/// Whether somebody may set and switch what a node does.
fn governs(role: Role) -> bool {
    matches!(role, Role::Operator | Role::Dashboard)
}

/// Where devices are told to Home Assistant, which has all of it: a node tells itself and nobody else.
fn in_home_assistant(name: &str, role: Role, act: Act, rest: &[&str]) -> bool {
    match (rest, role, act) {
        (_, Role::Dashboard, _) | (["status"], Role::Node, Act::Read) => true,
        (["device", device, "config"] | [_, device, _, "config"], Role::Node, Act::Write) => {
            *device == format!("diffused_{name}")
        }
        _ => false,
    }
}

fn in_pool(name: &str, role: Role, act: Act, pool: &str, rest: &[&str]) -> bool {
    let member = role == Role::Node && pool == "studio";
    match (rest, act) {
        (["request" | "command", client], Act::Write) => *client == name,
        (["admin", client], Act::Write) => role == Role::Operator && *client == name,
        (["request" | "command" | "admin", _], Act::Read) => member,
        (["handback", _, _], _) => member,
        _ => false,
    }
}

/// Every topic of the contract for two nodes, two pools and every name, and some that are none.
pub fn topics() -> Vec<String> {
    let names = ["esp32", "alice", "operator", "homeassistant", "jet1"];
    let mut topics = Vec::new();
    for node in ["jet1", "jet2"] {
        let plain = "prompt image image/status defaults defaults/set availability info state secret";
        topics.extend(plain.split(' ').map(|rest| format!("diffused/{node}/{rest}")));
        topics.push(format!("diffused/{node}/command/shortcut"));
        let told = ["device/diffused_NODE/config", "sensor/diffused_NODE/queue/config"];
        topics.extend(told.map(|rest| format!("homeassistant/{}", rest.replace("NODE", node))));
        for name in names {
            let rests = ["request/", "command/", "admin/"].map(|rest| format!("{rest}{name}"));
            let answers = "status progress preview image/0 manifest/0 part/0.3 answer".split(' ');
            let answers = answers.map(|rest| format!("reply/{name}/a1/{rest}"));
            let rests = rests.into_iter().chain([format!("upload/{name}/cat"), format!("request/{name}/more")]);
            topics.extend(rests.chain(answers).map(|rest| format!("diffused/{node}/{rest}")));
        }
    }
    for pool in ["studio", "cellar"] {
        for name in names {
            let rests = ["request/", "command/", "admin/", "handback/2/"];
            topics.extend(rests.map(|rest| format!("diffused/pool/{pool}/{rest}{name}")));
        }
    }
    topics.extend(
        [
            "diffused",
            "diffused/jet1",
            "elsewhere",
            "homeassistant/status",
            "homeassistant/light/kitchen/config",
            "other/jet1/request/esp32",
        ]
        .map(str::to_owned),
    );
    topics
}

/// What came of trying everything.
pub struct Findings {
    pub tried: usize,
    pub unexpected: Vec<String>,
}

/// Everybody publishes to every topic and listens to everything in four ways.
pub fn examine(guarded: &Guarded) -> Findings {
    let topics = topics();
    let mut findings = Findings { tried: 0, unexpected: Vec::new() };
    for (name, role) in PEOPLE {
        writes(guarded, &topics, name, role, &mut findings);
    }
    reads(guarded, &topics, &mut findings);
    findings
}

fn writes(guarded: &Guarded, topics: &[String], name: &str, role: Role, findings: &mut Findings) {
    let (auditor, person) = (guarded.person(AUDITOR), guarded.person(name));
    auditor.subscribe(["#"]);
    let taken: Vec<bool> = topics.iter().map(|topic| person.publish(topic, topic, false)).collect();
    let delivered = auditor.heard();
    for (topic, taken) in topics.iter().zip(taken) {
        let expected = may(name, role, Act::Write, topic);
        findings.compare(delivered.contains(topic), expected, &format!("{name} publishes {topic}"));
        // A requester that is refused should hear of it.
        findings.compare(taken, expected, &format!("{name} is told that {topic} is published"));
    }
}

fn reads(guarded: &Guarded, topics: &[String], findings: &mut Findings) {
    let ways = ["by name", "with a wildcard", "with levels of wildcards", "shared", "late"];
    let levels: Vec<String> = (1..=8).map(|count| vec!["+"; count].join("/")).collect();
    let mut listeners = Vec::new();
    for (name, role) in PEOPLE {
        for way in &ways[..4] {
            let person = guarded.person(name);
            match *way {
                "by name" => person.subscribe(topics.iter().map(String::as_str)),
                "with a wildcard" => person.subscribe(["#"]),
                "with levels of wildcards" => person.subscribe(levels.iter().map(String::as_str)),
                _ => person.subscribe([format!("$share/{name}/#").as_str()]),
            }
            listeners.push((name, role, *way, person));
        }
    }
    let auditor = guarded.person(AUDITOR);
    for topic in topics {
        auditor.publish(topic, topic, true);
    }
    for (name, role) in PEOPLE {
        let person = guarded.person(name);
        person.subscribe(["#"]);
        listeners.push((name, role, "late", person));
    }
    settle(guarded);
    for (name, role, way, person) in listeners {
        let heard: BTreeSet<String> = person.heard();
        for topic in topics {
            let expected = may(name, role, Act::Read, topic);
            findings.compare(heard.contains(topic), expected, &format!("{name} hears {topic} {way}"));
        }
    }
}

impl Findings {
    fn compare(&mut self, came: bool, expected: bool, what: &str) {
        self.tried += 1;
        if came != expected {
            self.unexpected.push(format!("{what}: {}", if came { "allowed" } else { "denied" }));
        }
    }
}
