//! Takes typed values out of a JSON object until nothing is left; what is left over is a fault.

use serde_json::{Map, Value};

use super::json;
use super::outcome::Rejection;
use super::units::shown;

/// The keys of a JSON object that nobody has taken yet.
pub(crate) struct Fields {
    map: Map<String, Value>,
    /// Stands before a key in messages, such as `output.`.
    place: &'static str,
}

impl Fields {
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Rejection> {
        Ok(Self::from(json::object(bytes)?))
    }

    /// Gives every key that is absent its value from `defaults`.
    pub(crate) fn fill(&mut self, defaults: &Map<String, Value>) {
        for (key, value) in defaults {
            match (self.map.get_mut(key), value) {
                (None, _) => drop(self.map.insert(key.clone(), value.clone())),
                (Some(Value::Object(own)), Value::Object(more)) => {
                    for (key, value) in more {
                        own.entry(key).or_insert_with(|| value.clone());
                    }
                }
                _ => {}
            }
        }
    }

    pub(crate) fn take(&mut self, key: &str) -> Option<Value> {
        self.map.remove(key)
    }

    /// Like [`take`](Self::take), but null is as good as absent.
    pub(crate) fn given(&mut self, key: &str) -> Option<Value> {
        self.take(key).filter(|value| !value.is_null())
    }

    /// The keys of an object that stands at `place`, such as `variation.`.
    pub(crate) fn within(map: Map<String, Value>, place: &'static str) -> Self {
        Self { map, place }
    }

    /// A value that stays for others to take.
    pub(crate) fn look(&self, key: &str) -> Option<&Value> {
        self.map.get(key)
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.map.contains_key(key)
    }

    pub(crate) fn text(&mut self, key: &str) -> Result<Option<String>, Rejection> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.mismatch(key, "a text", &other)),
        }
    }

    pub(crate) fn flag(&mut self, key: &str) -> Result<Option<bool>, Rejection> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(self.mismatch(key, "true or false", &other)),
        }
    }

    pub(crate) fn integer(&mut self, key: &str) -> Result<Option<i64>, Rejection> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number)) => match number.as_i64() {
                Some(whole) => Ok(Some(whole)),
                None => Err(self.mismatch(key, "a whole number", &Value::Number(number))),
            },
            Some(other) => Err(self.mismatch(key, "a whole number", &other)),
        }
    }

    pub(crate) fn whole<T: TryFrom<i64, Error = Rejection>>(&mut self, key: &str) -> Result<Option<T>, Rejection> {
        self.integer(key)?.map(T::try_from).transpose().map_err(|rejection| self.placed(key, rejection))
    }

    pub(crate) fn real<T: TryFrom<f64, Error = Rejection>>(&mut self, key: &str) -> Result<Option<T>, Rejection> {
        match self.take(key) {
            None => Ok(None),
            Some(Value::Number(number)) => {
                number.as_f64().map(T::try_from).transpose().map_err(|rejection| self.placed(key, rejection))
            }
            Some(other) => Err(self.mismatch(key, "a number", &other)),
        }
    }

    pub(crate) fn object(&mut self, key: &str, place: &'static str) -> Result<Self, Rejection> {
        match self.take(key) {
            None => Ok(Self { map: Map::new(), place }),
            Some(Value::Object(map)) => Ok(Self { map, place }),
            Some(other) => Err(self.mismatch(key, "an object", &other)),
        }
    }

    /// An object that may be absent.
    pub(crate) fn optional_object(&mut self, key: &str, place: &'static str) -> Result<Option<Self>, Rejection> {
        match self.given(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { map, place })),
            Some(other) => Err(self.mismatch(key, "an object", &other)),
        }
    }

    /// The pairs of an object whose values are all texts.
    pub(crate) fn pairs(&mut self, key: &str) -> Result<Vec<(String, String)>, Rejection> {
        let pairs = self.object(key, "")?;
        pairs
            .map
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => Ok((name, text)),
                other => Err(self.mismatch(key, "pairs of texts", &other)),
            })
            .collect()
    }

    /// Nobody asks for more: whatever is left is a fault.
    pub(crate) fn finish(self) -> Result<(), Rejection> {
        match self.map.keys().next() {
            None => Ok(()),
            Some(key) => Err(self.unknown(key)),
        }
    }

    /// A unit does not know where its value stands.
    fn placed(&self, key: &str, rejection: Rejection) -> Rejection {
        if self.place.is_empty() {
            rejection
        } else {
            Rejection { field: Some(format!("{}{key}", self.place)), ..rejection }
        }
    }

    fn unknown(&self, key: &str) -> Rejection {
        let name = format!("{}{key}", self.place);
        match FOREIGN.iter().find(|(foreign, _)| *foreign == name) {
            Some((_, ours)) => Rejection::field(&name, format!("{name} is not a field, it is called {ours} here")),
            None => Rejection::field(&shown(&name), format!("{} is not a field", shown(&name))),
        }
    }

    fn mismatch(&self, key: &str, wanted: &str, came: &Value) -> Rejection {
        let came = match came {
            Value::Null => "null",
            Value::Bool(_) => "true or false",
            Value::Number(number) if number.is_f64() => "a fraction",
            Value::Number(_) => "a number",
            Value::String(_) => "a text",
            Value::Array(_) => "a list",
            Value::Object(_) => "an object",
        };
        let name = format!("{}{key}", self.place);
        Rejection::field(&name, format!("{name} must be {wanted}, got {came}"))
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(map: Map<String, Value>) -> Self {
        Self { map, place: "" }
    }
}

/// What other programs call our fields.
const FOREIGN: &[(&str, &str)] = &[
    ("cfg_scale", "guidance_scale"),
    ("num_inference_steps", "steps"),
    ("sampler_name", "sampler"),
    ("scheduler", "schedule"),
    ("denoising_strength", "strength"),
    ("batch_size", "count"),
    ("num_images_per_prompt", "count"),
];
