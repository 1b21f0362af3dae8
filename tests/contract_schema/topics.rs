//! Every topic of the contract, one row each.

/// Who publishes on a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Requesters and operators publish, the node listens.
    In,
    /// The node publishes.
    Out,
    /// Nodes publish, and nodes listen.
    Between,
}

/// What a payload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// JSON of this schema.
    Json(&'static str),
    /// JSON of this schema, or plain text, which is the prompt.
    JsonOrPrompt(&'static str),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A picture as raw bytes.
    Picture,
    /// A piece of a picture.
    Part,
}

/// A topic.
#[derive(Clone, Copy, Debug)]
pub struct Topic {
    /// Its name in the document.
    pub name: &'static str,
    /// Its levels; `{}` stand for parameters.
    pub address: &'static str,
    /// Who publishes.
    pub way: Way,
    /// With which quality of service; any if absent.
    pub qos: Option<u8>,
    /// Whether the broker keeps it; absent if the operator decides.
    pub retain: Option<bool>,
    /// What it carries.
    pub payload: Payload,
    /// What it is for.
    pub meaning: &'static str,
}

/// The levels that stand for something, with what they may be.
pub const PARAMETERS: [(&str, &str); 9] = [
    ("base", "default diffused, one or two levels"),
    ("node", "name of the node, [a-z0-9-]{1,32}, not pool"),
    ("client", "name of the requester, [A-Za-z0-9._:@-]{1,64}, no word of these topics; the broker's ACL binds it"),
    ("id", "id of the job or of the command, [A-Za-z0-9_-]{1,64}"),
    ("k", "index of the picture, from 0"),
    ("i", "index of the part, from 0"),
    ("name", "name of the upload, [A-Za-z0-9._-]{1,64}"),
    ("pool", "name of the pool, [a-z0-9-]{1,32}"),
    ("hops", "how often a node gave the request back"),
];

const IN: Topic = Topic {
    name: "",
    address: "",
    way: Way::In,
    qos: None,
    retain: Some(false),
    payload: Payload::JsonOrPrompt("request"),
    meaning: "",
};
const OUT: Topic = Topic { way: Way::Out, qos: Some(1), payload: Payload::Json("status"), ..IN };
const KEPT: Topic = Topic { retain: Some(true), ..OUT };

/// All of them, in the contract's order.
pub const TOPICS: [Topic; 23] = [
    Topic {
        name: "prompt",
        address: "{base}/{node}/prompt",
        meaning: "the shortcut for people and small devices",
        ..IN
    },
    Topic {
        name: "image",
        address: "{base}/{node}/image",
        retain: None,
        payload: Payload::Picture,
        meaning: "the newest picture asked for through prompt, always one packet",
        ..OUT
    },
    Topic {
        name: "imageStatus",
        address: "{base}/{node}/image/status",
        retain: None,
        meaning: "status of that job, without its text",
        ..OUT
    },
    Topic { name: "request", address: "{base}/{node}/request/{client}", meaning: "a request", ..IN },
    Topic {
        name: "upload",
        address: "{base}/{node}/upload/{client}/{name}",
        payload: Payload::Picture,
        meaning: "a picture for a following request, kept 10 minutes",
        ..IN
    },
    Topic {
        name: "poolRequest",
        address: "{base}/pool/{pool}/request/{client}",
        meaning: "a request that any node of the pool takes, through a shared subscription",
        ..IN
    },
    Topic {
        name: "poolHandback",
        address: "{base}/pool/{pool}/handback/{hops}/{client}",
        way: Way::Between,
        qos: Some(1),
        meaning: "a request that a full node gives back, payload unchanged",
        ..IN
    },
    Topic { name: "status", address: "{base}/{node}/reply/{client}/{id}/status", meaning: "where a job stands", ..OUT },
    Topic {
        name: "progress",
        address: "{base}/{node}/reply/{client}/{id}/progress",
        qos: Some(0),
        payload: Payload::Json("progress"),
        meaning: "how far a job is, at most twice a second",
        ..OUT
    },
    Topic {
        name: "preview",
        address: "{base}/{node}/reply/{client}/{id}/preview",
        qos: Some(0),
        payload: Payload::Picture,
        meaning: "a small JPEG of the picture so far, if asked for",
        ..OUT
    },
    Topic {
        name: "replyImage",
        address: "{base}/{node}/reply/{client}/{id}/image/{k}",
        payload: Payload::Picture,
        meaning: "picture k",
        ..OUT
    },
    Topic {
        name: "manifest",
        address: "{base}/{node}/reply/{client}/{id}/manifest/{k}",
        payload: Payload::Json("manifest"),
        meaning: "before the parts of picture k",
        ..OUT
    },
    Topic {
        name: "part",
        address: "{base}/{node}/reply/{client}/{id}/part/{k}.{i}",
        payload: Payload::Part,
        meaning: "part i of picture k",
        ..OUT
    },
    Topic {
        name: "answer",
        address: "{base}/{node}/reply/{client}/{id}/answer",
        payload: Payload::Json("answer"),
        meaning: "the answer to a command or an order",
        ..OUT
    },
    Topic {
        name: "command",
        address: "{base}/{node}/command/{client}",
        payload: Payload::Json("command"),
        meaning: "cancel, get, list, repeat; with the client shortcut for the jobs of prompt",
        ..IN
    },
    Topic {
        name: "admin",
        address: "{base}/{node}/admin/{client}",
        payload: Payload::Json("admin"),
        meaning: "an administrator's order",
        ..IN
    },
    Topic {
        name: "defaultsSet",
        address: "{base}/{node}/defaults/set",
        payload: Payload::Json("defaults-set"),
        meaning: "defaults for prompt, they survive restarts",
        ..IN
    },
    Topic {
        name: "defaults",
        address: "{base}/{node}/defaults",
        payload: Payload::Json("defaults"),
        meaning: "those defaults",
        ..KEPT
    },
    Topic {
        name: "availability",
        address: "{base}/{node}/availability",
        payload: Payload::Word(&["online", "offline"]),
        meaning: "offline is also the last will",
        ..KEPT
    },
    Topic {
        name: "info",
        address: "{base}/{node}/info",
        payload: Payload::Json("info"),
        meaning: "what the node is and can do",
        ..KEPT
    },
    Topic {
        name: "state",
        address: "{base}/{node}/state",
        payload: Payload::Json("state"),
        meaning: "what the node is doing; its user property store tells nodes of one name apart",
        ..KEPT
    },
    Topic {
        name: "poolCommand",
        address: "{base}/pool/{pool}/command/{client}",
        payload: Payload::Json("command"),
        meaning: "a command that every node of the pool answers",
        ..IN
    },
    Topic {
        name: "poolAdmin",
        address: "{base}/pool/{pool}/admin/{client}",
        payload: Payload::Json("admin"),
        meaning: "an order that every node of the pool answers",
        ..IN
    },
];

impl Topic {
    /// Whether a topic whose base has one level is one of these.
    pub fn fits(&self, topic: &str) -> bool {
        let (own, other): (Vec<_>, Vec<_>) = (self.address.split('/').collect(), topic.split('/').collect());
        own.len() == other.len() && own.iter().zip(other).all(|(own, other)| level_fits(own, other))
    }

    /// The parameters of its address, in order.
    pub fn parameters(&self) -> impl Iterator<Item = &'static str> {
        self.address.split('{').skip(1).filter_map(|rest| rest.split('}').next())
    }
}

fn level_fits(own: &str, other: &str) -> bool {
    let Some((_, ends)) = own.split_once('{').filter(|(before, _)| before.is_empty()) else { return own == other };
    // `{k}.{i}` is the one level with two parameters.
    !ends.contains('.') || other.split_once('.').is_some()
}
