//! PEFT's settings, which diffusers keeps in the metadata of a file under `lora_adapter_metadata`.

use serde_json::{Map, Value};

use super::LoraError;
use crate::weights::names::Part;

/// The JSON object; keys of a pipeline's file begin with the part (`unet.lora_alpha`), those of a model's do not.
#[derive(Clone, Debug, Default)]
pub(super) struct Settings(Map<String, Value>);

/// What the settings say of one module's strength.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Scaling {
    pub(super) alpha: Option<f32>,
    /// Alpha is divided by the root of the rank (`use_rslora`, Kalajdzievski 2023).
    pub(super) by_root: bool,
}

impl Settings {
    pub(super) fn parse(text: &str) -> Result<Self, LoraError> {
        serde_json::from_str(text).map(Self).map_err(|error| LoraError::Settings(error.to_string()))
    }

    /// The settings for the module with this dotted name.
    pub(super) fn scaling(&self, part: Part, module: &str) -> Scaling {
        let number = |value: &Value| value.as_f64().map(|number| number as f32);
        let patterns = self.get(part, "alpha_pattern").and_then(Value::as_object);
        // PEFT takes the first pattern that is the name or the end of it after a dot.
        let own = patterns.and_then(|patterns| patterns.iter().find(|(end, _)| is_end(module, end)));
        let alpha = own.map(|(_, alpha)| alpha).or_else(|| self.get(part, "lora_alpha")).and_then(number);
        let by_root = self.get(part, "use_rslora").and_then(Value::as_bool).unwrap_or(false);
        Scaling { alpha, by_root }
    }

    fn get(&self, part: Part, name: &str) -> Option<&Value> {
        let part = match part {
            Part::Unet => "unet",
            Part::Text(0) => "text_encoder",
            Part::Text(_) => "text_encoder_2",
            Part::Vae => "vae",
        };
        self.0.get(&format!("{part}.{name}")).or_else(|| self.0.get(name))
    }
}

fn is_end(module: &str, end: &str) -> bool {
    module.strip_suffix(end).is_some_and(|start| start.is_empty() || start.ends_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_modules_own_alpha_goes_before_its_parts_and_that_before_none() {
        let text =
            r#"{"unet.lora_alpha": 4, "unet.alpha_pattern": {"attn1.to_q": 2.5}, "text_encoder.use_rslora": true}"#;
        let settings = Settings::parse(text).unwrap();
        let alpha = |part, module| settings.scaling(part, module).alpha;
        assert_eq!(alpha(Part::Unet, "mid_block.attn1.to_q"), Some(2.5));
        assert_eq!(alpha(Part::Unet, "mid_block.wattn1.to_q"), Some(4.0));
        assert_eq!(alpha(Part::Text(0), "attn1.to_q"), None);
        assert!(settings.scaling(Part::Text(0), "x").by_root);
        assert!(Settings::parse("[1]").is_err());
    }
}
