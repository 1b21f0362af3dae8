//! The autoencoder: pixels to latents and back.
//!
//! Pictures larger than the autoencoder's own size (512 pixels at least) go through it in overlapping tiles, so that the
//! memory of a pass is bounded; up to that size nothing is cut. Each tile is normalised and attended to by itself, so it
//! comes out a little different from the whole. On the bundled model at 128 pixels in tiles of 64, the root of the mean
//! square difference is 1.2 of 255 for a run of the model and 4.9 for a mosaic of four pictures; diffusers' tiles make it
//! 2.4 for that run. Larger tiles see more of the picture and differ less. Decoding and encoding 1024 pixels takes 4.7 GB
//! with the bundled model in one piece, 0.7 GB in tiles of 512 and half the time.
//!
//! Previews are linear in the latents; [`Decoder::preview`] explains half of the variance of the bundled model's pictures
//! at the size of the latents, where the best linear map would explain 0.59.

mod decoder;
mod encoder;
mod half;
mod posterior;
mod tiles;

#[cfg(test)]
mod quality;
#[cfg(test)]
mod tests;

pub use decoder::Decoder;
pub use encoder::Encoder;
pub use posterior::Posterior;

/// Pictures before they are rounded, [batch, 3, height, width], nominally from -1 to 1.
pub type Planes = ndarray::Array4<f32>;
