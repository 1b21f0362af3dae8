//! Where the appliance stands, and what an operator should look at.

/// Where the appliance stands, as the contract names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lifecycle {
    /// Being built.
    Starting,
    /// Models are being loaded.
    Loading,
    /// Waits for work.
    Ready,
    /// Works.
    Busy,
    /// An administrator paused it.
    Paused,
    /// An administrator lets it finish its queue.
    Draining,
    /// Something keeps it from working, see the alerts.
    Degraded,
    /// Is being stopped.
    Stopping,
}

impl Lifecycle {
    /// Every one, in the contract's order.
    pub const ALL: [Self; 8] = [
        Self::Starting,
        Self::Loading,
        Self::Ready,
        Self::Busy,
        Self::Paused,
        Self::Draining,
        Self::Degraded,
        Self::Stopping,
    ];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Busy => "busy",
            Self::Paused => "paused",
            Self::Draining => "draining",
            Self::Degraded => "degraded",
            Self::Stopping => "stopping",
        }
    }

    /// Whether requests are taken.
    pub fn accepting(self) -> bool {
        matches!(self, Self::Ready | Self::Busy)
    }
}

/// How far the appliance came since it was started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Being built.
    Starting,
    /// Models are being loaded.
    Loading,
    /// At work, or ready for it.
    Working,
    /// Is being stopped.
    Stopping,
}

/// What an administrator wants of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Take requests and work.
    Open,
    /// Take none, and begin no job.
    Paused,
    /// Take none, and finish the queue.
    Draining,
}

impl Mode {
    /// The name under which it is kept.
    pub fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Paused => "paused",
            Self::Draining => "draining",
        }
    }

    /// The mode of that name; open if there is none.
    pub fn find(name: &str) -> Self {
        [Self::Paused, Self::Draining].into_iter().find(|mode| mode.name() == name).unwrap_or(Self::Open)
    }
}

/// What an operator should look at. Names are the contract's, in `state`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Alert {
    /// The store cannot be written: a full, read-only or broken disk.
    Storage,
    /// Another node works under this one's name.
    DuplicateNode,
    /// The broker refuses subscriptions.
    SubscriptionRefused,
    /// The broker refuses what we publish.
    PublishRefused,
    /// The board is too hot to work.
    TooHot,
    /// The hardware slows itself down, such as over too much current.
    Throttled,
}

impl Alert {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Storage,
        Self::DuplicateNode,
        Self::SubscriptionRefused,
        Self::PublishRefused,
        Self::TooHot,
        Self::Throttled,
    ];

    /// Its name in `state`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Storage => "storage",
            Self::DuplicateNode => "duplicate_node",
            Self::SubscriptionRefused => "subscription_refused",
            Self::PublishRefused => "publish_refused",
            Self::TooHot => "too_hot",
            Self::Throttled => "throttled",
        }
    }
}
