//! Values that are too large for one pass go through a graph in overlapping tiles.
//!
//! As diffusers' `AutoencoderKL.tiled_decode` and `tiled_encode`: a tile overlaps the one before by a quarter, and there
//! the new one fades in linearly. Two things differ. The last tile of a row or column is moved back until it is whole,
//! where diffusers takes a narrow rest; so every pass has the same shape (as graphs for one size need it) and no tile
//! lacks its surroundings. And each row of tiles is blended before the rows are, so that where four tiles meet
//! their shares are the products of the two fades; in diffusers the upper right one loses some of its share to the upper left.

use ndarray::{Array4, ArrayView4, Axis, Slice, Zip};

use crate::model::error::PassError;
use crate::model::folder::VaeFacts;

/// Pixels a side for each latent, in what goes into a graph and in what comes out: 1 and 8, or 8 and 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Scale {
    pub(super) input: usize,
    pub(super) output: usize,
}

/// How a graph is given what is too large for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tiles {
    /// Height and width of a tile, in latents; neither is zero.
    sides: [usize; 2],
    /// What need not be cut, likewise. It is half as large again as a tile where the graph allows that: cutting less would
    /// cost more time, and more of the picture, than it saves memory.
    whole: [usize; 2],
    /// Whether the graph takes no other tiles.
    fixed: bool,
    scale: Scale,
}

/// The smallest side of a tile that is made for want of memory, in latents. Smaller ones see too little of the picture.
const LEAST: usize = 16;

impl Tiles {
    /// Square tiles, of the side that the facts tell.
    pub(super) fn new(facts: VaeFacts, scale: Scale) -> Self {
        let side = ((facts.tile / facts.downscale) as usize).max(1);
        Self { sides: [side; 2], whole: [side + side / 2; 2], fixed: false, scale }
    }

    /// The same for a graph that may take only this height and width.
    pub(super) fn exported_for(self, height: Option<usize>, width: Option<usize>) -> Self {
        let own = |fixed: Option<usize>, side| fixed.map_or(side, |fixed| (fixed / self.scale.input).max(1));
        Self {
            sides: [own(height, self.sides[0]), own(width, self.sides[1])],
            whole: [own(height, self.whole[0]), own(width, self.whole[1])],
            fixed: height.or(width).is_some(),
            ..self
        }
    }

    /// What `pass` makes of `whole`, [batch, channels, height, width]; in smaller tiles where there is not the memory for it.
    pub(super) fn fitting(
        mut self,
        whole: &Array4<f32>,
        mut pass: impl FnMut(Array4<f32>) -> Result<Array4<f32>, PassError>,
    ) -> Result<Array4<f32>, PassError> {
        let (_, _, height, width) = whole.dim();
        loop {
            match (self.run(whole, &mut pass), self.smaller(height, width)) {
                (Err(PassError::OutOfMemory(reason)), Some(smaller)) => {
                    tracing::info!(reason, tile = smaller.sides[0], "a picture goes through the autoencoder in tiles");
                    self = smaller;
                }
                (outcome, _) => return outcome,
            }
        }
    }

    /// The next smaller tiles that cut what goes in with this height and width; nothing if they would be too small.
    pub(super) fn smaller(self, height: usize, width: usize) -> Option<Self> {
        let most = (height.max(width) / self.scale.input).min(self.sides[0]);
        let side = (most / 2).max(LEAST);
        (side < most && !self.fixed).then_some(Self { sides: [side; 2], whole: [side; 2], ..self })
    }

    /// The same in tiles of this size.
    fn run(
        &self,
        whole: &Array4<f32>,
        mut pass: impl FnMut(Array4<f32>) -> Result<Array4<f32>, PassError>,
    ) -> Result<Array4<f32>, PassError> {
        let side = |axis| whole.len_of(Axis(axis)) / self.scale.input;
        let (height, width) = (side(2), side(3));
        if height <= self.whole[0] && width <= self.whole[1] {
            return pass(whole.clone());
        }
        let [tall, wide] = [height.min(self.sides[0]), width.min(self.sides[1])];
        let mut result = None;
        for row in starts(height, tall) {
            let mut strip = None;
            for column in starts(width, wide) {
                let part = pass(self.cut(whole.view(), [row, column], [tall, wide]))?;
                self.check(&part, [tall, wide])?;
                self.lay(&mut strip, part.view(), Axis(3), column, width);
            }
            if let Some(strip) = strip {
                self.lay(&mut result, strip.view(), Axis(2), row, height);
            }
        }
        result.ok_or_else(|| PassError::Failed("there are no latents to be cut into tiles".to_owned()))
    }

    fn cut(&self, whole: ArrayView4<'_, f32>, [row, column]: [usize; 2], [tall, wide]: [usize; 2]) -> Array4<f32> {
        let range =
            |start: usize, length: usize| Slice::from(start * self.scale.input..(start + length) * self.scale.input);
        let mut tile = whole;
        tile.slice_axis_inplace(Axis(2), range(row, tall));
        tile.slice_axis_inplace(Axis(3), range(column, wide));
        tile.to_owned()
    }

    fn check(&self, part: &Array4<f32>, sides: [usize; 2]) -> Result<(), PassError> {
        let (_, _, height, width) = part.dim();
        let expected = sides.map(|side| side * self.scale.output);
        match [height, width] == expected {
            true => Ok(()),
            false => Err(PassError::Failed(format!("a tile must become {expected:?}, got [{height}, {width}]"))),
        }
    }

    /// Lays `part` into `whole`, which gets room for `side` latents along `axis`, beginning at latent `start`; over a
    /// quarter of a tile it grows out of what lies there.
    fn lay(&self, whole: &mut Option<Array4<f32>>, part: ArrayView4<'_, f32>, axis: Axis, start: usize, side: usize) {
        let whole = whole.get_or_insert_with(|| {
            let mut shape = part.raw_dim();
            shape[axis.index()] = side * self.scale.output;
            Array4::zeros(shape)
        });
        let fade = if start == 0 { 0 } else { part.len_of(axis) / 4 };
        for (place, new) in part.axis_iter(axis).enumerate() {
            let share = if place < fade { place as f32 / fade as f32 } else { 1.0 };
            let old = whole.index_axis_mut(axis, start * self.scale.output + place);
            Zip::from(old).and(&new).for_each(|old, &new| *old = (1.0 - share) * *old + share * new);
        }
    }
}

/// Where tiles of `tile` latents begin on a side of `side`, which is not less.
fn starts(side: usize, tile: usize) -> impl Iterator<Item = usize> {
    let last = side - tile;
    (0..last).step_by((tile * 3 / 4).max(1)).chain([last])
}

#[cfg(test)]
mod tests {
    use super::*;

    const DECODER: Scale = Scale { input: 1, output: 2 };

    /// Tiles of eight latents.
    fn eight() -> Tiles {
        Tiles { sides: [8; 2], whole: [8; 2], fixed: false, scale: DECODER }
    }

    /// Every latent becomes four pixels.
    fn doubled(tile: &Array4<f32>) -> Array4<f32> {
        let (batch, channels, height, width) = tile.dim();
        Array4::from_shape_fn([batch, channels, 2 * height, 2 * width], |(b, c, y, x)| tile[[b, c, y / 2, x / 2]])
    }

    fn some(height: usize, width: usize) -> Array4<f32> {
        Array4::from_shape_fn([2, 3, height, width], |(b, c, y, x)| (7 * b + 5 * c + 3 * y + x) as f32)
    }

    #[test]
    fn a_graph_that_sees_no_surroundings_gives_the_same_in_tiles() {
        for (height, width) in [(8, 8), (9, 8), (8, 9), (13, 20), (21, 3), (64, 40)] {
            let whole = some(height, width);
            let tiled = eight().run(&whole, |tile| {
                assert!(tile.dim().2 <= 8 && tile.dim().3 <= 8);
                Ok(doubled(&tile))
            });
            let error = (tiled.unwrap() - doubled(&whole)).mapv(f32::abs).fold(0.0_f32, |most, value| most.max(*value));
            assert!(error < 1e-4, "{height}x{width}: {error}");
        }
    }

    #[test]
    fn what_fits_goes_through_in_one_pass() {
        let mut passes = 0;
        let tiles = eight();
        tiles
            .run(&some(8, 8), |tile| {
                passes += 1;
                Ok(doubled(&tile))
            })
            .unwrap();
        assert_eq!(passes, 1);
        tiles
            .run(&some(8, 9), |tile| {
                passes += 1;
                Ok(doubled(&tile))
            })
            .unwrap();
        assert_eq!(passes, 3);
    }

    #[test]
    fn every_tile_is_whole_and_overlaps_by_a_quarter_or_more() {
        assert_eq!(starts(64, 64).collect::<Vec<_>>(), [0]);
        assert_eq!(starts(65, 64).collect::<Vec<_>>(), [0, 1]);
        assert_eq!(starts(128, 64).collect::<Vec<_>>(), [0, 48, 64]);
        assert_eq!(starts(112, 64).collect::<Vec<_>>(), [0, 48]);
        assert_eq!(starts(3, 1).collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn a_new_tile_grows_linearly_out_of_the_one_before() {
        let mut shade = 0.0;
        let row = eight().run(&Array4::zeros([1, 1, 8, 14]), |tile| {
            shade += 1.0;
            Ok(doubled(&tile) + shade)
        });
        let row: Vec<f32> = row.unwrap().into_iter().take(28).collect();
        assert_eq!(row[10..18], [1.0, 1.0, 1.0, 1.25, 1.5, 1.75, 2.0, 2.0]);
    }

    #[test]
    fn what_is_hardly_larger_than_a_tile_goes_whole() {
        let tiles = Tiles { whole: [12; 2], ..eight() };
        let passes = |height, width| {
            let mut passes = 0;
            let pass = |tile: Array4<f32>| {
                passes += 1;
                let (batch, _, height, width) = tile.dim();
                Ok(Array4::zeros((batch, 3, DECODER.output * height, DECODER.output * width)))
            };
            tiles.run(&some(height, width), pass).unwrap();
            passes
        };
        assert_eq!((passes(12, 12), passes(12, 13)), (1, 4));
    }

    #[test]
    fn a_graph_for_one_size_sets_the_tile() {
        let encoder = Scale { input: 8, output: 1 };
        let tiles =
            Tiles { sides: [64; 2], whole: [96; 2], fixed: false, scale: encoder }.exported_for(Some(128), None);
        assert_eq!((tiles.sides, tiles.whole), ([16, 64], [16, 96]));
    }

    #[test]
    fn what_does_not_fit_the_memory_goes_in_smaller_tiles_and_is_refused_if_it_does_not_fit_even_so() {
        let tiles = Tiles { sides: [64; 2], whole: [96; 2], ..eight() };
        let fitting = |most: usize| {
            let whole = some(80, 40);
            let mut largest = 0;
            let outcome = tiles.fitting(&whole, |tile| {
                let (_, _, height, width) = tile.dim();
                if height.max(width) > most {
                    return Err(PassError::OutOfMemory(format!("{height}x{width}")));
                }
                largest = largest.max(height.max(width));
                Ok(doubled(&tile))
            });
            let outcome = outcome.map(|made| (made - doubled(&whole)).mapv(f32::abs).fold(0.0_f32, |a, b| a.max(*b)));
            (largest, outcome)
        };
        for (most, largest) in [(80, 80), (79, 32), (32, 32), (31, 16), (16, 16)] {
            let (used, outcome) = fitting(most);
            assert!(used == largest && outcome.unwrap() < 1e-4, "{most}: {used}");
        }
        let error = fitting(15).1.unwrap_err();
        assert!(matches!(&error, PassError::OutOfMemory(reason) if reason == "16x16"), "{error}");
    }

    #[test]
    fn tiles_become_smaller_until_they_would_see_too_little() {
        let sides = |tiles: Tiles, side| {
            let smaller = std::iter::successors(Some(tiles), |tiles| tiles.smaller(side, side));
            smaller.skip(1).map(|tiles| (tiles.sides[0], tiles.whole[0])).collect::<Vec<_>>()
        };
        let tiles = Tiles { sides: [64; 2], whole: [96; 2], ..eight() };
        assert_eq!(sides(tiles, 128), [(32, 32), (16, 16)]);
        assert_eq!(sides(tiles, 48), [(24, 24), (16, 16)]);
        // What is as small as that goes whole or not at all.
        assert_eq!(sides(tiles, 16), []);
        assert_eq!(sides(tiles.exported_for(None, Some(64)), 128), []);
        let encoder = Tiles { scale: Scale { input: 8, output: 1 }, ..tiles };
        assert_eq!(sides(encoder, 1024), [(32, 32), (16, 16)]);
    }

    #[test]
    fn a_tile_of_the_wrong_size_is_an_error() {
        let error = eight().run(&some(9, 9), Ok).unwrap_err().to_string();
        assert!(error.ends_with("a tile must become [16, 16], got [8, 8]"), "{error}");
    }
}
