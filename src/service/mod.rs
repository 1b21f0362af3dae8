//! The running appliance behind its doors: admission, the durable store, the worker, and the reports that go out.
//!
//! Knows no MQTT and no ONNX Runtime: messages come in as [`Message`], what waits to go out lies in the [`Store`],
//! and a [`Notice`] says that something changed.

pub mod desk;
pub mod report;
pub mod store;
pub mod worker;

mod activity;
mod figures;
mod health;
mod heat;
mod lifecycle;
mod live;
mod pulse;
mod sampler;
mod vitals;

use std::sync::Arc;

pub use activity::{Activity, Snapshot};
pub use desk::{Desk, Message, Meter, Rate, Verdict};
pub use figures::{Figures, Histogram};
pub use heat::{Heat, Thermal, ThermalError};
pub use lifecycle::{Alert, Lifecycle, Mode, Phase};
pub use live::LiveRules;
pub use pulse::{Patience, Pulse, Stall};
pub use report::Reporter;
pub use sampler::{Hears, Sampler};
pub use store::{Address, Mail, MailKind, Store, StoreError};
pub use vitals::{Tally, Vitals};
pub use worker::{Bell, Crew, Worker};

/// Target of the one line in the log about each job's end, which is never left out.
pub const JOB_LOG: &str = "diffused::job";

/// Something that the transport may want to tell the outside.
#[derive(Clone, Debug, PartialEq)]
pub enum Notice {
    /// Mail lies in the outbox.
    Mail,
    /// The lifecycle, the queue or the progress changed.
    State,
    /// The rules changed: `info` is not true any more.
    Rules,
    /// The defaults of the `prompt` topic are to be told.
    Defaults,
    /// Everything retained is to be told again.
    Announce,
    /// The store cannot be written; the worker waits until it can.
    StoreFails,
    /// The adapters' folder is to be looked at now.
    Reload,
    /// A progress message for one requester; worth nothing once it is late.
    Progress {
        /// Whom it is for.
        address: Address,
        /// The JSON.
        body: String,
    },
    /// What a picture looks like so far, for one requester; worth nothing once it is late.
    Preview {
        /// Whom it is for.
        address: Address,
        /// Index of the picture within the request.
        k: usize,
        /// The step that sees it so, counted from 1.
        step: usize,
        /// The JPEG file.
        bytes: Vec<u8>,
    },
}

/// Hands a notice to the transport. Must not block.
pub type Notify = Arc<dyn Fn(Notice) + Send + Sync>;
