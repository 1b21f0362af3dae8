//! Pillow's resampling: the same filters, weights and fixed-point arithmetic, so the same bytes.
//!
//! Scaling down, a filter is widened by the scale, so that every source pixel counts (antialiasing).

use std::borrow::Cow;
use std::f64::consts::PI;

use super::grid::Grid;

/// How a picture is resampled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// The pixel that lies under the middle of the new one.
    Nearest,
    /// A triangle, one pixel to either side.
    Bilinear,
    /// Keys' cubic with a = -0.5, two pixels to either side.
    Bicubic,
    /// A sinc windowed by a wider sinc, three pixels to either side; what diffusers takes for pictures.
    Lanczos,
}

impl Filter {
    /// The filter behind the number that Pillow gives it, as `resample` in a `preprocessor_config.json` does.
    pub fn of_pillow(number: u8) -> Option<Self> {
        [Self::Nearest, Self::Lanczos, Self::Bilinear, Self::Bicubic].get(usize::from(number)).copied()
    }

    /// How far the filter reaches to either side.
    fn support(self) -> f64 {
        match self {
            Self::Nearest => 0.0,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    /// The weight at distance `x`, which lies within the support.
    fn weight(self, x: f64) -> f64 {
        let x = x.abs();
        match self {
            Self::Nearest => 1.0,
            Self::Bilinear => (1.0 - x).max(0.0),
            Self::Bicubic if x < 1.0 => (1.5 * x - 2.5) * x * x + 1.0,
            Self::Bicubic if x < 2.0 => -0.5 * (((x - 5.0) * x + 8.0) * x - 4.0),
            Self::Lanczos if x < 3.0 => sinc(x) * sinc(x / 3.0),
            Self::Bicubic | Self::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) }
}

/// What can be resampled.
pub(super) trait Pixel: Copy {
    /// A weight in the pixel's own arithmetic.
    type Weight: Copy;

    /// The weight, which is one in sum over a pixel's sources, in that arithmetic.
    fn weight(exact: f64) -> Self::Weight;

    /// The weighted sum.
    fn mix(sources: impl Iterator<Item = (Self, Self::Weight)>) -> Self;

    /// What a picture is continued with beyond its edge, from the last pixel and the one before.
    ///
    /// Diffusers stretches the edge with a cubic filter, which sharpens it by an eighth of the last difference.
    fn beyond(edge: Self, before: Self) -> Self {
        Self::mix([(edge, Self::weight(1.125)), (before, Self::weight(-0.125))].into_iter())
    }
}

/// Bits behind the point of a weight for bytes: eight are the byte's, two are headroom for a filter's overshoot.
const FRACTION: u32 = 32 - 8 - 2;

/// Half of the last place, so that the shift rounds.
const HALF: i32 = 1 << (FRACTION - 1);

impl Pixel for u8 {
    type Weight = i32;

    fn weight(exact: f64) -> i32 {
        (exact * f64::from(1 << FRACTION)).round() as i32
    }

    fn mix(sources: impl Iterator<Item = (Self, i32)>) -> Self {
        rounded(sources.fold(HALF, |sum, (value, weight)| sum + i32::from(value) * weight))
    }
}

impl Pixel for [u8; 3] {
    type Weight = i32;

    fn weight(exact: f64) -> i32 {
        u8::weight(exact)
    }

    fn mix(sources: impl Iterator<Item = (Self, i32)>) -> Self {
        let mut sums = [HALF; 3];
        for (pixel, weight) in sources {
            for (sum, value) in sums.iter_mut().zip(pixel) {
                *sum += i32::from(value) * weight;
            }
        }
        sums.map(rounded)
    }
}

impl Pixel for f32 {
    type Weight = f64;

    fn weight(exact: f64) -> f64 {
        exact
    }

    fn mix(sources: impl Iterator<Item = (Self, f64)>) -> Self {
        sources.fold(0.0, |sum, (value, weight)| sum + f64::from(value) * weight) as f32
    }

    /// The edge itself: a depth that nobody measured must not widen the range.
    fn beyond(edge: Self, _: Self) -> Self {
        edge
    }
}

fn rounded(sum: i32) -> u8 {
    (sum >> FRACTION).clamp(0, 255) as u8
}

/// A stretch of one side of the new picture, so that what will be cut off is never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    /// Length of the whole new side, at least one.
    pub(super) whole: usize,
    /// Where the stretch begins.
    pub(super) start: usize,
    /// Its length, at least one.
    pub(super) length: usize,
}

impl Span {
    /// The middle `length` pixels of a side of `whole`.
    pub(super) fn middle(whole: usize, length: usize) -> Self {
        Self { whole, start: whole / 2 - length / 2, length }
    }
}

/// The picture at another size, or a part of it.
pub(super) fn resampled<P: Pixel>(old: &Grid<P>, across: Span, down: Span, filter: Filter) -> Grid<P> {
    let shorter = |old: usize, new: Span| old as i64 - new.whole as i64;
    let (narrower, lower) = (shorter(old.width(), across), shorter(old.height(), down));
    // What lies between the passes is rounded, so their order shows in the last bit. This is the order of Pillow 13;
    // before, the rows always came first.
    if lower > 0 && lower > 2 * narrower {
        rows(columns(Cow::Borrowed(old), down, filter), across, filter).into_owned()
    } else {
        columns(rows(Cow::Borrowed(old), across, filter), down, filter).into_owned()
    }
}

fn rows<P: Pixel>(old: Cow<'_, Grid<P>>, across: Span, filter: Filter) -> Cow<'_, Grid<P>> {
    if across == Span::middle(old.width(), old.width()) {
        return old;
    }
    let sources = sources::<P>(old.width(), across, filter);
    Cow::Owned(Grid::made(across.length, old.height(), |row| {
        let row = old.row(row);
        sources.iter().map(move |from| P::mix(row[from.first..].iter().copied().zip(from.weights.iter().copied())))
    }))
}

fn columns<P: Pixel>(old: Cow<'_, Grid<P>>, down: Span, filter: Filter) -> Cow<'_, Grid<P>> {
    if down == Span::middle(old.height(), old.height()) {
        return old;
    }
    let sources = sources::<P>(old.height(), down, filter);
    let old = old.as_ref();
    Cow::Owned(Grid::made(old.width(), down.length, |row| {
        let from = &sources[row];
        (0..old.width()).map(move |column| {
            let pixels = old.pixels()[from.first * old.width() + column..].iter().step_by(old.width());
            P::mix(pixels.copied().zip(from.weights.iter().copied()))
        })
    }))
}

/// Where a new pixel comes from: the first source and a weight for it and each of those that follow.
struct Sources<W> {
    first: usize,
    weights: Vec<W>,
}

/// The sources of each new pixel of the stretch; the side had `old` pixels.
fn sources<P: Pixel>(old: usize, new: Span, filter: Filter) -> Vec<Sources<P::Weight>> {
    let scale = old as f64 / new.whole as f64;
    let widened = scale.max(1.0);
    let (support, narrowed) = (filter.support() * widened, 1.0 / widened);
    let sources_at = |index: usize| {
        let centre = (index as f64 + 0.5) * scale;
        if filter == Filter::Nearest {
            return Sources { first: (centre as usize).min(old - 1), weights: vec![P::weight(1.0)] };
        }
        // Both conversions cut off towards zero, which also keeps the first source inside.
        let first = (centre - support + 0.5) as usize;
        let end = ((centre + support + 0.5) as usize).min(old);
        let exact: Vec<f64> =
            (first..end).map(|source| filter.weight((source as f64 - centre + 0.5) * narrowed)).collect();
        let sum: f64 = exact.iter().sum();
        Sources { first, weights: exact.iter().map(|weight| P::weight(weight / sum)).collect() }
    };
    (new.start..new.start + new.length).map(sources_at).collect()
}
