//! Tests of the pipeline with the bundled model and its adapters.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use super::{Pipeline, Source};
use crate::job::units::Seed;
use crate::job::{AdapterKind, Code, Generate, Limits, Made, Recipe, Rejection, Rules, Stage};
use crate::model::Options;
use crate::model::testing::{Notes, bundled, runtime};

fn load(store: &Path, memory: Option<u64>) -> Pipeline {
    let source = Source { name: "shapes".to_owned(), folder: bundled("shapes"), safety: false };
    let options = Options { threads: Some(1), memory, ..Options::default() };
    Pipeline::load(runtime(), options, &[source], Some(store)).unwrap()
}

fn recipe(pipeline: &Pipeline, prompt: &str) -> Result<Recipe, Rejection> {
    let rules = Rules::bare(Limits::WIDEST, pipeline.facts());
    let Value::Object(fields) = json!({"prompt": prompt, "steps": 2, "seed": 5}) else { unreachable!() };
    Recipe::from_fields(fields, Seed::from(0), &rules).map(|parsed| parsed.recipe)
}

/// What a prompt makes, and how many graphs were loaded for it.
fn make(pipeline: &Pipeline, prompt: &str) -> (Vec<Made>, usize) {
    let watch = Notes::default();
    let made = pipeline.generate(&recipe(pipeline, prompt).unwrap(), &watch).unwrap();
    let loads = watch.progress.into_inner().unwrap().iter().filter(|seen| seen.stage == Stage::Load).count();
    (made, loads)
}

#[test]
fn another_strength_of_a_hypernetwork_loads_nothing() {
    let pipeline = load(&bundled("adapters"), None);
    let (plain, none) = make(&pipeline, "a red circle");
    let (half, first) = make(&pipeline, "a red circle <hypernet:blueprint:0.5>");
    let (whole, second) = make(&pipeline, "a red circle <hypernet:blueprint:1>");
    let (off, third) = make(&pipeline, "a red circle <hypernet:blueprint:0>");
    assert_eq!((none, first, second, third), (0, 1, 0, 0));
    assert!(half != plain && whole != half);
    assert_eq!(off, plain);
}

#[test]
fn a_lora_is_loaded_once_for_each_scale() {
    let pipeline = load(&bundled("adapters"), None);
    let (plain, _) = make(&pipeline, "a red circle");
    // Text encoder and U-Net, and none of them again.
    let loads: Vec<usize> = ["1", "1", "0.5", "1", "0", "0:0.5"]
        .iter()
        .map(|scale| {
            let (made, loads) = make(&pipeline, &format!("a red circle <lora:outline:{scale}>"));
            assert_eq!(made == plain, *scale == "0", "{scale}");
            loads
        })
        .collect();
    assert_eq!(loads, [2, 0, 2, 0, 0, 0]);
}

#[test]
fn what_was_used_least_recently_goes_when_memory_is_short() {
    let pipeline = load(&bundled("adapters"), Some(1));
    let with = "a red circle <hypernet:blueprint>";
    // The text encoder goes with both U-Nets.
    assert_eq!([make(&pipeline, with).1, make(&pipeline, with).1, make(&pipeline, "x").1], [1, 0, 1]);
    let pipeline = load(&bundled("adapters"), Some(1 << 30));
    assert_eq!([make(&pipeline, with).1, make(&pipeline, "x").1, make(&pipeline, with).1], [1, 0, 0]);
}

#[test]
fn an_adapter_that_comes_while_it_runs_can_be_used() {
    let store = tempfile::tempdir().unwrap();
    let pipeline = load(store.path(), None);
    assert!(pipeline.refresh().is_none());
    let refused = recipe(&pipeline, "<hypernet:mine>").unwrap_err();
    assert_eq!((refused.code, refused.field.as_deref()), (Code::UnknownAdapter, Some("prompt")));
    fs::create_dir(store.path().join("hypernetworks")).unwrap();
    fs::copy(bundled("adapters/hypernetworks/blueprint.pt"), store.path().join("hypernetworks/mine.pt")).unwrap();
    let facts = pipeline.refresh().unwrap();
    assert_eq!(facts[0].adapters.iter().map(|adapter| adapter.name.as_str()).collect::<Vec<_>>(), ["mine"]);
    let accepted = recipe(&pipeline, "a red circle <hypernet:mine>").unwrap();
    assert!(pipeline.refresh().is_none());
    fs::remove_file(store.path().join("hypernetworks/mine.pt")).unwrap();
    assert!(pipeline.refresh().is_some());
    let failure = pipeline.generate(&accepted, &Notes::default()).unwrap_err();
    assert_eq!(failure.code, Code::UnknownAdapter);
}

#[test]
fn a_broken_file_is_listed_with_what_is_wrong_and_refused() {
    let store = tempfile::tempdir().unwrap();
    let files = [
        ("loras/cut.safetensors", &b"\x10\0\0\0\0\0\0\0{"[..]),
        ("embeddings/odd.pt", b"no pickle"),
        ("loras/notes.txt", b""),
    ];
    for (file, content) in files {
        fs::create_dir_all(store.path().join(file).parent().unwrap()).unwrap();
        fs::write(store.path().join(file), content).unwrap();
    }
    let pipeline = load(store.path(), None);
    let adapters = pipeline.facts().remove(0).adapters;
    let listed: Vec<_> = adapters.iter().map(|adapter| (adapter.kind, adapter.name.as_str())).collect();
    assert_eq!(listed, [(AdapterKind::Embedding, "odd"), (AdapterKind::Lora, "cut")]);
    let refused = recipe(&pipeline, "x <lora:cut>").unwrap_err();
    assert_eq!(refused.code, Code::AdapterMismatch);
    assert!(refused.message.starts_with(r#"the lora "cut" does not fit this model: "#), "{}", refused.message);
    assert_eq!(recipe(&pipeline, "x odd").unwrap_err().code, Code::AdapterMismatch);
    assert!(recipe(&pipeline, "x odder").is_ok());
}

#[test]
fn the_picture_is_the_same_where_the_graphs_take_turns_in_the_memory() {
    let (roomy, small) = (load(&bundled("adapters"), None), load(&bundled("adapters"), Some(1)));
    for prompt in ["a red circle", "a red circle <lora:outline:0.7>"] {
        assert_eq!(make(&small, prompt).0, make(&roomy, prompt).0, "{prompt}");
    }
}
