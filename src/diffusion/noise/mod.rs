//! Gaussian noise, drawn from the same random stream as the reference implementation's.

mod cephes;
mod mersenne;
mod philox;
mod torch_cpu;
mod torch_cuda;
mod variation;

pub use torch_cpu::TorchCpu;
pub use torch_cuda::TorchCuda;

use super::Latents;
use variation::Variation;

/// Whose random numbers a seed stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SeedSource {
    /// Torch's generator on the CPU: diffusers' usual one.
    #[default]
    Cpu,
    /// Torch's generator on large NVIDIA GPUs.
    Cuda,
}

impl SeedSource {
    /// All sources.
    pub const ALL: &[Self] = &[Self::Cpu, Self::Cuda];

    /// Its name in requests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }

    /// The source of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|source| source.name() == name)
    }
}

/// The noise that a run draws from: one random stream for each picture of the batch.
///
/// Each picture draws its own [1, channels, h, w] block, so it comes out the same alone and in any batch, and the same
/// as from diffusers with a list of generators.
#[derive(Clone, Debug)]
pub struct Noise {
    streams: Vec<Stream>,
    /// What the starting noise is turned towards.
    variation: Option<Variation>,
}

impl Noise {
    /// One stream of torch's CPU generator for each seed; by convention picture k of a request has seed + k.
    pub fn new(seeds: &[u64]) -> Self {
        Self::from_source(SeedSource::Cpu, seeds)
    }

    /// One stream for each seed.
    pub fn from_source(source: SeedSource, seeds: &[u64]) -> Self {
        Self { streams: seeds.iter().map(|&seed| Stream::new(source, seed)).collect(), variation: None }
    }

    /// Variations of pictures: one stream for each pair of a seed and a sub-seed.
    ///
    /// The noise that a run starts from ([`start`](Self::start)) is that of the seed turned towards that of the sub-seed:
    /// `strength` 0 gives the seed's, 1 the sub-seed's. All else that is drawn is the seed's.
    pub fn varied(source: SeedSource, seeds: &[(u64, u64)], strength: f32) -> Self {
        let streams = seeds.iter().map(|&(seed, _)| Stream::new(source, seed)).collect();
        let others = seeds.iter().map(|&(_, sub_seed)| Stream::new(source, sub_seed)).collect();
        Self { streams, variation: Some(Variation { streams: others, strength }) }
    }

    /// How many pictures there are.
    pub fn pictures(&self) -> usize {
        self.streams.len()
    }

    /// The noise that a run starts from: the next block of every picture, in a variation turned towards the sub-seed's.
    /// `picture` is [channels, h, w], the result [pictures, channels, h, w].
    pub fn start(&mut self, picture: [usize; 3]) -> Latents {
        let mut latents = self.draw(picture);
        if let Some(mut variation) = self.variation.take() {
            variation.turn(&mut latents);
        }
        latents
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

/// The random stream of one picture.
#[derive(Clone, Debug)]
enum Stream {
    Cpu(Box<TorchCpu>),
    Cuda(TorchCuda),
}

impl Stream {
    fn new(source: SeedSource, seed: u64) -> Self {
        match source {
            SeedSource::Cpu => Self::Cpu(Box::new(TorchCpu::new(seed))),
            SeedSource::Cuda => Self::Cuda(TorchCuda::new(seed)),
        }
    }

    fn normals(&mut self, n: usize) -> Vec<f32> {
        match self {
            Self::Cpu(stream) => stream.normals(n),
            Self::Cuda(stream) => stream.normals(n),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_gets_the_same_noise_alone_and_in_a_batch() {
        for source in SeedSource::ALL {
            let batch = Noise::from_source(*source, &[7, 8]).draw([4, 2, 3]);
            let alone = Noise::from_source(*source, &[8]).draw([4, 2, 3]);
            assert_eq!(batch.dim(), (2, 4, 2, 3));
            assert_eq!(batch.outer_iter().nth(1), alone.outer_iter().next());
        }
    }

    #[test]
    fn another_seed_or_source_gives_other_noise() {
        assert_ne!(Noise::new(&[7]).draw([4, 2, 3]), Noise::new(&[8]).draw([4, 2, 3]));
        assert_ne!(Noise::new(&[7]).draw([4, 2, 3]), Noise::from_source(SeedSource::Cuda, &[7]).draw([4, 2, 3]));
    }

    #[test]
    fn a_second_draw_goes_on_in_the_stream() {
        for source in SeedSource::ALL {
            let mut noise = Noise::from_source(*source, &[7]);
            let first = noise.draw([4, 2, 2]);
            assert_ne!(first, noise.draw_like(&first));
        }
    }

    #[test]
    fn sources_are_found_by_their_names() {
        assert_eq!(SeedSource::find("cpu"), Some(SeedSource::Cpu));
        assert_eq!(SeedSource::find("cuda"), Some(SeedSource::Cuda));
        assert_eq!(SeedSource::find("CUDA"), None);
    }
}
