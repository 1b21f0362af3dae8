//! The one transport. Four pieces, each on a thread of its own or without one:
//!
//! - [`link`] owns the connection: it connects, backs off, and turns what the network says into [`Signal`]s;
//! - [`courier`] owns the conversation: it subscribes, hands messages to the desk, and delivers the outbox;
//! - [`topics`] and [`wire`] say what the contract's names and properties mean;
//! - [`requester`] is the other side: it asks a node for a picture and waits for it.
//!
//! Only this floor names `rumqttc`.

#[cfg(feature = "demo")]
pub mod broker;
pub mod courier;
pub mod link;
pub mod requester;
pub mod topics;
pub mod wire;

mod slot;

use rumqttc::v5::Client;
use rumqttc::v5::mqttbytes::v5::{PubAckReason, Publish, SubscribeReasonCode};

pub use courier::{Courier, CourierError};
pub use link::Broker;
pub use requester::Requester;
pub use topics::Topics;

use crate::service::Notice;

/// What the courier reacts to.
pub enum Signal {
    /// A connection stands.
    Up {
        /// Speaks to the broker.
        client: Client,
        /// The largest packet that the broker takes, in bytes.
        max_packet: usize,
    },
    /// The connection is gone, or could not be made.
    Down {
        /// What the broker said, if it does not let us in.
        denied: Option<String>,
    },
    /// A message came in.
    Incoming(Publish),
    /// The broker acknowledged our message.
    Acknowledged(PubAckReason),
    /// The broker answered our subscriptions.
    Granted(Vec<SubscribeReasonCode>),
    /// The service has something to tell.
    Notice(Notice),
    /// Deliver what can be delivered, say goodbye, and end.
    Stop,
}
