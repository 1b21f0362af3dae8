//! The contract's topics: where things are published, and what an incoming topic means.

use std::fmt;

use crate::job::units::{Client, JobId};
use crate::job::{Origin, Rejection};
use crate::service::Address;

/// The topics of one node.
#[derive(Clone, Debug)]
pub struct Topics {
    root: String,
}

/// What an incoming topic asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// A request through the `prompt` topic.
    Prompt,
    /// A request of a client.
    Request(Client),
    /// A command of a client.
    Command(Client),
}

/// A name that cannot be a base or a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The base is not one or two plain levels.
    #[error("base must be one or two topic levels of A-Z a-z 0-9 _ -, at most 64 bytes, got {0:?}")]
    Base(String),
    /// The node is not what the contract allows.
    #[error("a node name must be 1 to 32 of a-z 0-9 - and not pool, got {0:?}")]
    Node(String),
}

impl Topics {
    /// Topics below `<base>/<node>`.
    pub fn new(base: &str, node: &str) -> Result<Self, NameError> {
        let level = |level: &str| {
            !level.is_empty() && level.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte))
        };
        if base.len() > 64 || base.split('/').count() > 2 || !base.split('/').all(level) {
            return Err(NameError::Base(base.to_owned()));
        }
        let plain = node.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        if !plain || !(1..=32).contains(&node.len()) || node == "pool" {
            return Err(NameError::Node(node.to_owned()));
        }
        Ok(Self { root: format!("{base}/{node}") })
    }

    /// The filters to subscribe to; `shortcut` adds the `prompt` topic.
    pub fn filters(&self, shortcut: bool) -> Vec<String> {
        let prompt = shortcut.then(|| self.prompt());
        prompt.into_iter().chain([format!("{}/request/+", self.root), format!("{}/command/+", self.root)]).collect()
    }

    /// What an incoming topic asks for; an error names a client that is none, `None` a topic that is not ours.
    pub fn door(&self, topic: &str) -> Option<Result<Door, Rejection>> {
        let rest = topic.strip_prefix(&self.root)?.strip_prefix('/')?;
        match rest.split_once('/') {
            None if rest == "prompt" => Some(Ok(Door::Prompt)),
            Some(("request", client)) => Some(Client::try_from(client).map(Door::Request)),
            Some(("command", client)) => Some(Client::try_from(client).map(Door::Command)),
            _ => None,
        }
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

    /// Everything that is said about a client's jobs.
    pub fn replies(&self, client: &Client) -> String {
        format!("{}/reply/{}/#", self.root, client.as_str())
    }

    /// The status of a job.
    pub fn status(&self, address: &Address) -> String {
        match address.origin {
            Origin::Shortcut => self.shortcut_status(),
            Origin::Request => self.reply(&address.client, address.id.as_str(), "status"),
        }
    }

    /// The status of the newest job that came through the `prompt` topic.
    pub fn shortcut_status(&self) -> String {
        self.below("image/status")
    }

    /// Picture `k` of a job.
    pub fn picture(&self, address: &Address, k: u8) -> String {
        match address.origin {
            Origin::Shortcut => self.below("image"),
            Origin::Request => self.reply(&address.client, address.id.as_str(), format_args!("image/{k}")),
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

    fn below(&self, what: &str) -> String {
        format!("{}/{what}", self.root)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_leads_to_its_door() {
        let topics = Topics::new("home/art", "jet-1").unwrap();
        assert_eq!(topics.door("home/art/jet-1/prompt"), Some(Ok(Door::Prompt)));
        let client = Client::try_from("esp32").unwrap();
        assert_eq!(topics.door("home/art/jet-1/request/esp32"), Some(Ok(Door::Request(client))));
        assert!(topics.door("home/art/jet-1/request/status").unwrap().is_err());
        assert_eq!(topics.door("home/art/jet-10/prompt"), None);
        assert_eq!(topics.door("home/art/jet-1/image"), None);
    }

    #[test]
    fn bases_and_nodes_are_plain() {
        for (base, node) in
            [("a/b/c", "n"), ("", "n"), ("a/", "n"), ("a+", "n"), ("a", "Pool"), ("a", "pool"), ("a", "")]
        {
            assert!(Topics::new(base, node).is_err(), "{base} {node}");
        }
    }
}
