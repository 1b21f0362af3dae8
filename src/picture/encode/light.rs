//! Bytes as amounts of light (IEC 61966-2-1, sRGB) and back.

/// Red, green and blue, each from 0 to 1; as light, or as the eye sees it.
pub(super) type Tone = [f32; 3];

/// Steps of the way back; the largest error is a third of the smallest step between two shades of any format.
const STEPS: usize = 1 << 14;

/// Both ways, as tables: a panel has a million pixels, and powers are slow.
pub(super) struct Light {
    linear: [f32; 256],
    encoded: Vec<f32>,
}

impl Light {
    pub(super) fn new() -> Self {
        let encoded = (0..=STEPS).map(|step| encoded(step as f32 / STEPS as f32)).collect();
        Self { linear: std::array::from_fn(|byte| linear(byte as f32 / 255.0)), encoded }
    }

    /// Bytes taken for amounts of light, as Pillow does.
    #[cfg(test)]
    pub(super) fn plain() -> Self {
        let encoded = (0..=STEPS).map(|step| step as f32 / STEPS as f32).collect();
        Self { linear: std::array::from_fn(|byte| byte as f32 / 255.0), encoded }
    }

    /// The light that a pixel sends out.
    pub(super) fn of(&self, pixel: [u8; 3]) -> Tone {
        pixel.map(|byte| self.linear[usize::from(byte)])
    }

    /// How light looks: equal steps are about equally far apart. Beyond 0 and 1 it is cut off.
    pub(super) fn seen(&self, light: Tone) -> Tone {
        light.map(|value| self.encoded[(value.clamp(0.0, 1.0) * STEPS as f32).round() as usize])
    }
}

fn linear(encoded: f32) -> f32 {
    if encoded <= 0.040_45 { encoded / 12.92 } else { ((encoded + 0.055) / 1.055).powf(2.4) }
}

fn encoded(linear: f32) -> f32 {
    if linear <= 0.003_130_8 { linear * 12.92 } else { 1.055 * linear.powf(1.0 / 2.4) - 0.055 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_comes_back_from_its_light() {
        let light = Light::new();
        for byte in 0..=255 {
            let [seen, ..] = light.seen(light.of([byte; 3]));
            assert_eq!((seen * 255.0).round() as u8, byte);
        }
    }

    #[test]
    fn half_the_light_looks_like_three_quarters() {
        let [seen, ..] = Light::new().seen([0.5; 3]);
        assert!((seen - 0.735).abs() < 0.001, "{seen}");
    }
}
