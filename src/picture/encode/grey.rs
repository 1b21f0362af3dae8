//! Greys, down to black and white. Code 0 is black, the highest white, in even steps as the eye sees them.

use super::Picture;
use super::dither::{Dither, Screen, Shade, dithered, picked};
use super::format::{Kind, RAW, Row};
use super::light::{Light, Tone};
use super::pack::packed;

pub(super) const MONO: Row = row("mono", 1, rows::<1>);
pub(super) const GRAY2: Row = row("gray2", 2, rows::<2>);
pub(super) const GRAY4: Row = row("gray4", 4, rows::<4>);

const fn row(name: &'static str, bits: usize, encode: fn(&Picture, Dither) -> Vec<u8>) -> Row {
    let kind = Kind::Panel { bits, planes: 1, dither: Dither::FloydSteinberg, background: [255; 3], encode };
    Row { name, content_type: RAW, extension: name, kind }
}

fn rows<const BITS: usize>(picture: &Picture, dither: Dither) -> Vec<u8> {
    packed(&dithered(picture, dither, &Greys { white: (1 << BITS) - 1 }), picture.width() as usize, BITS)
}

/// Greys from code 0 to `white`.
struct Greys {
    white: u16,
}

impl Screen for Greys {
    fn wanted(&self, pixel: [u8; 3]) -> [u8; 3] {
        [luma(pixel); 3]
    }

    fn like(&self, [seen, ..]: Tone) -> Shade {
        self.shade((seen * f32::from(self.white)).round() as u16)
    }

    fn shining(&self, wanted: Tone, light: &Light) -> Shade {
        let [below, above] = self.around(wanted, light);
        if wanted[0] - below.0 <= above.0 - wanted[0] { below.1 } else { above.1 }
    }

    fn patterned(&self, pixel: [u8; 3], threshold: f32, light: &Light) -> Shade {
        let wanted = light.of(pixel);
        picked(self.around(wanted, light), wanted[0], threshold)
    }
}

impl Greys {
    /// The two greys between which `wanted` lies, with their light.
    fn around(&self, wanted: Tone, light: &Light) -> [(f32, Shade); 2] {
        let [seen, ..] = light.seen(wanted);
        let below = (seen * f32::from(self.white)) as u16;
        [below, (below + 1).min(self.white)].map(|code| {
            let shade = self.shade(code);
            (light.of(shade.colour)[0], shade)
        })
    }

    fn shade(&self, code: u16) -> Shade {
        let grey = (255 * u32::from(code) / u32::from(self.white)) as u8;
        Shade { code, colour: [grey; 3] }
    }
}

/// Rec. 601 luma, rounded as Pillow's mode "L" does.
fn luma([red, green, blue]: [u8; 3]) -> u8 {
    ((19_595 * u32::from(red) + 38_470 * u32::from(green) + 7_471 * u32::from(blue) + 0x8000) >> 16) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ramp() -> Picture {
        Picture::new(8, 1, [0, 36, 73, 109, 146, 182, 219, 255].iter().flat_map(|grey| [*grey; 3]).collect()).unwrap()
    }

    #[test]
    fn eight_pixels_from_black_to_white() {
        assert_eq!(rows::<1>(&ramp(), Dither::None), [0b0000_1111]);
        assert_eq!(rows::<2>(&ramp(), Dither::None), [0b0000_0101, 0b1010_1111]);
        assert_eq!(rows::<4>(&ramp(), Dither::None), [0x02, 0x46, 0x9b, 0xdf]);
    }

    #[test]
    fn a_grey_that_the_panel_has_is_not_dithered() {
        for dither in Dither::ALL {
            let level = |code: u8| Picture::new(16, 16, vec![17 * code; 768]).unwrap();
            for code in 0..16 {
                assert_eq!(rows::<4>(&level(code), dither), [code << 4 | code; 128], "{code} {}", dither.name());
            }
        }
    }
}
