//! A picture comes out no larger than asked for, and its parts are the whole of it.

use diffused::job::units::{Seed, Size};
use diffused::job::{Made, Origin, Output, Request};
use diffused::picture::Picture;

use super::draw::Draw;
use super::ground::{arrival, rules};

const FIELDS: &[(&str, &[&str])] = &[
    (
        "format",
        &[
            "\"png\"",
            "\"jpeg\"",
            "\"webp\"",
            "\"bmp\"",
            "\"qoi\"",
            "\"rgb565\"",
            "\"rgb565le\"",
            "\"gray2\"",
            "\"gray4\"",
            "\"mono\"",
            "\"epd_bwr\"",
            "\"epd_bwy\"",
            "\"epd_7c\"",
            "\"epd_e6\"",
        ],
    ),
    ("quality", &["1", "90", "100"]),
    ("width", &["1", "7", "64", "129"]),
    ("height", &["1", "9", "64", "130"]),
    ("fit", &["\"cover\"", "\"contain\"", "\"fill\""]),
    ("rotate", &["0", "90", "180", "270"]),
    ("dither", &["\"none\"", "\"floyd_steinberg\"", "\"atkinson\"", "\"bayer\""]),
    ("max_bytes", &["512", "700", "2000", "20000"]),
    ("metadata", &["true", "false"]),
    ("part_bytes", &["512", "1000", "1048576"]),
    ("push", &["true", "false"]),
];

/// Larger pictures take the fuzzer's time and show nothing more.
const PIXELS: u64 = 1 << 15;

pub fn check(data: &[u8]) {
    let mut draw = Draw(data);
    let (width, height) = (8 * (1 + draw.below(8)) as u32, 8 * (1 + draw.below(8)) as u32);
    let (noise, room) = (draw.byte(), draw.below(4) * 1500 + draw.below(900));
    let room = (room > 0).then_some(room as u32);
    let Ok(output) = Output::from_fields(draw.object(FIELDS)) else { return };
    let size = Size::new(width.into(), height.into()).expect("eights");
    let (wide, high) = output.sizing.size_of(width, height);
    if output.check(size).is_err() || wide * high > PIXELS {
        return;
    }
    let pixels = (0..3 * width * height).map(|n| (n.wrapping_mul(n ^ 0x9e37) >> 7) as u8 & noise).collect();
    let picture = Picture::new(width, height, pixels).expect("a picture");
    let made = Made { picture, seed: Seed::from(7) };
    let request = Request::parse(&arrival(b"x", Origin::Request), &rules()).expect("a good request");
    let Ok(encoded) = output.encode(&made, &request.recipe, room) else {
        assert!(output.max_bytes.is_some(), "only a bound can be too small");
        return;
    };
    let bytes = encoded.bytes.len();
    assert!(output.max_bytes.is_none_or(|most| bytes <= most.get() as usize), "{bytes} bytes are too many");
    assert!(!output.sizing.is_exact() || (u64::from(encoded.width), u64::from(encoded.height)) == (wide, high));
    let Some(parts) = output.parts(&encoded, room) else {
        assert!(room.is_none_or(|room| bytes <= room as usize), "a packet cannot hold it, but there are no parts");
        return;
    };
    let (part, count) = (parts.part_bytes as usize, parts.parts as usize);
    assert!(part > 0 && room.is_none_or(|room| part <= room as usize), "no part is larger than a packet");
    assert!(part * count >= bytes && part * (count - 1) < bytes, "{count} parts of {part} are not {bytes} bytes");
}
