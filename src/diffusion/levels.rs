//! How much noise there is: one level, and the levels that a run passes through.

use std::ops::Range;
use std::sync::Arc;

/// What is left of the signal (alpha^2) at the noisy end, at least, where sigma / alpha must be finite.
pub(crate) const LEAST_SIGNAL: f64 = 1.0 / (1 << 24) as f64;

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

    /// Whether there is so little signal that the level stands for none at all.
    pub(crate) fn is_noise(&self) -> bool {
        self.alpha * self.alpha < 4.0 * LEAST_SIGNAL
    }

    /// Half the logarithm of the signal-to-noise ratio, ln(alpha / sigma): the time in which DPM-Solver works.
    pub fn lambda(&self) -> f64 {
        (self.alpha / self.sigma).ln()
    }
}

/// The levels of a run, as pairs (where a step starts, where it ends), from the noisy end to the clean one.
///
/// A step starts where the one before has ended, with one exception: diffusers'
/// DDIM always goes back by the same number of training timesteps, also where the next step starts elsewhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Those of the whole run.
    all: Vec<(NoiseLevel, NoiseLevel)>,
    /// Which of them these are.
    steps: Range<usize>,
    clock: Clock,
}

impl Levels {
    /// The steps through `starts` that end in `last`; `clock` gives levels in between their timesteps.
    pub fn chain(starts: &[NoiseLevel], last: NoiseLevel, clock: Clock) -> Self {
        let ends = starts.iter().skip(1).copied().chain([last]);
        Self::steps(starts.iter().copied().zip(ends).collect(), clock)
    }

    /// Steps given one by one.
    pub(crate) fn steps(pairs: Vec<(NoiseLevel, NoiseLevel)>, clock: Clock) -> Self {
        let steps = 0..pairs.len();
        Self { all: pairs, steps, clock }
    }

    /// Some of the steps.
    pub(crate) fn part(&self, steps: Range<usize>) -> Self {
        let within = |step: usize| (self.steps.start + step).min(self.steps.end);
        Self { steps: within(steps.start)..within(steps.end), ..self.clone() }
    }

    /// How many steps the run has before these.
    pub(crate) fn before(&self) -> usize {
        self.steps.start
    }

    /// The levels at which the step of that index and those before it start, back to the start of the whole run.
    pub(crate) fn back_from(&self, step: usize) -> impl Iterator<Item = &NoiseLevel> {
        self.all[..(self.steps.start + step + 1).min(self.all.len())].iter().rev().map(|(now, _)| now)
    }

    /// Whether these are the rest of a run of which the first steps are left out.
    pub(crate) fn are_a_rest(&self) -> bool {
        self.steps.start > 0 && self.steps.end == self.all.len()
    }

    /// The steps with the second one listed twice.
    pub(crate) fn with_second_twice(mut self) -> Self {
        if let Some(second) = self.all.get(1) {
            self.all.insert(1, *second);
            self.steps.end += 1;
        }
        self
    }

    /// Whether the step of that index starts where the one before does.
    pub(crate) fn is_listed_twice(&self, step: usize) -> bool {
        let start = |step: usize| self.pairs().nth(step).map(|(now, _)| *now);
        step > 0 && start(step).is_some() && start(step) == start(step - 1)
    }

    /// How many steps the run has that these are part of.
    pub(crate) fn planned(&self) -> usize {
        self.all.len()
    }

    /// The level with the given [`ve_sigma`](NoiseLevel::ve_sigma), for samplers that look between their steps.
    pub fn at(&self, ve_sigma: f64) -> NoiseLevel {
        NoiseLevel::with_ve_sigma(ve_sigma, self.clock.timestep_of(ve_sigma))
    }

    /// The level of a training timestep, for samplers that look between their steps.
    pub(crate) fn at_timestep(&self, timestep: f64) -> NoiseLevel {
        NoiseLevel::with_ve_sigma(self.clock.ve_sigma_at(timestep), timestep)
    }

    /// What gives levels their timesteps.
    pub(crate) fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Start and end of every step.
    pub fn pairs(&self) -> impl ExactSizeIterator<Item = (&NoiseLevel, &NoiseLevel)> {
        self.all[self.steps.clone()].iter().map(|(now, next)| (now, next))
    }

    /// Where the run starts.
    pub fn first(&self) -> NoiseLevel {
        self.pairs().next().map_or(NoiseLevel::CLEAN, |(now, _)| *now)
    }

    /// Where the run ends: clean, or as little noise as the model was trained with.
    pub fn last(&self) -> NoiseLevel {
        self.pairs().last().map_or(NoiseLevel::CLEAN, |(_, next)| *next)
    }

    /// Number of steps.
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// True of a run without steps.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }
}

/// The timesteps of noise levels: the logarithm of sigma / alpha by training timestep, rising.
#[derive(Clone, Debug, PartialEq)]
pub struct Clock(Arc<[f32]>);

impl Clock {
    /// A clock for a training with these sigma / alpha, in float32 like diffusers'.
    pub fn new(ve_sigmas: &[f32]) -> Self {
        Self(ve_sigmas.iter().map(|sigma| sigma.ln()).collect())
    }

    /// The timestep of a sigma / alpha, interpolated in its logarithm, as `_sigma_to_t` in diffusers.
    pub fn timestep_of(&self, ve_sigma: f64) -> f64 {
        let wanted = ve_sigma.max(1e-10).ln();
        let above = self.0.partition_point(|ln| f64::from(*ln) <= wanted);
        let low = above.saturating_sub(1).min(self.0.len().saturating_sub(2));
        let Some(&[a, b]) = self.0.get(low..low + 2) else { return 0.0 };
        let (a, b) = (f64::from(a), f64::from(b));
        low as f64 + ((wanted - a) / (b - a)).clamp(0.0, 1.0)
    }

    /// The sigma / alpha of a timestep.
    fn ve_sigma_at(&self, timestep: f64) -> f64 {
        let low = (timestep.max(0.0) as usize).min(self.0.len().saturating_sub(1));
        let Some(&a) = self.0.get(low) else { return 0.0 };
        let b = *self.0.get(low + 1).unwrap_or(&a);
        let part = (timestep - low as f64).clamp(0.0, 1.0);
        // At a whole timestep the next one does not count, not even if it is infinite.
        let ln = if part == 0.0 { f64::from(a) } else { f64::from(a) + part * (f64::from(b) - f64::from(a)) };
        ln.exp()
    }
}

#[cfg(test)]
mod tests {
    use super::{Clock, Levels, NoiseLevel};

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
        let levels = Levels::chain(&starts, NoiseLevel::CLEAN, Clock::new(&[0.5, 1.0, 2.0]));
        let pairs: Vec<_> = levels.pairs().collect();
        assert_eq!(pairs, [(&starts[0], &starts[1]), (&starts[1], &NoiseLevel::CLEAN)]);
        assert_eq!((levels.first(), levels.last(), levels.len()), (starts[0], NoiseLevel::CLEAN, 2));
        let part = levels.part(1..2);
        assert_eq!((part.len(), part.before(), part.planned()), (1, 1, 2));
        assert_eq!(part.back_from(0).collect::<Vec<_>>(), [&starts[1], &starts[0]]);
        assert!(part.are_a_rest() && !levels.part(0..1).are_a_rest() && !levels.are_a_rest());
    }

    #[test]
    fn a_second_step_listed_twice_is_followed_by_the_third() {
        let starts = [9.0, 4.0, 1.0].map(|t| NoiseLevel::new(1.0 / (t + 1.0), t));
        let chain = |starts| Levels::chain(starts, NoiseLevel::CLEAN, Clock::new(&[0.5, 1.0])).with_second_twice();
        let timesteps: Vec<_> = chain(&starts).pairs().map(|(now, _)| now.timestep()).collect();
        assert_eq!(timesteps, [9.0, 4.0, 4.0, 1.0]);
        assert_eq!(chain(&starts[..1]).len(), 1);
    }

    #[test]
    fn levels_in_between_have_timesteps_in_between() {
        let levels = Levels::chain(&[], NoiseLevel::CLEAN, Clock::new(&[0.5, 1.0, 4.0]));
        for (ve_sigma, timestep) in [(0.1, 0.0), (0.5, 0.0), (1.0, 1.0), (2.0, 1.5), (4.0, 2.0), (9.0, 2.0)] {
            let level = levels.at(ve_sigma);
            assert!((level.timestep() - timestep).abs() < 1e-6 && (level.ve_sigma() - ve_sigma).abs() < 1e-12);
            let there = levels.at_timestep(timestep).ve_sigma();
            assert!((there - ve_sigma.clamp(0.5, 4.0)).abs() < 1e-6, "{there} at {timestep}");
        }
        let infinite = Levels::chain(&[], NoiseLevel::CLEAN, Clock::new(&[1.0, f32::INFINITY]));
        assert_eq!((infinite.at_timestep(0.0).sigma(), infinite.at_timestep(1.0).alpha()), (0.5f64.sqrt(), 0.0));
    }
}
