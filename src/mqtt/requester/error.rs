//! Why there are no pictures.

use std::time::Duration;

use serde_json::Value;

/// Why there are no pictures, or no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskError {
    /// The time is over.
    #[error("no answer within {} s: {state}", .waited.as_secs())]
    Timeout {
        /// How long we waited.
        waited: Duration,
        /// How far it came.
        state: String,
    },
    /// The caller does not want to wait any longer.
    #[error("stopped")]
    Stopped,
    /// The broker does not let us in, or not to these topics.
    #[error("the broker denies access: {0}")]
    Denied(String),
    /// The node said no.
    #[error("{state}: {code}: {message}")]
    Refused {
        /// `rejected`, `failed`, `cancelled`, `expired`, or `lost` for a job that the node knows no more.
        state: String,
        /// The contract's code.
        code: String,
        /// Its sentence.
        message: String,
    },
    /// The pictures are larger than a requester holds.
    #[error("the pictures are larger than {most} bytes")]
    TooLarge {
        /// The limit.
        most: usize,
    },
}

impl AskError {
    /// What a node would say if it got the request.
    pub(super) fn rejected(code: &str, message: String) -> Self {
        Self::Refused { state: "rejected".to_owned(), code: code.to_owned(), message }
    }

    /// From the status that ends a job, or from an answer that says that there is none.
    pub(super) fn refused(status: &Value) -> Self {
        let text = |key: &str, other: &str| status.get(key).and_then(Value::as_str).unwrap_or(other).to_owned();
        Self::Refused { state: text("state", "lost"), code: text("code", ""), message: text("message", "") }
    }
}
