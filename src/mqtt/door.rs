//! What an incoming topic asks for.

use super::topics::{NameError, is_name};
use crate::job::units::{Client, UploadName};

/// What an incoming topic asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    /// A request through the `prompt` topic.
    Prompt,
    /// A request of a client.
    Request(Client),
    /// A request of a client to a pool, given back so many times.
    PoolRequest {
        /// The pool.
        pool: Pool,
        /// How often a node gave it back.
        hops: u8,
        /// Who asks.
        client: Client,
    },
    /// A picture for a later request.
    Upload(Client, UploadName),
    /// A command of a client, or for the jobs of the `prompt` topic.
    Command(Client),
    /// An administrator's order.
    Admin(Client),
    /// Other defaults for the `prompt` topic.
    Defaults,
    /// A node of our name tells its state.
    State,
}

/// The name of a pool: `[a-z0-9-]{1,32}`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Pool(String);

impl Pool {
    /// The text itself.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<&str> for Pool {
    type Error = NameError;

    fn try_from(name: &str) -> Result<Self, NameError> {
        if is_name(name) { Ok(Self(name.to_owned())) } else { Err(NameError::Pool(name.to_owned())) }
    }
}

impl Door {
    /// From the levels behind `<base>/<node>/`.
    pub(super) fn of_node(rest: &str) -> Option<Self> {
        let client = |name: &str| Client::try_from(name).ok();
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            ["prompt"] => Some(Self::Prompt),
            ["request", name] => client(name).map(Self::Request),
            // Nobody's own name, but that of the jobs of `prompt`.
            ["command", "shortcut"] => Some(Self::Command(Client::shortcut())),
            ["command", name] => client(name).map(Self::Command),
            ["admin", name] => client(name).map(Self::Admin),
            ["upload", name, picture] => Some(Self::Upload(client(name)?, UploadName::try_from(*picture).ok()?)),
            ["defaults", "set"] => Some(Self::Defaults),
            ["state"] => Some(Self::State),
            _ => None,
        }
    }

    /// From the levels behind `<base>/pool/`.
    pub(super) fn of_pool(rest: &str) -> Option<Self> {
        let client = |name: &str| Client::try_from(name).ok();
        match rest.split('/').collect::<Vec<_>>().as_slice() {
            [pool, "request", name] => {
                Some(Self::PoolRequest { pool: Pool::try_from(*pool).ok()?, hops: 0, client: client(name)? })
            }
            [pool, "handback", hops, name] => Some(Self::PoolRequest {
                pool: Pool::try_from(*pool).ok()?,
                hops: hops.parse().ok()?,
                client: client(name)?,
            }),
            [_, "command", name] => client(name).map(Self::Command),
            [_, "admin", name] => client(name).map(Self::Admin),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mqtt::Topics;

    #[test]
    fn a_topic_leads_to_its_door() {
        let topics = Topics::new("home/art", "jet-1").unwrap();
        let door = |topic: &str| topics.door(topic);
        let client = || Client::try_from("esp32").unwrap();
        assert_eq!(door("home/art/jet-1/prompt"), Some(Door::Prompt));
        assert_eq!(door("home/art/jet-1/request/esp32"), Some(Door::Request(client())));
        assert_eq!(door("home/art/jet-1/admin/esp32"), Some(Door::Admin(client())));
        let name = UploadName::try_from("cat.png").unwrap();
        assert_eq!(door("home/art/jet-1/upload/esp32/cat.png"), Some(Door::Upload(client(), name)));
        assert_eq!(door("home/art/jet-1/defaults/set"), Some(Door::Defaults));
        assert_eq!(door("home/art/jet-1/command/shortcut"), Some(Door::Command(Client::shortcut())));
        assert_eq!(door("home/art/pool/studio/command/esp32"), Some(Door::Command(client())));
        let pool = || Pool::try_from("studio").unwrap();
        let request = |hops| Some(Door::PoolRequest { pool: pool(), hops, client: client() });
        assert_eq!(door("home/art/pool/studio/request/esp32"), request(0));
        assert_eq!(door("home/art/pool/studio/handback/7/esp32"), request(7));
    }

    #[test]
    fn other_topics_and_names_lead_nowhere() {
        let topics = Topics::new("home/art", "jet-1").unwrap();
        for topic in [
            "home/art/jet-1/request/status",
            "home/art/jet-1/request/a/b",
            "home/art/jet-1/request/shortcut",
            "home/art/jet-1/admin/shortcut",
            "home/art/pool/studio/command/shortcut",
            "home/art/jet-10/prompt",
            "home/art/jet-1/image",
            "home/art/jet-1",
            "home/artjet-1/prompt",
            "home/art/jet-1/upload/esp32",
            "home/art/pool/Studio/request/esp32",
            "home/art/pool/studio/handback/256/esp32",
            "home/art/pool/studio/handback/-1/esp32",
            "home/art/pool/studio/reply/esp32",
        ] {
            assert_eq!(topics.door(topic), None, "{topic}");
        }
    }
}
