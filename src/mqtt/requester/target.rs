//! Whom a request is for, and what an incoming topic says.

use crate::job::units::Client;
use crate::mqtt::topics::NameError;
use crate::mqtt::{Pool, Topics};

/// Whom a request is for.
#[derive(Clone, Debug)]
pub enum Target {
    /// One node.
    Node(Topics),
    /// Any node of a pool.
    Pool(Fleet),
}

/// The nodes of a pool, which are not known by name.
#[derive(Clone, Debug)]
pub struct Fleet {
    base: String,
    pool: Pool,
}

impl From<Topics> for Target {
    fn from(topics: Topics) -> Self {
        Self::Node(topics)
    }
}

/// An incoming topic: which node speaks, and of what.
#[derive(Debug)]
pub(super) struct Heard<'t> {
    /// The topics of the node.
    pub(super) node: Topics,
    /// What it speaks of.
    pub(super) about: About<'t>,
}

/// What a node speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About<'t> {
    /// A job or a command of ours, by its id.
    Reply(&'t str, What),
    /// Itself: whether it is there.
    Availability,
    /// Itself: what it can do.
    Info,
}

/// A message about a job or a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    Status,
    Progress,
    Preview,
    Image(u8),
    Manifest(u8),
    Part(u8, u32),
    Answer,
}

impl Target {
    /// Any node of `pool` below `base`.
    pub fn pool(base: &str, pool: Pool) -> Result<Self, NameError> {
        // The base is checked where every base is, with a node that stands for all.
        Topics::new(base, "any").map(|_| Self::Pool(Fleet { base: base.to_owned(), pool }))
    }

    /// Where a request goes.
    pub(super) fn request(&self, client: &Client) -> String {
        self.door("request", client)
    }

    /// Where a command goes, or an administrator's order.
    pub(super) fn order(&self, is_admin: bool, client: &Client) -> String {
        self.door(if is_admin { "admin" } else { "command" }, client)
    }

    /// What to subscribe to from the beginning, the replies first.
    pub(super) fn filters(&self, client: &Client) -> Vec<String> {
        match self {
            Self::Node(topics) => vec![topics.replies(client), topics.availability(), topics.info()],
            Self::Pool(fleet) => vec![format!("{}/+/reply/{}/#", fleet.base, client.as_str())],
        }
    }

    /// What an incoming topic says; nothing if it is none of ours.
    pub(super) fn hear<'t>(&self, client: &Client, topic: &'t str) -> Option<Heard<'t>> {
        let base = match self {
            Self::Node(topics) => &topics.base,
            Self::Pool(fleet) => &fleet.base,
        };
        let (name, rest) = topic.strip_prefix(base.as_str())?.strip_prefix('/')?.split_once('/')?;
        let node = Topics::new(base, name).ok()?;
        if matches!(self, Self::Node(topics) if topics.root != node.root) {
            return None;
        }
        let about = match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["availability"] => About::Availability,
            ["info"] => About::Info,
            ["reply", name, id, what @ ..] if *name == client.as_str() => About::Reply(id, what_of(what)?),
            _ => return None,
        };
        Some(Heard { node, about })
    }

    fn door(&self, door: &str, client: &Client) -> String {
        match self {
            Self::Node(topics) => format!("{}/{door}/{}", topics.root, client.as_str()),
            Self::Pool(Fleet { base, pool }) => format!("{base}/pool/{}/{door}/{}", pool.as_str(), client.as_str()),
        }
    }
}

fn what_of(levels: &[&str]) -> Option<What> {
    match levels {
        ["status"] => Some(What::Status),
        ["progress"] => Some(What::Progress),
        ["preview"] => Some(What::Preview),
        ["answer"] => Some(What::Answer),
        ["image", k] => k.parse().ok().map(What::Image),
        ["manifest", k] => k.parse().ok().map(What::Manifest),
        ["part", part] => {
            let (k, i) = part.split_once('.')?;
            Some(What::Part(k.parse().ok()?, i.parse().ok()?))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool() -> Target {
        Target::pool("home/art", Pool::try_from("studio").unwrap()).unwrap()
    }

    #[test]
    fn any_node_of_a_pool_is_heard_by_its_name() {
        let client = Client::try_from("esp32").unwrap();
        let topic = "home/art/jet2/reply/esp32/a1/part/0.17";
        let heard = pool().hear(&client, topic).unwrap();
        assert_eq!(heard.node.root, "home/art/jet2");
        assert_eq!(heard.about, About::Reply("a1", What::Part(0, 17)));
        for foreign in ["home/art/jet2/reply/cam/a1/status", "home/art/+/reply/esp32/a1/status", "home/art/jet2/state"]
        {
            assert!(pool().hear(&client, foreign).is_none(), "{foreign}");
        }
    }

    #[test]
    fn another_node_is_not_heard_by_who_asked_one() {
        let client = Client::try_from("esp32").unwrap();
        let target = Target::from(Topics::new("diffused", "jet1").unwrap());
        assert_eq!(target.hear(&client, "diffused/jet1/info").unwrap().about, About::Info);
        assert!(target.hear(&client, "diffused/jet10/info").is_none());
    }

    #[test]
    fn requests_and_orders_have_their_doors() {
        let client = Client::try_from("esp32").unwrap();
        assert_eq!(pool().request(&client), "home/art/pool/studio/request/esp32");
        assert_eq!(pool().order(true, &client), "home/art/pool/studio/admin/esp32");
        assert_eq!(pool().filters(&client), ["home/art/+/reply/esp32/#"]);
    }
}
