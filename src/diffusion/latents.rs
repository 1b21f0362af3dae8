//! Latents and the one arithmetic operation that every step is made of.

/// Pictures in the model's latent space, [batch, channels, height / 8, width / 8].
///
/// On this floor they are variance-preserving everywhere: alpha * clean + sigma * noise with alpha^2 + sigma^2 = 1, which
/// is also what the U-Net takes. Euler's classes in diffusers keep clean + sigma / alpha * noise instead; see
/// [`Sampler::exploding`](super::Sampler::exploding).
pub type Latents = ndarray::Array4<f32>;

/// a * x + b * y, element by element; both have the same shape.
pub(crate) fn combine(a: f64, mut x: Latents, b: f64, y: &Latents) -> Latents {
    let (a, b) = (a as f32, b as f32);
    ndarray::Zip::from(&mut x).and(y).for_each(|x, &y| *x = a * *x + b * y);
    x
}
