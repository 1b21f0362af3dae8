//! Pictures out of pictures, by the bundled model and the built program: what must hold whatever the reference does.
//!
//! Needs ONNX Runtime where the program finds it (`deploy/onnxruntime.sh`).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::support::pixels::Pixels;

const PROMPT: &str = "a yellow star on a purple background";

/// A folder to work in, with an init image that the model made itself: a red circle on blue.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        let desk = Self(tempfile::tempdir().unwrap());
        desk.made("a red circle on a blue background", "init.png", &["--seed", "3"]);
        desk
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn run(&self, prompt: &str, name: &str, more: &[&str]) -> Output {
        let model = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes");
        let mut command = Command::new(env!("CARGO_BIN_EXE_diffused"));
        command.current_dir(self.0.path()).args(["generate", prompt, "-o", name, "--model"]).arg(model).args(more);
        command.output().unwrap()
    }

    fn made(&self, prompt: &str, name: &str, more: &[&str]) -> Pixels {
        let output = self.run(prompt, name, more);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Pixels::of_png(&fs::read(self.at(name)).unwrap())
    }

    /// A mask that is white in the columns from `left` on and in these rows.
    fn mask(&self, left: u32, rows: std::ops::Range<u32>) {
        let white = |at: u32| if at % 64 >= left && rows.contains(&(at / 64)) { 255 } else { 0 };
        let pixels: Vec<u8> = (0..64 * 64).map(white).collect();
        let mut encoder = png::Encoder::new(fs::File::create(self.at("mask.png")).unwrap(), 64, 64);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.write_header().unwrap().write_image_data(&pixels).unwrap();
    }
}

/// Mean distance of two pictures, in 255ths.
fn distance(a: &Pixels, b: &Pixels) -> f64 {
    let gaps = a.rgb.iter().flatten().zip(b.rgb.iter().flatten()).map(|(a, b)| f64::from(a.abs_diff(*b)));
    gaps.sum::<f64>() / (3 * a.rgb.len()) as f64
}

#[test]
fn strength_goes_from_the_init_image_to_a_picture_of_the_prompt_alone() {
    let desk = Desk::new();
    let init = Pixels::of_png(&fs::read(desk.at("init.png")).unwrap());
    let alone = desk.made(PROMPT, "alone.png", &["--seed", "5"]);
    let with = |strength: &str| {
        let more = ["--seed", "5", "--init-image", "init.png", "--strength", strength];
        desk.made(PROMPT, "with.png", &more)
    };
    assert_eq!(with("1").rgb, alone.rgb);
    let same = with("0");
    assert!(distance(&same, &init) < 8.0, "{}", distance(&same, &init));
    let distances: Vec<f64> = ["0", "0.5", "0.9"].iter().map(|strength| distance(&with(strength), &init)).collect();
    assert!(distances.is_sorted() && distances[2] > 3.0 * distances[0], "{distances:?}");
}

#[test]
fn what_the_mask_keeps_stays_near_the_init_image() {
    let desk = Desk::new();
    desk.mask(32, 0..64);
    let init = Pixels::of_png(&fs::read(desk.at("init.png")).unwrap());
    let more = ["--seed", "5", "--init-image", "init.png", "--mask", "mask.png", "--strength", "1"];
    let made = desk.made(PROMPT, "made.png", &more);
    let half = |right: bool| {
        let pixels = made.placed().zip(&init.rgb).filter(|((x, ..), _)| (*x >= 32) == right);
        let gaps = pixels.flat_map(|((_, _, a), b)| (0..3).map(move |c| f64::from(a[c].abs_diff(b[c]))));
        gaps.sum::<f64>() / (3.0 * 32.0 * 64.0)
    };
    assert!(half(false) < 10.0, "kept: {}", half(false));
    assert!(half(true) > 30.0, "painted: {}", half(true));
}

#[test]
fn with_a_soft_or_a_cropped_mask_all_else_is_kept_to_the_byte() {
    let desk = Desk::new();
    desk.mask(40, 24..40);
    let init = Pixels::of_png(&fs::read(desk.at("init.png")).unwrap());
    for flags in [&["--mask-feather", "2"][..], &["--mask-crop", "8"][..], &["--mask-feather", "1", "--mask-crop", "4"]]
    {
        let common = ["--seed", "5", "--init-image", "init.png", "--mask", "mask.png", "--strength", "1"];
        let made = desk.made(PROMPT, "made.png", &[&common[..], flags].concat());
        let differs = |x: u32| made.placed().zip(&init.rgb).any(|((column, _, a), b)| column == x && a != *b);
        assert!((0..24).all(|x| !differs(x)), "{flags:?}");
        assert!(differs(50), "{flags:?}");
    }
}

#[test]
fn an_init_image_of_any_size_is_fitted() {
    let desk = Desk::new();
    desk.made("a red circle on a blue background", "wide.png", &["--width", "128"]);
    for fit in ["crop", "pad", "stretch"] {
        let more = ["--init-image", "wide.png", "--strength", "0", "--init-fit", fit];
        let made = desk.made(PROMPT, "made.png", &more);
        assert_eq!((made.width, made.height), (64, 64), "{fit}");
    }
}

#[test]
fn pictures_made_together_are_those_made_alone() {
    let desk = Desk::new();
    let common = ["--init-image", "init.png", "--strength", "0.7", "--sampler", "euler_ancestral"];
    desk.made(PROMPT, "alone.png", &[&common[..], &["--seed", "9"]].concat());
    let together = desk.run(PROMPT, "two.png", &[&common[..], &["--seed", "8", "--count", "2"]].concat());
    assert!(together.status.success());
    let read = |name: &str| Pixels::of_png(&fs::read(desk.at(name)).unwrap());
    // A graph may add up numbers in another order for two pictures than for one.
    assert!(distance(&read("two-1.png"), &read("alone.png")) < 0.5);
    assert!(distance(&read("two-0.png"), &read("alone.png")) > 1.0);
}

#[test]
fn a_classifier_moves_pictures_toward_its_label() {
    let desk = Desk::new();
    let redness = |more: &[&str]| {
        let made = desk.made("a", "made.png", &[&["--guidance-scale", "0", "--seed", "2"], more].concat());
        let red = made.rgb.iter().filter(|pixel| pixel[0] > 180 && pixel[1] < 90 && pixel[2] < 90).count();
        red as f64 / made.rgb.len() as f64
    };
    let (without, toward, away) =
        (redness(&[]), redness(&["--classifier", "red=10"]), redness(&["--classifier", "blue=10"]));
    assert!(toward > 0.1 && toward > without && toward > away, "{without} {toward} {away}");
}

#[test]
fn a_variation_lies_between_two_seeds() {
    let desk = Desk::new();
    let made = |more: &[&str]| desk.made(PROMPT, "made.png", more);
    let (one, other) = (made(&["--seed", "1"]), made(&["--seed", "2"]));
    assert_eq!(made(&["--seed", "1", "--variation", "2=0"]).rgb, one.rgb);
    assert_eq!(made(&["--seed", "1", "--variation", "2=1"]).rgb, other.rgb);
    assert_ne!(made(&["--seed", "1", "--variation", "2=0.3"]).rgb, one.rgb);
    assert_ne!(made(&["--seed", "1", "--seed-source", "cuda"]).rgb, one.rgb);
}

#[test]
fn what_the_model_cannot_do_is_bad_data() {
    let desk = Desk::new();
    for (flags, reason) in [
        (["--depth", "init.png"], "depth is none of them"),
        (["--mask", "init.png"], "mask needs an init_image"),
        (["--classifier", "cat=1"], "classifier.label must be one of 18 such as red"),
        (["--init-image", "nothing.png"], "nothing.png cannot be read"),
    ] {
        let output = desk.run(PROMPT, "made.png", &flags);
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains(reason), "{flags:?}: {told}");
    }
}
