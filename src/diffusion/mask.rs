//! Inpainting with any model: where the mask is dark, the run follows the init image.

use ndarray::{ArrayView4, Zip};

use super::latents::{Latents, combine};
use super::levels::NoiseLevel;

/// What of an init image is to stay.
///
/// The model is always shown the init image there, with the noise of the level it is asked about: the same noise all the
/// way, as diffusers' 4-channel inpainting puts it over the latents after each step. The samplers need not know.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The init image's latents, [pictures, channels, height, width].
    pub clean: &'a Latents,
    /// The noise that the run starts with, likewise.
    pub noise: &'a Latents,
    /// 1 where the picture is to be made anew, 0 where it stays; broadcast to the shape of the latents.
    pub mask: ArrayView4<'a, f32>,
    /// The level at which all is still noise, in runs that start from nothing else.
    pub nothing_yet: Option<NoiseLevel>,
}

impl Kept<'_> {
    /// What the model is shown in the place of `latents` at `level`.
    pub(crate) fn shown(&self, latents: &Latents, level: &NoiseLevel) -> Latents {
        if self.nothing_yet == Some(*level) {
            return latents.clone();
        }
        let noisy = combine(level.alpha(), self.clean.clone(), level.sigma(), self.noise);
        self.over(&noisy, latents.clone())
    }

    /// `latents` where the mask is 1, the init image where it is 0.
    pub(crate) fn blended(&self, latents: Latents) -> Latents {
        self.over(self.clean, latents)
    }

    fn over(&self, kept: &Latents, mut latents: Latents) -> Latents {
        let Some(mask) = self.mask.broadcast(latents.dim()) else { return latents };
        Zip::from(&mut latents).and(kept).and(&mask).for_each(|x, &z, &m| *x = m * *x + (1.0 - m) * z);
        latents
    }
}

#[cfg(test)]
mod tests {
    use ndarray::Array4;

    use super::*;

    #[test]
    fn the_model_sees_the_init_image_with_its_noise_where_nothing_is_painted() {
        let of = |value| Latents::from_elem([1, 2, 1, 2], value);
        let (clean, noise, latents) = (of(5.0), of(10.0), of(-1.0));
        let mask = Array4::from_shape_vec((1, 1, 1, 2), vec![0.0, 1.0]).unwrap();
        let first = NoiseLevel::new(0.1, 999.0);
        let kept = Kept { clean: &clean, noise: &noise, mask: mask.view(), nothing_yet: Some(first) };
        let shown = kept.shown(&latents, &NoiseLevel::new(0.36, 500.0));
        assert_eq!(shown.into_raw_vec_and_offset().0, [11.0, -1.0, 11.0, -1.0]);
        assert_eq!(kept.shown(&latents, &first), latents);
        assert_eq!(kept.blended(latents).into_raw_vec_and_offset().0, [5.0, -1.0, 5.0, -1.0]);
    }
}
