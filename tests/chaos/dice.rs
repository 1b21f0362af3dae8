//! Chance that can be repeated: every run prints its seed.

use std::time::Duration;

/// Sebastiano Vigna's SplitMix64.
#[derive(Clone)]
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub fn throw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// At least 0, less than `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.throw() % end
    }

    /// Exponentially distributed: what happens at any moment with the same likelihood.
    pub fn wait(&mut self, mean: Duration) -> Duration {
        let share = (self.throw() >> 11) as f64 / (1_u64 << 53) as f64;
        mean.mul_f64(-(1.0 - share).ln())
    }
}

/// The seed of a run: given, or from the clock.
pub fn seed() -> u64 {
    let given = std::env::var("CHAOS_SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| u64::try_from(super::now()).unwrap_or(0) % 1_000_000);
    println!("CHAOS_SEED={seed}");
    seed
}
