//! From what the U-Net says to what the samplers work with: the predicted clean latents.

use super::latents::{Latents, combine};
use super::levels::NoiseLevel;

/// The denoiser of a run: a model, the meaning of its output, and the guidance.
pub struct Denoise<'a> {
    predict: &'a mut dyn Predict,
    prediction: Prediction,
    guidance: Guidance,
}

impl<'a> Denoise<'a> {
    /// A denoiser that asks `predict`.
    pub fn new(predict: &'a mut dyn Predict, prediction: Prediction, guidance: Guidance) -> Self {
        Self { predict, prediction, guidance }
    }

    /// The clean latents that the model sees in `latents`, which stand at `level`; same shape.
    ///
    /// `step` counts the steps of the run from 0; a sampler that asks more than once in a step gives the same number again.
    pub fn at(&mut self, latents: &Latents, level: &NoiseLevel, step: usize) -> Result<Latents, Halt> {
        let output = self.guided(Input { latents, timestep: level.timestep(), step })?;
        let (alpha, sigma) = (level.alpha(), level.sigma());
        Ok(match self.prediction {
            Prediction::Epsilon => combine(-sigma / alpha, output, 1.0 / alpha, latents),
            Prediction::VPrediction => combine(-sigma, output, alpha, latents),
            Prediction::Sample => output,
        })
    }

    /// The model's output with classifier-free guidance (Ho and Salimans 2022): the unconditional one plus scale times
    /// what the prompt changes.
    fn guided(&mut self, input: Input<'_>) -> Result<Latents, Halt> {
        match self.guidance {
            Guidance::Unconditional => fitting(self.predict.predict(input, Pass::Unconditional)?, &input),
            Guidance::None => fitting(self.predict.predict(input, Pass::Conditional)?, &input),
            Guidance::Free(scale) => {
                let both = self.predict.predict_both(input)?;
                let mut output = fitting(both.unconditional, &input)?;
                let conditional = fitting(both.conditional, &input)?;
                ndarray::Zip::from(&mut output).and(&conditional).for_each(|u, &c| *u += scale * (c - *u));
                Ok(output)
            }
        }
    }
}

/// The model, as the samplers call it. Implemented above, by the owner of the U-Net's session.
pub trait Predict {
    /// The model's raw output, in the shape of `input.latents`.
    fn predict(&mut self, input: Input<'_>, pass: Pass) -> Result<Latents, Halt>;

    /// Both outputs for the same input; an implementation may compute them as one batch.
    fn predict_both(&mut self, input: Input<'_>) -> Result<Both, Halt> {
        let unconditional = self.predict(input, Pass::Unconditional)?;
        let conditional = self.predict(input, Pass::Conditional)?;
        Ok(Both { unconditional, conditional })
    }
}

/// What the model is asked about.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a> {
    /// Latents, scaled as the model takes them.
    pub latents: &'a Latents,
    /// Training timestep, 0 to 999 for most models; not always a whole number.
    pub timestep: f64,
    /// Step of the run, from 0.
    pub step: usize,
}

/// With or without the prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pass {
    /// With the negative prompt, empty by default.
    Unconditional,
    /// With the prompt.
    Conditional,
}

/// The outputs of both passes.
#[derive(Clone, Debug, PartialEq)]
pub struct Both {
    /// Without the prompt.
    pub unconditional: Latents,
    /// With the prompt.
    pub conditional: Latents,
}

/// What the output of the model means (`prediction_type` in diffusers).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prediction {
    /// The noise.
    Epsilon,
    /// The velocity alpha * noise - sigma * clean (Salimans and Ho 2022).
    VPrediction,
    /// The clean latents.
    Sample,
}

/// How the passes with and without the prompt are put together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Guidance {
    /// Scale 0: the prompt is ignored, one pass.
    Unconditional,
    /// Scale 1, or a model that takes no guidance: only the prompt counts, one pass.
    None,
    /// Any other scale: both passes.
    Free(f32),
}

impl Guidance {
    /// The guidance of a `guidance_scale`. Unlike diffusers 0 ignores the prompt, and scales between 0 and 1 mix.
    pub fn from_scale(scale: f32) -> Self {
        match scale {
            0.0 => Self::Unconditional,
            1.0 => Self::None,
            _ => Self::Free(scale),
        }
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

fn fitting(output: Latents, input: &Input<'_>) -> Result<Latents, Halt> {
    let (expected, got) = (input.latents.shape().to_vec(), output.shape().to_vec());
    if expected == got { Ok(output) } else { Err(Halt::new(WrongShape { expected, got })) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Says 1 without and 3 with the prompt, and counts its passes.
    struct Fixed {
        passes: usize,
        channels: usize,
    }

    impl Predict for Fixed {
        fn predict(&mut self, _: Input<'_>, pass: Pass) -> Result<Latents, Halt> {
            self.passes += 1;
            Ok(Latents::from_elem([1, self.channels, 1, 1], if pass == Pass::Conditional { 3.0 } else { 1.0 }))
        }
    }

    fn clean(prediction: Prediction, scale: f32) -> Result<(f32, usize), Halt> {
        let mut model = Fixed { passes: 0, channels: 1 };
        let latents = Latents::from_elem([1, 1, 1, 1], 5.0);
        let level = NoiseLevel::new(0.36, 500.0);
        let clean = Denoise::new(&mut model, prediction, Guidance::from_scale(scale)).at(&latents, &level, 0)?;
        Ok((clean.sum(), model.passes))
    }

    #[test]
    fn scale_0_ignores_the_prompt_and_1_only_follows_it_in_one_pass_each() -> Result<(), Halt> {
        assert_eq!(clean(Prediction::Sample, 0.0)?, (1.0, 1));
        assert_eq!(clean(Prediction::Sample, 1.0)?, (3.0, 1));
        assert_eq!(clean(Prediction::Sample, 0.5)?, (2.0, 2));
        assert_eq!(clean(Prediction::Sample, 7.5)?, (16.0, 2));
        Ok(())
    }

    #[test]
    fn each_kind_of_output_is_turned_into_clean_latents() -> Result<(), Halt> {
        let near = |value: f32, expected: f32| (value - expected).abs() < 1e-5;
        assert!(near(clean(Prediction::Epsilon, 1.0)?.0, (5.0 - 0.8 * 3.0) / 0.6));
        assert!(near(clean(Prediction::VPrediction, 1.0)?.0, 0.6 * 5.0 - 0.8 * 3.0));
        Ok(())
    }

    #[test]
    fn an_output_of_another_shape_halts_the_run() {
        let mut model = Fixed { passes: 0, channels: 2 };
        let latents = Latents::zeros([1, 1, 1, 1]);
        let halt = Denoise::new(&mut model, Prediction::Sample, Guidance::None).at(&latents, &NoiseLevel::CLEAN, 0);
        let message = halt.err().map(|halt| halt.to_string()).unwrap_or_default();
        assert!(message.ends_with("[1, 1, 1, 1], got [1, 2, 1, 1]"), "{message}");
    }
}
