//! Previews without a decoder: each pixel of a small picture is a linear function of the latent behind it.
//!
//! The coefficients come with a model, or are fitted once to what its decoder makes of a made-up field of latents.

use ndarray::{Array2, Array4, ArrayView1, ArrayView4, Axis};

use super::{Latents, Noise};

/// Red, green and blue as linear functions of the channels of the latents.
#[derive(Clone, Debug, PartialEq)]
pub struct LatentRgb {
    /// What a channel adds to each colour.
    pub factors: Vec<[f32; 3]>,
    /// The colours of latents that are zero.
    pub bias: [f32; 3],
}

impl LatentRgb {
    /// The coefficients by which `latents`, [batch, channels, h, w], come nearest to `planes`, [batch, 3, height, width],
    /// which is what a decoder makes of them: least squares over the colours, cut off at -1 and 1, averaged over
    /// the area of each latent. `None` if the latents do not tell all coefficients.
    pub fn fit(latents: &Latents, planes: ArrayView4<'_, f32>) -> Option<Self> {
        let (batch, channels, height, width) = latents.dim();
        // The normal equations, unknowns by rows: the channels and the bias on the left, the colours on the right.
        let mut equations = Array2::<f64>::zeros([channels + 1, channels + 4]);
        for (entry, row, column) in ndarray::indices([batch, height, width]) {
            let mut values: Vec<f64> = (0..channels).map(|c| f64::from(latents[[entry, c, row, column]])).collect();
            values.push(1.0);
            let colours = colours(planes.index_axis(Axis(0), entry), [row, column], [height, width]);
            for (left, mut equation) in values.iter().zip(equations.rows_mut()) {
                equation.iter_mut().zip(values.iter().chain(&colours)).for_each(|(sum, right)| *sum += left * right);
            }
        }
        let solution = solved(equations)?;
        let colours = |row: ArrayView1<'_, f64>| [0, 1, 2].map(|colour| row[channels + 1 + colour] as f32);
        Some(Self {
            factors: solution.rows().into_iter().take(channels).map(colours).collect(),
            bias: colours(solution.row(channels)),
        })
    }

    /// A picture of [batch, 3, h, w], nominally from -1 to 1, out of latents of [batch, channels, h, w].
    pub fn planes(&self, latents: &Latents) -> Array4<f32> {
        let (batch, _, height, width) = latents.dim();
        Array4::from_shape_fn([batch, 3, height, width], |(entry, colour, row, column)| {
            let terms = self.factors.iter().enumerate();
            terms.fold(self.bias[colour], |sum, (c, factor)| sum + factor[colour] * latents[[entry, c, row, column]])
        })
    }
}

/// Latents to fit the coefficients with, [pictures, channels, height, width], at least 256 of each channel: smooth as
/// those of pictures are, which neighbours of plain noise are not, with a variance of one. Always the same.
pub fn probe(channels: usize, height: usize, width: usize) -> Latents {
    let pictures = 256_usize.div_ceil((height * width).max(1));
    let seeds: Vec<u64> = (0..pictures as u64).collect();
    let coarse = Noise::new(&seeds).draw([channels, height.div_ceil(2), width.div_ceil(2)]);
    // Halfway between bilinear neighbours at twice the size.
    let taps = |place: usize, length: usize| {
        let near = place / 2;
        let far = if place.is_multiple_of(2) { near.saturating_sub(1) } else { (near + 1).min(length - 1) };
        [(near, 0.75), (far, 0.25)]
    };
    let field = Latents::from_shape_fn([pictures, channels, height, width], |(entry, channel, row, column)| {
        let (_, _, tall, wide) = coarse.dim();
        let mut sum = 0.0;
        for (row, down) in taps(row, tall) {
            for (column, across) in taps(column, wide) {
                sum += down * across * coarse[[entry, channel, row, column]];
            }
        }
        sum
    });
    let deviation = field.std(0.0);
    if deviation > 0.0 { field / deviation } else { field }
}

/// The mean colours of the pixels behind the latent at `place` of `latents` (rows and columns).
fn colours(planes: ndarray::ArrayView3<'_, f32>, place: [usize; 2], latents: [usize; 2]) -> [f64; 3] {
    let mut area = planes;
    for axis in [0, 1] {
        let side = area.len_of(Axis(axis + 1)) / latents[axis];
        area.slice_axis_inplace(Axis(axis + 1), (place[axis] * side..(place[axis] + 1) * side).into());
    }
    [0, 1, 2].map(|colour| {
        let plane = area.index_axis(Axis(0), colour);
        plane.iter().map(|value| f64::from(value.clamp(-1.0, 1.0))).sum::<f64>() / plane.len() as f64
    })
}

/// Gauss and Jordan's elimination: the square on the left becomes the identity, what stands right of it the solution.
/// `None` if it has none.
fn solved(mut equations: Array2<f64>) -> Option<Array2<f64>> {
    let unknowns = equations.nrows();
    let largest = equations.diag().iter().copied().fold(0.0, f64::max);
    for pivot in 0..unknowns {
        let size = |row: &usize| equations[[*row, pivot]].abs();
        let best = (pivot..unknowns).max_by(|a, b| size(a).total_cmp(&size(b)))?;
        // Roundings of latents in float32 leave about a tenth of that where there should be nothing.
        if size(&best) <= 1e-6 * largest {
            return None;
        }
        for column in 0..equations.ncols() {
            equations.swap([pivot, column], [best, column]);
        }
        let divisor = equations[[pivot, pivot]];
        equations.row_mut(pivot).mapv_inplace(|value| value / divisor);
        let unit = equations.row(pivot).to_owned();
        for row in (0..unknowns).filter(|row| *row != pivot) {
            let factor = equations[[row, pivot]];
            equations.row_mut(row).scaled_add(-factor, &unit);
        }
    }
    Some(equations)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> LatentRgb {
        let factors = vec![[0.1, -0.05, 0.02], [0.0, 0.1, 0.0], [-0.08, 0.03, 0.06], [0.01, 0.02, -0.1]];
        LatentRgb { factors, bias: [0.1, 0.0, -0.2] }
    }

    /// A decoder of 2x2 pixels a latent whose colours are linear on average, though no pixel is.
    fn decoded(latents: &Latents) -> Array4<f32> {
        let small = known().planes(latents);
        let (batch, _, height, width) = small.dim();
        Array4::from_shape_fn([batch, 3, 2 * height, 2 * width], |(entry, colour, row, column)| {
            let ripple = if (row + column) % 2 == 0 { 0.125 } else { -0.125 };
            small[[entry, colour, row / 2, column / 2]] + ripple
        })
    }

    fn distance(a: &LatentRgb, b: &LatentRgb) -> f32 {
        let all = |it: &LatentRgb| it.factors.iter().chain([&it.bias]).flatten().copied().collect::<Vec<f32>>();
        all(a).iter().zip(all(b)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
    }

    #[test]
    fn a_linear_decoder_is_found_again() {
        let latents = probe(4, 16, 12);
        let found = LatentRgb::fit(&latents, decoded(&latents).view()).unwrap();
        assert!(distance(&found, &known()) < 1e-5, "{found:?}");
    }

    #[test]
    fn other_pictures_give_other_coefficients() {
        let latents = probe(4, 16, 12);
        let mut mirrored = decoded(&latents);
        mirrored.invert_axis(Axis(3));
        let found = LatentRgb::fit(&latents, mirrored.view()).unwrap();
        assert!(distance(&found, &known()) > 0.05, "{found:?}");
    }

    #[test]
    fn latents_that_do_not_tell_all_coefficients_are_refused() {
        let mut latents = probe(4, 8, 8);
        let first = latents.index_axis(Axis(1), 0).to_owned();
        latents.index_axis_mut(Axis(1), 2).assign(&(first * 3.0));
        assert_eq!(LatentRgb::fit(&latents, decoded(&latents).view()), None);
    }

    #[test]
    fn the_field_is_smooth_and_has_a_variance_of_one() {
        let field = probe(4, 16, 16);
        assert!((field.std(0.0) - 1.0).abs() < 1e-5);
        let along = |step: usize| {
            let pairs = (0..16 - step).map(|at| {
                let column = |at| field.index_axis(Axis(3), at).to_owned();
                (column(at) * column(at + step)).mean().unwrap_or_default()
            });
            pairs.sum::<f32>() / (16 - step) as f32
        };
        assert!(along(1) > 0.6 && along(6).abs() < 0.3, "{} {}", along(1), along(6));
    }
}
