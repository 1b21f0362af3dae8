//! Torch's CUDA random stream.

use super::philox::philox;

/// The random stream of `torch.Generator("cuda").manual_seed(seed)`, as far as `torch.randn` goes, by the formula of the
/// Stable Diffusion web UI (`modules/rng_philox.py`).
///
/// Torch gives every value a thread of its own, and so a counter of its own, as long as the GPU has threads enough. For each
/// of its multiprocessors that is 2048 (compute capability 7.0, 8.0 and 9.0), 1536 (8.6, 8.7 and 8.9) or 1024 (7.5): an A100
/// has 221,184, a GeForce RTX 3060 has 43,008 and a Jetson Orin Nano 12,288, where a picture of 512x512 takes 16,384 values
/// and one of 1024x1024 takes 65,536. Beyond that torch takes up to four values from each counter, in an order that depends
/// on the GPU; this stream does not, and so is the one of large GPUs on any machine.
///
/// The values are those of the web UI bit for bit. A GPU computes in single precision with fast functions, so its values
/// differ in their last digits.
#[derive(Clone, Debug)]
pub struct TorchCuda {
    key: [u32; 2],
    /// How many draws there have been.
    draws: u32,
}

impl TorchCuda {
    /// The stream of `seed`, of which all 64 bits count.
    pub fn new(seed: u64) -> Self {
        Self { key: [(seed & 0xffff_ffff) as u32, (seed >> 32) as u32], draws: 0 }
    }

    /// The next draw: `n` standard normal values. The next draw is another one however long this was.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        let draw = self.draws;
        self.draws = draw.wrapping_add(1);
        (0u32..).take(n).map(|index| normal(philox([draw, 0, index, 0], self.key))).collect()
    }
}

/// The first of the two values that the Box-Muller transform gives.
fn normal([x, y, ..]: [u32; 4]) -> f32 {
    const UNIT: f64 = 1.0 / (1u64 << 32) as f64;
    const TURN: f64 = UNIT * std::f32::consts::TAU as f64;
    let (u, angle) = (f64::from(x) * UNIT + UNIT / 2.0, f64::from(y) * TURN + TURN / 2.0);
    ((-2.0 * u.ln()).sqrt() * angle.sin()) as f32
}

#[cfg(test)]
mod tests {
    use super::TorchCuda;

    /// Made by `tests/golden/cuda_noise.py`.
    const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/cuda_noise.json"));

    #[derive(serde::Deserialize)]
    struct Case {
        seed: u64,
        /// The bits of every value of every draw as hexadecimal numbers, 8 digits each.
        draws: Vec<String>,
    }

    fn cases() -> Vec<Case> {
        serde_json::from_str(GOLDEN).unwrap_or_else(|error| unreachable!("{error}"))
    }

    /// Largest distance of any value from the script's, in units in the last place.
    fn distance(case: &Case, seed: u64) -> u32 {
        let mut stream = TorchCuda::new(seed);
        let mut most = 0;
        for draw in &case.draws {
            for (place, value) in stream.normals(draw.len() / 8).into_iter().enumerate() {
                let bits = u32::from_str_radix(&draw[8 * place..8 * place + 8], 16).unwrap();
                most = most.max(value.to_bits().abs_diff(bits));
            }
        }
        most
    }

    #[test]
    fn every_value_is_the_formulas_to_the_last_place() {
        for case in cases() {
            assert!(distance(&case, case.seed) <= 1, "seed {}", case.seed);
        }
    }

    #[test]
    fn every_bit_of_the_seed_counts() {
        for case in cases() {
            assert!(distance(&case, case.seed ^ 1) > 1000 && distance(&case, case.seed ^ 1 << 63) > 1000);
        }
    }

    #[test]
    fn seed_0_begins_as_the_web_ui_says() {
        let values = TorchCuda::new(0).normals(12);
        for (place, expected) in [(0, -0.924_662_6), (1, -0.425_344_15), (2, -2.643_845_7), (11, 2.265_505)] {
            assert!((values[place] - expected).abs() < 1e-6, "{place}: {} {expected}", values[place]);
        }
    }

    #[test]
    fn a_short_draw_and_a_long_one_begin_alike_and_are_followed_alike() {
        let (mut short, mut long) = (TorchCuda::new(3), TorchCuda::new(3));
        assert_eq!(short.normals(5), long.normals(100)[..5]);
        assert_eq!(short.normals(5), long.normals(5));
    }
}
