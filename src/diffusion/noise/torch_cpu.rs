//! Torch's CPU random stream, value for value.

use super::cephes;
use super::mersenne::Mersenne;

/// How many values torch's vector kernel makes at a time; below this many it takes the scalar way.
const BLOCK: usize = 16;

/// The random stream of `torch.Generator("cpu").manual_seed(seed)`.
///
/// [`uniforms`](Self::uniforms) are those of `torch.rand`, [`normals`](Self::normals) those of `torch.randn`, both in
/// float32. The vector kernel of torch for x86 with AVX2 is the reference.
#[derive(Clone, Debug)]
pub struct TorchCpu {
    words: Mersenne,
    /// The half of the last scalar pair that was not handed out yet.
    spare: Option<f64>,
}

impl TorchCpu {
    /// The stream of `seed`; like torch it takes only the low 32 bits.
    pub fn new(seed: u64) -> Self {
        Self { words: Mersenne::new((seed & 0xffff_ffff) as u32), spare: None }
    }

    /// The next `n` values, uniform in [0, 1).
    pub fn uniforms(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.uniform()).collect()
    }

    /// The next `n` standard normal values. Torch makes fewer than 16 of them in another way than more.
    pub fn normals(&mut self, n: usize) -> Vec<f32> {
        if n < BLOCK {
            return (0..n).map(|_| self.normal() as f32).collect();
        }
        let mut values = self.uniforms(n);
        values.chunks_exact_mut(BLOCK).for_each(box_muller);
        if !n.is_multiple_of(BLOCK) {
            let last = &mut values[n - BLOCK..];
            last.fill_with(|| self.uniform());
            box_muller(last);
        }
        values
    }

    fn uniform(&mut self) -> f32 {
        const UNIT: f32 = 1.0 / (1 << 24) as f32;
        (self.words.next_u32() & 0x00ff_ffff) as f32 * UNIT
    }

    /// One value in double precision; the pair's other half is kept for the next call.
    fn normal(&mut self) -> f64 {
        if let Some(spare) = self.spare.take() {
            return spare;
        }
        let (u1, u2) = (self.uniform_double(), self.uniform_double());
        let radius = (-2.0 * (-u2).ln_1p()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * u1).sin_cos();
        self.spare = Some(radius * sin);
        radius * cos
    }

    fn uniform_double(&mut self) -> f64 {
        const UNIT: f64 = 1.0 / (1u64 << 53) as f64;
        let high = u64::from(self.words.next_u32());
        let low = u64::from(self.words.next_u32());
        ((high << 32 | low) & ((1 << 53) - 1)) as f64 * UNIT
    }
}

/// Turns 16 uniform values into normal ones: 8 times radius * cos, then 8 times radius * sin.
fn box_muller(block: &mut [f32]) {
    let (first, second) = block.split_at_mut(BLOCK / 2);
    for (a, b) in first.iter_mut().zip(second) {
        let radius = (-2.0 * cephes::ln(1.0 - *a)).sqrt();
        let (sin, cos) = cephes::sin_cos(std::f32::consts::TAU * *b);
        (*a, *b) = (radius * cos, radius * sin);
    }
}

#[cfg(test)]
mod tests {
    use super::TorchCpu;

    /// Made by `tests/golden/torch_noise.py`.
    const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/torch_noise.json"));

    #[derive(serde::Deserialize)]
    struct Case {
        seed: u64,
        draws: Vec<Draw>,
    }

    #[derive(serde::Deserialize)]
    struct Draw {
        what: String,
        n: usize,
        /// The bits of the first values as hexadecimal numbers, 8 digits each.
        head: String,
        /// Sum of all bits, each word times its place counted from 1, modulo 2^64.
        check: u64,
    }

    fn bits(values: &[f32]) -> Vec<u32> {
        values.iter().map(|value| value.to_bits()).collect()
    }

    fn check(bits: &[u32]) -> u64 {
        (1u64..).zip(bits).fold(0, |sum, (place, &word)| sum.wrapping_add(place.wrapping_mul(u64::from(word))))
    }

    fn replay(stream: &mut TorchCpu, draw: &Draw) -> Vec<u32> {
        bits(&if draw.what == "rand" { stream.uniforms(draw.n) } else { stream.normals(draw.n) })
    }

    #[test]
    fn every_value_is_torchs_bit_for_bit() -> Result<(), serde_json::Error> {
        for case in serde_json::from_str::<Vec<Case>>(GOLDEN)? {
            let mut stream = TorchCpu::new(case.seed);
            for draw in &case.draws {
                let ours = replay(&mut stream, draw);
                let head: String = ours.iter().take(draw.head.len() / 8).map(|word| format!("{word:08x}")).collect();
                assert_eq!(head, draw.head, "{} {} of seed {}", draw.what, draw.n, case.seed);
                assert_eq!(check(&ours), draw.check, "{} {} of seed {}", draw.what, draw.n, case.seed);
            }
        }
        Ok(())
    }

    #[test]
    fn the_check_sees_a_single_bit() {
        let mut values = bits(&TorchCpu::new(1).normals(40));
        let before = check(&values);
        values[17] ^= 1;
        assert_ne!(check(&values), before);
    }

    #[test]
    fn only_the_low_half_of_a_seed_counts() {
        assert_eq!(TorchCpu::new(5).normals(4), TorchCpu::new(5 | 1 << 32).normals(4));
    }
}
