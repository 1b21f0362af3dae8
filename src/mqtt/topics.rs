//! The contract's topics: where things are published, and what an incoming topic means.

use std::fmt;

use super::door::{Door, Pool};
use crate::job::Origin;
use crate::job::units::{Client, JobId};
use crate::service::Address;

/// The topics of one node.
#[derive(Clone, Debug)]
pub struct Topics {
    pub(super) base: String,
    pub(super) root: String,
}

/// A name that cannot be a base, a node or a pool.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The base is not one or two plain levels.
    #[error("base must be one or two topic levels of A-Z a-z 0-9 _ -, at most 64 bytes, got {0:?}")]
    Base(String),
    /// The node is not what the contract allows.
    #[error("a node name must be 1 to 32 of a-z 0-9 - and not pool, got {0:?}")]
    Node(String),
    /// The pool is not what the contract allows.
    #[error("a pool name must be 1 to 32 of a-z 0-9 -, got {0:?}")]
    Pool(String),
    /// The prefix of Home Assistant is not some plain levels.
    #[error("a prefix must be topic levels of A-Z a-z 0-9 _ -, at most 64 bytes, got {0:?}")]
    Prefix(String),
}

impl Topics {
    /// Topics below `<base>/<node>`.
    pub fn new(base: &str, node: &str) -> Result<Self, NameError> {
        if base.split('/').count() > 2 || !are_levels(base) {
            return Err(NameError::Base(base.to_owned()));
        }
        if !is_name(node) || node == "pool" {
            return Err(NameError::Node(node.to_owned()));
        }
        Ok(Self { base: base.to_owned(), root: format!("{base}/{node}") })
    }

    /// Where messages for the node go; the one way in that is not a door is a pool's.
    pub fn doors(&self, shortcut: bool) -> Vec<String> {
        let of_the_shortcut = ["prompt", "defaults/set"].into_iter().filter(|_| shortcut);
        let all = of_the_shortcut.chain(["request/+", "upload/+/+", "command/+", "admin/+"]);
        all.map(|door| self.below(door)).collect()
    }

    /// Where messages for a pool go that every node of it hears.
    pub fn pool_orders(&self, pool: &Pool) -> [String; 2] {
        ["command/+", "admin/+"].map(|door| self.of_pool(pool, door))
    }

    /// Where requests to a pool go; the broker hands each to one of the nodes.
    pub fn pool_requests(&self, pool: &Pool) -> [String; 2] {
        self.shared("diffused", pool)
    }

    /// The same for a visitor, who must not take requests from the nodes: another group gets each of them once more.
    pub fn pool_requests_beside(&self, pool: &Pool) -> [String; 2] {
        self.shared("doctor", pool)
    }

    /// What an incoming topic asks for; `None` if it is no topic of ours or names no client.
    pub fn door(&self, topic: &str) -> Option<Door> {
        let rest = topic.strip_prefix(&self.base)?.strip_prefix('/')?;
        if let Some(pool) = rest.strip_prefix("pool/") {
            return Door::of_pool(pool);
        }
        Door::of_node(topic.strip_prefix(&self.root)?.strip_prefix('/')?)
    }

    /// Where people and small devices send prompts.
    pub fn prompt(&self) -> String {
        self.below("prompt")
    }

    /// Where a client sends requests.
    pub fn request(&self, client: &Client) -> String {
        format!("{}/request/{}", self.root, client.as_str())
    }

    /// Where a client sends commands.
    pub fn command(&self, client: &Client) -> String {
        format!("{}/command/{}", self.root, client.as_str())
    }

    /// Where a client sends an administrator's orders.
    pub fn admin(&self, client: &Client) -> String {
        format!("{}/admin/{}", self.root, client.as_str())
    }

    /// Where a client sends requests to a pool.
    pub fn pool_request(&self, pool: &Pool, client: &Client) -> String {
        self.of_pool(pool, format_args!("request/{}", client.as_str()))
    }

    /// Where a node gives back what it cannot take, for the `hops`th time.
    pub fn handback(&self, pool: &Pool, hops: u8, client: &Client) -> String {
        self.of_pool(pool, format_args!("handback/{hops}/{}", client.as_str()))
    }

    /// Everything that is said about a client's jobs.
    pub fn replies(&self, client: &Client) -> String {
        format!("{}/reply/{}/#", self.root, client.as_str())
    }

    /// The status of a job.
    pub fn status(&self, address: &Address) -> String {
        match address.origin {
            Origin::Shortcut => self.shortcut_status(),
            Origin::Request => self.about(address, "status"),
        }
    }

    /// The status of the newest job that came through the `prompt` topic.
    pub fn shortcut_status(&self) -> String {
        self.below("image/status")
    }

    /// Picture `k` of a job.
    pub fn picture(&self, address: &Address, k: u8) -> String {
        match address.origin {
            Origin::Shortcut => self.shortcut_picture(),
            Origin::Request => self.about(address, format_args!("image/{k}")),
        }
    }

    /// The newest picture that came of the `prompt` topic.
    pub fn shortcut_picture(&self) -> String {
        self.below("image")
    }

    /// What is said about a job: below its own topic of answers, or the usual one.
    pub fn about(&self, address: &Address, what: impl fmt::Display) -> String {
        match &address.reply {
            Some(own) => format!("{own}/{what}"),
            None => self.reply(&address.client, address.id.as_str(), what),
        }
    }

    /// The progress of a job.
    pub fn progress(&self, client: &Client, id: &JobId) -> String {
        self.reply(client, id.as_str(), "progress")
    }

    /// Something about a job or a command of a client.
    pub fn reply(&self, client: &Client, id: &str, what: impl fmt::Display) -> String {
        format!("{}/reply/{}/{id}/{what}", self.root, client.as_str())
    }

    /// The retained `online` or `offline`.
    pub fn availability(&self) -> String {
        self.below("availability")
    }

    /// The retained description of the node.
    pub fn info(&self) -> String {
        self.below("info")
    }

    /// The retained state of the node.
    pub fn state(&self) -> String {
        self.below("state")
    }

    /// The retained defaults of the `prompt` topic.
    pub fn defaults(&self) -> String {
        self.below("defaults")
    }

    /// Where the defaults of the `prompt` topic are set.
    pub fn defaults_set(&self) -> String {
        self.below("defaults/set")
    }

    /// The node's name.
    pub fn node(&self) -> &str {
        self.root.strip_prefix(&format!("{}/", self.base)).unwrap_or(&self.root)
    }

    fn below(&self, what: &str) -> String {
        format!("{}/{what}", self.root)
    }

    fn shared(&self, group: &str, pool: &Pool) -> [String; 2] {
        let share = |door| format!("$share/{group}-{}/{}", pool.as_str(), self.of_pool(pool, door));
        ["request/+", "handback/+/+"].map(share)
    }

    fn of_pool(&self, pool: &Pool, what: impl fmt::Display) -> String {
        format!("{}/pool/{}/{what}", self.base, pool.as_str())
    }
}

/// Whether this is some plain levels, at most 64 bytes together.
pub(super) fn are_levels(levels: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
    levels.len() <= 64 && levels.split('/').all(|level| !level.is_empty() && level.bytes().all(plain))
}

/// The alphabet of nodes and pools.
pub(super) fn is_name(name: &str) -> bool {
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
    plain && (1..=32).contains(&name.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bases_and_nodes_are_plain() {
        for (base, node) in
            [("a/b/c", "n"), ("", "n"), ("a/", "n"), ("a+", "n"), ("a", "Pool"), ("a", "pool"), ("a", "")]
        {
            assert!(Topics::new(base, node).is_err(), "{base} {node}");
        }
    }

    #[test]
    fn no_topic_has_more_than_eight_levels_or_256_bytes() {
        let topics = Topics::new(&format!("{}/{}", "b".repeat(31), "c".repeat(32)), &"n".repeat(32)).unwrap();
        let client = Client::try_from("c".repeat(64).as_str()).unwrap();
        let longest = topics.reply(&client, &"i".repeat(64), "part/15.32767");
        assert!(longest.split('/').count() <= 8 && longest.len() <= 256, "{} bytes", longest.len());
    }

    #[test]
    fn a_pool_is_heard_through_a_shared_subscription() {
        let topics = Topics::new("diffused", "jet1").unwrap();
        let pool = Pool::try_from("studio").unwrap();
        assert_eq!(topics.pool_requests(&pool)[0], "$share/diffused-studio/diffused/pool/studio/request/+");
        let client = Client::try_from("esp32").unwrap();
        assert_eq!(topics.handback(&pool, 3, &client), "diffused/pool/studio/handback/3/esp32");
    }
}
