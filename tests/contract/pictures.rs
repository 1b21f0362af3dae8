//! Pictures in requests: damaged, too large, in the wrong place, or only unusual.

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE};
use serde_json::Value;

use super::row::{DONE, Row};

/// A file of the golden pictures.
pub fn golden(name: &str) -> Vec<u8> {
    let all: Value = serde_json::from_str(include_str!("../golden/picture.json")).unwrap();
    let file = all["files"].as_array().unwrap().iter().find(|file| file["name"] == name).unwrap();
    let hex = file["file"].as_str().unwrap().as_bytes();
    hex.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A PNG file whose header claims this size, and whose pixels are missing.
pub fn claiming(width: u32, height: u32) -> Vec<u8> {
    let mut file = Vec::new();
    let mut writer = png::Encoder::new(&mut file, width, height).write_header().unwrap();
    writer.write_chunk(png::chunk::IDAT, &[0x78, 0x9c]).unwrap();
    drop(writer);
    file
}

/// A JPEG file of so many scans more, each of which says that nothing changes.
pub fn with_scans(name: &str, scans: usize) -> Vec<u8> {
    let file = golden(name);
    let (image, end) = file.split_at(file.len() - 2);
    [image, &[0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0x10, 0].repeat(scans), end].concat()
}

/// A WebP animation of one frame, around the frame of the golden file.
fn animation() -> Vec<u8> {
    let file = golden("webp");
    let at = file.windows(4).position(|bytes| bytes == b"VP8L").unwrap();
    let size = u32::from_le_bytes(file[at + 9..at + 13].try_into().unwrap());
    let [width, height] = [size & 0x3fff, (size >> 14) & 0x3fff].map(|side| side.to_le_bytes()[..3].to_vec());
    let chunk = |name: &[u8], body: &[u8]| {
        let pad = vec![0; body.len() % 2];
        [name, &(body.len() as u32).to_le_bytes(), body, &pad].concat()
    };
    let canvas = chunk(b"VP8X", &[&[2, 0, 0, 0][..], &width, &height].concat());
    let frame = [&[0; 6][..], &width, &height, &[100, 0, 0, 0], &file[at..]].concat();
    let body = [&b"WEBP"[..], &canvas, &chunk(b"ANIM", &[0; 6]), &chunk(b"ANMF", &frame)].concat();
    chunk(b"RIFF", &body)
}

/// A request with this file as its init image.
fn showing(what: &str, file: &[u8], code: &'static str) -> Row {
    let row = Row::with(&format!(r#""init_image":{{"data":"{}"}}"#, STANDARD.encode(file)), code, field(code));
    Row { what: what.to_owned(), ..row }
}

fn field(code: &str) -> &'static str {
    if code == DONE { "" } else { "init_image" }
}

pub fn rows() -> Vec<Row> {
    [files(), encodings(), references(), masks()].into_iter().flatten().collect()
}

fn files() -> Vec<Row> {
    let png = golden("png_rgb");
    let half = |name: &str| golden(name)[..golden(name).len() * 4 / 5].to_vec();
    let mut magic = png.clone();
    magic[1] = b'Q';
    let mut checksum = png.clone();
    let data = png.windows(4).position(|bytes| bytes == b"IDAT").unwrap();
    checksum[data + 6] ^= 0xff;
    let wrong: Vec<(&str, Vec<u8>)> = vec![
        ("an empty file", Vec::new()),
        ("a PNG without an end", half("png_rgb")),
        ("a JPEG without an end", half("jpeg1")),
        ("a progressive JPEG without an end", half("jpeg_progressive")),
        ("a WebP without an end", half("webp")),
        ("a BMP without an end", half("bmp")),
        ("wrong magic bytes", magic),
        ("damaged pixels", checksum),
        ("only the magic bytes", png[..8].to_vec()),
        ("a GIF", b"GIF89a\x01\0\x01\0\0\0\0;".to_vec()),
        ("a PNG in gzip", [&b"\x1f\x8b\x08\0\0\0\0\0\0\x03"[..], &png].concat()),
        ("a page that holds a PNG", [&b"<html>"[..], &png].concat()),
        ("an SVG", b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>".to_vec()),
        ("a text", b"a red circle".to_vec()),
        ("zeros", vec![0; 4096]),
        ("a ZIP", b"PK\x03\x04".to_vec()),
        ("a RIFF that is no picture", b"RIFF\x04\0\0\0WAVE".to_vec()),
    ];
    let right = [
        ("one pixel of height", golden("png_l")),
        ("a CMYK JPEG", golden("jpeg_cmyk")),
        ("a progressive JPEG", golden("jpeg_progressive")),
        ("a JPEG of very many scans", with_scans("jpeg_progressive", 80)),
        ("16 bits a channel", golden("png_rgb16")),
        ("16 bits of grey", golden("png_l16")),
        ("16 bits and transparent", golden("png_rgba16")),
        ("a palette", golden("png_p_transparent")),
        ("a black and white PNG", golden("png_1")),
        ("a BMP with a palette", golden("bmp_p")),
        ("a lossy WebP", golden("webp_lossy")),
        ("an animated WebP", animation()),
        ("something behind the PNG", [&png[..], b"PK\x03\x04<script>"].concat()),
    ];
    let large = [
        ("65535 x 65535", claiming(65_535, 65_535)),
        // Its decoder gives up before anybody can see the size.
        ("the largest PNG", claiming(i32::MAX as u32, i32::MAX as u32)),
        ("a long strip", claiming(16_385, 1)),
        ("more pixels than allowed", claiming(4104, 4096)),
        ("a progressive JPEG of 10,000 scans", with_scans("jpeg_progressive", 10_000)),
        ("a JPEG of 10,000 scans", with_scans("jpeg_rgb6", 10_000)),
    ];
    let nothing = [("a PNG of no pixels", no_pixels())];
    let wrong = wrong.into_iter().chain(nothing).map(|(what, file)| showing(what, &file, "invalid_image"));
    let right = right.into_iter().map(|(what, file)| showing(what, &file, DONE));
    let large = large.into_iter().map(|(what, file)| showing(what, &file, "image_too_large"));
    wrong.chain(right).chain(large).collect()
}

/// A PNG header of 0 x 0; its checksum is wrong too, as no encoder writes it.
fn no_pixels() -> Vec<u8> {
    let mut file = golden("png_rgb");
    file[16..24].fill(0);
    file
}

/// Ways to write base64 that are not the one.
fn encodings() -> Vec<Row> {
    let png = golden("png_rgb");
    let text = STANDARD.encode(&png);
    let lines = text.as_bytes().chunks(76).map(|line| String::from_utf8_lossy(line)).collect::<Vec<_>>().join("\\r\\n");
    let wrong = [
        format!(" {text}"),
        format!("{text}\\n"),
        lines,
        format!("{text}="),
        format!("{text}!"),
        format!("data:image/png;base64,{text}"),
        STANDARD_NO_PAD.encode(&png[..png.len() - png.len() % 3 - 1]),
        URL_SAFE.encode([0xfb, 0xff, 0xfe].repeat(20)),
        "?".to_owned(),
        "ü".to_owned(),
        "====".to_owned(),
    ];
    wrong
        .iter()
        .map(|data| Row::with(&format!(r#""init_image":{{"data":"{data}"}}"#), "invalid_image", "init_image"))
        .collect()
}

fn references() -> Vec<Row> {
    let png = golden("png_rgb");
    let data = STANDARD.encode(&png);
    let field = |value: &str, code, field: &str| Row::with(&format!(r#""init_image":{value}"#), code, field);
    vec![
        field("{}", "invalid_field", "init_image"),
        field(r#"{"data":7}"#, "invalid_field", "init_image.data"),
        field(r#"{"data":null}"#, "invalid_field", "init_image.data"),
        field(r#"{"data":["x"]}"#, "invalid_field", "init_image.data"),
        field(r#"{"data":"","upload":"a"}"#, "invalid_field", "init_image"),
        field(&format!(r#"{{"data":"{data}","result":"a/0"}}"#), "invalid_field", "init_image"),
        field(r#"{"result":"a/0","upload":"a"}"#, "invalid_field", "init_image"),
        field(r#"{"result":"a/0"}"#, "not_found", "init_image"),
        field(r#"{"result":"other/0"}"#, "not_found", "init_image"),
        field(r#"{"result":"a"}"#, "invalid_field", "init_image.result"),
        field(r#"{"result":"a/00"}"#, "invalid_field", "init_image.result"),
        field(r#"{"result":"a/256"}"#, "invalid_field", "init_image.result"),
        field(r#"{"result":"a/-1"}"#, "invalid_field", "init_image.result"),
        field(r#"{"result":"../a/0"}"#, "invalid_field", "init_image.result"),
        field(r#"{"result":"esp32/a/0"}"#, "invalid_field", "init_image.result"),
        field(r#"{"upload":"cat"}"#, "not_found", "init_image"),
        field(r#"{"upload":""}"#, "invalid_field", "init_image.upload"),
        field(r#"{"upload":"../cat"}"#, "invalid_field", "init_image.upload"),
        field(r#"{"upload":"cat"}"#, DONE, "").after_upload("cat", &png),
        field(r#"{"upload":"dog"}"#, "not_found", "init_image").after_upload("cat", &png),
        field(r#"{"upload":"text"}"#, "invalid_image", "init_image").after_upload("text", b"a red circle"),
        field(r#"{"upload":"bomb"}"#, "image_too_large", "init_image").after_upload("bomb", &claiming(65_535, 65_535)),
        field(r#"{"upload":"large"}"#, "not_found", "init_image").after_upload("large", &vec![0; 1_000_001]),
    ]
}

fn masks() -> Vec<Row> {
    let data = STANDARD.encode(golden("png_l"));
    let photo = format!(r#"{{"data":"{data}"}}"#);
    let with = |members: &str, code, field: &str| Row::with(&members.replace("PHOTO", &photo), code, field);
    vec![
        with(r#""mask":PHOTO"#, "invalid_field", "mask"),
        with(r#""init_image":null,"mask":PHOTO"#, "invalid_field", "mask"),
        with(r#""init_image":PHOTO,"mask":{"data":"aGVsbG8="}"#, "invalid_image", "mask"),
        with(r#""init_image":PHOTO,"mask":{"result":"a/0"}"#, "not_found", "mask"),
        with(r#""init_image":PHOTO,"mask":{"upload":"../cat"}"#, "invalid_field", "mask.upload"),
        with(r#""init_image":PHOTO,"mask":PHOTO"#, DONE, ""),
        with(r#""depth":PHOTO"#, "unsupported_mode", "depth"),
        with(r#""depth":"estimate""#, "unsupported_mode", "depth"),
        with(r#""depth":{"data":"?"}"#, "invalid_image", "depth"),
    ]
}
