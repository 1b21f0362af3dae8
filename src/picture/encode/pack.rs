//! Codes of few bits into bytes.

/// `bits` a pixel, 1, 2 or 4, the leftmost pixel in the most significant ones; each row is padded to a byte with zeros.
pub(super) fn packed(codes: &[u16], width: usize, bits: usize) -> Vec<u8> {
    let per_byte = 8 / bits;
    let byte = |pixels: &[u16]| {
        pixels.iter().enumerate().fold(0, |byte, (at, code)| byte | (*code as u8) << (8 - bits * (at + 1)))
    };
    codes.chunks(width).flat_map(|row| row.chunks(per_byte)).map(byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_pixel_is_the_most_significant() {
        assert_eq!(packed(&[1, 0, 0, 0, 0, 0, 1, 1], 8, 1), [0b1000_0011]);
        assert_eq!(packed(&[3, 0, 1, 2], 4, 2), [0b1100_0110]);
        assert_eq!(packed(&[0xa, 0x5], 2, 4), [0xa5]);
    }

    #[test]
    fn rows_are_padded_with_zeros() {
        assert_eq!(packed(&[1; 18], 9, 1), [0xff, 0x80, 0xff, 0x80]);
        assert_eq!(packed(&[6, 6, 6], 3, 4), [0x66, 0x60]);
    }
}
