//! Inpainting with any model: where the mask is dark, the clean latents are those of the init image.

use ndarray::{ArrayView4, Zip};

use super::Latents;

/// What of an init image is to stay.
///
/// The samplers' predictions are blended, not their latents (as in common web interfaces; diffusers' 4-channel inpainting
/// overwrites the latents after each step). For samplers without fresh noise both are the same: what is kept then runs
/// from its first noise straight to its own picture. With fresh noise this way the sampler's own noise is used there too.
#[derive(Clone, Copy, Debug)]
pub struct Kept<'a> {
    /// The init image's latents, [pictures, channels, height, width].
    pub clean: &'a Latents,
    /// 1 where the picture is to be made anew, 0 where it stays; broadcast to the shape of the latents.
    pub mask: ArrayView4<'a, f32>,
}

impl Kept<'_> {
    /// `latents` where the mask is 1, the init image where it is 0.
    pub(crate) fn blended(&self, mut latents: Latents) -> Latents {
        let Some(mask) = self.mask.broadcast(latents.dim()) else { return latents };
        let Some(clean) = self.clean.broadcast(latents.dim()) else { return latents };
        Zip::from(&mut latents).and(&clean).and(&mask).for_each(|x, &z, &m| *x = m * *x + (1.0 - m) * z);
        latents
    }
}
