//! The bundled model in 8 bits, as `models/quantize.py` writes it: a folder like any other.

use std::path::Path;

use diffused::model::{Body, Folder};
use tempfile::TempDir;

use crate::support::pixels::Pixels;
use crate::support::program::{complaint, root, run};

/// `models/shapes` with the two graphs of `tests/golden/quantised`.
fn quantised() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&root().join("models/shapes"), folder.path());
    copy(&root().join("tests/golden/quantised"), folder.path());
    folder
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        match entry.path() {
            path if path.is_dir() => copy(&path, &target),
            path => drop(std::fs::copy(path, target).unwrap()),
        }
    }
}

const PROMPT: &str = "a green heart on a pink background";

/// A picture of that prompt, with these further words on the command line.
fn picture(model: &Path, words: &[&str]) -> Pixels {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    let adapters = root().join("models/adapters");
    let [model, adapters, file] = [model, &adapters, &file].map(|path| path.to_str().unwrap());
    let output = run(&[&["generate", PROMPT, "--model", model, "--adapters", adapters, "-o", file], words].concat());
    assert!(output.status.success(), "{}", complaint(&output));
    Pixels::of_png(&std::fs::read(file).unwrap())
}

/// How alike two pictures are, in dB.
fn psnr(one: &Pixels, other: &Pixels) -> f64 {
    assert_eq!((one.width, one.height), (other.width, other.height));
    let bytes = |pixels: &Pixels| pixels.rgb.iter().flatten().copied().map(f64::from).collect::<Vec<_>>();
    let (one, other) = (bytes(one), bytes(other));
    let error: f64 = one.iter().zip(&other).map(|(a, b)| (a - b).powi(2)).sum::<f64>() / one.len() as f64;
    10.0 * (255.0 * 255.0 / error).log10()
}

/// The middle of 96 pictures was 47.5 dB from its twin, the worst twentieth below 43.9.
const ALIKE: f64 = 40.0;

#[test]
fn in_8_bits_a_seed_gives_almost_the_same_picture() {
    let (folder, exact) = (quantised(), root().join("models/shapes"));
    for seed in ["1", "2", "3"] {
        let alike = psnr(&picture(folder.path(), &["--seed", seed]), &picture(&exact, &["--seed", seed]));
        // Equal pictures would mean that nothing had 8 bits.
        assert!(alike > ALIKE && alike < 60.0, "seed {seed}: {alike:.1} dB");
    }
    let other = psnr(&picture(folder.path(), &["--seed", "1"]), &picture(&exact, &["--seed", "2"]));
    assert!(other < ALIKE, "another seed: {other:.1} dB");
}

#[test]
fn adapters_change_weights_of_8_bits_as_they_change_others() {
    let (folder, exact) = (quantised(), root().join("models/shapes"));
    for words in [["--lora", "outline=1"], ["--hypernetwork", "blueprint=1"]] {
        let words = [&["--seed", "3"][..], &words].concat();
        let (made, wanted) = (picture(folder.path(), &words), picture(&exact, &words));
        let alike = psnr(&made, &wanted);
        // These styles are sharp outlines, where a small shift counts much.
        assert!(alike > 30.0, "{words:?}: {alike:.1} dB");
        let without = psnr(&made, &picture(&exact, &["--seed", "3"]));
        assert!(without < 20.0, "{words:?} changes the picture: {without:.1} dB");
    }
}

#[test]
fn what_the_weights_are_stored_in_is_read_from_the_graph() {
    let folder = quantised();
    let precision = |path: &Path| Body::read(&Folder::open(path).unwrap()).precision();
    assert_eq!(precision(folder.path()), Some("int8"));
    assert_eq!(precision(&root().join("models/shapes")), Some("fp16"));
    assert_eq!(precision(&root().join("tests/golden/toy")), Some("fp32"));
}
