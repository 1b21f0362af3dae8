//! Runs that reuse what the U-Net's deep layers made, against diffusers with a hook, and folders that were prepared for it.

use std::fs;

use serde_json::{Value, json};

use crate::golden::Result;
use crate::golden::compare::FLOAT32;
use crate::golden::family::Family;

fn toy() -> Family {
    Family::at("tests/golden/toy", "reuse/toy")
}

fn shapes() -> Family {
    Family::at("models/shapes", "reuse/shapes")
}

/// The case with another value of `reuse`, or without.
fn with(case: &Value, reuse: Option<u64>) -> Value {
    let mut case = case.clone();
    let Some(fields) = case.as_object_mut() else { return case };
    fields.remove("reuse");
    fields.extend(reuse.map(|interval| ("reuse".to_owned(), json!(interval))));
    case
}

fn replay(family: &Family) -> Result<()> {
    family.is_unchanged()?;
    let cases = family.cases()?;
    assert!(!cases.is_empty(), "there must be cases");
    for case in cases {
        let prepared = family.prepared(&case["cut"])?;
        let faults = prepared.faults(&case, &case, FLOAT32)?;
        assert!(faults.is_empty(), "{}: {faults:?}", case["name"]);
        // The control: without reuse, and with another interval, it is another picture.
        for other in [None, Some(case["reuse"].as_u64().unwrap_or(0) + 1)] {
            assert!(!prepared.faults(&with(&case, other), &case, FLOAT32)?.is_empty(), "{} {other:?}", case["name"]);
        }
    }
    Ok(())
}

#[test]
fn the_toy_model_reuses_as_diffusers_with_a_hook() -> Result<()> {
    replay(&toy())
}

#[test]
fn the_bundled_model_reuses_as_diffusers_with_a_hook() -> Result<()> {
    replay(&shapes())
}

#[test]
fn a_prepared_folder_makes_the_same_pictures_as_before_unless_it_is_asked() -> Result<()> {
    let (family, case) = (shapes(), shapes().case("cut-2")?);
    let plain = family.ours(&with(&case, None))?;
    for reuse in [None, Some(1)] {
        let again = family.prepared(&case["cut"])?.ours(&with(&case, reuse))?;
        assert_eq!((&again.tensors, &again.pictures), (&plain.tensors, &plain.pictures), "{reuse:?}");
    }
    // Every other step of the model as it is would be a step of it in full: this one is told apart.
    assert_ne!(family.prepared(&case["cut"])?.ours(&case)?.pictures, plain.pictures);
    Ok(())
}

#[test]
fn a_sampler_with_two_passes_a_step_and_a_guidance_interval_reuse_what_they_can() -> Result<()> {
    let (family, mut case) = (shapes(), shapes().case("cut-2")?);
    let prepared = family.prepared(&case["cut"])?;
    for (field, value) in [("sampler", json!("heun")), ("guidance_interval", json!("0.3,0.7"))] {
        case[field] = value;
        let (plain, reused) = (prepared.ours(&with(&case, None))?, prepared.ours(&with(&case, Some(2)))?);
        assert_ne!(reused.pictures, plain.pictures);
        let gaps = reused.pictures[0].iter().zip(&plain.pictures[0]).map(|(a, b)| f64::from(a.abs_diff(*b)));
        let mean = gaps.sum::<f64>() / plain.pictures[0].len() as f64;
        assert!(mean < 12.0, "the pictures differ by {mean:.1} of 255 in the mean");
    }
    Ok(())
}

#[test]
fn a_folder_that_was_not_prepared_refuses() -> Result<()> {
    let (family, target) = (toy(), tempfile::tempdir()?);
    let output = family.generate(&family.case("cut-1")?, target.path())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("not prepared for it"), "{said}");
    Ok(())
}

#[test]
fn a_cut_of_another_graph_is_refused() -> Result<()> {
    let (family, target) = (toy().prepared(&json!(3))?, tempfile::tempdir()?);
    let other = shapes();
    fs::copy(other.folder().join("unet/model.onnx"), family.folder().join("unet/model.onnx"))?;
    let output = family.generate(&toy().case("cut-3")?, target.path())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("it was made from another model.onnx"), "{said}");
    Ok(())
}
