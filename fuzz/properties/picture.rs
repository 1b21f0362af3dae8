//! A file is a picture within its limits, or none.

use diffused::picture::{DecodeLimits, Gray, Picture};

const LIMITS: DecodeLimits = DecodeLimits { pixels: 1 << 14, side: 1 << 10, memory: 1 << 19 };

pub fn check(file: &[u8]) {
    let (picture, gray) = (Picture::decode(file, &LIMITS), Gray::decode(file, &LIMITS));
    assert_eq!(picture.is_ok(), gray.is_ok(), "both read the same file");
    if let Ok(picture) = picture {
        let (width, height) = (u64::from(picture.width()), u64::from(picture.height()));
        assert!((1..=LIMITS.pixels).contains(&(width * height)) && width.max(height) <= u64::from(LIMITS.side));
        assert_eq!(picture.pixels().len() as u64, 3 * width * height);
    }
}
