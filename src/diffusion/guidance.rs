//! Classifier-free guidance: what is asked of the model in a step, and how the answers are put together.

use ndarray::{Axis, Zip};

use super::Latents;

/// How much the prompt counts, step by step.
///
/// `unconditional + sum of weight * scale * (conditional - unconditional)` (Ho and Salimans 2022; several conditions as in
/// composable diffusion, Liu et al. 2022). Unlike diffusers a scale of 0 ignores the prompt, and scales between 0 and 1 mix.
#[derive(Clone, Debug, PartialEq)]
pub struct Guidance {
    /// The scale; 1 is no guidance.
    pub scale: f32,
    /// How the scale changes over the run.
    pub ramp: Ramp,
    /// Shares of the run between which it applies, the end excluded; outside only the conditional pass runs
    /// (Kynkäänniemi et al. 2024).
    pub interval: (f64, f64),
    /// How far the guided output is scaled back to the standard deviation of the conditional one, 0 to 1 (Lin et al.
    /// 2024, section 3.4).
    pub rescale: f32,
    /// One weight for each condition; a plain prompt is one condition of weight 1.
    pub weights: Vec<f32>,
}

/// How the scale changes over a whole run, where it is above 1. All have the same mean, the scale itself (Wang et al. 2024,
/// "Analysis of classifier-free guidance weight schedulers").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ramp {
    /// Not at all.
    #[default]
    Constant,
    /// Evenly from 1, no guidance, to twice the scale less 1.
    Linear,
    /// The same along half a cosine.
    Cosine,
}

/// Shares of a run that are nearer than this are the same.
const ROUNDING: f64 = 1e-9;

impl Ramp {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Constant, Self::Linear, Self::Cosine];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant",
            Self::Linear => "linear",
            Self::Cosine => "cosine",
        }
    }

    /// The ramp of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|ramp| ramp.name() == name)
    }
}

/// With or without the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// With the negative prompt, empty by default.
    Unconditional,
    /// With the condition of this index; a plain prompt is condition 0.
    Conditional(usize),
}

impl Guidance {
    /// A constant scale for a plain prompt.
    pub fn of_scale(scale: f32) -> Self {
        Self { scale, ramp: Ramp::Constant, interval: (0.0, 1.0), rescale: 0.0, weights: vec![1.0] }
    }

    /// Only the prompt counts, as models want it that were distilled to do without guidance.
    pub fn none() -> Self {
        Self::of_scale(1.0)
    }

    /// Whether only the prompt counts, all along.
    pub fn is_none(&self) -> bool {
        self.scale == 1.0 && self.weights == [1.0]
    }

    /// What to ask the model in a step that begins at `progress`, a share of the run, and adds `step` to it.
    pub(crate) fn mix(&self, progress: f64, step: f64) -> Mix {
        let inside = (self.interval.0..self.interval.1).contains(&(progress + ROUNDING));
        let scale = if inside { self.scale_at(progress + step / 2.0) } else { 1.0 };
        match (scale, &self.weights[..]) {
            (0.0, _) => Mix::Unconditional,
            (1.0, [1.0]) => Mix::Conditional,
            // Outside the interval the conditions are all there is.
            _ if !inside => Mix::Conditional,
            _ => Mix::Both(scale),
        }
    }

    /// The scale at the middle of a step. Scales below 1 look away from the prompt, and no ramp is to turn that round.
    fn scale_at(&self, middle: f64) -> f32 {
        let share = match self.ramp {
            _ if self.scale < 1.0 => return self.scale,
            Ramp::Constant => return self.scale,
            Ramp::Linear => 2.0 * middle,
            Ramp::Cosine => 1.0 - (std::f64::consts::PI * middle).cos(),
        };
        1.0 + (self.scale - 1.0) * share as f32
    }

    /// The passes of a mix, in the order in which [`blended`](Self::blended) takes their outputs.
    pub(crate) fn passes(&self, mix: Mix) -> Vec<Pass> {
        let conditions = (0..self.weights.len()).map(Pass::Conditional);
        match mix {
            Mix::Unconditional => vec![Pass::Unconditional],
            Mix::Conditional => conditions.collect(),
            Mix::Both(_) => std::iter::once(Pass::Unconditional).chain(conditions).collect(),
        }
    }

    /// One output out of those of the passes; all have the same shape.
    pub(crate) fn blended(&self, mix: Mix, mut outputs: Vec<Latents>) -> Latents {
        let scale = match mix {
            Mix::Both(scale) => scale,
            _ if outputs.len() == 1 => return outputs.swap_remove(0),
            _ => return self.mean(&outputs),
        };
        let without = outputs.remove(0);
        let mut guided = without.clone();
        for (output, weight) in outputs.iter().zip(&self.weights) {
            Zip::from(&mut guided).and(output).and(&without).for_each(|g, &c, &u| *g += weight * scale * (c - u));
        }
        if self.rescale > 0.0 { rescaled(guided, &self.mean(&outputs), self.rescale) } else { guided }
    }

    /// The mean of the conditions by weight; those with negative weights, from which guidance leads away, do not count.
    fn mean(&self, outputs: &[Latents]) -> Latents {
        let Some(first) = outputs.first() else { return Latents::zeros([0; 4]) };
        let total: f32 = self.weights.iter().map(|weight| weight.max(0.0)).sum();
        let share = |weight: f32| if total == 0.0 { 1.0 / outputs.len() as f32 } else { weight.max(0.0) / total };
        outputs.iter().zip(&self.weights).fold(Latents::zeros(first.dim()), |mut sum, (output, &weight)| {
            sum.scaled_add(share(weight), output);
            sum
        })
    }
}

/// What a step asks of the model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Mix {
    /// The prompt is ignored, one pass.
    Unconditional,
    /// Only the prompt counts.
    Conditional,
    /// Both, with this scale.
    Both(f32),
}

/// `rescale_noise_cfg` in diffusers: each picture's standard deviation is brought back to that of the conditional output,
/// as far as `share` says.
fn rescaled(mut guided: Latents, conditional: &Latents, share: f32) -> Latents {
    for (mut picture, like) in guided.axis_iter_mut(Axis(0)).zip(conditional.axis_iter(Axis(0))) {
        let factor = like.std(1.0) / picture.std(1.0);
        if factor.is_finite() {
            picture *= share * factor + (1.0 - share);
        }
    }
    guided
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> Latents {
        Latents::from_elem([1, 1, 1, 1], value)
    }

    #[test]
    fn scales_0_and_1_need_one_pass_and_all_others_two() {
        let passes = |scale| {
            let guidance = Guidance::of_scale(scale);
            guidance.passes(guidance.mix(0.0, 0.1))
        };
        assert_eq!(passes(0.0), [Pass::Unconditional]);
        assert_eq!(passes(1.0), [Pass::Conditional(0)]);
        assert_eq!(passes(0.5), [Pass::Unconditional, Pass::Conditional(0)]);
    }

    #[test]
    fn outside_the_interval_only_the_conditional_pass_runs() {
        let guidance = Guidance { interval: (0.2, 0.6), ..Guidance::of_scale(7.5) };
        let guided: Vec<bool> =
            (0..10).map(|step| guidance.mix(f64::from(step) / 10.0, 0.1) == Mix::Both(7.5)).collect();
        assert_eq!(guided, [false, false, true, true, true, true, false, false, false, false]);
    }

    #[test]
    fn every_ramp_has_the_scale_as_its_mean() {
        for (ramp, first) in [(Ramp::Constant, 7.0), (Ramp::Linear, 1.6), (Ramp::Cosine, 1.074)] {
            let guidance = Guidance { ramp, ..Guidance::of_scale(7.0) };
            let scales: Vec<f32> = (0..10).map(|step| guidance.scale_at((f64::from(step) + 0.5) / 10.0)).collect();
            assert!((scales.iter().sum::<f32>() / 10.0 - 7.0).abs() < 1e-4, "{ramp:?}: {scales:?}");
            assert!((scales[0] - first).abs() < 1e-3, "{ramp:?}: {scales:?}");
        }
    }

    #[test]
    fn the_interval_is_exact_at_every_number_of_steps() {
        let place = |steps| crate::diffusion::place::Progress { from: 0, to: steps, steps, all: steps };
        for steps in 1..=150 {
            let guidance = Guidance { interval: (0.2, 0.8), ..Guidance::of_scale(7.5) };
            let guided = |step: &usize| guidance.mix(place(steps).at(*step), place(steps).each()) == Mix::Both(7.5);
            let expected = |step: &usize| 10 * step >= 2 * steps && 10 * step < 8 * steps;
            assert!((0..steps).all(|step| guided(&step) == expected(&step)), "{steps}");
        }
    }

    #[test]
    fn a_scale_that_ignores_the_prompt_is_not_ramped() {
        let guidance = Guidance { ramp: Ramp::Linear, ..Guidance::of_scale(0.0) };
        assert!((0..10).all(|step| guidance.mix(f64::from(step) / 10.0, 0.1) == Mix::Unconditional));
    }

    #[test]
    fn conditions_to_lead_away_from_do_not_count_without_guidance() {
        let guidance = Guidance { weights: vec![1.0, -0.9], interval: (0.5, 1.0), ..Guidance::of_scale(2.0) };
        assert_eq!(guidance.blended(guidance.mix(0.0, 0.5), vec![one(1.0), one(-1.0)]), one(1.0));
    }

    #[test]
    fn each_condition_adds_what_it_changes() {
        let guidance = Guidance { weights: vec![1.0, -0.5], ..Guidance::of_scale(2.0) };
        let guided = guidance.blended(guidance.mix(0.0, 1.0), vec![one(1.0), one(3.0), one(5.0)]);
        assert_eq!(guided, one(1.0 + 2.0 * 2.0 - 0.5 * 2.0 * 4.0));
    }

    #[test]
    fn without_guidance_conditions_are_averaged_by_weight() {
        let guidance = Guidance { weights: vec![3.0, 1.0], interval: (0.5, 1.0), ..Guidance::of_scale(2.0) };
        let mix = guidance.mix(0.0, 0.5);
        assert_eq!(guidance.passes(mix), [Pass::Conditional(0), Pass::Conditional(1)]);
        assert_eq!(guidance.blended(mix, vec![one(2.0), one(6.0)]), one(3.0));
    }

    #[test]
    fn rescaling_gives_back_the_deviation_of_the_conditional_output() {
        let with = Latents::from_shape_fn([1, 1, 2, 2], |(_, _, y, x)| (2 * y + x) as f32);
        let deviation = |rescale| {
            let guidance = Guidance { rescale, ..Guidance::of_scale(3.0) };
            guidance.blended(Mix::Both(3.0), vec![with.mapv(|x| 0.5 * x), with.clone()]).std(1.0)
        };
        let own = with.std(1.0);
        assert!((deviation(0.0) - 2.0 * own).abs() < 1e-5);
        assert!((deviation(1.0) - own).abs() < 1e-5);
        assert!((deviation(0.5) - 1.5 * own).abs() < 1e-5);
    }
}
