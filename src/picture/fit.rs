//! Bringing a picture to a size whose sides are in another proportion.

use super::grid::Grid;
use super::resample::{Filter, Pixel, Span, resampled};

/// How a picture is brought to the wanted size.
///
/// A picture, its mask and its depth map that are fitted alike still lie on each other.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fit {
    /// Scaled until it covers the size, then cut evenly on both sides; `resize_mode="crop"` of diffusers.
    #[default]
    Crop,
    /// Scaled until it lies within the size; the rest repeats the edge, half on each side; `resize_mode="fill"` of
    /// diffusers.
    ///
    /// A mask's edge is repeated too: what is added beside a part to be repainted is repainted with it, what is added
    /// beside a part to be kept is kept.
    Pad,
    /// Scaled in each direction by itself; the proportions are lost. The default of diffusers.
    Stretch,
}

impl Fit {
    /// Every fit.
    pub const ALL: [Self; 3] = [Self::Crop, Self::Pad, Self::Stretch];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crop => "crop",
            Self::Pad => "pad",
            Self::Stretch => "stretch",
        }
    }

    /// The fit of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|fit| fit.name() == name)
    }
}

/// The picture at the wanted size. A side of zero counts as one.
pub(super) fn fitted<P: Pixel>(old: &Grid<P>, width: u32, height: u32, fit: Fit, filter: Filter) -> Grid<P> {
    let (width, height) = (width.max(1) as usize, height.max(1) as usize);
    match fit {
        Fit::Stretch => resampled(old, Span::middle(width, width), Span::middle(height, height), filter),
        Fit::Crop => {
            let (whole_width, whole_height) = scaled(old, width, height, usize::max);
            resampled(old, Span::middle(whole_width, width), Span::middle(whole_height, height), filter)
        }
        Fit::Pad => {
            let (inner_width, inner_height) = scaled(old, width, height, usize::min);
            let inner = resampled(
                old,
                Span::middle(inner_width, inner_width),
                Span::middle(inner_height, inner_height),
                filter,
            );
            padded(&inner, width, height)
        }
    }
}

/// The picture in the middle, with its edges repeated around it.
fn padded<P: Pixel>(inner: &Grid<P>, width: usize, height: usize) -> Grid<P> {
    // As in diffusers, the two halves are rounded down each, not their difference.
    let (left, top) = (width / 2 - inner.width() / 2, height / 2 - inner.height() / 2);
    Grid::made(width, height, |row| {
        let (row, beside_row) = nearest(row, top, inner.height());
        (0..width).map(move |column| {
            let (column, beside_column) = nearest(column, left, inner.width());
            let own = inner.row(row)[column];
            let outside = (row, column) != (beside_row, beside_column);
            if outside { P::beyond(own, inner.row(beside_row)[beside_column]) } else { own }
        })
    })
}

/// The place within `inner` ones, of which `before` stand in front, that is nearest to `place`; and for one outside the
/// next but one, otherwise the same again.
fn nearest(place: usize, before: usize, inner: usize) -> (usize, usize) {
    let last = inner - 1;
    match place.checked_sub(before) {
        None => (0, last.min(1)),
        Some(at) if at > last => (last, last.saturating_sub(1)),
        Some(at) => (at, at),
    }
}

/// The size in the old proportions of which one side is the wanted one and the other the larger or smaller of the
/// wanted one and what follows from the proportions, rounded down as in diffusers.
fn scaled<P: Copy>(old: &Grid<P>, width: usize, height: usize, pick: fn(usize, usize) -> usize) -> (usize, usize) {
    let following = |side: usize, own: usize, other: usize| (side * own / other).max(1);
    (
        pick(width, following(height, old.width(), old.height())),
        pick(height, following(width, old.height(), old.width())),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fit_is_found_by_its_name() {
        for fit in Fit::ALL {
            assert_eq!(Fit::find(fit.name()), Some(fit));
        }
        assert_eq!(Fit::find("fill"), None);
    }

    #[test]
    fn the_longest_strip_is_fitted_without_being_scaled_whole() {
        // Scaled until it covers the size it would have 60 000 times as many pixels as it has.
        let strip = Grid::new(1, vec![7_u8; 60_000]);
        for fit in Fit::ALL {
            let fitted = fitted(&strip, 64, 64, fit, Filter::Lanczos);
            assert!(fitted.pixels().iter().all(|value| *value == 7) && fitted.pixels().len() == 64 * 64);
        }
    }

    #[test]
    fn a_side_of_zero_counts_as_one() {
        let square = Grid::new(2, vec![7_u8; 4]);
        for fit in Fit::ALL {
            assert_eq!(fitted(&square, 0, 0, fit, Filter::Bicubic), Grid::new(1, vec![7]));
        }
    }
}
