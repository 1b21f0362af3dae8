//! The one transport. Six pieces, each on a thread of its own or without one:
//!
//! - [`link`] owns the connection: it connects, backs off, and turns what the network says into [`Signal`]s;
//! - [`transport`] says how bytes get to the broker, and what an encrypted connection is checked with;
//! - [`courier`] owns the conversation: it subscribes, hands messages to the desk, and delivers the outbox;
//! - [`topics`], [`door`], [`reply`] and [`wire`] say what the contract's names and properties mean;
//! - [`home_assistant`] says what Home Assistant has to know of all that to show a device;
//! - [`requester`] is the other side: it asks a node for a picture and waits for it.
//!
//! Only this floor names `rumqttc` and `rustls`.

#[cfg(feature = "demo")]
pub mod broker;
pub mod courier;
pub mod door;
pub mod home_assistant;
pub mod link;
pub mod reply;
pub mod requester;
pub mod topics;
pub mod transport;
pub mod wire;

mod verifier;

use rumqttc::v5::Client;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, Publish, SubscribeReasonCode};

pub use courier::{Courier, CourierError};
pub use door::Pool;
pub use home_assistant::HomeAssistant;
pub use link::{Broker, Gate, Probe, ProbeError, Retention};
pub use reply::ReplyPrefixes;
pub use requester::Requester;
pub use topics::Topics;
pub use transport::{Tls, TlsFault, TlsFiles, TlsPart, Transport};

use crate::service::Notice;

/// What the courier reacts to.
pub enum Signal {
    /// A connection stands.
    Up {
        /// Speaks to the broker.
        client: Client,
        /// The largest packet that the broker takes, in bytes.
        max_packet: usize,
        /// Whether the broker remembers our subscriptions and what was under way.
        session_present: bool,
    },
    /// Another connection has taken our name over; [`Signal::Down`] follows, and a pause of at least five minutes.
    Taken,
    /// The connection is gone, or could not be made.
    Down {
        /// What the broker said, if it does not let us in.
        denied: Option<String>,
        /// The broker found our last message too large, though it had named no such limit.
        too_large: bool,
    },
    /// A message came in.
    Incoming(Publish),
    /// The broker acknowledged a message of ours.
    Acknowledged {
        /// Which one: they are counted from 0 for every connection, in the order in which they were sent.
        number: u64,
        /// What became of it.
        reason: PubAckReason,
    },
    /// The broker answered our subscriptions.
    Granted(Vec<SubscribeReasonCode>),
    /// The service has something to tell.
    Notice(Notice),
    /// Deliver what can be delivered, say goodbye, and end.
    Stop,
}
