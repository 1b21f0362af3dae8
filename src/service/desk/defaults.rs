//! The defaults of the `prompt` topic, which can be set over the transport and survive restarts.

use serde_json::{Map, Value};

use super::{Desk, Message};
use crate::job::{Code, Origin, Rejection, Request, Rules};
use crate::service::{Notice, StoreError};

/// Under this name the store keeps them.
const DEFAULTS: &str = "prompt defaults";

/// What belongs to one request, or would be a picture in a setting.
const NO_DEFAULT: [&str; 9] = ["prompt", "id", "v", "tags", "not_after", "init_image", "mask", "depth", "output"];

impl Desk {
    /// Changes the defaults of `prompt`: what is named gets its value, null takes it back.
    ///
    /// What does not pass the door of requests changes nothing; the transport tells the defaults again in any case, so
    /// that whoever set them sees what holds.
    pub fn set_defaults(&self, message: &Message) -> Result<(), StoreError> {
        let rules = self.rules.now();
        match changed(&rules, message) {
            Ok(defaults) => {
                self.store.set(DEFAULTS, Some(&Value::Object(defaults.clone()).to_string()))?;
                self.rules.change_shortcut_defaults(defaults);
            }
            Err(rejection) => {
                tracing::warn!(code = %rejection.code, error = rejection.message, "the defaults stay as they are");
                self.activity.change(|now| now.ignored += 1);
            }
        }
        (self.notify)(Notice::Defaults);
        Ok(())
    }

    /// The defaults that were set before the last stop, as far as they still hold.
    pub fn remember_defaults(&self) -> Result<(), StoreError> {
        let Some(stored) = self.store.setting(DEFAULTS)? else { return Ok(()) };
        let defaults: Map<String, Value> = serde_json::from_str(&stored).unwrap_or_default();
        let rules = self.rules.now();
        match Request::bare(Origin::Shortcut, &Rules { shortcut_defaults: defaults.clone(), ..Rules::clone(&rules) }) {
            Ok(_) => self.rules.change_shortcut_defaults(defaults),
            Err(rejection) => {
                tracing::warn!(error = rejection.message, "the defaults that were set for prompt do not hold any more");
            }
        }
        Ok(())
    }

    /// The values that a bare prompt would get now, with what was set by name.
    pub fn defaults(&self) -> Map<String, Value> {
        const TOLD: [&str; 9] = [
            "model",
            "negative_prompt",
            "steps",
            "sampler",
            "schedule",
            "guidance_scale",
            "clip_skip",
            "width",
            "height",
        ];
        let rules = self.rules.now();
        let Ok(request) = Request::bare(Origin::Shortcut, &rules) else { return rules.shortcut_defaults.clone() };
        let mut all = request.recipe.to_fields();
        let mut told: Map<String, Value> =
            TOLD.iter().filter_map(|key| Some(((*key).to_owned(), all.remove(*key)?))).collect();
        told.extend(rules.shortcut_defaults.clone());
        told
    }
}

/// The defaults after the change that a message asks for.
fn changed(rules: &Rules, message: &Message) -> Result<Map<String, Value>, Rejection> {
    if message.retained {
        return Err(Rejection::new(Code::RetainedRequest, "defaults must not be set by a retained message"));
    }
    let limit = rules.limits.request_bytes;
    if message.payload.len() > limit {
        return Err(Rejection::new(Code::PayloadTooLarge, format!("defaults must be at most {limit} bytes")));
    }
    let change = crate::job::request::object(&message.payload)?;
    if let Some(key) = NO_DEFAULT.into_iter().find(|key| change.contains_key(*key)) {
        return Err(Rejection::field(key, format!("{key} belongs to a request and has no default here")));
    }
    let mut defaults = rules.shortcut_defaults.clone();
    for (key, value) in change {
        match value {
            Value::Null => drop(defaults.shift_remove(&key)),
            value => drop(defaults.insert(key, value)),
        }
    }
    Request::bare(Origin::Shortcut, &Rules { shortcut_defaults: defaults.clone(), ..rules.clone() }).map(|_| defaults)
}
