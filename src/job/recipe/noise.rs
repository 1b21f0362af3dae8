//! What decides the noise of a run besides its seed, and how often it is put back.

use serde_json::{Value, json};

use crate::diffusion::{Resample, Restart, SeedSource};
use crate::job::fields::Fields;
use crate::job::outcome::Rejection;
use crate::job::rules::Limits;
use crate::job::units::{
    Eta, Jump, Repeats, RestartLevel, RestartSteps, SChurn, SNoise, Seed, Steps, VariationStrength, shown,
};

/// What decides the noise of a run besides its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseWish {
    /// Whose random stream.
    pub source: SeedSource,
    /// A second seed that the noise is turned to.
    pub variation: Option<Variation>,
    /// Share of fresh noise; the sampler's own if absent.
    pub eta: Option<Eta>,
    /// Factor of all fresh noise.
    pub s_noise: SNoise,
    /// How much noise is put back before each step.
    pub s_churn: SChurn,
    /// Reverse work that is done again between two noise levels.
    pub restart: Option<Restart>,
    /// Reverse work that is done again all along the run.
    pub resample: Option<Resample>,
}

/// A second seed that the noise is turned to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Variation {
    /// The second seed of the first picture; picture k has this plus k.
    pub seed: Seed,
    /// How far: 0 is the first seed's noise, 1 the second's.
    pub strength: VariationStrength,
}

/// Extra reverse work may make a run at most so many times as long as the longest plain one.
const LONGEST: usize = 10;

impl NoiseWish {
    pub(super) fn take(fields: &mut Fields) -> Result<Self, Rejection> {
        Ok(Self {
            source: source(fields.text("seed_source")?)?,
            variation: Variation::take(fields)?,
            eta: fields.real("eta")?,
            s_noise: fields.real("s_noise")?.map_or_else(|| SNoise::try_from(1.0), Ok)?,
            s_churn: fields.real("s_churn")?.map_or_else(|| SChurn::try_from(0.0), Ok)?,
            restart: restart(fields)?,
            resample: resample(fields)?,
        })
    }

    /// Fails if a run of `steps` would grow too long.
    pub(super) fn bounded(&self, steps: Steps, limits: &Limits) -> Result<(), Rejection> {
        let again = self.restart.map_or(0, |restart| restart.steps * restart.repeats);
        let total = usize::from(steps.get()) * self.resample.map_or(1, |resample| resample.repeats) + again;
        let most = usize::from(limits.steps) * LONGEST;
        if total <= most {
            return Ok(());
        }
        let field = if self.resample.is_some() { "resample" } else { "restart" };
        Err(Rejection::field(
            field,
            format!("steps with those of restart and resample must be at most {most}, got {total}"),
        ))
    }

    pub(super) fn to_fields(&self) -> Vec<(&'static str, Value)> {
        let fields = [
            ("seed_source", Some(json!(self.source.name()))),
            ("eta", self.eta.map(|eta| json!(eta.get()))),
            ("s_noise", Some(json!(self.s_noise.get()))),
            ("s_churn", Some(json!(self.s_churn.get()))),
            ("variation", self.variation.map(|it| json!({"seed": it.seed.get(), "strength": it.strength.get()}))),
            (
                "restart",
                self.restart.map(|it| json!({"from": it.from, "to": it.to, "steps": it.steps, "repeats": it.repeats})),
            ),
            ("resample", self.resample.map(|it| json!({"jump": it.jump, "repeats": it.repeats}))),
        ];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

impl Variation {
    fn take(fields: &mut Fields) -> Result<Option<Self>, Rejection> {
        let Some(mut fields) = fields.optional_object("variation", "variation.")? else { return Ok(None) };
        let required = |name: &str| Rejection::field(name, format!("{name} is required"));
        let seed = fields.whole("seed")?.ok_or_else(|| required("variation.seed"))?;
        let strength = fields.real("strength")?.ok_or_else(|| required("variation.strength"))?;
        fields.finish()?;
        Ok(Some(Self { seed, strength }))
    }
}

fn source(name: Option<String>) -> Result<SeedSource, Rejection> {
    let Some(name) = name else { return Ok(SeedSource::Cpu) };
    SeedSource::find(&name).ok_or_else(|| {
        Rejection::field("seed_source", format!("seed_source must be cpu or cuda, got {}", shown(&name)))
    })
}

/// What is left out is that of common web interfaces: from sigma 0.1 up to 2, nine steps, once.
fn restart(fields: &mut Fields) -> Result<Option<Restart>, Rejection> {
    let Some(mut fields) = fields.optional_object("restart", "restart.")? else { return Ok(None) };
    let level = |value: Option<RestartLevel>, usual| value.map_or(usual, RestartLevel::get);
    let restart = Restart {
        from: level(fields.real("from")?, 0.1),
        to: level(fields.real("to")?, 2.0),
        steps: fields.whole("steps")?.map_or(9, |steps: RestartSteps| steps.get().into()),
        repeats: fields.whole("repeats")?.map_or(1, |repeats: Repeats| repeats.get().into()),
    };
    fields.finish()?;
    if restart.from < restart.to {
        return Ok(Some(restart));
    }
    let message = format!("restart.from must be below restart.to, got {} and {}", restart.from, restart.to);
    Err(Rejection::field("restart.from", message))
}

/// What is left out is that of RePaint: ten steps, ten times.
fn resample(fields: &mut Fields) -> Result<Option<Resample>, Rejection> {
    let Some(mut fields) = fields.optional_object("resample", "resample.")? else { return Ok(None) };
    let resample = Resample {
        jump: fields.whole("jump")?.map_or(10, |jump: Jump| jump.get().into()),
        repeats: fields.whole("repeats")?.map_or(10, |repeats: Repeats| repeats.get().into()),
    };
    fields.finish()?;
    Ok(Some(resample))
}
