//! Every output format, read back by programs that are not ours: Pillow for files, and the C reader of
//! `docs/panels.md` for what panels take.
//!
//! Needs `cc`, and `python3` with pip, which brings Pillow into the target folder.

mod pillow;

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use diffused::job::Parts;
use diffused::job::units::PartBytes;
use diffused::picture::{Dither, Encoded, Encoding, Format, Picture, encode};
use serde_json::Value;

use crate::support::program::{complaint, root, run};
use pillow::{differences, pillow};

const FILES: [Format; 5] = [Format::Png, Format::Jpeg, Format::Webp, Format::Bmp, Format::Qoi];

/// Smooth, coloured, and no side a multiple of anything.
fn smooth() -> Picture {
    let (width, height) = (61, 37);
    let pixels = (0..height).flat_map(|y| (0..width).flat_map(move |x| [x * 4, y * 6, (x + y) * 2].map(|v| v as u8)));
    Picture::new(width, height, pixels.collect()).unwrap()
}

#[test]
fn pillow_reads_every_file_format() {
    let folder = tempfile::tempdir().unwrap();
    for format in FILES {
        let encoded = encode(&smooth(), &Encoding::of(format)).unwrap();
        let read = pillow(folder.path(), &encoded.bytes).unwrap_or_else(|| panic!("{}", format.name()));
        assert_eq!((read.format.to_lowercase(), read.size), (format.name().to_owned(), (61, 37)));
        let (most, mean) = differences(&read.pixels, smooth().pixels());
        assert!(if format == Format::Jpeg { mean < 2.0 } else { most == 0 }, "{}: {most}, {mean}", format.name());
    }
}

#[test]
fn pillow_notices_a_changed_byte() {
    let folder = tempfile::tempdir().unwrap();
    for format in FILES {
        let mut bytes = encode(&smooth(), &Encoding::of(format)).unwrap().bytes;
        let sound = pillow(folder.path(), &bytes).unwrap().pixels;
        // Behind every table, among the picture's own bytes.
        let place = bytes.len() * 3 / 4;
        bytes[place] ^= 0x55;
        let changed = pillow(folder.path(), &bytes).is_none_or(|read| read.pixels != sound);
        assert!(changed, "{}", format.name());
    }
}

#[test]
fn the_c_reader_of_the_document_reads_every_panel_format() {
    let reader = Reader::compiled();
    for panel in PANELS {
        let drawn = Drawn::new(panel, 61, 37);
        for part_bytes in [512, 700, 4096] {
            let got = reader.codes(panel, &drawn.encoded, part_bytes, |_| {}).unwrap();
            assert_eq!(got, drawn.codes, "{} in parts of {part_bytes}", panel.format.name());
        }
    }
}

#[test]
fn the_c_reader_notices_bits_and_bytes_in_the_wrong_place() {
    let reader = Reader::compiled();
    for panel in PANELS {
        let drawn = Drawn::new(panel, 61, 37);
        // Several, since a bit of the black plane says nothing where the colour plane has a dot.
        let flip = |parts: &mut Vec<(usize, Vec<u8>)>| parts[0].1[3..19].iter_mut().for_each(|byte| *byte ^= 0x10);
        let flipped = reader.codes(panel, &drawn.encoded, 512, flip).unwrap();
        assert_ne!(flipped, drawn.codes, "{}", panel.format.name());
        let short = reader.codes(panel, &drawn.encoded, 512, |parts| parts[0].1.truncate(9));
        assert_eq!(short.unwrap_err(), "part 0 refused");
        let lost = reader.codes(panel, &drawn.encoded, 512, |parts| drop(parts.pop()));
        assert_eq!(lost.unwrap_err(), "1 missing");
        let foreign = reader.codes(panel, &drawn.encoded, 512, |parts| parts[0].0 = 9999);
        assert_eq!(foreign.unwrap_err(), "part 9999 refused");
        let order = reader.codes(panel, &drawn.encoded, 512, |parts| {
            parts.reverse();
            parts.push(parts[0].clone());
        });
        assert_eq!(order.unwrap(), drawn.codes);
    }
    // Taken for the other byte order, words are wrong.
    let [big, little] =
        ["rgb565", "rgb565le"].map(|name| PANELS.iter().find(|panel| panel.format.name() == name).unwrap());
    let drawn = Drawn::new(little, 61, 37);
    assert_ne!(reader.codes(big, &drawn.encoded, 512, |_| {}).unwrap(), drawn.codes);
}

#[test]
fn the_program_writes_the_size_that_was_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.mono");
    let name = file.to_str().unwrap();
    let flags = ["--output-width", "122", "--output-height", "250", "--fit", "contain", "--rotate", "90"];
    let more = ["--dither", "atkinson", "--steps", "1", "--seed", "1", "--json"];
    let output = run(&[&["generate", "a red circle on a blue background", "-o", name][..], &flags, &more].concat());
    assert!(output.status.success(), "{}", complaint(&output));
    let facts: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&facts["format"], &facts["width"], &facts["height"]), (&"mono".into(), &122.into(), &250.into()));
    let bytes = fs::read(&file).unwrap();
    assert_eq!(bytes.len(), 4000);
    // The border of `contain` is white paper.
    assert!(bytes.chunks(16).take(60).all(|row| row == [&[0xff; 15][..], &[0xc0]].concat()));
    let output =
        run(&["generate", "x", "-o", name, "--max-bytes", "3999", "--output-width", "122", "--output-height", "250"]);
    assert!(complaint(&output).contains("output.max_bytes must be at least 4000 for 122x250 mono, got 3999"));
    assert_eq!(output.status.code(), Some(64));
}

/// A panel format: how the reader is told of it, and colours with the code that the contract gives each.
struct Panel {
    format: Format,
    kind: &'static str,
    colours: &'static [([u8; 3], u16)],
}

const BLACK: [u8; 3] = [0; 3];
const WHITE: [u8; 3] = [255; 3];
const RED: [u8; 3] = [255, 0, 0];
const GREEN: [u8; 3] = [0, 255, 0];
const BLUE: [u8; 3] = [0, 0, 255];
const YELLOW: [u8; 3] = [255, 255, 0];
const WORDS: &[([u8; 3], u16)] =
    &[(RED, 0xf800), (GREEN, 0x07e0), (BLUE, 0x001f), (WHITE, 0xffff), (BLACK, 0), ([255, 130, 0], 0xfc00)];

#[rustfmt::skip]
const PANELS: &[Panel] = &[
    Panel { format: Format::Mono, kind: "1", colours: &[(BLACK, 0), (WHITE, 1)] },
    Panel { format: Format::Gray2, kind: "2", colours: &[(BLACK, 0), ([85; 3], 1), ([170; 3], 2), (WHITE, 3)] },
    Panel { format: Format::Gray4, kind: "4", colours: &[(BLACK, 0), ([17; 3], 1), ([136; 3], 8), (WHITE, 15)] },
    Panel { format: Format::Rgb565, kind: "word", colours: WORDS },
    Panel { format: Format::Rgb565Le, kind: "word-le", colours: WORDS },
    Panel { format: Format::EpdBwr, kind: "ink", colours: &[(BLACK, 0), (WHITE, 1), (RED, 2)] },
    Panel { format: Format::EpdBwy, kind: "ink", colours: &[(BLACK, 0), (WHITE, 1), (YELLOW, 2)] },
    Panel { format: Format::Epd7c, kind: "4", colours: &[
        (BLACK, 0), (WHITE, 1), (GREEN, 2), (BLUE, 3), (RED, 4), (YELLOW, 5), ([255, 140, 0], 6)] },
    Panel { format: Format::EpdE6, kind: "4", colours: &[
        (BLACK, 0), (WHITE, 1), (YELLOW, 2), (RED, 3), (BLUE, 5), (GREEN, 6)] },
];

#[test]
fn every_raw_format_is_read() {
    let raw: Vec<_> = Format::ALL.into_iter().filter(|format| format.is_raw()).collect();
    assert!(raw.iter().all(|format| PANELS.iter().any(|panel| panel.format == *format)));
    assert_eq!((raw.len(), raw.len() + FILES.len()), (PANELS.len(), Format::ALL.len()));
}

/// A picture of random pixels in the panel's colours, with the codes that they have by the contract.
struct Drawn {
    encoded: Encoded,
    codes: Vec<u16>,
}

impl Drawn {
    fn new(panel: &Panel, width: u32, height: u32) -> Self {
        let mut state = 7_u32;
        let drawn: Vec<_> = (0..width * height)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                panel.colours[(state >> 16) as usize % panel.colours.len()]
            })
            .collect();
        let picture = Picture::new(width, height, drawn.iter().flat_map(|(colour, _)| *colour).collect()).unwrap();
        let encoding = Encoding { dither: Dither::None, ..Encoding::of(panel.format) };
        let codes = drawn.into_iter().map(|(_, code)| code).collect();
        Self { encoded: encode(&picture, &encoding).unwrap(), codes }
    }
}

/// The reader of the document with a `main` around it.
struct Reader {
    _folder: tempfile::TempDir,
    program: PathBuf,
}

/// Reads a line of numbers, then parts (number, length, bytes); writes the code of each pixel as a line.
const MAIN: &str = r#"
#include <stdio.h>
#include <stdlib.h>

int main(int count, char **words) {
    unsigned width, height, stride, i;
    size_t length;
    struct picture p;
    const char *kind = words[count - 1];
    if (scanf("%u %u %u %u %u %u\n", &width, &height, &stride, &p.bytes, &p.part_bytes, &p.parts) != 6) return 2;
    p.data = malloc(p.bytes);
    p.have = malloc(p.parts);
    if (!picture_begin(&p)) { printf("manifest refused"); return 1; }
    while (scanf("%u %zu:", &i, &length) == 2) {
        uint8_t *payload = malloc(length);
        if (fread(payload, 1, length, stdin) != length) return 2;
        if (!picture_part(&p, i, payload, length)) { printf("part %u refused", i); return 1; }
        free(payload);
    }
    if (p.missing) { printf("%u missing", p.missing); return 1; }
    for (unsigned y = 0; y < height; y++) for (unsigned x = 0; x < width; x++) {
        unsigned code;
        if (!strcmp(kind, "word")) code = pixel_rgb565(p.data, stride, x, y);
        else if (!strcmp(kind, "word-le")) {
            uint16_t word = pixel_rgb565(p.data, stride, x, y);
            code = (uint16_t)(word >> 8 | word << 8);
        } else if (!strcmp(kind, "ink")) code = pixel_ink(p.data, stride, height, x, y);
        else code = pixel_code(p.data, stride, atoi(kind), x, y);
        printf("%u\n", code);
    }
    return 0;
}
"#;

impl Reader {
    fn compiled() -> Self {
        let document = fs::read_to_string(root().join("docs/panels.md")).unwrap();
        let snippet = document.split("```c\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let (source, program) = (folder.path().join("reader.c"), folder.path().join("reader"));
        fs::write(&source, format!("{snippet}{MAIN}")).unwrap();
        let mut compiler = Command::new("cc");
        compiler.args(["-std=c99", "-Wall", "-Wextra", "-Werror", "-O1", "-o"]).arg(&program).arg(&source);
        let output = compiler.output().unwrap();
        assert!(output.status.success(), "{}", complaint(&output));
        Self { _folder: folder, program }
    }

    /// The codes that it reads from the picture's parts, after `change` had its way with them; or why it refused.
    fn codes(
        &self,
        panel: &Panel,
        encoded: &Encoded,
        part_bytes: i64,
        change: impl FnOnce(&mut Vec<(usize, Vec<u8>)>),
    ) -> Result<Vec<u16>, String> {
        let plan = Parts::plan(encoded, Some(PartBytes::try_from(part_bytes).unwrap()), None).unwrap();
        let mut parts: Vec<_> =
            encoded.bytes.chunks(plan.part_bytes as usize).map(<[u8]>::to_vec).enumerate().collect();
        assert_eq!(parts.len(), plan.parts as usize);
        change(&mut parts);
        let (stride, bytes) = (encoded.stride(), encoded.bytes.len());
        let numbers = [encoded.width as usize, encoded.height as usize, stride, bytes, plan.part_bytes as usize];
        let mut input = format!("{} {}\n", numbers.map(|number| number.to_string()).join(" "), plan.parts).into_bytes();
        for (index, payload) in parts {
            input.extend(format!("{index} {}:", payload.len()).into_bytes());
            input.extend(payload);
        }
        let mut child =
            Command::new(&self.program).arg(panel.kind).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        // The reader stops listening when it refuses a part.
        let writer = std::thread::spawn(move || drop(stdin.write_all(&input)));
        let output = child.wait_with_output().unwrap();
        writer.join().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        match output.status.code() {
            Some(0) => Ok(said.lines().map(|line| line.parse().unwrap()).collect()),
            Some(1) => Err(said),
            other => panic!("{other:?}: {said}"),
        }
    }
}
