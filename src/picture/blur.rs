//! Pillow's Gaussian blur of bytes: three box blurs with fractional ends, to the same byte.

use super::grid::Grid;

/// How many box blurs stand for one Gaussian.
const PASSES: usize = 3;

/// More leaves one grey of any picture, and counting the pixels of the box takes time.
const WIDEST: f32 = 10_000.0;

/// Blurs with standard deviation `sigma` in pixels, which must be positive; beyond the edges, the edge is repeated.
///
/// Gwosdek et al. 2011, "Theoretical Foundations of Gaussian Convolution by Extended Box Filtering".
pub(super) fn gaussian(sharp: &Grid<u8>, sigma: f32) -> Grid<u8> {
    let blur = BoxBlur::of_gaussian(sigma.min(WIDEST));
    let across = blur.rows(sharp);
    blur.rows(&across.transposed()).transposed()
}

/// A blur by a box that covers `reach` whole pixels to either side, and a part of the next one.
struct BoxBlur {
    reach: usize,
    /// Weight of a pixel inside, in units of 2^-24.
    whole: u32,
    /// Weight of the two pixels at the ends, likewise.
    part: u32,
}

const ONE: u32 = 1 << 24;

impl BoxBlur {
    fn of_gaussian(sigma: f32) -> Self {
        // Single and double precision alternate as in the reference, whose bytes depend on it.
        let variance = sigma * sigma / PASSES as f32;
        let length = (12.0 * f64::from(variance) + 1.0).sqrt() as f32;
        let reach = ((f64::from(length) - 1.0) / 2.0).floor() as f32;
        let part = (2.0 * reach + 1.0) * (reach * (reach + 1.0) - 3.0 * variance)
            / (6.0 * (variance - (reach + 1.0) * (reach + 1.0)));
        let radius = reach + part;
        let (reach, whole) = (radius as usize, (ONE as f32 / (radius * 2.0 + 1.0)) as u32);
        Self { reach, whole, part: (ONE - (2 * reach as u32 + 1) * whole) / 2 }
    }

    fn rows(&self, sharp: &Grid<u8>) -> Grid<u8> {
        Grid::made(sharp.width(), sharp.height(), |row| {
            let mut line = sharp.row(row).to_vec();
            for _ in 0..PASSES {
                line = self.line(&line);
            }
            line.into_iter()
        })
    }

    fn line(&self, line: &[u8]) -> Vec<u8> {
        let reach = self.reach as isize;
        let at = |index: isize| u32::from(line[index.clamp(0, line.len() as isize - 1) as usize]);
        let mut sum: u32 = (-reach..=reach).map(at).sum();
        let blurred = (0..line.len() as isize).map(|middle| {
            let (before, after) = (at(middle - reach - 1), at(middle + reach + 1));
            let value = (sum * self.whole + (before + after) * self.part + ONE / 2) >> 24;
            sum = sum + after - at(middle - reach);
            value as u8
        });
        blurred.collect()
    }
}
