//! What exceeds a limit is refused before the work that the limit is for.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use diffused::job::request::{Arrival, Reference, Refused};
use diffused::job::units::{Client, JobId, Seed};
use diffused::job::{Limits, ModelFacts, Origin, Reading, Request, Rules};
use diffused::picture::{DecodeLimits, Picture};
use serde_json::json;

use super::pictures::{claiming, golden, with_scans};
use crate::support::node::facts;

/// How often work was done for a request: prompts read by the tokenizer, pictures looked for.
#[derive(Default)]
struct Work {
    read: Arc<AtomicUsize>,
    found: AtomicUsize,
}

impl Work {
    fn rules(&self) -> Rules {
        let read = Arc::clone(&self.read);
        let reading = move |_: &_, _| {
            read.fetch_add(1, Ordering::SeqCst);
            Reading { chunks: 1, ..Reading::default() }
        };
        let limits = Limits { request_bytes: 10_000, prompt_chars: 100, pixels: 4096, steps: 20, count: 2 };
        let model = ModelFacts { read: Arc::new(reading), ..facts() };
        Rules::bare(limits, vec![model])
    }

    /// The code of a payload, and how often it was read by the tokenizer and how many pictures were looked for.
    fn of(payload: &str) -> (&'static str, usize, usize) {
        let work = Self::default();
        let find = |_: &Reference| {
            work.found.fetch_add(1, Ordering::SeqCst);
            Some(golden("png_rgb"))
        };
        let arrival = Arrival {
            client: Client::try_from("esp32").unwrap(),
            origin: Origin::Request,
            payload: payload.as_bytes(),
            attachment: None,
            find: &find,
            time: SystemTime::now(),
            correlation: None,
            expiry: None,
            fresh_id: JobId::random([7; 16]),
            fresh_seed: Seed::from(7),
        };
        let code = match Request::parse(&arrival, &work.rules()) {
            Ok(_) => "done",
            Err(Refused { id, rejection, .. }) => {
                assert!(rejection.code.name() != "payload_too_large" || id.is_none(), "it was parsed");
                rejection.code.name()
            }
        };
        (code, work.read.load(Ordering::SeqCst), work.found.load(Ordering::SeqCst))
    }
}

#[test]
fn a_request_within_the_limits_is_read_and_its_picture_is_looked_for() {
    let (code, read, found) = Work::of(r#"{"prompt":"x","init_image":{"upload":"cat"}}"#);
    assert_eq!((code, found), ("done", 1));
    assert!(read > 0);
}

#[test]
fn bytes_are_counted_before_the_json_is_parsed() {
    let request = json!({"id": "seen", "prompt": "x", "init_image": {"upload": "cat"}, "tags": {"a": "b"}}).to_string();
    assert_eq!(Work::of(&format!("{request}{}", " ".repeat(10_000))), ("payload_too_large", 0, 0));
    assert_eq!(Work::of(&"[".repeat(10_001)), ("payload_too_large", 0, 0));
}

#[test]
fn characters_and_conditions_are_counted_before_the_tokenizer_reads() {
    let long = "x ".repeat(51);
    assert_eq!(Work::of(&long).0, "prompt_too_long");
    for payload in [
        long.clone(),
        json!({"prompt": "x", "negative_prompt": long}).to_string(),
        json!({"prompt": vec!["a"; 17].join(" AND ")}).to_string(),
    ] {
        let (code, read, _) = Work::of(&payload);
        assert!(code != "done" && read == 0, "{payload}: {code}, {read} times read");
    }
}

#[test]
fn steps_pixels_and_pictures_are_counted_before_anything_is_read() {
    for members in [
        r#""steps":21"#,
        r#""width":128"#,
        r#""count":3"#,
        r#""width":8192,"height":8192"#,
        r#""steps":20,"resample":{"repeats":20}"#,
        r#""restart":{"steps":150,"repeats":20}"#,
        r#""output":{"width":8192,"height":8192}"#,
    ] {
        let (code, read, _) = Work::of(&format!(r#"{{"prompt":"x",{members}}}"#));
        let readings = if members.contains("output") { 2 } else { 0 };
        assert!(code != "done" && read <= readings, "{members}: {code}, {read} times read");
    }
}

/// What a node with the usual limits decodes.
const USUAL: DecodeLimits = DecodeLimits { pixels: 1 << 24, side: 16_384, memory: 1 << 28 };

/// More than the limit of memory, for the file itself and the allocator's own.
const MOST: u64 = USUAL.memory + (32 << 20);

/// Files that claim or unfold to far more than they are.
fn bombs() -> Vec<(&'static str, Vec<u8>)> {
    let flat = |width, height, color, depth, bytes: usize| {
        let mut file = Vec::new();
        let mut encoder = png::Encoder::new(&mut file, width, height);
        encoder.set_color(color);
        encoder.set_depth(depth);
        encoder.write_header().unwrap().write_image_data(&vec![0; width as usize * height as usize * bytes]).unwrap();
        file
    };
    let mut text = Vec::new();
    let mut encoder = png::Encoder::new(&mut text, 1, 1);
    encoder.add_ztxt_chunk("bomb".to_owned(), "a".repeat(64 << 20)).unwrap();
    encoder.write_header().unwrap().write_image_data(&[0]).unwrap();
    let mut jpeg = golden("jpeg_rgb6");
    let mut scans = with_scans("jpeg_rgb6", 60_000);
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let mut patched = |side: u16| {
        jpeg[frame + 5..frame + 7].copy_from_slice(&side.to_be_bytes());
        jpeg[frame + 7..frame + 9].copy_from_slice(&side.to_be_bytes());
        jpeg.clone()
    };
    let (whole, claims) = (patched(4096), patched(65_535));
    scans[frame + 5..frame + 9].copy_from_slice(&[4, 0, 0x40, 0]);
    let mut bmp = golden("bmp");
    bmp[18..26].copy_from_slice(&[0, 16, 0, 0, 0, 16, 0, 0]);
    let mut webp = golden("webp");
    let at = webp.windows(4).position(|bytes| bytes == b"VP8L").unwrap();
    webp[at + 9..at + 13].copy_from_slice(&[0xff, 0xff, 0xff, 0x1f]);
    vec![
        ("a PNG that claims 65535 x 65535", claiming(65_535, 65_535)),
        ("a PNG that claims 4096 x 4096 and has nothing", claiming(4096, 4096)),
        ("the largest flat PNG", flat(4096, 4096, png::ColorType::Rgb, png::BitDepth::Eight, 3)),
        ("the largest flat PNG of one bit", flat(4096, 4096, png::ColorType::Grayscale, png::BitDepth::Eight, 1)),
        ("a flat PNG of 16 bits", flat(4096, 2048, png::ColorType::Rgba, png::BitDepth::Sixteen, 8)),
        ("a text of 64 MiB in a PNG", text),
        ("a JPEG that claims 4096 x 4096", whole),
        ("a JPEG that claims 65535 x 65535", claims),
        ("a JPEG of 60,000 scans that claims 16384 x 1024", scans),
        ("a BMP that claims 4096 x 4096", bmp),
        ("a WebP that claims 16384 x 16384", webp),
    ]
}

/// A line of `/proc/self/status`, in bytes.
fn status(key: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

#[test]
fn a_bomb_takes_no_more_memory_than_the_limit() {
    let own = std::env::current_exe().unwrap();
    let name = "contract::limits::bombs_in_a_process_of_their_own";
    let output = Command::new(own).args(["--exact", name, "--ignored", "--nocapture"]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("bombs are measured"), "{text}");
}

/// The peak of a process belongs to all of its threads, so that this needs one for itself.
#[test]
#[ignore = "a part of a_bomb_takes_no_more_memory_than_the_limit"]
fn bombs_in_a_process_of_their_own() {
    for (what, file) in bombs() {
        // "5" sets the peak back to what is there now.
        std::fs::write("/proc/self/clear_refs", "5").unwrap();
        let (before, begun) = (status("VmRSS"), std::time::Instant::now());
        let result = Picture::decode(&file, &USUAL).map(|picture| (picture.width(), picture.height()));
        let (peak, took) = (status("VmHWM").saturating_sub(before), begun.elapsed());
        println!("{what}: {} bytes, {} MiB, {took:?}, {result:?}", file.len(), peak >> 20);
        assert!(file.len() < 1_000_000 && peak <= MOST, "{what} took {peak} bytes");
        let refused_by_its_header = what.contains("65535") || what.contains("16384");
        assert!(!refused_by_its_header || (result.is_err() && peak < 4 << 20), "{what} was not refused at once");
    }
    println!("bombs are measured");
}
