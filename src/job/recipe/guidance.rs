//! How much the prompt counts, and whether a classifier has a say.

use serde_json::{Value, json};

use crate::diffusion::Ramp;
use crate::job::fields::Fields;
use crate::job::outcome::{Code, Rejection};
use crate::job::rules::ModelFacts;
use crate::job::units::{ClassifierScale, GuidanceRescale, GuidanceScale, shown};
use crate::prompt::{Kind, Prompt};

/// How much the prompt counts, and whether a classifier has a say.
#[derive(Clone, Debug, PartialEq)]
pub struct GuidanceWish {
    /// Scale of classifier-free guidance.
    pub scale: GuidanceScale,
    /// How far the guided output is scaled back.
    pub rescale: GuidanceRescale,
    /// Shares of the steps between which it applies, 0 to 1, in order.
    pub interval: (f64, f64),
    /// How the scale changes over the run.
    pub ramp: Ramp,
    /// Classifier guidance.
    pub classifier: Option<ClassifierWish>,
}

/// Classifier guidance toward a label.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassifierWish {
    /// One of the labels of the model's classifier.
    pub label: String,
    /// How much it counts.
    pub scale: ClassifierScale,
}

impl GuidanceWish {
    pub(super) fn take(
        fields: &mut Fields,
        model: &ModelFacts,
        prompt: &Prompt,
        warnings: &mut Vec<String>,
    ) -> Result<Self, Rejection> {
        Ok(Self {
            scale: match fields.real("guidance_scale")? {
                None => own_scale(model, prompt)?,
                Some(asked) => scale(asked, model, warnings),
            },
            rescale: fields.real("guidance_rescale")?.map_or_else(|| GuidanceRescale::try_from(0.0), Ok)?,
            interval: interval(fields)?,
            ramp: ramp(fields.text("guidance_ramp")?)?,
            classifier: ClassifierWish::take(fields, model)?,
        })
    }

    pub(super) fn to_fields(&self) -> Vec<(&'static str, Value)> {
        let mut fields = vec![
            ("guidance_scale", json!(self.scale.get())),
            ("guidance_rescale", json!(self.rescale.get())),
            ("guidance_interval", json!([self.interval.0, self.interval.1])),
            ("guidance_ramp", json!(self.ramp.name())),
        ];
        if let Some(ClassifierWish { label, scale }) = &self.classifier {
            fields.push(("classifier", json!({"label": label, "scale": scale.get()})));
        }
        fields
    }
}

impl ClassifierWish {
    fn take(fields: &mut Fields, model: &ModelFacts) -> Result<Option<Self>, Rejection> {
        let Some(mut fields) = fields.optional_object("classifier", "classifier.")? else { return Ok(None) };
        let (label, scale) = (fields.text("label")?, fields.real("scale")?);
        fields.finish()?;
        if model.labels.is_empty() {
            let message = "this model has no classifier";
            return Err(Rejection::of_field(Code::UnsupportedMode, "classifier", message));
        }
        let label = label.ok_or_else(|| Rejection::field("classifier.label", "classifier.label is required"))?;
        if !model.labels.contains(&label) {
            let known = model.labels.iter().take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
            let count = model.labels.len();
            let message = format!("classifier.label must be one of {count} such as {known}, got {}", shown(&label));
            return Err(Rejection::field("classifier.label", message));
        }
        Ok(Some(Self { label, scale: scale.map_or_else(|| ClassifierScale::try_from(1.0), Ok)? }))
    }
}

/// A model without guidance ignores the scale, and says so.
fn scale(asked: GuidanceScale, model: &ModelFacts, warnings: &mut Vec<String>) -> GuidanceScale {
    if model.guidance == "none" && asked != model.guidance_scale {
        warnings.push("guidance_scale is ignored, the model works without guidance".to_owned());
        return model.guidance_scale;
    }
    asked
}

/// Where nothing is said: the model's own. DreamArtist pairs are trained at 3 to 5, and lose their style beyond.
fn own_scale(model: &ModelFacts, prompt: &Prompt) -> Result<GuidanceScale, Rejection> {
    let pair = prompt.references().iter().any(|reference| reference.kind == Kind::DreamArtist);
    match pair && model.guidance == "cfg" {
        true => GuidanceScale::try_from(model.guidance_scale.get().clamp(3.0, 5.0)),
        false => Ok(model.guidance_scale),
    }
}

fn interval(fields: &mut Fields) -> Result<(f64, f64), Rejection> {
    let wrong = |got: String| {
        let message = format!("guidance_interval must be two numbers from 0 to 1 in order, got {got}");
        Err(Rejection::field("guidance_interval", message))
    };
    let Some(value) = fields.take("guidance_interval") else { return Ok((0.0, 1.0)) };
    let numbers: Option<Vec<f64>> = value.as_array().and_then(|list| list.iter().map(Value::as_f64).collect());
    match numbers.as_deref() {
        Some(&[from, to]) if 0.0 <= from && from <= to && to <= 1.0 => Ok((from, to)),
        _ => wrong(shown(&value.to_string())),
    }
}

fn ramp(name: Option<String>) -> Result<Ramp, Rejection> {
    let Some(name) = name else { return Ok(Ramp::Constant) };
    Ramp::find(&name).ok_or_else(|| {
        let message = format!("guidance_ramp must be constant, linear or cosine, got {}", shown(&name));
        Rejection::field("guidance_ramp", message)
    })
}
