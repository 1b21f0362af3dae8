//! The running appliance behind its doors: admission, the durable store, the worker, and the reports that go out.
//!
//! Knows no MQTT and no ONNX Runtime: messages come in as [`Message`], what waits to go out lies in the [`Store`],
//! and a [`Notice`] says that something changed.

pub mod desk;
pub mod report;
pub mod store;
pub mod worker;

mod activity;
mod live;
mod pulse;

use std::sync::Arc;

pub use activity::{Activity, Lifecycle};
pub use desk::{Desk, Message, Verdict};
pub use live::LiveRules;
pub use pulse::Pulse;
pub use report::Reporter;
pub use store::{Address, Mail, MailKind, Store, StoreError};
pub use worker::{Bell, Worker};

/// Something that the transport may want to tell the outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Mail lies in the outbox.
    Mail,
    /// The lifecycle, the queue or the progress changed.
    State,
    /// The rules changed: `info` is not true any more.
    Rules,
    /// A progress message for one requester; worth nothing once it is late.
    Progress {
        /// Whom it is for.
        address: Address,
        /// The JSON.
        body: String,
    },
}

/// Hands a notice to the transport. Must not block.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;
