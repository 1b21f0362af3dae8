//! The JSON files of a new folder: those of the template, with what the checkpoint says otherwise.

use serde_json::{Map, Value};

use super::detect::{Findings, Prediction};
use super::error::ImportError;
use super::shelf::Shelf;

/// What the checkpoint says of the file `name`, laid over the template's `content`; `None` if nothing.
pub(super) fn changes(
    name: &str,
    found: &Findings,
    prediction: Option<Prediction>,
    shelf: &Shelf,
) -> Result<Map<String, Value>, ImportError> {
    let mut changes = Map::new();
    match name {
        "scheduler/scheduler_config.json" => {
            if let Some(Value::Object(own)) = shelf.json(name)? {
                changes = own;
            }
            if let Some(prediction) = prediction {
                changes.insert("prediction_type".to_owned(), prediction.name().into());
            }
            if found.zero_snr {
                // The levels begin at no signal at all, so they must be counted from the end (Lin et al. 2023).
                changes.insert("rescale_betas_zero_snr".to_owned(), true.into());
                changes.insert("timestep_spacing".to_owned(), "trailing".into());
            }
        }
        "unet/config.json" => {
            if let Some(side) = found.side {
                changes.insert("sample_size".to_owned(), (side / 8).into());
            }
            take(&mut changes, shelf.json(name)?, &["sample_size"]);
        }
        "vae_decoder/config.json" | "vae_encoder/config.json" => {
            take(&mut changes, shelf.json("vae/config.json")?, &["scaling_factor", "shift_factor", "sample_size"]);
        }
        "model_index.json" => take(&mut changes, shelf.json(name)?, &["force_zeros_for_empty_prompt"]),
        _ => {}
    }
    Ok(changes)
}

fn take(changes: &mut Map<String, Value>, from: Option<Value>, keys: &[&str]) {
    let Some(Value::Object(own)) = from else { return };
    for key in keys {
        if let Some(value) = own.get(*key).filter(|value| !value.is_null()) {
            changes.insert((*key).to_owned(), value.clone());
        }
    }
}

/// Settings that no weight shows but that the graph was made with: a checkpoint that has others needs another graph.
const OF_THE_GRAPH: [(&str, &str, &[&str]); 3] = [
    ("unet", "unet", &["act_fn", "attention_head_dim", "norm_num_groups", "norm_eps", "flip_sin_to_cos", "freq_shift"]),
    ("text_encoder", "text_encoder", &["hidden_act", "num_attention_heads", "layer_norm_eps"]),
    ("text_encoder_2", "text_encoder_2", &["hidden_act", "num_attention_heads", "layer_norm_eps"]),
];

/// An error if the checkpoint's own configurations ask for another graph. `template` reads a JSON file of the template.
pub(super) fn agree(shelf: &Shelf, template: impl Fn(&str) -> Option<Value>) -> Result<(), ImportError> {
    for (own, theirs, keys) in OF_THE_GRAPH {
        let name = format!("{own}/config.json");
        let (Some(own), Some(theirs)) = (shelf.json(&name)?, template(&format!("{theirs}/config.json"))) else {
            continue;
        };
        for key in keys {
            if let (Some(got), Some(expected)) = (own.get(*key), theirs.get(*key))
                && got != expected
            {
                let file = shelf.path.join(&name);
                return Err(ImportError::unfit(
                    &file,
                    format!("{key} must be {expected} as in the template, got {got}"),
                ));
            }
        }
    }
    Ok(())
}

/// The file with these changes.
pub(super) fn changed(content: &[u8], changes: Map<String, Value>) -> Result<Vec<u8>, serde_json::Error> {
    let mut whole: Map<String, Value> = serde_json::from_slice(content)?;
    whole.extend(changes);
    let mut text = serde_json::to_vec_pretty(&whole)?;
    text.push(b'\n');
    Ok(text)
}
