//! Makes a file small enough: quality falls first, then the picture is scaled down.

use std::borrow::Cow;

use super::super::Filter;
use super::{EncodeError, Encoded, Encoding, Picture};

/// Nobody recognises anything in less.
const SMALLEST_SIDE: u32 = 16;

/// The largest and best encoding that has at most `max_bytes`; of the picture's very size if one was asked for.
pub(super) fn within(max_bytes: u32, picture: &Picture, encoding: &Encoding<'_>) -> Result<Encoded, EncodeError> {
    let limit = max_bytes as usize;
    let mut candidate = Cow::Borrowed(picture);
    let mut scale = 1.0;
    loop {
        let smallest = match at_some_quality(limit, &candidate, encoding)? {
            Fit::Fits(encoded) => return Ok(encoded),
            Fit::TooLarge(bytes) => bytes,
        };
        let (width, height) = (candidate.width(), candidate.height());
        if encoding.sizing.is_exact() || width.min(height) <= SMALLEST_SIDE {
            let format = encoding.format.name();
            return Err(EncodeError::TooLarge { max_bytes, bytes: smallest, width, height, format });
        }
        // Bytes go about with the area; the bounds keep a bad guess from looping long or overshooting far. Without a
        // header and compression the guess is good.
        let most = if encoding.format.is_raw() { 0.995 } else { 0.9 };
        scale *= (limit as f64 / smallest as f64).sqrt().clamp(0.5, most);
        candidate = Cow::Owned(scaled(picture, scale));
    }
}

enum Fit {
    Fits(Encoded),
    /// Bytes at the lowest quality.
    TooLarge(usize),
}

/// Bisects the quality between the format's lowest and the one asked for.
fn at_some_quality(limit: usize, picture: &Picture, encoding: &Encoding<'_>) -> Result<Fit, EncodeError> {
    let fixed = encoding.format.fixed_bytes(picture.width(), picture.height());
    if let Some(bytes) = fixed.filter(|bytes| *bytes > limit) {
        return Ok(Fit::TooLarge(bytes));
    }
    let asked = Encoded::new(picture, encoding, encoding.quality)?;
    if asked.bytes.len() <= limit {
        return Ok(Fit::Fits(asked));
    }
    let Some(mut low) = encoding.format.lowest_quality().filter(|lowest| *lowest < encoding.quality) else {
        return Ok(Fit::TooLarge(asked.bytes.len()));
    };
    let mut best = Encoded::new(picture, encoding, low)?;
    if best.bytes.len() > limit {
        return Ok(Fit::TooLarge(best.bytes.len()));
    }
    let mut high = encoding.quality;
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        let attempt = Encoded::new(picture, encoding, middle)?;
        if attempt.bytes.len() <= limit {
            (low, best) = (middle, attempt);
        } else {
            high = middle;
        }
    }
    Ok(Fit::Fits(best))
}

/// The picture scaled by `scale`, no side shorter than the smallest one (or than it was).
fn scaled(picture: &Picture, scale: f64) -> Picture {
    let side = |length: u32| ((f64::from(length) * scale) as u32).max(SMALLEST_SIDE.min(length));
    let (width, height) = (side(picture.width()), side(picture.height()));
    picture.resized(width, height, Filter::Lanczos)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use super::super::{Format, Sizing, encode};
    use super::*;

    /// Noise: the hardest picture to compress.
    fn noise(width: u32, height: u32) -> Picture {
        let mut state = 1_u32;
        let pixels = (0..3 * width * height).map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        });
        Picture::new(width, height, pixels.collect()).unwrap()
    }

    fn encoding(format: Format, max_bytes: u32) -> Encoding<'static> {
        Encoding { max_bytes: Some(max_bytes), ..Encoding::of(format) }
    }

    #[test]
    fn a_small_picture_keeps_its_quality() {
        let picture = noise(64, 64);
        let free = encode(&picture, &Encoding { max_bytes: None, ..encoding(Format::Jpeg, 0) }).unwrap();
        assert_eq!(encode(&picture, &encoding(Format::Jpeg, 100_000)).unwrap(), free);
    }

    #[test]
    fn quality_falls_before_the_size_does() {
        let picture = noise(128, 128);
        let free = encode(&picture, &Encoding { max_bytes: None, ..encoding(Format::Jpeg, 0) }).unwrap();
        let limit = free.bytes.len() as u32 * 2 / 3;
        let fitted = encode(&picture, &encoding(Format::Jpeg, limit)).unwrap();
        assert!(fitted.bytes.len() <= limit as usize);
        assert_eq!((fitted.width, fitted.height), (128, 128));
    }

    #[test]
    fn a_picture_is_scaled_down_where_quality_does_not_help() {
        for format in Format::ALL {
            let limit = format.fixed_bytes(160, 80).map_or(3000, |bytes| bytes as u32 - 1);
            let fitted = encode(&noise(160, 80), &encoding(format, limit)).unwrap();
            assert!(fitted.bytes.len() <= limit as usize, "{} has {}", format.name(), fitted.bytes.len());
            assert!(fitted.width < 160 && fitted.width.abs_diff(2 * fitted.height) <= 2, "{}", format.name());
        }
    }

    #[test]
    fn a_size_that_was_asked_for_stays() {
        let exact = Sizing { width: NonZeroU32::new(128), height: NonZeroU32::new(128), ..Sizing::default() };
        let small =
            |format, max_bytes| encode(&noise(64, 64), &Encoding { sizing: exact, ..encoding(format, max_bytes) });
        let fitted = small(Format::Jpeg, 8000).unwrap();
        assert_eq!((fitted.width, fitted.height), (128, 128));
        assert!(fitted.bytes.len() <= 8000);
        for (format, limit) in [(Format::Jpeg, 1000), (Format::Png, 8000), (Format::Mono, 2047)] {
            assert!(matches!(small(format, limit), Err(EncodeError::TooLarge { width: 128, .. })), "{}", format.name());
        }
        assert_eq!(small(Format::Mono, 2048).unwrap().bytes.len(), 2048);
    }

    #[test]
    fn what_cannot_be_small_enough_is_an_error() {
        let error = encode(&noise(64, 32), &encoding(Format::Png, 512)).unwrap_err();
        assert!(error.to_string().starts_with("the picture cannot be made as small as 512 bytes"), "{error}");
    }
}
