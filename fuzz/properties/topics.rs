//! A topic leads to a door from which the same topic can be made again, or nowhere.

use diffused::mqtt::Topics;
use diffused::mqtt::door::Door;

use super::draw::Draw;

const LEVELS: &[&str] = &[
    "diffused",
    "jet1",
    "pool",
    "studio",
    "request",
    "command",
    "admin",
    "upload",
    "prompt",
    "defaults",
    "set",
    "handback",
    "availability",
    "esp32",
    "cat.png",
    "0",
    "16",
    "255",
    "256",
    "007",
    "+7",
    "",
    "status",
    "..",
    "+",
    "#",
    "ü",
];

pub fn check(data: &[u8]) {
    let Some((kind, rest)) = data.split_first() else { return };
    let mut draw = Draw(rest);
    let topic = if kind % 2 == 0 {
        String::from_utf8_lossy(rest).into_owned()
    } else {
        let mut levels = vec!["diffused"];
        while !draw.is_done() && levels.len() < 9 {
            levels.push(draw.one_of(LEVELS));
        }
        levels.join("/")
    };
    let topics = Topics::new("diffused", "jet1").expect("good names");
    let Some(door) = topics.door(&topic) else { return };
    let below = |what: &str| format!("diffused/jet1/{what}");
    let again = match &door {
        Door::Prompt => topics.prompt(),
        Door::Request(client) => topics.request(client),
        Door::PoolRequest { pool, hops: 0, client } if !topic.contains("/handback/") => {
            topics.pool_request(pool, client)
        }
        Door::PoolRequest { pool, hops, client } => topics.handback(pool, *hops, client),
        Door::Upload(client, name) => below(&format!("upload/{}/{}", client.as_str(), name.as_str())),
        Door::Command(client) if !topic.starts_with("diffused/pool/") => topics.command(client),
        Door::Admin(client) if !topic.starts_with("diffused/pool/") => topics.admin(client),
        Door::Command(client) | Door::Admin(client) => {
            assert!(topic.ends_with(&format!("/{}", client.as_str())));
            return;
        }
        Door::Defaults => below("defaults/set"),
        Door::State => topics.state(),
    };
    // Only a number has more than one spelling.
    assert!(again == topic || matches!(door, Door::PoolRequest { .. }), "{topic} became {again}");
    assert_eq!(topics.door(&again), Some(door), "{topic}");
}
