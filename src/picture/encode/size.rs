//! Turning a picture and bringing it to the size of a panel.

use std::borrow::Cow;
use std::num::NonZeroU32;

use super::super::grid::Grid;
use super::super::{Filter, Fit};
use super::Picture;

/// How a picture is turned and sized; the default leaves it alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sizing {
    /// Applied first.
    pub turn: Turn,
    /// Width in pixels of what comes out; alone it keeps the proportions.
    pub width: Option<NonZeroU32>,
    /// Height in pixels of what comes out; alone it keeps the proportions.
    pub height: Option<NonZeroU32>,
    /// What happens where the wanted proportions are not the picture's.
    pub framing: Framing,
}

/// Turning clockwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Turn {
    /// Not at all.
    #[default]
    None,
    /// By 90 degrees: the left side comes up.
    Quarter,
    /// By 180 degrees.
    Half,
    /// By 270 degrees: the right side comes up.
    ThreeQuarters,
}

/// What happens where the wanted proportions are not the picture's; CSS calls it `object-fit`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Framing {
    /// Scaled until it covers the size, then cut evenly on both sides.
    #[default]
    Cover,
    /// Scaled until it lies within the size; the rest is white on paper and black on screens and in files.
    Contain,
    /// Scaled in each direction by itself; the proportions are lost.
    Fill,
}

impl Sizing {
    /// Whether a size was asked for.
    pub fn is_exact(&self) -> bool {
        self.width.is_some() || self.height.is_some()
    }

    /// The size in pixels that a picture of `width` x `height` gets.
    pub fn size_of(&self, width: u32, height: u32) -> (u64, u64) {
        let (own_width, own_height) = match self.turn {
            Turn::None | Turn::Half => (width, height),
            Turn::Quarter | Turn::ThreeQuarters => (height, width),
        };
        let (own_width, own_height) = (u64::from(own_width.max(1)), u64::from(own_height.max(1)));
        let following = |side: u64, own: u64, other: u64| ((side * own + other / 2) / other).max(1);
        match (self.width.map(wide), self.height.map(wide)) {
            (Some(width), Some(height)) => (width, height),
            (Some(width), None) => (width, following(width, own_height, own_width)),
            (None, Some(height)) => (following(height, own_width, own_height), height),
            (None, None) => (own_width, own_height),
        }
    }

    /// The picture turned and sized, by Lanczos' filter; `background` is what [`Framing::Contain`] adds.
    pub(super) fn applied<'a>(&self, picture: &'a Picture, background: [u8; 3]) -> Cow<'a, Picture> {
        let (width, height) = self.size_of(picture.width(), picture.height());
        let (width, height) = (width as u32, height as u32);
        let turned = self.turn.applied(picture);
        if (turned.width(), turned.height()) == (width, height) {
            return turned;
        }
        Cow::Owned(match self.framing {
            Framing::Cover => turned.fitted(width, height, Fit::Crop),
            Framing::Fill => turned.resized(width, height, Filter::Lanczos),
            Framing::Contain => contained(&turned, width, height, background),
        })
    }
}

fn wide(side: NonZeroU32) -> u64 {
    u64::from(side.get())
}

impl Turn {
    /// Every turn.
    pub const ALL: [Self; 4] = [Self::None, Self::Quarter, Self::Half, Self::ThreeQuarters];

    /// Degrees clockwise.
    pub fn degrees(self) -> u16 {
        match self {
            Self::None => 0,
            Self::Quarter => 90,
            Self::Half => 180,
            Self::ThreeQuarters => 270,
        }
    }

    /// The turn of so many degrees.
    pub fn find(degrees: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|turn| i64::from(turn.degrees()) == degrees)
    }

    fn applied(self, picture: &Picture) -> Cow<'_, Picture> {
        let old = &picture.grid;
        let (bottom, right) = (old.height() - 1, old.width() - 1);
        let turned = |from: &dyn Fn(usize, usize) -> (usize, usize)| {
            Grid::made(old.height(), old.width(), |row| {
                (0..old.height()).map(move |column| from(row, column)).map(|(row, column)| old.row(row)[column])
            })
        };
        let grid = match self {
            Self::None => return Cow::Borrowed(picture),
            Self::Quarter => turned(&|row, column| (bottom - column, row)),
            Self::ThreeQuarters => turned(&|row, column| (column, right - row)),
            Self::Half => Grid::made(old.width(), old.height(), |row| old.row(bottom - row).iter().rev().copied()),
        };
        Cow::Owned(Picture { grid })
    }
}

impl Framing {
    /// Every framing.
    pub const ALL: [Self; 3] = [Self::Cover, Self::Contain, Self::Fill];

    /// The contract's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Cover => "cover",
            Self::Contain => "contain",
            Self::Fill => "fill",
        }
    }

    /// The framing of that name.
    pub fn find(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|framing| framing.name() == name)
    }
}

/// The whole picture in the middle, as large as it can be.
fn contained(picture: &Picture, width: u32, height: u32, background: [u8; 3]) -> Picture {
    let alone = |width, height| Sizing { width, height, ..Sizing::default() };
    let (own_width, own_height) = (u64::from(picture.width()), u64::from(picture.height()));
    let wider = own_width * u64::from(height) >= own_height * u64::from(width);
    let inner = if wider { alone(NonZeroU32::new(width), None) } else { alone(None, NonZeroU32::new(height)) };
    let inner = inner.applied(picture, background);
    let (left, top) = ((width - inner.width()) / 2, (height - inner.height()) / 2);
    let place =
        |at: usize, before: u32, inside: u32| at.checked_sub(before as usize).filter(|at| *at < inside as usize);
    let inner = &inner;
    let grid = Grid::made(width as usize, height as usize, |row| {
        let row = place(row, top, inner.height()).map(|row| inner.grid.row(row));
        (0..width as usize).map(move |column| match (row, place(column, left, inner.width())) {
            (Some(row), Some(column)) => row[column],
            _ => background,
        })
    });
    Picture { grid }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Six pixels in two rows: 0 1 2, 3 4 5.
    fn six() -> Picture {
        Picture::new(3, 2, (0..6).flat_map(|value| [value; 3]).collect()).unwrap()
    }

    fn values(picture: &Picture) -> Vec<u8> {
        picture.pixels().chunks(3).map(|pixel| pixel[0]).collect()
    }

    fn sizing(width: u32, height: u32, framing: Framing) -> Sizing {
        Sizing { width: NonZeroU32::new(width), height: NonZeroU32::new(height), framing, ..Sizing::default() }
    }

    #[test]
    fn a_picture_turns_clockwise() {
        let turned = |turn| values(&Turn::applied(turn, &six()));
        assert_eq!(turned(Turn::None), [0, 1, 2, 3, 4, 5]);
        assert_eq!(turned(Turn::Quarter), [3, 0, 4, 1, 5, 2]);
        assert_eq!(turned(Turn::Half), [5, 4, 3, 2, 1, 0]);
        assert_eq!(turned(Turn::ThreeQuarters), [2, 5, 1, 4, 0, 3]);
    }

    #[test]
    fn one_side_alone_keeps_the_proportions_of_the_turned_picture() {
        assert_eq!(sizing(0, 0, Framing::Cover).size_of(512, 256), (512, 256));
        assert_eq!(sizing(100, 0, Framing::Cover).size_of(512, 256), (100, 50));
        assert_eq!(sizing(0, 100, Framing::Cover).size_of(512, 256), (200, 100));
        assert_eq!(Sizing { turn: Turn::Quarter, ..sizing(100, 0, Framing::Fill) }.size_of(512, 256), (100, 200));
        assert_eq!(sizing(1, 0, Framing::Cover).size_of(8192, 8), (1, 1));
    }

    #[test]
    fn a_contained_picture_is_whole_and_in_the_middle() {
        let picture = Picture::new(4, 2, vec![100; 24]).unwrap();
        let contained = sizing(4, 5, Framing::Contain).applied(&picture, [255; 3]);
        let (paper, ink) = ([255; 4], [100; 4]);
        assert_eq!(values(&contained), [paper, ink, ink, paper, paper].concat());
        let contained = sizing(9, 4, Framing::Contain).applied(&picture, [0; 3]);
        assert_eq!(values(&contained), [100, 100, 100, 100, 100, 100, 100, 100, 0].repeat(4));
    }

    #[test]
    fn a_covering_picture_is_cut_and_a_filling_one_is_squeezed() {
        // The left half is dark, the right half light.
        let picture = Picture::new(8, 4, [[0; 12], [200; 12]].concat().repeat(4)).unwrap();
        let covered = sizing(2, 4, Framing::Cover).applied(&picture, [9; 3]);
        assert_eq!(values(&covered), [0, 200].repeat(4));
        let filled = sizing(4, 4, Framing::Fill).applied(&picture, [9; 3]);
        assert_eq!((filled.width(), filled.height()), (4, 4));
        assert!(values(&filled)[0] < 10 && values(&filled)[3] > 190);
    }
}
