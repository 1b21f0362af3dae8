//! What goes wrong, in words and codes that the requester gets.

use std::fmt;
use std::time::Duration;

/// A request that cannot be taken. Says what was expected and what came.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Rejection {
    /// The stable code.
    pub code: Code,
    /// One lower-case sentence without a full stop.
    pub message: String,
    /// The request field at fault, where there is one.
    pub field: Option<String>,
    /// When to try again, for rejections that pass.
    pub retry_after: Option<Duration>,
}

impl Rejection {
    /// A rejection without a field.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), field: None, retry_after: None }
    }

    /// `invalid_field` for `field`.
    pub fn field(field: &str, message: impl Into<String>) -> Self {
        Self::of_field(Code::InvalidField, field, message)
    }

    /// Any code that concerns one field.
    pub fn of_field(code: Code, field: &str, message: impl Into<String>) -> Self {
        Self { field: Some(field.to_owned()), ..Self::new(code, message) }
    }

    /// The same rejection with a time after which to try again.
    pub fn retry_after(self, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..self }
    }
}

/// An accepted job that could not be finished.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// One lower-case sentence without a full stop.
    pub message: String,
    /// Set when the work was told to stop, rather than failing by itself.
    pub stop: Option<Stop>,
}

impl Failure {
    /// Work that failed by itself.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), stop: None }
    }

    /// Work that was told to stop.
    pub fn stopped(stop: Stop) -> Self {
        let (code, message) = match stop {
            Stop::Cancelled => (Code::Cancelled, "the job was cancelled"),
            Stop::Expired => (Code::Expired, "the deadline passed before the job was done"),
            Stop::Shutdown => (Code::Internal, "the appliance is stopping"),
        };
        Self { stop: Some(stop), ..Self::new(code, message) }
    }
}

/// Why running work is to end early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The requester asked for it.
    Cancelled,
    /// The deadline passed.
    Expired,
    /// The appliance is being stopped; the job stays in the store and is taken up again.
    Shutdown,
}

macro_rules! codes {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $retryable:literal;)*) => {
        /// Every error code of the contract, a closed list.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code { $($(#[$doc])* $variant),* }

        impl Code {
            /// The whole list, in the contract's order.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// The contract's name.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name),* }
            }

            /// Whether the same request may succeed later.
            pub fn retryable(self) -> bool {
                match self { $(Self::$variant => $retryable),* }
            }
        }
    };
}

codes! {
    /// The payload is not what it should be: no UTF-8, no JSON, no object.
    Malformed = "malformed", false;
    /// A field has the wrong type or value, or is not known.
    InvalidField = "invalid_field", false;
    /// `v` is not 1.
    UnsupportedVersion = "unsupported_version", false;
    /// The message was retained by the broker.
    RetainedRequest = "retained_request", false;
    /// The payload is larger than the limit.
    PayloadTooLarge = "payload_too_large", false;
    /// The prompt has more characters than the limit.
    PromptTooLong = "prompt_too_long", false;
    /// There is no model of this name.
    UnknownModel = "unknown_model", false;
    /// There is no sampler of this name.
    UnknownSampler = "unknown_sampler", false;
    /// There is no schedule of this name.
    UnknownSchedule = "unknown_schedule", false;
    /// There is no adapter of this name.
    UnknownAdapter = "unknown_adapter", false;
    /// The adapter does not fit the model.
    AdapterMismatch = "adapter_mismatch", false;
    /// This version or this model cannot do what was asked.
    UnsupportedMode = "unsupported_mode", false;
    /// The model cannot make pictures of this size, or the limits forbid it.
    SizeNotSupported = "size_not_supported", false;
    /// A picture in the request cannot be read.
    InvalidImage = "invalid_image", false;
    /// A picture in the request is larger than the limit.
    ImageTooLarge = "image_too_large", false;
    /// The response topic is not allowed.
    ReplyTopicDenied = "reply_topic_denied", false;
    /// The id was used before with another content.
    IdConflict = "id_conflict", false;
    /// The client sends more than it may.
    RateLimited = "rate_limited", true;
    /// The queue is full.
    QueueFull = "queue_full", true;
    /// The store is full.
    StorageFull = "storage_full", true;
    /// The appliance is not ready yet.
    NotReady = "not_ready", true;
    /// The board is too hot.
    TooHot = "too_hot", true;
    /// The appliance is paused.
    Paused = "paused", true;
    /// The appliance is being drained.
    Draining = "draining", true;
    /// The requester cancelled the job.
    Cancelled = "cancelled", false;
    /// The deadline passed.
    Expired = "expired", false;
    /// A graph failed.
    Inference = "inference", true;
    /// The job does not fit the memory.
    OutOfMemory = "out_of_memory", false;
    /// The picture cannot be made small enough.
    OutputTooLarge = "output_too_large", false;
    /// The safety checker objected.
    UnsafeContent = "unsafe_content", false;
    /// The job brought the process down twice.
    Poison = "poison", false;
    /// A fault of the appliance itself.
    Internal = "internal", true;
    /// There is no such job or part.
    NotFound = "not_found", false;
}

impl fmt::Display for Code {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}
