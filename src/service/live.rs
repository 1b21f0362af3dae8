//! The rules in force: they change while the appliance runs, with the adapters in the store and the defaults of `prompt`.

use std::sync::{Arc, PoisonError, RwLock};

use serde_json::{Map, Value};

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

    /// From now on these, with the defaults of the `prompt` topic as they are.
    pub fn change(&self, rules: Rules) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(Rules { shortcut_defaults: now.shortcut_defaults.clone(), ..rules });
    }

    /// From now on the `prompt` topic has these defaults.
    pub fn change_shortcut_defaults(&self, defaults: Map<String, Value>) {
        let mut now = self.0.write().unwrap_or_else(PoisonError::into_inner);
        *now = Arc::new(Rules { shortcut_defaults: defaults, ..Rules::clone(&now) });
    }
}
