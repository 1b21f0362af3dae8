//! Dithering: many colours out of few.
//!
//! The eye averages light, so errors are counted in light, not in the bytes of sRGB. Measured after a blur, the mean
//! difference (CIE 1976) between what is shown and what was meant is 1 with light and 22 with bytes for a photograph in
//! black and white, 7 and 24 for a picture of the bundled model, 2 and 12 for the photograph in seven colours.

use super::Picture;
use super::light::{Light, Tone};

/// How colours that a panel lacks are made of those that it has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dither {
    /// Each pixel gets the nearest colour.
    #[default]
    None,
    /// Floyd and Steinberg 1976: the whole error goes to four neighbours.
    FloydSteinberg,
    /// Atkinson's, of the first Macintosh: three quarters of the error go to six neighbours; more contrast.
    Atkinson,
    /// A fixed 8 x 8 pattern (Bayer 1973, with more than two colours Knoll's), the same in every picture: what does not
    /// change between two pictures does not flicker.
    Bayer,
}

impl Dither {
    /// Every way.
    pub const ALL: [Self; 4] = [Self::None, Self::FloydSteinberg, Self::Atkinson, Self::Bayer];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::FloydSteinberg => "floyd_steinberg",
            Self::Atkinson => "atkinson",
            Self::Bayer => "bayer",
        }
    }

    /// The way of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dither| dither.name() == name)
    }
}

/// What a panel can show.
pub(super) trait Screen {
    /// What a pixel should look like on it.
    fn wanted(&self, pixel: [u8; 3]) -> [u8; 3] {
        pixel
    }

    /// The shade that looks most like `seen`.
    fn like(&self, seen: Tone) -> Shade;

    /// The shade to be shown where this light is wanted and the error will be made up for.
    fn shining(&self, wanted: Tone, light: &Light) -> Shade {
        self.like(light.seen(wanted))
    }

    /// The shade of a pixel that looks like `pixel` where the pattern's threshold is `threshold`, 0 to 1: over all
    /// thresholds the light is the pixel's.
    fn patterned(&self, pixel: [u8; 3], threshold: f32, light: &Light) -> Shade;
}

/// A colour of a panel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shade {
    /// What stands for it in the file.
    pub(super) code: u16,
    /// What it looks like.
    pub(super) colour: [u8; 3],
}

/// The codes of the picture's pixels, rows from the top.
pub(super) fn dithered(picture: &Picture, dither: Dither, screen: &impl Screen) -> Vec<u16> {
    let pixels = picture.grid.pixels().iter().map(|pixel| screen.wanted(*pixel));
    let width = picture.grid.width();
    let light = Light::new();
    match dither {
        Dither::None => pixels.map(|pixel| screen.like(pixel.map(|byte| f32::from(byte) / 255.0)).code).collect(),
        Dither::FloydSteinberg => diffused(pixels, width, &FLOYD_STEINBERG, &light, screen),
        Dither::Atkinson => diffused(pixels, width, &ATKINSON, &light, screen),
        Dither::Bayer => ordered(pixels, width, &light, screen),
    }
}

/// Rows down, columns to the right, share of the error.
type Share = (usize, isize, f32);

const FLOYD_STEINBERG: [Share; 4] = [(0, 1, 7.0 / 16.0), (1, -1, 3.0 / 16.0), (1, 0, 5.0 / 16.0), (1, 1, 1.0 / 16.0)];

const EIGHTH: f32 = 1.0 / 8.0;
const ATKINSON: [Share; 6] =
    [(0, 1, EIGHTH), (0, 2, EIGHTH), (1, -1, EIGHTH), (1, 0, EIGHTH), (1, 1, EIGHTH), (2, 0, EIGHTH)];

/// How far beyond black and white the sum of a pixel and its errors may go. A colour out of the panel's reach would
/// otherwise pile up errors and smear them over what follows.
const BEYOND: f32 = 0.5;

/// Error diffusion, row by row from the left.
fn diffused(
    pixels: impl Iterator<Item = [u8; 3]>,
    width: usize,
    shares: &[Share],
    light: &Light,
    screen: &impl Screen,
) -> Vec<u16> {
    // Errors of this row and the next two, with room for what goes beyond either side.
    const MARGIN: usize = 2;
    let mut errors = [(); 3].map(|()| vec![[0.0_f32; 3]; width + 2 * MARGIN]);
    let mut codes = Vec::new();
    for (index, pixel) in pixels.enumerate() {
        let at = index % width + MARGIN;
        if index > 0 && at == MARGIN {
            errors.rotate_left(1);
            errors[2].fill([0.0; 3]);
        }
        let wanted = added(light.of(pixel), errors[0][at], 1.0).map(|value| value.clamp(-BEYOND, 1.0 + BEYOND));
        let shade = screen.shining(wanted, light);
        codes.push(shade.code);
        let error = added(wanted, light.of(shade.colour), -1.0);
        for &(down, right, share) in shares {
            let place = &mut errors[down][at.wrapping_add_signed(right)];
            *place = added(*place, error, share);
        }
    }
    codes
}

/// Each pixel gets the shade that the pattern says.
fn ordered(pixels: impl Iterator<Item = [u8; 3]>, width: usize, light: &Light, screen: &impl Screen) -> Vec<u16> {
    let threshold = |index: usize| (f32::from(bayer(index % width, index / width)) + 0.5) / 64.0;
    pixels.enumerate().map(|(index, pixel)| screen.patterned(pixel, threshold(index), light).code).collect()
}

/// The one of two neighbouring levels that the threshold picks, so that their mean is `wanted`; all amounts of light.
pub(super) fn picked<L: Copy>([below, above]: [(f32, L); 2], wanted: f32, threshold: f32) -> L {
    if wanted - below.0 > threshold * (above.0 - below.0) { above.1 } else { below.1 }
}

/// Shades whose mean is nearest to `wanted`, and of these the one that the threshold picks, the darkest first (Knoll's
/// pattern dithering). The shades stand from dark to light, each with its light; there are at most eight.
pub(super) fn mixed(shades: &[Shade], lights: &[Tone], wanted: Tone, threshold: f32) -> Shade {
    const SAMPLES: u8 = 64;
    let mut counts = [0_u8; 8];
    let mut sum = wanted;
    for _ in 0..SAMPLES {
        let best = nearest(lights, sum);
        counts[best] += 1;
        sum = added(added(sum, wanted, 1.0), lights[best], -1.0).map(|value| value.clamp(-BEYOND, 1.0 + BEYOND));
    }
    let (mut place, mut before) = (0, counts[0]);
    while f32::from(before) <= threshold * f32::from(SAMPLES) && place + 1 < shades.len() {
        place += 1;
        before += counts[place];
    }
    shades[place]
}

/// The index of the tone that is nearest to `wanted`.
pub(super) fn nearest(tones: &[Tone], wanted: Tone) -> usize {
    let mut best = (0, f32::INFINITY);
    for (index, tone) in tones.iter().enumerate() {
        let distance: f32 = tone.iter().zip(wanted).map(|(own, wanted)| (own - wanted) * (own - wanted)).sum();
        if distance < best.1 {
            best = (index, distance);
        }
    }
    best.0
}

/// The place of a pixel in the 8 x 8 pattern, 0 to 63.
///
/// The bits of column xor row and of the row, interleaved and reversed: the recursive definition, unrolled.
fn bayer(x: usize, y: usize) -> u8 {
    (0..3).fold(0, |value, bit| {
        let (mixed, row) = ((x ^ y) >> bit & 1, y >> bit & 1);
        value << 2 | (mixed << 1 | row) as u8
    })
}

fn added(one: Tone, other: Tone, share: f32) -> Tone {
    std::array::from_fn(|channel| one[channel] + share * other[channel])
}

#[cfg(test)]
mod tests;
