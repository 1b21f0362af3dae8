//! Hostile files.

use super::super::golden::files;
use super::*;

const ROOMY: DecodeLimits = DecodeLimits { pixels: u64::MAX, side: u32::MAX, memory: u64::MAX };

const TIGHT: DecodeLimits = DecodeLimits { pixels: 4096, side: 512, memory: 1 << 17 };

fn file(name: &str) -> Vec<u8> {
    files().into_iter().find(|(other, _)| other == name).unwrap().1
}

/// A PNG file of that size without its pixels.
fn png(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = png::Encoder::new(&mut file, width, height).write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c]).unwrap();
    drop(writer);
    file
}

fn complaint(file: &[u8], limits: &DecodeLimits) -> String {
    let (picture, gray) = (Picture::decode(file, limits).unwrap_err(), Gray::decode(file, limits).unwrap_err());
    assert_eq!(picture, gray);
    picture.to_string()
}

#[test]
fn a_header_that_claims_too_much_is_refused_by_each_limit() {
    let huge = png(65535, 65535);
    let limits = |pixels, side, memory| DecodeLimits { pixels, side, memory };
    let side = limits(1 << 24, 4096, 1 << 28);
    assert_eq!(complaint(&huge, &side), "the picture may have at most 4096 pixels a side, got 65535");
    let pixels = limits(1 << 24, 65535, 1 << 28);
    assert_eq!(complaint(&huge, &pixels), "the picture may have at most 16777216 pixels, got 4294836225");
    let memory = limits(1 << 33, 65535, 1 << 28);
    let expected = "the picture may have at most 268435456 bytes while it is decoded, got 42948362250";
    assert_eq!(complaint(&huge, &memory), expected);
}

#[test]
fn a_size_at_its_limits_is_taken() {
    let picture = file("bmp");
    let limits = DecodeLimits { pixels: 35, side: 7, memory: 35 * 12 };
    assert_eq!(Picture::decode(&picture, &limits).unwrap().width(), 7);
    for limits in [
        DecodeLimits { pixels: 34, ..limits },
        DecodeLimits { side: 6, ..limits },
        DecodeLimits { memory: 35 * 12 - 1, ..limits },
    ] {
        assert!(matches!(Picture::decode(&picture, &limits), Err(DecodeError::TooLarge { .. })), "{limits:?}");
    }
}

#[test]
fn jpeg_and_bmp_headers_are_believed_no_more_than_others() {
    let mut jpeg = file("jpeg_rgb6");
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].fill(0xff);
    let mut bmp = file("bmp");
    bmp[18..20].fill(0xff);
    for file in [jpeg, bmp] {
        assert_eq!(complaint(&file, &TIGHT), "the picture may have at most 512 pixels a side, got 65535");
    }
}

#[test]
fn what_is_no_picture_is_unreadable_not_too_large() {
    let gif = b"GIF89a\x01\0\x01\0\0\0\0;";
    for file in
        [&b""[..], b"a red circle", &[0; 64], gif, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"BM", b"RIFF\0\0\0\0WEBP"]
    {
        let error = complaint(file, &ROOMY);
        assert!(error.starts_with("the picture must be a whole PNG, JPEG, WebP or BMP file, got "), "{error}");
    }
    assert!(complaint(gif, &ROOMY).ends_with("got another kind of file"));
}

#[test]
fn a_file_that_breaks_off_is_no_half_grey_picture() {
    for (name, file) in files() {
        let half = &file[..file.len() - file.len() / 5];
        assert!(matches!(Picture::decode(half, &ROOMY), Err(DecodeError::Unreadable(_))), "{name}");
    }
    let jpeg = file("jpeg_progressive");
    assert!(complaint(&jpeg[..jpeg.len() - 1], &ROOMY).ends_with("got a JPEG file that breaks off"));
    assert!(Picture::decode(&[&jpeg, &b"something behind it"[..]].concat(), &ROOMY).is_ok());
}

#[test]
fn a_thumbnails_end_is_not_the_pictures_end() {
    let jpeg = file("jpeg1");
    let thumbnail = [&jpeg[..2], &[0xff, 0xe5, 0, 6, 0xff, 0xd8, 0xff, 0xd9], &jpeg[2..]].concat();
    assert!(Picture::decode(&thumbnail, &ROOMY).is_ok());
    assert!(complaint(&thumbnail[..thumbnail.len() - 9], &ROOMY).ends_with("breaks off"));
}

/// A JPEG file with more scans, each of which says of the first component that nothing changes.
fn with_scans(name: &str, scans: usize) -> Vec<u8> {
    const NOTHING_NEW: [u8; 11] = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0x10, 0];
    let jpeg = file(name);
    let (end, own) = (jpeg.len() - 2, jpeg::scans(&jpeg) as usize);
    [&jpeg[..end], &NOTHING_NEW.repeat(scans - own), &jpeg[end..]].concat()
}

#[test]
fn a_jpeg_of_countless_scans_is_refused_before_it_is_decoded() {
    let original = Picture::decode(&file("jpeg_progressive"), &ROOMY).unwrap();
    assert_eq!(Picture::decode(&with_scans("jpeg_progressive", 100), &ROOMY).unwrap(), original);
    let expected = "the picture may have at most 100 scans at its size, got 101";
    assert_eq!(complaint(&with_scans("jpeg_progressive", 101), &ROOMY), expected);
    assert_eq!(complaint(&with_scans("jpeg_rgb6", 101), &ROOMY), expected, "not progressive");
    let pixels = u64::from(original.width()) * u64::from(original.height());
    let largest = DecodeLimits { pixels, ..ROOMY };
    assert!(Picture::decode(&with_scans("jpeg_progressive", 20), &largest).is_ok());
    let expected = "the picture may have at most 20 scans at its size, got 21";
    assert_eq!(complaint(&with_scans("jpeg_progressive", 21), &largest), expected);
}

#[test]
fn scans_cannot_hide_in_a_segment_or_behind_an_end_that_is_none() {
    let jpeg = file("jpeg_progressive");
    let end = jpeg.len() - 2;
    let comment = |text: &[u8]| [&[0xff, 0xfe], &(text.len() as u16 + 2).to_be_bytes()[..], text].concat();
    let hidden = [&jpeg[..end], &comment(&[0xff, 0xda].repeat(100)), &jpeg[end..]].concat();
    assert!(matches!(Picture::decode(&hidden, &ROOMY), Err(DecodeError::TooLarge { .. })));
    let many = with_scans("jpeg_progressive", 101);
    let past_an_end = [&jpeg[..end], &comment(&[0xff, 0xd9]), &many[end..]].concat();
    assert!(matches!(Picture::decode(&past_an_end, &ROOMY), Err(DecodeError::TooLarge { .. })));
    // Phones put more behind a picture: a film, or another picture.
    let behind = [&jpeg[..], &[0xff, 0xda].repeat(100)].concat();
    assert_eq!(Picture::decode(&behind, &ROOMY).unwrap(), Picture::decode(&jpeg, &ROOMY).unwrap());
}

#[test]
fn damaged_files_neither_panic_nor_exceed_the_limits() {
    let mut state = 1_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    let (mut read, mut refused) = (0, 0);
    for (name, whole) in files() {
        for _ in 0..150 {
            let mut file = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(file.len());
                file[at] = random(256) as u8;
            }
            match Picture::decode(&file, &TIGHT) {
                Ok(picture) => {
                    assert!(picture.pixels().len() <= 3 * 4096, "{name}");
                    read += 1;
                }
                Err(_) => refused += 1,
            }
        }
    }
    assert!(read > 100 && refused > 100, "{read} read, {refused} refused");
}

/// A palette of one colour and a third of another, found by a fuzzer: its decoder panics over it.
#[rustfmt::skip]
const PANICS: &[u8] = &[
    0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0x00, 0x00, 0x00, 0x0d, 0x49, 0x48, 0x44, 0x52,
    0x00, 0x00, 0x00, 0x01, 0x00, 0x00, 0x00, 0x01, 0x08, 0x03, 0x00, 0x00, 0x00, 0x28, 0xcb, 0x34,
    0xbb, 0x00, 0x00, 0x00, 0x04, 0x50, 0x4c, 0x54, 0x45, 0x07, 0x07, 0x07, 0x07, 0xfd, 0x1e, 0x83,
    0x22, 0x00, 0x00, 0x00, 0x01, 0x74, 0x52, 0x4e, 0x53, 0xff, 0x6d, 0xe4, 0x37, 0xeb, 0x00, 0x00,
    0x00, 0x0a, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9c, 0x63, 0x60, 0x00, 0x00, 0x00, 0x02, 0x00, 0x01,
    0x48, 0xaf, 0xa4, 0x71, 0x00, 0x00, 0x00, 0x00, 0x49, 0x45, 0x4e, 0x44, 0xae, 0x42, 0x60, 0x82,
];

#[test]
fn a_decoder_that_panics_over_a_file_takes_nothing_down() {
    let error = Picture::decode(PANICS, &TIGHT).unwrap_err().to_string();
    assert!(error.ends_with("a file that its decoder cannot cope with"), "{error}");
    // As it would do by itself.
    assert!(std::panic::catch_unwind(|| image::load_from_memory(PANICS)).is_err());
}
