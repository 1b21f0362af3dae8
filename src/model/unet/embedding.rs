//! The guidance scale as an input of the U-Net.

/// The embedding of a guidance scale that latent consistency models take, `width` values (Luo et al. 2023; diffusers'
/// `get_guidance_scale_embedding`): sines, then cosines, of 1000 * (scale - 1) at frequencies from 1 to 1/10000.
///
/// The angles are in the thousands, so each step is rounded to f32 where the reference does it.
pub(super) fn guidance(scale: f32, width: usize) -> Vec<f32> {
    let half = width / 2;
    let falling = 10_000_f32.ln() / (half as f32 - 1.0);
    let angle = |index: usize| {
        let frequency = f64::from(index as f32 * -falling).exp() as f32;
        f64::from((scale - 1.0) * 1000.0 * frequency)
    };
    let sines = (0..half).map(|index| angle(index).sin() as f32);
    let cosines = (0..half).map(|index| angle(index).cos() as f32);
    // An odd width is filled up with a zero.
    sines.chain(cosines).chain(std::iter::repeat_n(0.0, width % 2)).collect()
}

#[cfg(test)]
mod tests {
    use super::guidance;

    /// What diffusers 0.35.2 gives for `torch.tensor(scale - 1)`.
    #[test]
    fn a_scale_is_embedded_as_diffusers_does_it() {
        let near = |got: &[f32], expected: &[f32]| {
            let worst = got.iter().zip(expected).map(|(got, expected)| (got - expected).abs()).fold(0.0, f32::max);
            assert!(got.len() == expected.len() && worst < 1e-6, "{got:?}");
        };
        near(&guidance(8.5, 6), &[-0.851_235_87, -0.387_781_65, 0.681_638_7, -0.524_783_25, 0.921_751_26, 0.731_688_9]);
        near(&guidance(1.0, 5), &[0.0, 0.0, 1.0, 1.0, 0.0]);
        let wide = guidance(8.5, 256);
        near(&wide[..4], &[-0.851_235_87, 0.842_131_2, 0.011_876_259, 0.992_376_8]);
        near(&wide[253..], &[0.647_064_15, 0.692_092_4, 0.731_688_9]);
    }
}
