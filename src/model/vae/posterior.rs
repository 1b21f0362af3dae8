//! What an encoder knows about the latents of a picture.

use ndarray::Zip;

use crate::diffusion::Latents;

/// The latents of a picture as the sampler takes them, [batch, channels, height / 8, width / 8], as far as the encoder knows.
#[derive(Clone, Debug, PartialEq)]
pub enum Posterior {
    /// A normal distribution for each latent (diffusers' `DiagonalGaussianDistribution`).
    Gaussian {
        /// Its mean, which is also the likeliest value.
        mean: Latents,
        /// Its standard deviation.
        std: Latents,
    },
    /// One value for each latent: the graph has drawn it itself, or never leaves a choice.
    Known(Latents),
}

impl Posterior {
    /// A sample, `mean + std * noise`. Noise is drawn only where there is a choice: `draw` gets the shape of a picture's
    /// latents and returns standard normal values, [pictures, channels, height, width], of so many pictures as samples
    /// are wanted; as `Noise::draw` does.
    pub fn sample(&self, draw: impl FnOnce([usize; 3]) -> Latents) -> Latents {
        match self {
            Self::Known(latents) => latents.clone(),
            Self::Gaussian { mean, std } => {
                let (_, channels, height, width) = mean.dim();
                let mut noise = draw([channels, height, width]);
                Zip::from(&mut noise)
                    .and_broadcast(mean)
                    .and_broadcast(std)
                    .for_each(|noise, &mean, &std| *noise = mean + std * *noise);
                noise
            }
        }
    }

    /// The likeliest latents.
    pub fn mode(&self) -> &Latents {
        match self {
            Self::Known(latents) | Self::Gaussian { mean: latents, .. } => latents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::Noise;

    fn gaussian() -> Posterior {
        Posterior::Gaussian { mean: Latents::from_elem([1, 4, 2, 2], 3.0), std: Latents::from_elem([1, 4, 2, 2], 0.5) }
    }

    #[test]
    fn a_sample_is_the_mean_and_so_many_deviations() {
        let mut noise = Noise::new(&[7, 8]);
        let sample = gaussian().sample(|picture| noise.draw(picture));
        assert_eq!(sample, Noise::new(&[7, 8]).draw([4, 2, 2]) * 0.5 + 3.0);
        assert_eq!(*gaussian().mode(), Latents::from_elem([1, 4, 2, 2], 3.0));
    }

    #[test]
    fn where_there_is_no_choice_no_noise_is_drawn() {
        let known = Posterior::Known(Latents::ones([1, 4, 2, 2]));
        assert_eq!(known.sample(|_| unreachable!("noise was drawn")), *known.mode());
    }
}
