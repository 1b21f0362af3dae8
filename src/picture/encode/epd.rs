//! E-paper with colours.
//!
//! A panel's inks are duller than a screen's colours. Pictures dithered to the inks as they measure smear, because
//! hardly any colour is within reach; dithered to pure colours they come out dull. So each ink counts as the mean of
//! what it measures and the pure colour, as Pimoroni's driver of such panels does it by default. Paper counts as white
//! and black ink as black, as in printing.

use super::Picture;
use super::dither::{Dither, Screen, Shade, dithered, mixed, nearest};
use super::format::{Kind, RAW, Row};
use super::light::{Light, Tone};
use super::pack::packed;

pub(super) const BWR: Row = row("epd_bwr", 1, 2, |picture, dither| planes(picture, dither, RED));
pub(super) const BWY: Row = row("epd_bwy", 1, 2, |picture, dither| planes(picture, dither, YELLOW));
pub(super) const SEVEN: Row = row("epd_7c", 4, 1, |picture, dither| nibbles(picture, dither, &SEVEN_INKS));
pub(super) const SIX: Row = row("epd_e6", 4, 1, |picture, dither| nibbles(picture, dither, &SIX_INKS));

const fn row(name: &'static str, bits: usize, planes: usize, encode: fn(&Picture, Dither) -> Vec<u8>) -> Row {
    let kind = Kind::Panel { bits, planes, dither: Dither::FloydSteinberg, background: [255; 3], encode };
    Row { name, content_type: RAW, extension: name, kind }
}

const BLACK: [u8; 3] = [0, 0, 0];
const WHITE: [u8; 3] = [255, 255, 255];
const GREEN: [u8; 3] = [29, 173, 35];
const BLUE: [u8; 3] = [30, 29, 174];
const RED: [u8; 3] = [205, 36, 37];
const YELLOW: [u8; 3] = [231, 222, 35];
const ORANGE: [u8; 3] = [216, 123, 36];

/// Codes 0 to 6 of ACeP panels (controller UC8159 and its like).
const SEVEN_INKS: [Shade; 7] =
    [ink(0, BLACK), ink(1, WHITE), ink(2, GREEN), ink(3, BLUE), ink(4, RED), ink(5, YELLOW), ink(6, ORANGE)];

/// Codes of Spectra 6 panels; 4 is no colour.
const SIX_INKS: [Shade; 6] = [ink(0, BLACK), ink(1, WHITE), ink(2, YELLOW), ink(3, RED), ink(5, BLUE), ink(6, GREEN)];

const fn ink(code: u16, colour: [u8; 3]) -> Shade {
    Shade { code, colour }
}

fn nibbles(picture: &Picture, dither: Dither, inks: &[Shade]) -> Vec<u8> {
    let codes = dithered(picture, dither, &Inks::new(inks));
    packed(&codes, picture.width() as usize, 4)
}

/// The black plane as `mono` has it: 1 where there is no black. Then the colour plane: 1 where there is colour.
fn planes(picture: &Picture, dither: Dither, colour: [u8; 3]) -> Vec<u8> {
    const WHITE_CODE: u16 = 0b01;
    const COLOUR_CODE: u16 = 0b11;
    let inks = [ink(0, BLACK), ink(WHITE_CODE, WHITE), ink(COLOUR_CODE, colour)];
    let codes = dithered(picture, dither, &Inks::new(&inks));
    let plane = |bit: u16| codes.iter().map(|code| code >> bit & 1).collect::<Vec<_>>();
    let width = picture.width() as usize;
    [packed(&plane(0), width, 1), packed(&plane(1), width, 1)].concat()
}

/// The inks of a panel, from dark to light, with their light.
struct Inks {
    shades: Vec<Shade>,
    lights: Vec<Tone>,
}

impl Inks {
    fn new(inks: &[Shade]) -> Self {
        let mut shades = inks.to_vec();
        shades.sort_by_key(|shade| {
            let [red, green, blue] = shade.colour.map(u32::from);
            299 * red + 587 * green + 114 * blue
        });
        let light = Light::new();
        Self { lights: shades.iter().map(|shade| light.of(shade.colour)).collect(), shades }
    }
}

impl Screen for Inks {
    fn like(&self, seen: Tone) -> Shade {
        let colours: Vec<_> = self.shades.iter().map(|ink| ink.colour.map(|byte| f32::from(byte) / 255.0)).collect();
        self.shades[nearest(&colours, seen)]
    }

    /// What is nearest in light can be made up for best: measured on pictures, judging by the eye here made mixtures of
    /// black, white and red too dark by 16 of 100 steps of lightness.
    fn shining(&self, wanted: Tone, _: &Light) -> Shade {
        self.shades[nearest(&self.lights, wanted)]
    }

    fn patterned(&self, pixel: [u8; 3], threshold: f32, light: &Light) -> Shade {
        mixed(&self.shades, &self.lights, light.of(pixel), threshold)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row_of(pixels: &[[u8; 3]]) -> Picture {
        Picture::new(pixels.len() as u32, 1, pixels.concat()).unwrap()
    }

    #[test]
    fn eight_pixels_in_two_planes() {
        let red = [255, 0, 0];
        let pixels = row_of(&[BLACK, WHITE, red, BLACK, WHITE, red, red, WHITE]);
        assert_eq!(planes(&pixels, Dither::None, RED), [0b0110_1111, 0b0010_0110]);
    }

    #[test]
    fn eight_pixels_in_nibbles() {
        let pixels =
            row_of(&[BLACK, WHITE, [0, 255, 0], [0, 0, 255], [255, 0, 0], [255, 255, 0], [255, 140, 0], WHITE]);
        assert_eq!(nibbles(&pixels, Dither::None, &SEVEN_INKS), [0x01, 0x23, 0x45, 0x61]);
        let pixels = row_of(&[BLACK, WHITE, [255, 255, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0], BLACK, BLACK]);
        assert_eq!(nibbles(&pixels, Dither::None, &SIX_INKS), [0x01, 0x23, 0x56, 0x00]);
    }
}
