//! From what the U-Net says to what the samplers work with: the predicted clean latents.

use std::borrow::Cow;

use super::guidance::{Guidance, Pass};
use super::latents::{Latents, combine};
use super::levels::{Levels, NoiseLevel};
use super::mask::Kept;
use super::place::Place;
use super::prediction::Prediction;

/// The denoiser of a run: a model, the meaning of its output, the guidance, and what else decides the clean latents.
pub struct Denoise<'a> {
    predict: &'a mut dyn Predict,
    prediction: Prediction,
    guidance: Guidance,
    /// Classifier guidance, where it is wanted.
    pub steering: Option<Steering<'a>>,
    /// What of an init image is to stay.
    pub kept: Option<Kept<'a>>,
    /// Where in the run the sampler is.
    pub(crate) place: Place,
}

impl<'a> Denoise<'a> {
    /// A denoiser that asks `predict`.
    pub fn new(predict: &'a mut dyn Predict, prediction: Prediction, guidance: Guidance) -> Self {
        Self { predict, prediction, guidance, steering: None, kept: None, place: Place::ONE }
    }

    /// The clean latents that the model sees in `latents`, which stand at `level`; same shape.
    ///
    /// `step` counts the steps of the sampler from 0; one that asks more than once in a step gives the same number again.
    pub fn at(&mut self, latents: &Latents, level: &NoiseLevel, step: usize) -> Result<Latents, Halt> {
        let shown = self.shown(latents, level);
        let input = self.input(&shown, level, step);
        let output = self.guided(input)?;
        let clean = self.adjusted(self.prediction.clean(output, &shown, level), input, level)?;
        self.predict.seen(input, &|| clean.clone());
        Ok(clean)
    }

    /// As [`at`](Self::at), but what the model would have to say for that, as [`prediction`](Self::prediction) has it.
    pub fn output(&mut self, latents: &Latents, level: &NoiseLevel, step: usize) -> Result<Latents, Halt> {
        let shown = self.shown(latents, level);
        let input = self.input(&shown, level, step);
        let output = self.guided(input)?;
        let prediction = self.prediction;
        if self.steering.is_none() && self.kept.is_none() {
            self.predict.seen(input, &|| prediction.clean(output.clone(), &shown, level));
            return Ok(output);
        }
        let clean = self.adjusted(prediction.clean(output, &shown, level), input, level)?;
        self.predict.seen(input, &|| clean.clone());
        Ok(prediction.output(clean, latents, level))
    }

    /// As [`at`](Self::at), with the noise that goes with the clean latents, of standard deviation 1: for samplers that step
    /// along the noise, which could be had from the clean latents only with a loss of digits where there is little of it.
    pub fn apart(&mut self, latents: &Latents, level: &NoiseLevel, step: usize) -> Result<(Latents, Latents), Halt> {
        let output = self.output(latents, level, step)?;
        let clean = self.prediction.clean(output.clone(), latents, level);
        Ok((clean, self.prediction.noise(output, latents, level)))
    }

    /// What the model is asked about in the place of `latents`.
    fn shown<'l>(&self, latents: &'l Latents, level: &NoiseLevel) -> Cow<'l, Latents> {
        match &self.kept {
            Some(kept) => Cow::Owned(kept.shown(latents, level)),
            None => Cow::Borrowed(latents),
        }
    }

    /// Whether `levels` are what is left of a run that starts from an init image, done in one go. Some classes of diffusers
    /// look at the place in the whole list of steps there, and take steps for done that were left out.
    pub(crate) fn starts_late(&self, levels: &Levels) -> bool {
        self.place.before == 0 && levels.are_a_rest()
    }

    fn input<'l>(&self, latents: &'l Latents, level: &NoiseLevel, step: usize) -> Input<'l> {
        let Place { before, steps, progress } = self.place;
        let (step, progress) = (before + step, progress.at(step));
        Input { latents, timestep: level.timestep(), step, steps, progress }
    }

    /// The clean latents with what else than the model decides them.
    fn adjusted(&mut self, mut clean: Latents, input: Input<'_>, level: &NoiseLevel) -> Result<Latents, Halt> {
        if let Some(steering) = &mut self.steering {
            clean = steering.steered(clean, input, level)?;
        }
        Ok(match &self.kept {
            Some(kept) => kept.blended(clean),
            None => clean,
        })
    }

    /// What the model's output means.
    pub fn prediction(&self) -> Prediction {
        self.prediction
    }

    /// The model's output with classifier-free guidance.
    fn guided(&mut self, input: Input<'_>) -> Result<Latents, Halt> {
        let mix = self.guidance.mix(input.progress, self.place.progress.each());
        let passes = self.guidance.passes(mix);
        let outputs = self.predict.predict(input, &passes)?;
        if outputs.len() != passes.len() {
            return Err(Halt::new(WrongShape { expected: vec![passes.len()], got: vec![outputs.len()] }));
        }
        outputs.iter().try_for_each(|output| fitting(output, &input))?;
        Ok(self.guidance.blended(mix, outputs))
    }
}

/// The model, as the samplers call it. Implemented above, by the owner of the U-Net's session.
pub trait Predict {
    /// The model's raw outputs, one for each of `passes` and in their order, each in the shape of `input.latents`; an
    /// implementation may compute them as one batch.
    fn predict(&mut self, input: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, Halt>;

    /// Told after each prediction what it comes to: `clean` gives the clean latents that the sampler takes from it.
    fn seen(&mut self, _input: Input<'_>, _clean: &dyn Fn() -> Latents) {}
}

/// What the model is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Latents, scaled as the model takes them.
    pub latents: &'a Latents,
    /// Training timestep, 0 to 999 for most models; not always a whole number.
    pub timestep: f64,
    /// Steps of the run done so far.
    pub step: usize,
    /// Steps of the run, those of extra reverse work included.
    pub steps: usize,
    /// How far the picture is, 0 to 1: the share of the steps done, where extra reverse work sets it back.
    pub progress: f64,
}

/// A classifier that can tell which way a label lies. Implemented above.
pub trait Steer {
    /// The gradient of log p(label | latents) with respect to the latents, in their shape.
    fn gradient(&mut self, input: Input<'_>) -> Result<Latents, Halt>;
}

/// Classifier guidance (Dhariwal and Nichol 2021, algorithm 2): the predicted noise loses scale * sigma * gradient.
pub struct Steering<'a> {
    /// Knows the gradient.
    pub steer: &'a mut dyn Steer,
    /// How much it counts.
    pub scale: f32,
}

impl Steering<'_> {
    fn steered(&mut self, clean: Latents, input: Input<'_>, level: &NoiseLevel) -> Result<Latents, Halt> {
        // Pure noise has no label.
        if level.is_noise() {
            return Ok(clean);
        }
        let gradient = self.steer.gradient(input)?;
        fitting(&gradient, &input)?;
        let towards = f64::from(self.scale) * level.sigma().powi(2) / level.alpha();
        Ok(combine(1.0, clean, towards, &gradient))
    }
}

/// Why a run ended early: it was stopped, or the model failed. The samplers only pass it on.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct Halt(pub Box<dyn std::error::Error + Send + Sync>);

impl Halt {
    /// Wraps any error.
    pub fn new(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

/// The model's output does not fit the latents.
#[derive(Debug, thiserror::Error)]
#[error("the model's output must have the shape of its input, {expected:?}, got {got:?}")]
pub struct WrongShape {
    expected: Vec<usize>,
    got: Vec<usize>,
}

fn fitting(output: &Latents, input: &Input<'_>) -> Result<(), Halt> {
    let (expected, got) = (input.latents.shape().to_vec(), output.shape().to_vec());
    if expected == got { Ok(()) } else { Err(Halt::new(WrongShape { expected, got })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says 1 without and 3 with the prompt; as a classifier, that the label lies by 0.5 higher.
    struct Fixed {
        channels: usize,
    }

    impl Predict for Fixed {
        fn predict(&mut self, _: Input<'_>, passes: &[Pass]) -> Result<Vec<Latents>, Halt> {
            let say = |pass: &Pass| if *pass == Pass::Unconditional { 1.0 } else { 3.0 };
            Ok(passes.iter().map(|pass| Latents::from_elem([1, self.channels, 1, 1], say(pass))).collect())
        }
    }

    impl Steer for Fixed {
        fn gradient(&mut self, _: Input<'_>) -> Result<Latents, Halt> {
            Ok(Latents::from_elem([1, 1, 1, 1], 0.5))
        }
    }

    fn clean(prediction: Prediction, scale: f32, steered: Option<f32>) -> Result<f32, Halt> {
        let (mut model, mut classifier) = (Fixed { channels: 1 }, Fixed { channels: 1 });
        let latents = Latents::from_elem([1, 1, 1, 1], 5.0);
        let mut denoise = Denoise::new(&mut model, prediction, Guidance::of_scale(scale));
        denoise.steering = steered.map(|scale| Steering { steer: &mut classifier, scale });
        Ok(denoise.at(&latents, &NoiseLevel::new(0.36, 500.0), 0)?.sum())
    }

    fn near(value: f32, expected: f32) -> bool {
        (value - expected).abs() < 1e-5
    }

    #[test]
    fn scale_0_ignores_the_prompt_and_1_only_follows_it() -> Result<(), Halt> {
        for (scale, expected) in [(0.0, 1.0), (1.0, 3.0), (0.5, 2.0), (7.5, 16.0)] {
            assert_eq!(clean(Prediction::Sample, scale, None)?, expected);
        }
        Ok(())
    }

    #[test]
    fn each_kind_of_output_is_turned_into_clean_latents() -> Result<(), Halt> {
        assert!(near(clean(Prediction::Epsilon, 1.0, None)?, (5.0 - 0.8 * 3.0) / 0.6));
        assert!(near(clean(Prediction::VPrediction, 1.0, None)?, 0.6 * 5.0 - 0.8 * 3.0));
        Ok(())
    }

    #[test]
    fn a_classifier_takes_scale_times_sigma_times_its_gradient_from_the_noise() -> Result<(), Halt> {
        let noise = 3.0 - 2.0 * 0.8 * 0.5;
        assert!(near(clean(Prediction::Epsilon, 1.0, Some(2.0))?, (5.0 - 0.8 * noise) / 0.6));
        Ok(())
    }

    #[test]
    fn an_output_of_another_shape_halts_the_run() {
        let mut model = Fixed { channels: 2 };
        let latents = Latents::zeros([1, 1, 1, 1]);
        let halt = Denoise::new(&mut model, Prediction::Sample, Guidance::none()).at(&latents, &NoiseLevel::CLEAN, 0);
        let message = halt.err().map(|halt| halt.to_string()).unwrap_or_default();
        assert!(message.ends_with("[1, 1, 1, 1], got [1, 2, 1, 1]"), "{message}");
    }
}
