use serde_json::Value;

use super::super::light::Light;
use super::*;

/// Two shades as Pillow's `convert("1")` has them, or the colours of its `quantize(palette=...)`.
struct Colours(Vec<[u8; 3]>);

impl Screen for Colours {
    fn like(&self, seen: Tone) -> Shade {
        self.near(seen, |colour| colour.map(|byte| f32::from(byte) / 255.0))
    }

    fn shining(&self, wanted: Tone, light: &Light) -> Shade {
        self.near(wanted, |colour| light.of(colour))
    }

    fn patterned(&self, pixel: [u8; 3], threshold: f32, light: &Light) -> Shade {
        let lights: Vec<_> = self.0.iter().map(|colour| light.of(*colour)).collect();
        let shades: Vec<_> = (0..).zip(&self.0).map(|(code, colour)| Shade { code, colour: *colour }).collect();
        mixed(&shades, &lights, light.of(pixel), threshold)
    }
}

impl Colours {
    fn near(&self, tone: Tone, of: impl Fn([u8; 3]) -> Tone) -> Shade {
        let tones: Vec<_> = self.0.iter().map(|colour| of(*colour)).collect();
        let code = nearest(&tones, tone);
        Shade { code: code as u16, colour: self.0[code] }
    }
}

fn black_and_white() -> Colours {
    Colours(vec![[0; 3], [255; 3]])
}

/// The mean light of 64 x 64 pixels of one grey, of 255.
fn mean_light(grey: u8, dither: Dither) -> f32 {
    let picture = Picture::new(64, 64, vec![grey; 64 * 64 * 3]).unwrap();
    dithered(&picture, dither, &black_and_white()).iter().map(|code| f32::from(*code)).sum::<f32>() / 4096.0
}

#[test]
fn a_grey_keeps_its_light() {
    for grey in (20..=250).step_by(10) {
        let [expected, ..] = Light::new().of([grey; 3]);
        for dither in [Dither::FloydSteinberg, Dither::Bayer] {
            let got = mean_light(grey, dither);
            assert!((got - expected).abs() < 0.02, "{} {grey}: {got} for {expected}", dither.name());
        }
    }
    // Negative control: without dithering, and with errors counted in bytes, half grey is far too light.
    assert_eq!(mean_light(128, Dither::None), 1.0);
    let pixels = std::iter::repeat_n([128; 3], 4096);
    let in_bytes = diffused(pixels, 64, &FLOYD_STEINBERG, &Light::plain(), &black_and_white());
    assert!(in_bytes.iter().map(|code| f32::from(*code)).sum::<f32>() / 4096.0 > 0.4);
}

#[test]
fn atkinson_leaves_the_darkest_and_the_lightest_alone() {
    assert_eq!(mean_light(60, Dither::Atkinson), 0.0);
    assert_eq!(mean_light(245, Dither::Atkinson), 1.0);
    let middle = mean_light(170, Dither::Atkinson);
    assert!((0.3..0.6).contains(&middle), "{middle}");
}

#[test]
fn the_pattern_is_bayers() {
    // The upper left quarter of the 8 x 8 matrix as it is printed in the literature.
    let rows: Vec<Vec<u8>> = (0..4).map(|y| (0..4).map(|x| bayer(x, y)).collect()).collect();
    assert_eq!(rows, [[0, 32, 8, 40], [48, 16, 56, 24], [12, 44, 4, 36], [60, 28, 52, 20]]);
    let mut all: Vec<u8> = (0..64).map(|at| bayer(at % 8, at / 8)).collect();
    all.sort_unstable();
    assert_eq!(all, (0..64).collect::<Vec<_>>());
}

/// What Pillow makes of a picture, as `tests/golden/dither.py` wrote it down.
fn golden() -> Value {
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/dither.json");
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// The mean colours of the blocks of 8 x 8 pixels.
fn blocks(codes: &[u16], width: usize, colours: &Colours) -> Vec<Tone> {
    let columns = width / 8;
    let mut sums = vec![[0.0; 3]; codes.len() / 64];
    for (index, code) in codes.iter().enumerate() {
        let sum = &mut sums[index / width / 8 * columns + index % width / 8];
        *sum = added(*sum, colours.0[usize::from(*code)].map(f32::from), 1.0 / 64.0);
    }
    sums
}

/// Mean difference of two pictures' blocks, of 255.
fn difference(one: &[Tone], other: &[Tone]) -> f32 {
    let sum: f32 = one.iter().flatten().zip(other.iter().flatten()).map(|(one, other)| (one - other).abs()).sum();
    sum / (3 * one.len()) as f32
}

/// Pillow rounds each error to a whole byte and cuts off sums beyond black and white; a single rounding turns a pixel,
/// and with it those that follow. So not pixels are compared but what the eye sees of blocks of them.
#[test]
fn bytes_are_diffused_as_pillow_does() {
    let golden = golden();
    let numbers = |value: &Value| -> Vec<u8> {
        value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u8).collect()
    };
    for case in golden["cases"].as_array().unwrap() {
        let width = case["width"].as_u64().unwrap() as usize;
        let pixels = numbers(&case["pixels"]).as_chunks::<3>().0.to_vec();
        let colours = Colours(numbers(&case["palette"]).as_chunks::<3>().0.to_vec());
        let pillow: Vec<u16> = numbers(&case["codes"]).into_iter().map(u16::from).collect();
        let expected = blocks(&pillow, width, &colours);
        let ours = |shares: &[Share], light: &Light| {
            blocks(&diffused(pixels.iter().copied(), width, shares, light, &colours), width, &colours)
        };
        let near = difference(&ours(&FLOYD_STEINBERG, &Light::plain()), &expected);
        assert!(near < 4.0, "{}: {near}", case["name"]);
        // Negative controls: another algorithm, and errors counted in light.
        let others = [ours(&ATKINSON, &Light::plain()), ours(&FLOYD_STEINBERG, &Light::new())];
        for other in others {
            let far = difference(&other, &expected);
            assert!(far > 2.0 * near, "{}: {far} and {near}", case["name"]);
        }
    }
}
