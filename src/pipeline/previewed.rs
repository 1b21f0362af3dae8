//! Previews, on the model in miniature and on the bundled one.

use std::sync::Mutex;

use serde_json::{Value, json};

use super::tests::{load, photo, recipe};
use super::{Pipeline, Source};
use crate::diffusion::SAMPLERS;
use crate::job::preview::PreviewWish;
use crate::job::{Generate, Made, Progress, Stop, Watch};
use crate::model::Options;
use crate::model::testing::{Miniature, bundled, runtime};
use crate::picture::{Encoding, Filter, Format, Picture, encode};

/// Wants a preview every so many steps, and keeps them.
struct Viewer {
    every: usize,
    seen: Mutex<Vec<(usize, usize, Picture)>>,
}

impl Viewer {
    fn new(every: usize) -> Self {
        Self { every, seen: Mutex::default() }
    }

    /// Picture and step of each preview, in the order in which they came.
    fn places(&self) -> Vec<(usize, usize)> {
        self.seen.lock().unwrap().iter().map(|(k, step, _)| (*k, *step)).collect()
    }

    fn last(&self) -> Picture {
        self.seen.lock().unwrap().last().unwrap().2.clone()
    }
}

impl Watch for Viewer {
    fn progress(&self, _: Progress) {}

    fn heartbeat(&self) {}

    fn stop(&self) -> Option<Stop> {
        None
    }

    fn wants_preview(&self, _: usize, step: usize) -> bool {
        step.is_multiple_of(self.every)
    }

    fn preview(&self, k: usize, step: usize, picture: Picture) {
        self.seen.lock().unwrap().push((k, step, picture));
    }
}

fn viewed(pipeline: &Pipeline, every: usize, fields: Value) -> (Vec<Made>, Viewer) {
    let viewer = Viewer::new(every);
    (pipeline.generate(&recipe(pipeline, fields), &viewer).unwrap(), viewer)
}

/// Mean distance of two pictures of one size, in 255ths.
fn distance(one: &Picture, other: &Picture) -> f64 {
    assert_eq!((one.width(), one.height()), (other.width(), other.height()));
    let gaps = one.pixels().iter().zip(other.pixels()).map(|(a, b)| f64::from(a.abs_diff(*b)));
    gaps.sum::<f64>() / one.pixels().len() as f64
}

#[test]
fn previews_come_at_the_steps_asked_for_once_each_and_do_not_change_the_picture() {
    let pipeline = load(&Miniature::new()).unwrap();
    for sampler in SAMPLERS {
        let fields = json!({"sampler": sampler.name, "steps": 6});
        let (made, viewer) = viewed(&pipeline, 2, fields.clone());
        let places = viewer.places();
        // Samplers with a restart of their own make other steps.
        assert!(places.len() >= 3 && places.iter().all(|(k, step)| *k == 0 && step % 2 == 0), "{places:?}");
        assert!(places.windows(2).all(|pair| pair[0].1 < pair[1].1), "{}: {places:?}", sampler.name);
        assert_eq!(viewed(&pipeline, 1000, fields).0, made, "{}", sampler.name);
    }
    assert_eq!(viewed(&pipeline, 3, json!({"steps": 7})).1.places(), [(0, 3), (0, 6)]);
    assert!(viewed(&pipeline, 1000, json!({})).1.places().is_empty());
}

#[test]
fn each_of_several_pictures_has_its_own_preview() {
    let pipeline = load(&Miniature::new()).unwrap();
    let (_, both) = viewed(&pipeline, 4, json!({"count": 2}));
    assert_eq!(both.places(), [(0, 4), (1, 4)]);
    let seen = both.seen.into_inner().unwrap();
    let alone = |seed: u64| viewed(&pipeline, 4, json!({"seed": seed})).1.last();
    assert_eq!((&seen[0].2, &seen[1].2), (&alone(5), &alone(6)));
    assert_ne!(seen[0].2, seen[1].2);
}

#[test]
fn the_last_preview_is_what_the_small_decoder_makes_of_the_result_where_there_is_one() {
    let tiny = Miniature::new()
        .set("taesd_decoder/config.json", "_class_name", "AutoencoderTiny".into())
        .set("taesd_decoder/config.json", "block_out_channels", json!([1]))
        .set("taesd_decoder/config.json", "scaling_factor", 0.5.into())
        .with("taesd_decoder", "decoder");
    // Here it is the large decoder under another name, and the last step ends in the clean latents.
    let miss = |model: &Miniature| {
        let (made, viewer) = viewed(&load(model).unwrap(), 4, json!({}));
        distance(&made[0].picture, &viewer.last())
    };
    assert!(miss(&tiny) < 0.5, "{}", miss(&tiny));
    let linear = miss(&Miniature::new());
    assert!(linear > 1.0 && linear < 40.0, "{linear}");
}

#[test]
fn the_coefficients_of_the_models_makers_go_before_fitted_ones() {
    let black = json!([[0, 0, 0], [0, 0, 0], [0, 0, 0], [0, 0, 0]]);
    let model = Miniature::new().set("diffused.json", "latent_rgb_factors", black).set(
        "diffused.json",
        "latent_rgb_bias",
        json!([-1, -1, 1]),
    );
    let preview = viewed(&load(&model).unwrap(), 4, json!({})).1.last();
    assert!(preview.pixels().chunks(3).all(|pixel| pixel == [0, 0, 255]));
}

#[test]
fn a_small_decoder_that_cannot_be_loaded_is_done_without() {
    let broken = Miniature::new().text("taesd_decoder/model.onnx", "no graph");
    let (_, viewer) = viewed(&load(&broken).unwrap(), 4, json!({}));
    let (_, plain) = viewed(&load(&Miniature::new()).unwrap(), 4, json!({}));
    assert_eq!(viewer.last(), plain.last());
}

#[test]
fn a_preview_that_cannot_be_made_does_not_cost_the_picture() {
    let model = Miniature::new()
        .set("diffused.json", "latent_rgb_factors", json!([[1e38, 0, 0], [1e38, 0, 0], [1e38, 0, 0], [1e38, 0, 0]]))
        .set("diffused.json", "latent_rgb_bias", json!([3e38, 0, 0]));
    let (made, viewer) = viewed(&load(&model).unwrap(), 1, json!({}));
    assert_eq!(made, viewed(&load(&Miniature::new()).unwrap(), 1000, json!({})).0);
    assert!(viewer.places().len() < 4, "{:?}", viewer.places());
}

#[test]
fn a_preview_of_a_part_lies_in_the_whole_picture() {
    let model = Miniature::new().with("vae_encoder", "encoder").set(
        "vae_encoder/config.json",
        "block_out_channels",
        json!([1]),
    );
    let pipeline = load(&model).unwrap();
    let white_left = |x: u32, _: u32| if x < 4 { [255; 3] } else { [0; 3] };
    let fields = json!({
        "init_image": photo(16, 16, |x, y| [16 * x as u8, 16 * y as u8, 100]), "mask": photo(16, 16, white_left),
        "mask_crop": 8, "strength": 1, "width": 16, "height": 16,
    });
    let (made, viewer) = viewed(&pipeline, 4, fields);
    let (made, preview) = (&made[0].picture, viewer.last());
    assert_eq!((preview.width(), preview.height()), (16, 16));
    let column = |picture: &Picture, x: usize| -> Vec<u8> {
        (0..16).flat_map(|y| picture.pixels()[3 * (16 * y + x)..][..3].to_vec()).collect()
    };
    for x in 4..16 {
        assert_eq!(column(&preview, x), column(made, x), "{x}");
    }
    assert_ne!(column(&preview, 0), column(made, 0));
}

/// Steps at which the bundled model is looked at.
const LOOKS: usize = 5;

/// A picture of the bundled model, and its previews.
fn shapes(pipeline: &Pipeline, prompt: &str, every: usize) -> (Picture, Vec<(usize, Picture)>) {
    let (mut made, viewer) = viewed(pipeline, every, json!({"prompt": prompt, "seed": 3, "steps": 20}));
    let seen = viewer.seen.into_inner().unwrap().into_iter().map(|(_, step, picture)| (step, picture)).collect();
    (made.remove(0).picture, seen)
}

/// Pearson's correlation of a preview, enlarged as it is for requesters, with a picture.
fn likeness(preview: &Picture, picture: &Picture) -> f64 {
    let preview = preview.resized(picture.width(), picture.height(), Filter::Bicubic);
    let centred = |picture: &Picture| -> Vec<f64> {
        let mean = picture.pixels().iter().map(|byte| f64::from(*byte)).sum::<f64>() / picture.pixels().len() as f64;
        picture.pixels().iter().map(|byte| f64::from(*byte) - mean).collect()
    };
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b) = (centred(&preview), centred(picture));
    dot(&a, &b) / (dot(&a, &a) * dot(&b, &b)).sqrt()
}

#[test]
fn the_previews_of_the_bundled_model_become_its_picture_and_no_other() {
    let pipeline = Pipeline::load(runtime(), Options { threads: Some(1), ..Options::default() }, &[source()], None);
    let pipeline = pipeline.unwrap();
    let prompts = ["a red circle on a blue background", "a yellow star on a black background"];
    let both = prompts.map(|prompt| shapes(&pipeline, prompt, LOOKS));
    for (own, other) in [(0, 1), (1, 0)] {
        let (picture, previews) = &both[own];
        assert_eq!(previews.iter().map(|(step, _)| *step).collect::<Vec<_>>(), [5, 10, 15, 20]);
        let like: Vec<f64> = previews.iter().map(|(_, preview)| likeness(preview, picture)).collect();
        let foreign: Vec<f64> = both[other].1.iter().map(|(_, preview)| likeness(preview, picture)).collect();
        // Colours that are linear in the latents have no edges: half of the variance of this model's pictures.
        assert!(like.iter().all(|likeness| *likeness > 0.6), "{like:?}");
        assert!(foreign.iter().all(|likeness| *likeness < 0.5), "{foreign:?}");
    }
}

fn source() -> Source {
    Source { name: "shapes".to_owned(), folder: bundled("shapes"), safety: false }
}

/// Puts the previews of one run, and its picture, into the folder that `DIFFUSED_SHEET` names: `docs/sheets.py` draws them.
#[test]
#[ignore = "it only draws for the documentation"]
fn the_previews_of_one_run_for_the_documentation() {
    let folder = std::path::PathBuf::from(std::env::var_os("DIFFUSED_SHEET").unwrap());
    let pipeline = Pipeline::load(runtime(), Options { threads: Some(1), ..Options::default() }, &[source()], None);
    let (picture, previews) = shapes(&pipeline.unwrap(), "a red circle on a blue background", 1);
    let wish = PreviewWish { every: 1.try_into().unwrap(), size: 128.try_into().unwrap() };
    for (step, preview) in previews {
        std::fs::write(folder.join(format!("{step:02}.jpg")), wish.file(&preview).unwrap()).unwrap();
    }
    let encoding = Encoding::of(Format::Png);
    std::fs::write(folder.join("picture.png"), encode(&picture, &encoding).unwrap().bytes).unwrap();
}
