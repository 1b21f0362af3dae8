//! Flags for adapters, guidance and noise beyond the usual.

use std::str::FromStr;

use serde_json::{Value, json};

use super::Given;

#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Adapters, guidance and noise")]
pub(super) struct Control {
    /// How far the guided output is scaled back, 0 to 1
    #[arg(long)]
    guidance_rescale: Option<f64>,
    /// Shares of the steps between which guidance applies
    #[arg(long, value_name = "FROM,TO", value_parser = numbers::<2>)]
    guidance_interval: Option<[f64; 2]>,
    /// How guidance changes over the run: constant, linear or cosine
    #[arg(long, value_name = "NAME")]
    guidance_ramp: Option<String>,
    /// A LoRA and its scale; may be given several times
    #[arg(long, value_name = "NAME=SCALE", value_parser = adapter)]
    lora: Vec<(String, f64)>,
    /// A hypernetwork and its strength; may be given several times
    #[arg(long, value_name = "NAME=SCALE", value_parser = adapter)]
    hypernetwork: Vec<(String, f64)>,
    /// Layers of the text encoder that are left out, 0 to 4
    #[arg(long, value_name = "LAYERS")]
    clip_skip: Option<i64>,
    /// Run the whole U-Net only in every so many steps, where the model was prepared for it
    #[arg(long, value_name = "STEPS")]
    reuse: Option<i64>,
    /// Classifier guidance, where the model has a classifier
    #[arg(long, value_name = "LABEL=SCALE", value_parser = pair)]
    classifier: Option<(String, f64)>,
    /// Whose random numbers: cpu or cuda
    #[arg(long, value_name = "NAME")]
    seed_source: Option<String>,
    /// Turn the noise toward that of a second seed
    #[arg(long, value_name = "SEED=STRENGTH", value_parser = pair)]
    variation: Option<(String, f64)>,
    /// Share of fresh noise in a step, 0 to 1
    #[arg(long)]
    eta: Option<f64>,
    /// Factor of all fresh noise
    #[arg(long)]
    s_noise: Option<f64>,
    /// How much noise is put back before each step
    #[arg(long)]
    s_churn: Option<f64>,
    /// Climb back from one sigma to another and come down again
    #[arg(long, value_name = "FROM,TO,STEPS,REPEATS", value_parser = numbers::<4>)]
    restart: Option<[f64; 4]>,
    /// Go back so many steps and do them again, so many times in all
    #[arg(long, value_name = "JUMP,REPEATS", value_parser = numbers::<2>)]
    resample: Option<[f64; 2]>,
}

impl Control {
    pub(super) fn given(&self) -> Given {
        let restart = |[from, to, steps, repeats]: [f64; 4]| json!({"from": from, "to": to, "steps": whole(steps), "repeats": whole(repeats)});
        let resample = |[jump, repeats]: [f64; 2]| json!({"jump": whole(jump), "repeats": whole(repeats)});
        vec![
            ("guidance_rescale", self.guidance_rescale.map(|value| json!(value))),
            ("guidance_interval", self.guidance_interval.map(|value| json!(value))),
            ("guidance_ramp", self.guidance_ramp.as_ref().map(|value| json!(value))),
            ("loras", adapters(&self.lora)),
            ("hypernetworks", adapters(&self.hypernetwork)),
            ("clip_skip", self.clip_skip.map(|value| json!(value))),
            ("reuse", self.reuse.map(|interval| json!({"interval": interval}))),
            ("classifier", self.classifier.as_ref().map(|(label, scale)| json!({"label": label, "scale": scale}))),
            ("seed_source", self.seed_source.as_ref().map(|value| json!(value))),
            ("variation", self.variation.as_ref().map(|(seed, strength)| variation(seed, *strength))),
            ("eta", self.eta.map(|value| json!(value))),
            ("s_noise", self.s_noise.map(|value| json!(value))),
            ("s_churn", self.s_churn.map(|value| json!(value))),
            ("restart", self.restart.map(restart)),
            ("resample", self.resample.map(resample)),
        ]
    }
}

/// A number without a fraction as JSON has it; the request's own parser refuses the rest.
fn whole(number: f64) -> Value {
    if number.fract() == 0.0 { json!(number as i64) } else { json!(number) }
}

fn variation(seed: &str, strength: f64) -> Value {
    let seed = seed.parse::<i64>().map_or_else(|_| json!(seed), |seed| json!(seed));
    json!({"seed": seed, "strength": strength})
}

fn numbers<const N: usize>(text: &str) -> Result<[f64; N], String> {
    let parsed: Result<Vec<f64>, _> = text.split(',').map(|part| f64::from_str(part.trim())).collect();
    let wrong = || format!("expected {N} numbers with commas between them, got {text}");
    parsed.map_err(|_| wrong())?.try_into().map_err(|_| wrong())
}

fn pair(text: &str) -> Result<(String, f64), String> {
    let wrong = || format!("expected a name or number, = and a number, got {text}");
    let (name, number) = text.rsplit_once('=').ok_or_else(wrong)?;
    Ok((name.to_owned(), number.parse().map_err(|_| wrong())?))
}

fn adapters(given: &[(String, f64)]) -> Option<Value> {
    (!given.is_empty()).then(|| given.iter().map(|(name, scale)| json!({"name": name, "scale": scale})).collect())
}

/// A name alone has the scale 1.
fn adapter(text: &str) -> Result<(String, f64), String> {
    if text.contains('=') { pair(text) } else { Ok((text.to_owned(), 1.0)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_must_have_as_many_numbers_as_they_say() {
        assert_eq!(numbers::<2>("0.2, 0.8"), Ok([0.2, 0.8]));
        assert!(numbers::<2>("0.2").is_err() && numbers::<2>("a,b").is_err());
    }

    #[test]
    fn a_label_may_hold_an_equals_sign() {
        assert_eq!(pair("a=b=1.5"), Ok(("a=b".to_owned(), 1.5)));
        assert!(pair("red").is_err());
    }
}
