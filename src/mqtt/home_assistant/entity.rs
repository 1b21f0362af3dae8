//! One entity, alone or within its device.

use serde_json::{Map, Value, json};

/// One entity of the device.
pub(super) struct Entity {
    /// What it is to Home Assistant, such as `sensor`.
    pub(super) platform: &'static str,
    /// Its name within the device; never changes, since Home Assistant keeps people's settings under it.
    pub(super) object: &'static str,
    config: Map<String, Value>,
}

impl Entity {
    /// `config` is an object of the platform's keys; `name` is what people read.
    pub(super) fn new(platform: &'static str, object: &'static str, name: &str, config: Value) -> Self {
        Self { platform, object, config: Map::from_iter([("name".to_owned(), json!(name))]) }.and(config)
    }

    /// With more keys.
    pub(super) fn and(mut self, more: Value) -> Self {
        if let Value::Object(more) = more {
            self.config.extend(more);
        }
        self
    }

    /// With one more key.
    pub(super) fn with(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.config.insert(key.to_owned(), value.into());
        self
    }

    /// Something that an owner sets once rather than every day.
    pub(super) fn setting(self) -> Self {
        self.with("entity_category", "config")
    }

    /// Something that only an owner who looks for a fault wants to see.
    pub(super) fn diagnostic(self) -> Self {
        self.with("entity_category", "diagnostic")
    }

    /// As a component of the device `id`.
    pub(super) fn component(self, id: &str) -> Value {
        let platform = self.platform;
        self.named(id).with("platform", platform).config.into()
    }

    /// As a message of its own, with what all share.
    pub(super) fn alone(self, id: &str, frame: &Value) -> Value {
        self.named(id).and(frame.clone()).config.into()
    }

    fn named(self, id: &str) -> Self {
        let unique = format!("{id}_{}", self.object);
        self.with("unique_id", unique)
    }
}
