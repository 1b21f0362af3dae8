//! The rules in force: they change while the appliance runs, when the adapters in the store do.

use std::sync::{Arc, PoisonError, RwLock};

use crate::job::Rules;

/// The rules in force.
pub struct LiveRules(RwLock<Arc<Rules>>);

impl LiveRules {
    /// Begins with `rules`.
    pub fn new(rules: Rules) -> Self {
        Self(RwLock::new(Arc::new(rules)))
    }

    /// The rules as they are now; whoever holds them is not disturbed by a change.
    pub fn now(&self) -> Arc<Rules> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on these.
    pub fn change(&self, rules: Rules) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rules);
    }
}
