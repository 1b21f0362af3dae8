//! What the output of a model means: three ways to tell the clean latents from the noise.

use super::latents::{Latents, combine};
use super::levels::NoiseLevel;

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

impl Prediction {
    /// Its name in a scheduler's configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Epsilon => "epsilon",
            Self::VPrediction => "v_prediction",
            Self::Sample => "sample",
        }
    }

    /// The clean latents that `output` stands for, where the model was shown `latents` at `level`.
    pub(crate) fn clean(self, output: Latents, latents: &Latents, level: &NoiseLevel) -> Latents {
        let (alpha, sigma) = (level.alpha(), level.sigma());
        match self {
            Self::Epsilon => combine(-sigma / alpha, output, 1.0 / alpha, latents),
            Self::VPrediction => combine(-sigma, output, alpha, latents),
            Self::Sample => output,
        }
    }

    /// The noise that `output` stands for, where the model was shown `latents` at `level`.
    pub(crate) fn noise(self, output: Latents, latents: &Latents, level: &NoiseLevel) -> Latents {
        let (alpha, sigma) = (level.alpha(), level.sigma());
        match self {
            Self::Epsilon => output,
            Self::VPrediction => combine(alpha, output, sigma, latents),
            Self::Sample => combine(-alpha / sigma, output, 1.0 / sigma, latents),
        }
    }

    /// The output that stands for `clean`; the opposite of [`clean`](Self::clean).
    pub(crate) fn output(self, clean: Latents, latents: &Latents, level: &NoiseLevel) -> Latents {
        let (alpha, sigma) = (level.alpha(), level.sigma());
        match self {
            Self::Epsilon => combine(-alpha / sigma, clean, 1.0 / sigma, latents),
            Self::VPrediction => combine(-1.0 / sigma, clean, alpha / sigma, latents),
            Self::Sample => clean,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f32, expected: f32) -> bool {
        (value - expected).abs() < 1e-5
    }

    #[test]
    fn clean_latents_lead_back_to_the_output() {
        let (latents, level) = (Latents::from_elem([1, 1, 1, 1], 5.0), NoiseLevel::new(0.36, 500.0));
        for prediction in [Prediction::Epsilon, Prediction::VPrediction, Prediction::Sample] {
            let clean = prediction.clean(Latents::from_elem([1, 1, 1, 1], 3.0), &latents, &level);
            let noise = prediction.noise(Latents::from_elem([1, 1, 1, 1], 3.0), &latents, &level);
            assert!(near((&clean * 0.6 + noise * 0.8).sum(), 5.0), "{prediction:?}");
            assert!(near(prediction.output(clean, &latents, &level).sum(), 3.0), "{prediction:?}");
        }
    }
}
