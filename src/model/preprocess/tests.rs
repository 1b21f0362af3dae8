//! Against transformers' image processors; `tests/golden/preprocess.py` made the reference.

use serde_json::{Value, json};

use super::super::testing::golden;
use super::*;

/// Both compute in float32 from the same bytes, and the reference is written with six digits. A byte that was resized
/// differently would make at least 0.0039 of it, the smallest step of any case.
const TOLERANCE: f32 = 2e-5;

fn meaning(config: Value, usual: Class) -> Result<Preprocessor, String> {
    serde_json::from_value::<Raw>(config).unwrap().meaning(usual)
}

/// The picture that the script makes, too.
fn picture(height: u32, width: u32) -> Picture {
    let pixels = (0..height * width * 3).map(|at| {
        let (channel, x, y) = (at % 3, at / 3 % width, at / 3 / width);
        ((x * 5 + y * 3 + channel * 40 + 90 * ((x / 3 + y / 2) % 2)) % 256) as u8
    });
    Picture::new(width, height, pixels.collect()).unwrap()
}

fn numbers(value: &Value) -> Vec<f32> {
    value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap() as f32).collect()
}

/// The largest difference of each case, relative to values above one.
fn differences(change: impl Fn(&mut Preprocessor)) -> Vec<f32> {
    let cases: Vec<Value> = serde_json::from_slice(&std::fs::read(golden("preprocess.json")).unwrap()).unwrap();
    let difference = |case: &Value| {
        let mut preprocessor = meaning(case["config"].clone(), Class::Clip).unwrap();
        change(&mut preprocessor);
        let size = numbers(&case["picture"]);
        let ours = preprocessor.planes(&picture(size[0] as u32, size[1] as u32)).unwrap();
        let shape: Vec<usize> = numbers(&case["shape"]).iter().map(|side| *side as usize).collect();
        assert_eq!(ours.shape()[1..], shape, "{}", case["config"]);
        let theirs = numbers(&case["values"]);
        ours.iter().zip(&theirs).map(|(a, b)| (a - b).abs() / b.abs().max(1.0)).fold(0.0, f32::max)
    };
    cases.iter().map(difference).collect()
}

#[test]
fn a_picture_is_prepared_as_transformers_does() {
    let differences = differences(|_| {});
    assert_eq!(differences.len(), 12);
    assert!(differences.iter().all(|difference| *difference < TOLERANCE), "{differences:?}");
}

#[test]
fn another_filter_or_mean_is_seen() {
    let filter = differences(|preprocessor| {
        if let Some((_, filter)) = &mut preprocessor.resize {
            *filter = if *filter == Filter::Bilinear { Filter::Bicubic } else { Filter::Bilinear };
        }
    });
    assert_eq!(filter.iter().filter(|difference| **difference < TOLERANCE).count(), 2, "two cases have no filter");
    let mean = differences(|preprocessor| preprocessor.mean[1] += 0.01 * preprocessor.std[1]);
    assert!(mean.iter().all(|difference| *difference > 0.005), "{mean:?}");
}

#[test]
fn a_file_without_a_class_is_of_the_usual_one() {
    let (dpt, clip) = (meaning(json!({}), Class::Dpt).unwrap(), meaning(json!({}), Class::Clip).unwrap());
    assert_eq!((dpt.crop, dpt.mean), (None, [0.5; 3]));
    assert_eq!((clip.crop, clip.mean[0]), (Some([224, 224]), 0.481_454_66));
    let named = json!({"feature_extractor_type": "DPTFeatureExtractor"});
    assert_eq!(meaning(named, Class::Clip).unwrap(), dpt);
}

#[test]
fn a_value_that_cannot_be_served_is_named_with_what_was_expected() {
    let cases = [
        (json!({"image_processor_type": "BitImageProcessor"}), "or CLIPImageProcessor, got BitImageProcessor"),
        (json!({"resample": 5}), "resample must be between 0 and 3, got 5"),
        (json!({"size": 0}), "size and ensure_multiple_of must be at least 1, got 0"),
        (json!({"crop_size": {"height": 0, "width": 9}}), "crop_size must be at least 1, got 0"),
        (json!({"image_std": [0.5, 0.0, 0.5]}), "image_std must be numbers other than 0, got 0"),
        (json!({"do_pad": true}), "do_pad must be false in this version, got true"),
        (
            json!({"image_processor_type": "DPTImageProcessor", "size": {"shortest_edge": 9}}),
            "size must be height and width",
        ),
    ];
    for (config, reason) in cases {
        let message = meaning(config.clone(), Class::Clip).unwrap_err();
        assert!(message.ends_with(reason), "{config}: {message}");
    }
}
