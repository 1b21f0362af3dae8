//! How much noise there is: one level, and the levels that a run passes through.

/// How much signal and noise latents hold, and what the U-Net is told about it.
///
/// The three belong together and are made together, so they cannot drift apart; alpha = 0 (zero terminal
/// signal-to-noise ratio) is a level like any other.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoiseLevel {
    alpha: f64,
    sigma: f64,
    timestep: f64,
}

impl NoiseLevel {
    /// No noise at all.
    pub const CLEAN: Self = Self { alpha: 1.0, sigma: 0.0, timestep: 0.0 };

    /// The level with the given share of signal in the variance, 0 to 1 (`alphas_cumprod` in diffusers).
    pub fn new(alpha_bar: f64, timestep: f64) -> Self {
        let alpha_bar = alpha_bar.clamp(0.0, 1.0);
        Self { alpha: alpha_bar.sqrt(), sigma: (1.0 - alpha_bar).sqrt(), timestep }
    }

    /// The level with the given [`ve_sigma`](Self::ve_sigma), 0 or more.
    pub fn with_ve_sigma(ve_sigma: f64, timestep: f64) -> Self {
        Self::new(1.0 / (1.0 + ve_sigma * ve_sigma), timestep)
    }

    /// Factor of the signal.
    pub fn alpha(&self) -> f64 {
        self.alpha
    }

    /// Factor of the noise; sqrt(1 - alpha^2).
    pub fn sigma(&self) -> f64 {
        self.sigma
    }

    /// The training timestep that the U-Net is given, not always a whole number.
    pub fn timestep(&self) -> f64 {
        self.timestep
    }

    /// Noise over signal, sigma / alpha: the sigma of k-diffusion and of diffusers' Euler classes ("variance exploding").
    pub fn ve_sigma(&self) -> f64 {
        self.sigma / self.alpha
    }

    /// Half the logarithm of the signal-to-noise ratio, ln(alpha / sigma): the time in which DPM-Solver works.
    pub fn lambda(&self) -> f64 {
        (self.alpha / self.sigma).ln()
    }
}

/// The levels of a run, as pairs (where a step starts, where it ends), from the noisy end to the clean one.
///
/// With n steps these are n + 1 levels. A step starts where the one before has ended, with one exception: diffusers'
/// DDIM always goes back by the same number of training timesteps, also where the next step starts elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels(Vec<(NoiseLevel, NoiseLevel)>);

impl Levels {
    /// The steps through `starts` that end in `last`.
    pub fn chain(starts: &[NoiseLevel], last: NoiseLevel) -> Self {
        let ends = starts.iter().skip(1).copied().chain([last]);
        Self(starts.iter().copied().zip(ends).collect())
    }

    /// Steps given one by one.
    pub(crate) fn steps(pairs: Vec<(NoiseLevel, NoiseLevel)>) -> Self {
        Self(pairs)
    }

    /// Start and end of every step.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&NoiseLevel, &NoiseLevel)> {
        self.0.iter().map(|(now, next)| (now, next))
    }

    /// Where the run starts.
    pub fn first(&self) -> NoiseLevel {
        self.0.first().map_or(NoiseLevel::CLEAN, |(now, _)| *now)
    }

    /// Where the run ends: clean, or as little noise as the model was trained with.
    pub fn last(&self) -> NoiseLevel {
        self.0.last().map_or(NoiseLevel::CLEAN, |(_, next)| *next)
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// True of a run without steps.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::{Levels, NoiseLevel};

    #[test]
    fn signal_and_noise_keep_the_variance() {
        for level in [NoiseLevel::new(0.3, 5.0), NoiseLevel::with_ve_sigma(14.6, 999.0), NoiseLevel::CLEAN] {
            assert!((level.alpha().powi(2) + level.sigma().powi(2) - 1.0).abs() < 1e-15);
        }
    }

    #[test]
    fn a_level_is_the_same_by_either_measure() {
        let level = NoiseLevel::with_ve_sigma(0.029_167, 0.0);
        assert!((level.ve_sigma() - 0.029_167).abs() < 1e-12);
        assert!((level.lambda() + 0.029_167f64.ln()).abs() < 1e-9);
    }

    #[test]
    fn each_step_of_a_chain_starts_where_the_last_one_ended() {
        let starts = [NoiseLevel::new(0.1, 9.0), NoiseLevel::new(0.5, 4.0)];
        let levels = Levels::chain(&starts, NoiseLevel::CLEAN);
        let pairs: Vec<_> = levels.pairs().collect();
        assert_eq!(pairs, [(&starts[0], &starts[1]), (&starts[1], &NoiseLevel::CLEAN)]);
        assert_eq!((levels.first(), levels.last(), levels.len()), (starts[0], NoiseLevel::CLEAN, 2));
    }
}
