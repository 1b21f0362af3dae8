//! Cutting an encoded picture into parts.

use super::PartBytes;
use crate::picture::Encoded;

/// How a picture is cut: part i starts at byte `i * part_bytes`, and only the last may be shorter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parts {
    /// Bytes of a part.
    pub part_bytes: u32,
    /// Number of parts.
    pub parts: u32,
}

impl Parts {
    /// Parts of `wish` bytes, or none unless the picture is larger than `room`, what a packet holds.
    ///
    /// No part is larger than `room`. Of a format with rows it holds whole rows, if it can hold one.
    pub fn plan(encoded: &Encoded, wish: Option<PartBytes>, room: Option<u32>) -> Option<Self> {
        let bytes = encoded.bytes.len() as u64;
        let room = room.map(|room| room.max(1));
        let too_large = room.filter(|room| bytes > u64::from(*room));
        let most = match wish {
            Some(wish) => wish.get().min(room.unwrap_or(u32::MAX)),
            None => too_large?,
        };
        let part_bytes = match encoded.stride() as u32 {
            0 => most,
            stride if stride > most => most,
            stride => most - most % stride,
        };
        Some(Self { part_bytes, parts: bytes.div_ceil(u64::from(part_bytes)) as u32 })
    }

    /// Whole rows that a part holds; 0 if the format has no rows, or if one does not fit.
    pub fn rows(self, stride: usize) -> u32 {
        (self.part_bytes as usize).checked_div(stride).unwrap_or(0) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::picture::Format;

    fn wish(bytes: i64) -> Option<PartBytes> {
        Some(PartBytes::try_from(bytes).unwrap())
    }

    fn encoded(format: Format, width: u32, bytes: usize) -> Encoded {
        Encoded { bytes: vec![0; bytes], width, height: 1, format }
    }

    fn planned(encoded: &Encoded, wish: Option<PartBytes>, room: Option<u32>) -> Option<(u32, u32)> {
        Parts::plan(encoded, wish, room).map(|parts| (parts.part_bytes, parts.parts))
    }

    #[test]
    fn a_picture_that_fits_goes_whole_unless_parts_were_asked_for() {
        let file = encoded(Format::Png, 64, 10_000);
        assert_eq!(planned(&file, None, None), None);
        assert_eq!(planned(&file, None, Some(10_000)), None);
        assert_eq!(planned(&file, None, Some(9_999)), Some((9_999, 2)));
        assert_eq!(planned(&file, wish(4000), None), Some((4000, 3)));
        assert_eq!(planned(&file, wish(5000), None), Some((5000, 2)));
        assert_eq!(planned(&file, wish(20_000), None), Some((20_000, 1)));
        assert_eq!(planned(&file, wish(4000), Some(3000)), Some((3000, 4)));
    }

    #[test]
    fn rows_are_not_cut_where_one_fits_into_a_part() {
        let panel = encoded(Format::Mono, 800, 48_000);
        assert_eq!(planned(&panel, wish(4096), None), Some((4000, 12)));
        assert_eq!(Parts::plan(&panel, wish(4096), None).unwrap().rows(panel.stride()), 40);
        assert_eq!(planned(&panel, wish(4096), Some(130)), Some((100, 480)));
        let wide = encoded(Format::Rgb565, 480, 307_200);
        assert_eq!(planned(&wide, wish(512), None), Some((512, 600)));
        assert_eq!(Parts::plan(&wide, wish(512), None).unwrap().rows(wide.stride()), 0);
    }

    #[test]
    fn a_part_is_never_empty() {
        let file = encoded(Format::Png, 64, 3);
        assert_eq!(planned(&file, None, Some(0)), Some((1, 3)));
        assert_eq!(planned(&encoded(Format::Mono, 8, 3), None, Some(1)), Some((1, 3)));
    }
}
