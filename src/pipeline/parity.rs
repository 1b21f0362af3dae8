//! Whole runs against the reference implementation; `tests/golden/pictures.py` made what is compared with.

use std::fs;
use std::path::{Path, PathBuf};

use safetensors::SafeTensors;
use serde_json::{Map, Value};

use super::tests::rules;
use super::{Pipeline, Source, Trace};
use crate::job::Recipe;
use crate::job::units::Seed;
use crate::model::testing::{Notes, golden, runtime};

/// One step of 255: where the exact value lies between two, another order of additions may round it the other way.
const PIXELS: u8 = 1;

/// Share of the largest latent: 20 steps of float32 arithmetic in another order.
const LATENTS: f32 = 1e-3;

#[test]
fn the_toy_gives_the_pictures_of_diffusers() {
    compare("toy", golden("toy"));
}

#[test]
fn the_bundled_model_gives_the_pictures_of_diffusers() {
    compare("shapes", Path::new(env!("CARGO_MANIFEST_DIR")).join("models/shapes"));
}

fn compare(name: &str, folder: PathBuf) {
    let source = Source { name: name.to_owned(), folder };
    let pipeline = Pipeline::load(runtime(), Default::default(), &[source]).unwrap();
    let cases = fs::read(golden("pictures").join(name).join("cases.json")).unwrap();
    let cases: Vec<Map<String, Value>> = serde_json::from_slice(&cases).unwrap();
    assert!(!cases.is_empty());
    for mut case in cases {
        let title = case.remove("name").unwrap();
        let stem = golden("pictures").join(name).join(title.as_str().unwrap());
        let recipe = Recipe::from_fields(case, Seed::try_from(0).unwrap(), &rules(&pipeline)).unwrap();
        let mut trace = Trace::on();
        let made = pipeline.trace(&recipe, &Notes::default(), &mut trace).unwrap();
        tensors(&trace.to_safetensors().unwrap(), &fs::read(stem.with_extension("safetensors")).unwrap(), &title);
        pixels(made[0].picture.pixels(), &stem.with_extension("png"), &title);
    }
}

fn tensors(ours: &[u8], theirs: &[u8], title: &Value) {
    let (ours, theirs) = (SafeTensors::deserialize(ours).unwrap(), SafeTensors::deserialize(theirs).unwrap());
    let bytes = |all: &SafeTensors<'_>, name: &str| all.tensor(name).unwrap().data().to_vec();
    assert_eq!(bytes(&ours, "tokens.conditional"), bytes(&theirs, "input_ids"), "{title}");
    assert_eq!(bytes(&ours, "tokens.unconditional"), bytes(&theirs, "negative_input_ids"), "{title}");
    assert_eq!(bytes(&ours, "0.noise"), bytes(&theirs, "noise"), "{title}");
    let (ours, theirs) = (floats(&bytes(&ours, "0.latents")), floats(&bytes(&theirs, "latents")));
    let largest = theirs.iter().fold(0.0_f32, |largest, value| largest.max(value.abs()));
    let error = ours.iter().zip(&theirs).fold(0.0_f32, |error, (a, b)| error.max((a - b).abs()));
    assert!(error <= LATENTS * largest, "{title}: the latents differ by {error} of {largest}");
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|four| f32::from_le_bytes([four[0], four[1], four[2], four[3]])).collect()
}

fn pixels(ours: &[u8], file: &Path, title: &Value) {
    let mut reader = png::Decoder::new(std::io::Cursor::new(fs::read(file).unwrap())).read_info().unwrap();
    let mut theirs = vec![0; reader.output_buffer_size().unwrap()];
    reader.next_frame(&mut theirs).unwrap();
    assert_eq!(ours.len(), theirs.len(), "{title}");
    let error = ours.iter().zip(&theirs).map(|(a, b)| a.abs_diff(*b)).max();
    assert!(error <= Some(PIXELS), "{title}: the pictures differ by {error:?}");
}
