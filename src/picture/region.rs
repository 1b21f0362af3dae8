//! Rectangles of pixels.

use std::fmt;

/// A rectangle of pixels, neither side zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    left: u32,
    top: u32,
    right: u32,
    bottom: u32,
}

impl Region {
    /// The columns from `left` up to, not including, `right` and the rows from `top` up to, not including, `bottom`;
    /// `None` if there are none.
    pub fn new(left: u32, top: u32, right: u32, bottom: u32) -> Option<Self> {
        (left < right && top < bottom).then_some(Self { left, top, right, bottom })
    }

    /// The first column.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// The first row.
    pub fn top(&self) -> u32 {
        self.top
    }

    /// The first column behind it.
    pub fn right(&self) -> u32 {
        self.right
    }

    /// The first row below it.
    pub fn bottom(&self) -> u32 {
        self.bottom
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.right - self.left
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.bottom - self.top
    }

    /// The region with `margin` more pixels on each side, then grown along one side to the aspect ratio of `wanted`
    /// (width and height) as far as the picture of size `within` has room; what has no room on one side goes to the
    /// other. It stays inside the picture.
    ///
    /// As `get_crop_region` of diffusers' `VaeImageProcessor`. A side of zero in `wanted` counts as one.
    pub fn grown(&self, margin: u32, within: (u32, u32), wanted: (u32, u32)) -> Self {
        let across = Side { start: self.left, end: self.right }.grown(margin, within.0);
        let down = Side { start: self.top, end: self.bottom }.grown(margin, within.1);
        let ratio = f64::from(wanted.0.max(1)) / f64::from(wanted.1.max(1));
        let (width, height) = (f64::from(across.length()), f64::from(down.length()));
        let (across, down) = if width / height > ratio {
            (across, down.lengthened((width / ratio - height) as u32, within.1))
        } else {
            (across.lengthened((height * ratio - width) as u32, within.0), down)
        };
        Self { left: across.start, top: down.start, right: across.end, bottom: down.end }
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "columns {} to {} and rows {} to {}", self.left, self.right, self.top, self.bottom)
    }
}

/// A region's extent in one direction.
struct Side {
    start: u32,
    end: u32,
}

impl Side {
    fn length(&self) -> u32 {
        self.end - self.start
    }

    /// With `margin` pixels more at both ends, as far as the picture reaches.
    fn grown(self, margin: u32, limit: u32) -> Self {
        Self { start: self.start.saturating_sub(margin), end: self.end.saturating_add(margin).min(limit.max(self.end)) }
    }

    /// With `more` pixels in all, half of them before, moved back into the picture where it goes beyond.
    fn lengthened(self, more: u32, limit: u32) -> Self {
        let (limit, more) = (i64::from(limit.max(self.end)), i64::from(more));
        let length = (i64::from(self.length()) + more).min(limit);
        let start = (i64::from(self.start) - more / 2).clamp(0, limit - length);
        Self { start: start as u32, end: (start + length) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(region: [u32; 4], margin: u32, within: (u32, u32), wanted: (u32, u32)) -> [u32; 4] {
        let [left, top, right, bottom] = region;
        let grown = Region::new(left, top, right, bottom).unwrap().grown(margin, within, wanted);
        [grown.left, grown.top, grown.right, grown.bottom]
    }

    #[test]
    fn a_region_has_pixels() {
        assert_eq!(Region::new(3, 1, 3, 4), None);
        assert_eq!(Region::new(3, 4, 4, 1), None);
        let region = Region::new(3, 1, 5, 4).unwrap();
        assert_eq!((region.width(), region.height()), (2, 3));
    }

    #[test]
    fn a_margin_ends_at_the_edge() {
        assert_eq!(grown([2, 4, 4, 6], 3, (64, 64), (1, 1)), [0, 1, 8, 9]);
    }

    #[test]
    fn a_flat_region_becomes_square_where_there_is_room() {
        assert_eq!(grown([10, 20, 30, 24], 0, (64, 64), (8, 8)), [10, 12, 30, 32]);
        assert_eq!(grown([10, 60, 30, 64], 0, (64, 64), (8, 8)), [10, 44, 30, 64]);
        assert_eq!(grown([10, 0, 30, 4], 0, (64, 12), (8, 8)), [10, 0, 30, 12]);
    }

    #[test]
    fn no_number_makes_it_leave_the_picture() {
        for margin in [0, 1, u32::MAX] {
            for wanted in [(0, 0), (1, u32::MAX), (u32::MAX, 1)] {
                let [left, top, right, bottom] = grown([5, 6, 7, 9], margin, (20, 10), wanted);
                assert!(left <= 5 && top <= 6 && (7..=20).contains(&right) && (9..=10).contains(&bottom));
            }
        }
    }
}
