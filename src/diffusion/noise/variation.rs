//! Variations: starting noise between that of two seeds.

use ndarray::ArrayViewMut3;

use super::Stream;
use crate::diffusion::Latents;

/// What the noise that a run starts from is turned towards.
#[derive(Clone, Debug)]
pub(super) struct Variation {
    /// The random streams of the sub-seeds, one a picture.
    pub(super) streams: Vec<Stream>,
    /// How far, 0 to 1.
    pub(super) strength: f32,
}

impl Variation {
    /// Turns the noise of every picture.
    pub(super) fn turn(&mut self, latents: &mut Latents) {
        for (block, stream) in latents.outer_iter_mut().zip(&mut self.streams) {
            let towards = stream.normals(block.len());
            turn(block, &towards, f64::from(self.strength));
        }
    }
}

/// Spherical interpolation (Shoemake 1985) from `noise`, at 0, `towards` another, at 1. Unlike a weighted mean it keeps the
/// variance.
///
/// Both are taken as one vector each; the Stable Diffusion web UI takes each column of the latents by itself.
fn turn(mut noise: ArrayViewMut3<'_, f32>, towards: &[f32], part: f64) {
    let (mut own, mut other, mut both) = (0.0, 0.0, 0.0);
    for (a, b) in noise.iter().zip(towards).map(|(a, b)| (f64::from(*a), f64::from(*b))) {
        own += a * a;
        other += b * b;
        both += a * b;
    }
    let angle = (both / f64::sqrt(own * other)).clamp(-1.0, 1.0).acos();
    // The ends are exact; and from a vector to itself there is no way to go.
    let (a, b) = if part <= 0.0 || angle.sin() < 1e-7 {
        (1.0, 0.0)
    } else if part >= 1.0 {
        (0.0, 1.0)
    } else {
        (((1.0 - part) * angle).sin() / angle.sin(), (part * angle).sin() / angle.sin())
    };
    let mixed = |x: f32, y: f32| (a * f64::from(x) + b * f64::from(y)) as f32;
    noise.iter_mut().zip(towards).for_each(|(x, y)| *x = mixed(*x, *y));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diffusion::{Latents, Noise, SeedSource};

    const PICTURE: [usize; 3] = [4, 32, 32];

    fn varied(strength: f32) -> Noise {
        Noise::varied(SeedSource::Cpu, &[(1, 100), (2, 101)], strength)
    }

    fn deviation(noise: &Latents) -> f32 {
        noise.std(0.0)
    }

    #[test]
    fn the_ends_are_the_noise_of_the_seed_and_of_the_sub_seed() {
        assert_eq!(varied(0.0).start(PICTURE), Noise::new(&[1, 2]).draw(PICTURE));
        assert_eq!(varied(1.0).start(PICTURE), Noise::new(&[100, 101]).draw(PICTURE));
    }

    #[test]
    fn every_strength_keeps_the_variance_where_a_weighted_mean_loses_it() {
        for strength in [0.1, 0.3, 0.5, 0.9] {
            let noise = varied(strength).start(PICTURE);
            assert!((deviation(&noise) - 1.0).abs() < 0.03, "{strength}: {}", deviation(&noise));
        }
        let mean = (varied(0.0).start(PICTURE) + varied(1.0).start(PICTURE)) / 2.0;
        assert!((deviation(&mean) - 1.0).abs() > 0.2, "{}", deviation(&mean));
    }

    #[test]
    fn all_else_that_is_drawn_is_the_seeds_own() {
        let (mut varied, mut plain) = (varied(0.4), Noise::new(&[1, 2]));
        assert_ne!(varied.start(PICTURE), plain.draw(PICTURE));
        assert_eq!(varied.draw(PICTURE), plain.draw(PICTURE));
        assert_eq!(varied.start(PICTURE), plain.start(PICTURE));
    }

    #[test]
    fn a_quarter_turn_is_divided_evenly() {
        let mut third = ndarray::array![[[1.0, 0.0]]];
        turn(third.view_mut(), &[0.0, 1.0], 1.0 / 3.0);
        let gap = (third - ndarray::array![[[0.75f32.sqrt(), 0.5]]]).mapv(f32::abs).sum();
        assert!(gap < 1e-6, "{gap}");
    }

    #[test]
    fn noise_turned_towards_itself_stays() {
        let same = Noise::varied(SeedSource::Cuda, &[(5, 5)], 0.5).start(PICTURE);
        assert_eq!(same, Noise::from_source(SeedSource::Cuda, &[5]).draw(PICTURE));
    }
}
