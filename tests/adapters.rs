//! Prompts, adapters and clip skip against the reference: all cases of `tests/golden/adapters`, none left out.
//!
//! `tests/golden/README.md` says what there is, and what the reference is made by.

use serde_json::{Value, json};

use crate::golden::compare::FLOAT32;
use crate::golden::family::Family;
use crate::golden::{FLOAT16, Result, all_are_noticed, replay};

#[test]
fn adapters_and_prompts_of_v1_are_as_in_the_reference() -> Result<()> {
    replay(&Family::adapted("sd1")?, FLOAT32)
}

#[test]
fn weighted_prompts_are_as_in_the_reference() -> Result<()> {
    replay(&Family::adapted("sd1-norm")?, FLOAT32)
}

#[test]
fn adapters_and_prompts_of_v2_are_as_in_the_reference() -> Result<()> {
    replay(&Family::adapted("sd2")?, FLOAT32)
}

#[test]
fn adapters_and_prompts_of_sdxl_are_as_in_the_reference() -> Result<()> {
    replay(&Family::adapted("sdxl")?, FLOAT32)
}

#[test]
fn the_old_converters_layout_takes_the_same_adapters() -> Result<()> {
    replay(&Family::adapted("sd1-legacy")?, FLOAT32)
}

#[test]
fn half_the_bits_take_the_same_adapters() -> Result<()> {
    replay(&Family::adapted("sd1-fp16")?, FLOAT16)
}

#[test]
fn an_inpainting_model_takes_a_lora_made_for_four_channels() -> Result<()> {
    replay(&Family::adapted("inpaint")?, FLOAT32)
}

#[test]
fn every_layer_of_a_deeper_encoder_can_be_skipped() -> Result<()> {
    replay(&Family::adapted("toy")?, FLOAT32)
}

#[test]
fn a_scale_of_zero_changes_not_a_bit() -> Result<()> {
    let family = Family::adapted("sd1")?;
    let (plain, cases) = (family.ours(&family.case("plain")?)?, family.cases()?);
    let unchanged: Vec<&Value> = cases.iter().filter(|case| case["unchanged"] == true).collect();
    assert!(unchanged.len() >= 2, "a LoRA and a hypernetwork, got {}", unchanged.len());
    for case in unchanged {
        let ours = family.ours(case)?;
        assert!(ours.tensors == plain.tensors && ours.pictures == plain.pictures, "{}", case["name"]);
    }
    assert!(family.ours(&family.case("lora-kohya")?)?.tensors != plain.tensors);
    Ok(())
}

#[test]
fn an_adapter_that_cannot_be_used_is_refused_by_name_and_reason() -> Result<()> {
    let refusals = [
        ("a <lora:nothing> circle", "there is no lora \"nothing\""),
        ("a <hypernet:nothing> circle", "there is no hypernetwork \"nothing\""),
        ("a <dreamartist:happy> circle", "there is no embedding \"happy-neg\""),
        ("a <dreamartist:basalt> circle", "its vectors must be 24 wide, got 32"),
        ("a <lora:kohya-sdxl> circle", "changes a weight of shape [16, 40], the model's has [16, 24]"),
        ("a <lora:ia3> circle", "IA3 is not supported"),
    ];
    let (family, target) = (Family::adapted("sd1")?, tempfile::tempdir()?);
    for (prompt, reason) in refusals {
        let mut case = family.case("plain")?;
        case["prompt"] = json!(prompt);
        let output = family.generate(&case, target.path())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && said.contains(reason), "{prompt}: {said}");
    }
    Ok(())
}

/// Changes `from` to `to` in the prompt of a case, which must be noticed by the tensor `what`.
fn misread(case: &str, from: &str, to: &str, what: &str) -> Result<()> {
    misread_by("sd1", case, from, to, what)
}

fn misread_by(model: &str, case: &str, from: &str, to: &str, what: &str) -> Result<()> {
    let family = Family::adapted(model)?;
    let prompt = family.case(case)?["prompt"].as_str().unwrap_or_default().to_owned();
    assert!(prompt.contains(from), "{prompt} must have {from}");
    all_are_noticed(&family, case, &[("prompt", json!(prompt.replace(from, to)), what)])
}

#[test]
fn a_wrong_scale_is_told_from_its_reference() -> Result<()> {
    misread("lora-kohya", ":0.8>", ":0.79>", "0.call.000.conditional")?;
    misread("lora-parts", ":0.5:1.2>", ":0.5:1.19>", "0.call.000.conditional")?;
    misread("lora-parts", ":0.5:1.2>", ":1.2:0.5>", "embeddings.conditional")?;
    misread("lora-dora", "dora>", "dora-by-input>", "0.call.000.conditional")?;
    misread("hypernetwork-half", ":0.5>", ":0.49>", "0.call.000.conditional")?;
    let family = Family::adapted("sd1")?;
    let changes =
        [("loras", json!([{"name": "kohya", "scale": 0.79}]), "0.latents"), ("loras", json!([]), "0.latents")];
    all_are_noticed(&family, "lora-field", &changes)
}

#[test]
fn a_misread_prompt_is_told_from_its_reference() -> Result<()> {
    misread_by("sd1-norm", "weights", ":1.4", ":1.41", "embeddings.conditional")?;
    misread("break", "BREAK", ",", "tokens.conditional")?;
    misread("and", ":0.6", ":0.61", "0.latents")?;
    misread("edit-at", ":3]", ":4]", "0.call.003.conditional")?;
    misread("alternate", "[red|blue|]", "[red|blue]", "0.call.002.conditional")?;
    misread("embedding-longest", "moss-grey", "moss", "embeddings.conditional")?;
    let family = Family::adapted("sd1")?;
    all_are_noticed(&family, "dreamartist", &[("prompt", json!("a red circle ink"), "embeddings.unconditional")])?;
    all_are_noticed(&family, "clip-skip-sd1-1", &[("clip_skip", json!(2), "embeddings.conditional")])
}
