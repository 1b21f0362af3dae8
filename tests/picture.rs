//! The bundled model, end to end: a prompt goes in over MQTT, and the picture shows what it says.

use std::path::Path;

use crate::support::pixels::Pixels;
use crate::support::program::{complaint, diffused, root, run};

/// What the bundled model was drawn with.
const PALETTE: [(&str, [i32; 3]); 10] = [
    ("red", [220, 40, 40]),
    ("orange", [245, 135, 30]),
    ("yellow", [250, 220, 50]),
    ("green", [45, 160, 70]),
    ("cyan", [60, 205, 220]),
    ("blue", [45, 80, 210]),
    ("purple", [130, 55, 170]),
    ("pink", [250, 150, 195]),
    ("white", [245, 245, 245]),
    ("black", [22, 22, 22]),
];

#[test]
fn the_demo_leaves_a_picture_that_shows_its_prompt() {
    let folder = tempfile::tempdir().unwrap();
    let output =
        diffused(&["demo", "a", "red circle on a blue background"]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
    let file = folder.path().join("demo.png");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), file.canonicalize().unwrap().to_str().unwrap());
    assert_eq!(seen(&file), Seen { centre: "red", border: "blue" });
}

#[test]
fn the_demo_takes_another_model() {
    let folder = tempfile::tempdir().unwrap();
    let toy = root().join("tests/golden/toy");
    let output =
        diffused(&["demo", "x", "--model", toy.to_str().unwrap()]).current_dir(folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", complaint(&output));
    assert_eq!(Pixels::of_png(&std::fs::read(folder.path().join("demo.png")).unwrap()).width, 64);
}

#[test]
fn the_advertised_colours_are_seen_and_other_prompts_give_other_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    for (centre, border, prompt) in [
        ("yellow", "black", "a yellow circle on a black background"),
        ("green", "white", "a large green square on a white background"),
        ("white", "red", "a white heart on a red background"),
    ] {
        let output = run(&["generate", prompt, "--seed", "1", "-o", file.to_str().unwrap()]);
        assert!(output.status.success(), "{}", complaint(&output));
        assert_eq!(seen(&file), Seen { centre, border }, "{prompt}");
    }
}

#[test]
fn without_the_prompt_the_picture_does_not_show_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.png");
    let prompt = "a yellow circle on a black background";
    let shown = (1..=4).filter(|seed| {
        let flags = ["--guidance-scale", "0", "--seed", &seed.to_string(), "-o", file.to_str().unwrap()];
        assert!(run(&[&["generate", prompt][..], &flags].concat()).status.success());
        seen(&file) == Seen { centre: "yellow", border: "black" }
    });
    assert!(shown.count() < 2);
}

#[derive(Debug, PartialEq, Eq)]
struct Seen {
    centre: &'static str,
    border: &'static str,
}

/// The most frequent colours of the middle and of the outermost pixels.
fn seen(file: &Path) -> Seen {
    let picture = Pixels::of_png(&std::fs::read(file).unwrap());
    let (width, height) = (picture.width, picture.height);
    let near = |x: u32, side: u32| x.abs_diff(side / 2) <= side / 16;
    let name = |wanted: &dyn Fn(u32, u32) -> bool| {
        let colours = picture.placed().filter(|(x, y, _)| wanted(*x, *y)).map(|(_, _, pixel)| nearest(pixel));
        most_frequent(colours)
    };
    Seen {
        centre: name(&|x, y| near(x, width) && near(y, height)),
        border: name(&|x, y| x < 2 || y < 2 || x + 2 >= width || y + 2 >= height),
    }
}

fn nearest(pixel: [u8; 3]) -> &'static str {
    let distance = |colour: &[i32; 3]| -> i32 { (0..3).map(|i| (colour[i] - i32::from(pixel[i])).pow(2)).sum() };
    PALETTE.iter().min_by_key(|(_, colour)| distance(colour)).unwrap().0
}

fn most_frequent(names: impl Iterator<Item = &'static str>) -> &'static str {
    let names: Vec<_> = names.collect();
    names.iter().max_by_key(|name| names.iter().filter(|other| other == name).count()).unwrap()
}
