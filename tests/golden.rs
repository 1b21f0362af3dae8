//! Our pictures against those that HF diffusers makes from the same folder and request.
//!
//! `tests/golden/README.md` says what there is. Needs ONNX Runtime where the program finds it (`deploy/onnxruntime.sh`).
//!
//! | part | what it does |
//! |---|---|
//! | `family` | a model folder, its cases, their references, and the program at work on them |
//! | `compare` | how near two runs are |

pub mod compare;
pub mod family;

use std::error::Error;

use serde_json::{Value, json};

use compare::{FLOAT32, Run, Tolerance, Values};
use family::Family;

pub type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Graphs in 16-bit floats against torch in 32-bit floats: what rounding to 11 bits does to a run of 12 to 20 steps. Seen on
/// x86: latents 7.3e-3; bytes up to 5, and 0.3 % of them by more than 3.
pub const FLOAT16: Tolerance = Tolerance { tensors: 1.5e-2, usual_byte: 3, unusual: 1e-2, worst_byte: 10 };

/// Every case of a family; all faults are told together.
pub fn replay(family: &Family, tolerance: Tolerance) -> Result<()> {
    family.is_unchanged()?;
    let (mut wrong, cases) = (Vec::new(), family.cases()?);
    for case in cases.iter().filter(|case| case["flagged"] != true) {
        let faults = family.faults(case, case, tolerance)?;
        wrong.extend(faults.iter().take(3).map(|fault| format!("{}: {fault}", case["name"])));
    }
    assert!(!cases.is_empty(), "a family must have cases");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn toy() -> Family {
    Family::at("tests/golden/toy", "pictures/toy")
}

#[test]
fn the_toy_model_gives_the_pictures_of_diffusers() -> Result<()> {
    replay(&toy(), FLOAT32)
}

#[test]
fn the_bundled_model_gives_the_pictures_of_diffusers() -> Result<()> {
    replay(&Family::at("models/shapes", "pictures/shapes"), FLOAT32)
}

#[test]
fn every_sampler_image_and_mask_of_the_toy_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("toy")?, FLOAT32)
}

#[test]
fn v1_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("sd1")?, FLOAT32)
}

#[test]
fn the_old_converters_layout_gives_the_pictures_of_the_new_one() -> Result<()> {
    replay(&Family::named("sd1-legacy")?, FLOAT32)
}

#[test]
fn half_the_bits_give_nearly_the_same_pictures() -> Result<()> {
    replay(&Family::named("sd1-fp16")?, FLOAT16)
}

#[test]
fn the_tiny_autoencoder_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("sd1-tiny-vae")?, FLOAT32)
}

#[test]
fn v2_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("sd2")?, FLOAT32)
}

#[test]
fn v2_without_signal_at_the_start_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("sd2-zero-snr")?, FLOAT32)
}

#[test]
fn turbo_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("turbo")?, FLOAT32)
}

#[test]
fn lcm_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("lcm")?, FLOAT32)
}

#[test]
fn sdxl_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("sdxl")?, FLOAT32)
}

#[test]
fn sdxl_turbo_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("sdxl-turbo")?, FLOAT32)
}

#[test]
fn inpainting_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("inpaint")?, FLOAT32)
}

#[test]
fn depth_is_as_in_diffusers() -> Result<()> {
    replay(&Family::named("depth")?, FLOAT32)
}

#[test]
fn the_safety_checker_flags_what_the_reference_flags() -> Result<()> {
    let family = Family::named("sd1-safety")?;
    replay(&family, FLOAT32)?;
    let target = tempfile::tempdir()?;
    let output = family.generate(&family.case("unsafe")?, target.path())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("the safety checker objected to the picture"), "{said}");
    assert!(!target.path().join("picture.png").exists());
    Ok(())
}

/// Runs `changed` requests and asks that each is told from the reference of the case it was made of, by the tensor named.
pub fn all_are_noticed(family: &Family, case: &str, changes: &[(&str, Value, &str)]) -> Result<()> {
    let case = family.case(case)?;
    for (field, value, what) in changes {
        let mut changed = case.clone();
        changed[*field] = value.clone();
        let faults = FLOAT32.faults(&family.ours(&changed)?, &family.theirs(&case)?);
        assert!(faults.iter().any(|fault| fault.starts_with(what)), "{field}: {faults:?}");
    }
    Ok(())
}

#[test]
fn a_changed_request_is_told_from_its_reference() -> Result<()> {
    let changes = [
        ("seed", json!(4712), "0.noise"),
        ("prompt", json!("a red circle on a black background"), "tokens.conditional"),
        ("guidance_scale", json!(7.6), "0.latents"),
        ("sampler", json!("euler"), "0.latents"),
        ("steps", json!(21), "picture 0"),
    ];
    all_are_noticed(&toy(), "ddim", &changes)
}

#[test]
fn a_changed_picture_in_a_request_is_told_from_its_reference() -> Result<()> {
    let changes = [("init_image", json!("mask.png"), "0.latents"), ("strength", json!(0.55), "0.latents")];
    all_are_noticed(&Family::named("sd1")?, "image", &changes)?;
    let changes = [("mask", json!("init.png"), "0.latents"), ("init_image", json!("depth-8.png"), "0.latents")];
    all_are_noticed(&Family::named("inpaint")?, "mask-whole", &changes)?;
    all_are_noticed(&Family::named("depth")?, "given", &[("depth", json!("mask.png"), "0.latents")])
}

#[test]
fn a_changed_condition_is_told_from_its_reference() -> Result<()> {
    all_are_noticed(&Family::named("lcm")?, "steps-4", &[("guidance_scale", json!(8.0), "0.latents")])?;
    all_are_noticed(&Family::named("sd2")?, "rescale", &[("guidance_rescale", json!(0.65), "0.latents")])?;
    all_are_noticed(&Family::named("sdxl")?, "euler", &[("negative_prompt", json!("a"), "pooled.unconditional")])
}

#[test]
fn the_reference_of_another_case_is_not_taken_for_its_own() -> Result<()> {
    for (family, one, other) in [("toy", "sampler-heun", "heun-karras"), ("toy", "sampler-lms", "sampler-deis")] {
        let family = Family::named(family)?;
        let faults = FLOAT32.faults(&family.theirs(&family.case(one)?)?, &family.theirs(&family.case(other)?)?);
        assert!(faults.iter().any(|fault| fault.starts_with("0.latents")), "{faults:?}");
    }
    Ok(())
}

#[test]
fn references_of_another_model_are_refused() {
    assert!(toy().is_unchanged().is_ok());
    let error = Family::at("models/shapes", "pictures/toy").is_unchanged().err().map(|error| error.to_string());
    assert!(error.is_some_and(|error| error.ends_with("make the references again")));
}

/// A run of one number in each tensor and one byte in its picture, 2000 times.
fn run(latents: f32, noise: f32, id: i64, byte: u8) -> Run {
    let numbers = |value: f32| Values::Numbers([vec![-2.0], vec![value; 9]].concat());
    let tensors = [("0.latents", numbers(latents)), ("0.noise", numbers(noise)), ("tokens", Values::Ids(vec![id; 5]))];
    let tensors = tensors.into_iter().map(|(name, values)| (name.to_owned(), values)).collect();
    Run { tensors, pictures: vec![vec![byte; 2000]] }
}

#[test]
fn the_tolerance_lets_through_what_rounding_does() {
    let reference = run(1.0, 0.5, 7, 100);
    assert!(FLOAT32.faults(&run(1.0001, 0.5, 7, 101), &reference).is_empty());
    let mut speck = reference.clone();
    speck.pictures[0][5..7].fill(103);
    assert!(FLOAT32.faults(&speck, &reference).is_empty());
}

#[test]
fn the_tolerance_lets_nothing_else_through() {
    let reference = run(1.0, 0.5, 7, 100);
    let mut missing = reference.clone();
    missing.tensors.remove("0.latents");
    let [mut specks, mut bright, mut none, mut short] = [(); 4].map(|()| reference.clone());
    specks.pictures[0][5..8].fill(102);
    bright.pictures[0][5] = 104;
    none.pictures.clear();
    short.tensors.insert("0.noise".to_owned(), Values::Numbers(vec![0.5; 9]));
    let nan = run(f32::NAN, 0.5, 7, 100);
    let changed = [run(1.0003, 0.5, 7, 100), run(1.0, 0.500_001, 7, 100), run(1.0, 0.5, 8, 100), run(1.0, 0.5, 7, 102)];
    for (number, wrong) in [missing, specks, bright, none, short, nan].into_iter().chain(changed).enumerate() {
        assert_eq!(FLOAT32.faults(&wrong, &reference).len(), 1, "fault {number}");
    }
}
