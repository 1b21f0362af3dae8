//! Everything that has a reference, against Pillow, torch, diffusers and transformers.

use super::{DecodeLimits, Filter, Fit, Gray, Map, Mask, Picture, Region};

/// Made by `tests/golden/picture.py`.
const GOLDEN: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/picture.json"));

const LIMITS: DecodeLimits = DecodeLimits { pixels: 1 << 20, side: 1024, memory: 1 << 24 };

#[derive(serde::Deserialize)]
struct Golden {
    resizes: Vec<Resize>,
    fits: Vec<Fitted>,
    interpolations: Vec<Interpolation>,
    normalised: Hex,
    long_nearest: Vec<LongNearest>,
    blurs: Vec<Blur>,
    regions: Vec<Grown>,
    composite: Hex,
    numbers: Numbers,
    files: Vec<File>,
}

#[derive(serde::Deserialize)]
struct Resize {
    from: (u32, u32),
    to: (u32, u32),
    filter: String,
    number: u8,
    rgb: Hex,
}

#[derive(serde::Deserialize)]
struct Fitted {
    from: (u32, u32),
    to: (u32, u32),
    fit: String,
    rgb: Hex,
    mask: Hex,
    depth: Option<Hex>,
}

#[derive(serde::Deserialize)]
struct Interpolation {
    from: (u32, u32),
    to: (u32, u32),
    mode: String,
    values: Hex,
}

#[derive(serde::Deserialize)]
struct LongNearest {
    old: u32,
    new: u32,
    check: u64,
}

#[derive(serde::Deserialize)]
struct Blur {
    radius: f32,
    values: Hex,
}

#[derive(serde::Deserialize)]
struct Grown {
    mask: [u32; 4],
    margin: u32,
    within: (u32, u32),
    wanted: (u32, u32),
    region: [u32; 4],
}

#[derive(serde::Deserialize)]
struct Numbers {
    vae: Hex,
    clip: Hex,
    mean: [f32; 3],
    std: [f32; 3],
}

#[derive(serde::Deserialize)]
struct File {
    name: String,
    file: Hex,
    size: (u32, u32),
    rgb: Hex,
    gray: Option<Hex>,
}

/// Bytes in hexadecimal digits.
#[derive(serde::Deserialize)]
struct Hex(String);

impl Hex {
    fn bytes(&self) -> Vec<u8> {
        (0..self.0.len()).step_by(2).map(|at| u8::from_str_radix(&self.0[at..at + 2], 16).unwrap()).collect()
    }

    fn floats(&self) -> Vec<f32> {
        self.bytes().as_chunks().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect()
    }
}

fn golden() -> Golden {
    serde_json::from_str(GOLDEN).unwrap()
}

/// The test picture of the script.
fn picture((width, height): (u32, u32)) -> Picture {
    let places = (0..height).flat_map(|y| (0..width).flat_map(move |x| (0..3).map(move |c| (x, y, c))));
    let value = |(x, y, c)| 3 * x * x + 5 * y * y + 7 * x * y + 31 * x + 17 * y + c * (41 + 13 * x);
    Picture::new(width, height, places.map(|place| value(place) as u8).collect()).unwrap()
}

/// Its red.
fn mask((width, height): (u32, u32)) -> Mask {
    let red = picture((width, height)).pixels().iter().step_by(3).copied().collect();
    Mask::new(width, height, red).unwrap()
}

/// Its red from -7 on in quarters.
fn depth(size: (u32, u32)) -> Map {
    let values = mask(size).values().iter().map(|value| f32::from(*value) * 0.25 - 7.0).collect();
    Map::new(size.0, size.1, values).unwrap()
}

/// The largest difference.
fn distance(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    ours.iter().zip(theirs).map(|(ours, theirs)| (ours - theirs).abs()).fold(0.0, f32::max)
}

#[test]
fn pictures_are_resized_as_pillow_does_to_the_byte() {
    for case in golden().resizes {
        let filter = Filter::of_pillow(case.number).unwrap();
        assert_eq!(format!("{filter:?}").to_lowercase(), case.filter);
        let ours = picture(case.from).resized(case.to.0, case.to.1, filter);
        assert_eq!(ours.pixels(), case.rgb.bytes(), "{} from {:?} to {:?}", case.filter, case.from, case.to);
    }
    assert_eq!(Filter::of_pillow(4), None);
}

#[test]
fn every_filter_gives_another_picture() {
    let other = [Filter::Bilinear, Filter::Bicubic, Filter::Lanczos, Filter::Nearest];
    for case in golden().resizes.into_iter().filter(|case| case.to != (1, 1)) {
        let filter = other[Filter::of_pillow(case.number).unwrap() as usize];
        let ours = picture(case.from).resized(case.to.0, case.to.1, filter);
        assert_ne!(ours.pixels(), case.rgb.bytes(), "{filter:?} from {:?} to {:?}", case.from, case.to);
    }
}

#[test]
fn pictures_and_masks_are_fitted_as_diffusers_does_to_the_byte() {
    for case in golden().fits {
        let fit = Fit::find(&case.fit).unwrap();
        let (width, height) = case.to;
        let name = format!("{} from {:?} to {:?}", case.fit, case.from, case.to);
        assert_eq!(picture(case.from).fitted(width, height, fit).pixels(), case.rgb.bytes(), "{name}");
        assert_eq!(mask(case.from).fitted(width, height, fit).values(), case.mask.bytes(), "mask, {name}");
        if let Some(depth) = case.depth {
            let ours = mask(case.from).to_gray().fitted(width, height, fit);
            assert_eq!(ours.values(), depth.floats(), "depth, {name}");
        }
    }
}

#[test]
fn maps_are_interpolated_as_torch_does() {
    for case in golden().interpolations {
        let (map, (width, height)) = (depth(case.from), case.to);
        let (theirs, other) = (case.values.floats(), map.resized_nearest(width + 1, height));
        let ours = match case.mode.as_str() {
            "nearest" => map.resized_nearest(width, height),
            _ => map.resized_bicubic(width, height),
        };
        let largest = theirs.iter().fold(0.0, |largest: f32, value| largest.max(value.abs()));
        let far = distance(ours.values(), &theirs) / largest;
        assert!(far <= if case.mode == "nearest" { 0.0 } else { 1e-6 }, "{far} from {:?} to {:?}", case.from, case.to);
        assert_ne!(other.values().len(), theirs.len());
    }
}

#[test]
fn the_nearest_place_is_found_with_torchs_rounding() {
    for LongNearest { old, new, check } in golden().long_nearest {
        let places = Map::new(old, 1, (0..old).map(|place| place as f32).collect()).unwrap();
        let sum = |values: &[f32]| (1..).zip(values).map(|(at, value)| at * *value as u64).sum::<u64>();
        assert_eq!(sum(places.resized_nearest(new, 1).values()), check, "{old} to {new}");
        assert_ne!(sum(places.resized_nearest(new + 1, 1).values()), check, "{old} to {new}");
    }
}

#[test]
fn depths_are_normalised_as_diffusers_does() {
    let theirs = golden().normalised.floats();
    assert!(distance(depth((8, 8)).normalised().values(), &theirs) <= f32::EPSILON);
    let steeper: Vec<f32> = theirs.iter().map(|value| value * 1.000_001).collect();
    assert!(distance(depth((8, 8)).normalised().values(), &steeper) > f32::EPSILON);
}

#[test]
fn masks_are_feathered_as_pillow_does_to_the_byte() {
    let (columns, rows) = (20, 16);
    let value = |at: u32| match (at % columns, at / columns) {
        (7..18, 5..12) => 255,
        (0..2, 0..3) => 77,
        _ => 0,
    };
    let sharp = Mask::new(columns, rows, (0..columns * rows).map(value).collect()).unwrap();
    for case in golden().blurs {
        assert_eq!(sharp.feathered(case.radius).values(), case.values.bytes(), "radius {}", case.radius);
        assert_ne!(sharp.feathered(case.radius * 1.2).values(), case.values.bytes(), "radius {}", case.radius);
    }
}

#[test]
fn a_masks_region_is_grown_as_diffusers_does() {
    for case in golden().regions {
        let (width, height) = case.within;
        let [left, top, right, bottom] = case.mask;
        let white = |at: u32| (left..right).contains(&(at % width)) && (top..bottom).contains(&(at / width));
        let values = (0..width * height).map(|at| if white(at) { 255 } else { 0 });
        let bounds = Mask::new(width, height, values.collect()).unwrap().bounds().unwrap();
        assert_eq!(Some(bounds), Region::new(left, top, right, bottom));
        let [left, top, right, bottom] = case.region;
        let theirs = Region::new(left, top, right, bottom);
        assert_eq!(Some(bounds.grown(case.margin, case.within, case.wanted)), theirs, "{:?}", case.mask);
        if theirs != Region::new(0, 0, width, height) {
            assert_ne!(Some(bounds.grown(case.margin + 3, case.within, case.wanted)), theirs, "{:?}", case.mask);
        }
    }
}

#[test]
fn pictures_are_composed_as_pillow_does_to_the_byte() {
    let own = picture((16, 16));
    let turned = own.pixels().chunks(48).rev().flatten().map(|value| 255 - value).collect();
    let other = Picture::new(16, 16, turned).unwrap();
    let whole = Region::new(0, 0, 16, 16).unwrap();
    let composed = |one: &Picture, other| one.pasted(other, whole, &mask((16, 16))).unwrap();
    assert_eq!(composed(&own, &other).pixels(), golden().composite.bytes());
    assert_ne!(composed(&other, &own).pixels(), golden().composite.bytes());
}

#[test]
fn numbers_for_graphs_are_those_of_diffusers_and_transformers_to_the_bit() {
    let every = |step: usize| {
        let values: Vec<u8> = (0..=255).step_by(step).flat_map(|value| [value; 3]).collect();
        Picture::new(values.len() as u32 / 3, 1, values).unwrap()
    };
    let Numbers { vae, clip, mean, std } = golden().numbers;
    assert_eq!(every(1).to_planes()[..256], vae.floats());
    assert_eq!(every(4).normalised_planes(mean, std, 0.00392156862745098), clip.floats());
    assert_ne!(every(4).normalised_planes(mean, std, f64::from(1.0_f32 / 255.0) * 1.000_001), clip.floats());
}

/// How far a file's bytes may be from Pillow's: nothing is standardised where colours are stored at half the resolution,
/// nor how ink becomes light.
fn allowed(name: &str) -> u8 {
    match name {
        "jpeg_half_colour" => 5,
        "jpeg_cmyk" => 1,
        _ => 0,
    }
}

/// Names and contents of the files, for other tests.
pub(super) fn files() -> Vec<(String, Vec<u8>)> {
    golden().files.into_iter().map(|case| (case.name, case.file.bytes())).collect()
}

#[test]
fn files_are_read_as_pillow_does() {
    for case in golden().files {
        let ours = Picture::decode(&case.file.bytes(), &LIMITS).unwrap();
        assert_eq!((ours.width(), ours.height()), case.size, "{}", case.name);
        let far = ours.pixels().iter().zip(&case.rgb.bytes()).map(|(ours, theirs)| ours.abs_diff(*theirs)).max();
        assert!(far <= Some(allowed(&case.name)), "{}: {far:?}", case.name);
        if let Some(gray) = case.gray {
            assert_eq!(Gray::decode(&case.file.bytes(), &LIMITS).unwrap().values(), gray.floats(), "{}", case.name);
        }
    }
}
