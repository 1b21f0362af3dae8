//! Gaussian noise, drawn from the same random stream as the reference implementation's.

mod cephes;
mod mersenne;
mod torch_cpu;

pub use torch_cpu::TorchCpu;

use super::Latents;

/// The noise that a run draws from: one random stream for each picture of the batch.
///
/// Each picture draws its own [1, channels, h, w] block, so it comes out the same alone and in any batch, and the same
/// as from diffusers with a list of generators.
#[derive(Clone, Debug)]
pub struct Noise {
    streams: Vec<TorchCpu>,
}

impl Noise {
    /// One stream for each seed; by convention picture k of a request has seed + k.
    pub fn new(seeds: &[u64]) -> Self {
        Self { streams: seeds.iter().copied().map(TorchCpu::new).collect() }
    }

    /// How many pictures there are.
    pub fn pictures(&self) -> usize {
        self.streams.len()
    }

    /// The next standard normal block of every picture: `picture` is [channels, h, w], the result [pictures, channels, h, w].
    pub fn draw(&mut self, picture: [usize; 3]) -> Latents {
        let [channels, h, w] = picture;
        let mut latents = Latents::zeros([self.streams.len(), channels, h, w]);
        for (mut block, stream) in latents.outer_iter_mut().zip(&mut self.streams) {
            let values = stream.normals(block.len());
            block.iter_mut().zip(values).for_each(|(slot, value)| *slot = value);
        }
        latents
    }

    /// The next block of every picture, in the shape of one picture of `latents`.
    pub(crate) fn draw_like(&mut self, latents: &Latents) -> Latents {
        let (_, channels, h, w) = latents.dim();
        self.draw([channels, h, w])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_gets_the_same_noise_alone_and_in_a_batch() {
        let batch = Noise::new(&[7, 8]).draw([4, 2, 3]);
        let alone = Noise::new(&[8]).draw([4, 2, 3]);
        assert_eq!(batch.dim(), (2, 4, 2, 3));
        assert_eq!(batch.outer_iter().nth(1), alone.outer_iter().next());
    }

    #[test]
    fn another_seed_gives_other_noise() {
        assert_ne!(Noise::new(&[7]).draw([4, 2, 3]), Noise::new(&[8]).draw([4, 2, 3]));
    }

    #[test]
    fn a_second_draw_goes_on_in_the_stream() {
        let mut noise = Noise::new(&[7]);
        let first = noise.draw([4, 2, 2]);
        assert_ne!(first, noise.draw_like(&first));
    }
}
