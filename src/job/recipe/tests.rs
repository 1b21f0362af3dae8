//! Tests of recipes: what goes out comes in again, and what cannot be is refused.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::*;
use crate::diffusion::{Ramp, SchedulerConfig, SeedSource};
use crate::job::{Code, Limits, Mode, ModelFacts};
use crate::picture::{Encoding, Fit, Format, Picture, encode};

fn facts(modes: &[Mode]) -> ModelFacts {
    ModelFacts::flat(modes)
}

fn parsed(model: ModelFacts, fields: Value) -> Result<Parsed, Rejection> {
    parsed_from(&Sources::NONE, model, fields)
}

fn parsed_from(sources: &Sources<'_>, model: ModelFacts, fields: Value) -> Result<Parsed, Rejection> {
    let limits = Limits { request_bytes: 1000, prompt_chars: 100, pixels: 4096, steps: 50, count: 4 };
    let rules = Rules::bare(limits, vec![model]);
    let Value::Object(mut map) = fields else { unreachable!() };
    map.entry("prompt").or_insert(json!("x"));
    let mut fields = Fields::from(map);
    let parsed = Recipe::take(&mut fields, Seed::from(7), &rules, sources)?;
    fields.finish()?;
    Ok(parsed)
}

fn everything() -> ModelFacts {
    facts(&[Mode::Text, Mode::Image, Mode::Inpaint, Mode::Depth])
}

/// The code and field of a refusal.
fn refused(model: ModelFacts, fields: Value) -> (Code, String) {
    let rejection = parsed(model, fields).err().unwrap();
    (rejection.code, rejection.field.unwrap_or_default())
}

fn photo(width: u32, height: u32) -> Value {
    json!({"data": STANDARD.encode(file(width, height))})
}

fn file(width: u32, height: u32) -> Vec<u8> {
    let picture = Picture::new(width, height, vec![90; (3 * width * height) as usize]).unwrap();
    encode(&picture, &Encoding::of(Format::Png)).unwrap().bytes
}

#[test]
fn a_recipe_with_everything_comes_back_from_its_own_fields() {
    let fields = json!({
        "negative_prompt": "y", "seed": 9, "steps": 20, "sampler": "euler", "schedule": "karras", "eta": 0.3,
        "guidance_scale": 7.1, "guidance_rescale": 0.7, "guidance_interval": [0.1, 0.9], "guidance_ramp": "cosine",
        "classifier": {"label": "blue", "scale": 2.5}, "seed_source": "cuda", "s_noise": 1.01, "s_churn": 3.0,
        "variation": {"seed": 5, "strength": 0.25}, "resample": {"jump": 5, "repeats": 3},
        "restart": {"from": 0.2, "to": 3.0, "steps": 4, "repeats": 2}, "width": 64, "height": 32, "count": 3,
        "init_image": photo(40, 30), "strength": 0.7, "init_fit": "pad", "mask": photo(8, 8), "mask_feather": 2.5,
        "mask_crop": 16, "depth": photo(16, 16), "reuse": {"interval": 3},
    });
    let recipe = parsed(everything(), fields).unwrap().recipe;
    let init = recipe.canvas.init.as_ref().unwrap();
    assert_eq!((init.strength.get(), recipe.canvas.fit, init.photo.shown().width()), (0.7, Fit::Pad, 40));
    assert_eq!((recipe.noise.source, recipe.guidance.ramp), (SeedSource::Cuda, Ramp::Cosine));
    let again = parsed(everything(), Value::Object(recipe.to_fields())).unwrap().recipe;
    assert_eq!(again, recipe);
    let plain = parsed(everything(), json!({"depth": photo(8, 8)})).unwrap().recipe;
    assert_eq!(parsed(everything(), Value::Object(plain.to_fields())).unwrap().recipe, plain);
    assert_ne!(plain, recipe);
}

#[test]
fn a_model_is_only_asked_for_what_it_can_do() {
    let text_only = || facts(&[Mode::Text]);
    let image = || facts(&[Mode::Text, Mode::Image]);
    for (model, fields, field) in [
        (text_only(), json!({"init_image": photo(8, 8)}), "init_image"),
        (image(), json!({"init_image": photo(8, 8), "mask": photo(8, 8)}), "init_image"),
        (image(), json!({"init_image": photo(8, 8), "depth": "estimate"}), "depth"),
        (ModelFacts { labels: Vec::new(), ..text_only() }, json!({"classifier": {"label": "red"}}), "classifier"),
    ] {
        assert_eq!(refused(model, fields), (Code::UnsupportedMode, field.to_owned()));
    }
    assert!(parsed(image(), json!({"init_image": photo(8, 8)})).is_ok());
}

#[test]
fn a_depth_model_estimates_unless_it_is_told() {
    let depth = |fields| parsed(everything(), fields).unwrap().recipe.canvas.depth;
    assert_eq!(depth(json!({"init_image": photo(8, 8)})), Some(Depth::Estimate));
    assert!(matches!(depth(json!({"depth": photo(8, 8)})), Some(Depth::Given(_))));
    assert_eq!(refused(everything(), json!({})).1, "depth");
    let blind = || ModelFacts { estimates_depth: false, ..everything() };
    assert_eq!(refused(blind(), json!({"init_image": photo(8, 8)})), (Code::UnsupportedMode, "depth".to_owned()));
}

#[test]
fn pictures_that_are_too_large_or_broken_have_their_own_codes() {
    let code = |value: Value| refused(everything(), json!({"init_image": value})).0;
    assert_eq!(code(photo(300, 300)), Code::ImageTooLarge);
    assert_eq!(code(json!({"data": STANDARD.encode("no picture")})), Code::InvalidImage);
    assert_eq!(code(json!({"data": "no base64!"})), Code::InvalidImage);
    assert_eq!(code(json!({"upload": "cat"})), Code::NotFound);
    assert_eq!(code(json!({"data": "", "name": "cat"})), Code::InvalidField);
}

/// The store of a client that has the result `a1/3`, a panel's result `a1/4`, and the upload `cat.png`.
fn stored(reference: &Reference) -> Option<Vec<u8>> {
    match reference {
        Reference::Result { id, k: 3 } if id.as_str() == "a1" => Some(file(40, 30)),
        Reference::Result { id, k: 4 } if id.as_str() == "a1" => Some(vec![0x5a; 96]),
        Reference::Upload(name) if name.as_str() == "cat.png" => Some(file(16, 16)),
        Reference::Upload(name) if name.as_str() == "large" => Some(vec![0; 1001]),
        Reference::Upload(name) if name.as_str() == "torn" => Some(file(16, 16)[..40].to_vec()),
        _ => None,
    }
}

fn from_store(fields: Value) -> Result<Parsed, Rejection> {
    parsed_from(&Sources { attachment: None, find: &stored }, everything(), fields)
}

#[test]
fn a_picture_that_is_here_already_is_stored_with_the_request() {
    let fields =
        json!({"init_image": {"result": "a1/3"}, "mask": {"upload": "cat.png"}, "depth": {"upload": "cat.png"}});
    let recipe = from_store(fields).unwrap().recipe;
    let init = recipe.canvas.init.as_ref().unwrap();
    assert_eq!((init.photo.file(), init.photo.shown().width()), (&file(40, 30)[..], 40));
    assert_eq!(init.mask.as_ref().unwrap().photo.file(), file(16, 16));
    // Nothing has to be found any more.
    assert_eq!(parsed(everything(), Value::Object(recipe.to_fields())).unwrap().recipe, recipe);
}

#[test]
fn a_picture_is_named_in_one_way_and_one_that_is_here() {
    let refused = |value: Value| {
        let rejection = from_store(json!({"init_image": value})).err().unwrap();
        (rejection.code, rejection.field.unwrap_or_default(), rejection.message)
    };
    for (value, code, field) in [
        (json!({}), Code::InvalidField, "init_image"),
        (json!({"result": "a1/3", "upload": "cat.png"}), Code::InvalidField, "init_image"),
        (json!({"data": "", "result": "a1/3"}), Code::InvalidField, "init_image"),
        (json!({"result": null}), Code::InvalidField, "init_image.result"),
        (json!({"result": "a1/0"}), Code::NotFound, "init_image"),
        (json!({"upload": "dog"}), Code::NotFound, "init_image"),
        (json!({"upload": "../cat.png"}), Code::InvalidField, "init_image.upload"),
        (json!({"upload": ""}), Code::InvalidField, "init_image.upload"),
        (json!({"upload": "large"}), Code::ImageTooLarge, "init_image"),
        (json!({"upload": "torn"}), Code::InvalidImage, "init_image"),
        (json!({"result": "a1/4"}), Code::InvalidImage, "init_image"),
    ] {
        assert_eq!(refused(value.clone()).0, code, "{value}");
        assert_eq!(refused(value.clone()).1, field, "{value}");
    }
    for text in ["a1", "a1/", "/3", "a1/03", "a1/+3", "a1/256", "a1/3/3", "a 1/3", "reply/3"] {
        assert_eq!(refused(json!({"result": text})).1, "init_image.result", "{text}");
    }
    assert!(refused(json!({"result": "a1/4"})).2.contains("not the format of a panel"));
    assert!(!refused(json!({"upload": "torn"})).2.contains("panel"));
    assert_eq!(refused(json!({"upload": "dog"})).2, "init_image: the upload dog is not here");
}

#[test]
fn a_picture_beside_the_request_is_its_init_image() {
    let beside = |fields: Value, file: &[u8]| {
        parsed_from(&Sources { attachment: Some(file), find: &stored }, everything(), fields)
    };
    let recipe = beside(json!({"strength": 0.5}), &file(40, 30)).unwrap().recipe;
    let init = recipe.canvas.init.as_ref().unwrap();
    assert_eq!((init.photo.shown().height(), init.strength.get()), (30, 0.5));
    assert_eq!(parsed(everything(), Value::Object(recipe.to_fields())).unwrap().recipe, recipe);
    let twice = beside(json!({"init_image": {"upload": "cat.png"}}), &file(40, 30)).err().unwrap();
    assert_eq!((twice.code, twice.field.as_deref()), (Code::InvalidField, Some("init_image")));
    assert_eq!(beside(json!({}), b"pixels").err().unwrap().code, Code::InvalidImage);
    assert_eq!(beside(json!({}), &file(300, 300)).err().unwrap().code, Code::ImageTooLarge);
}

#[test]
fn base64_has_the_standard_alphabet_and_no_blanks() {
    let text = STANDARD.encode([0xfb; 30]);
    for wrong in [text.replace('+', "-").replace('/', "_"), format!("{text}\n"), text[..38].to_owned()] {
        let rejection = from_store(json!({"init_image": {"data": wrong}})).err().unwrap();
        assert_eq!(rejection.code, Code::InvalidImage);
        assert!(rejection.message.contains("must be base64"), "{}", rejection.message);
    }
}

#[test]
fn what_would_have_no_effect_is_said() {
    let warnings = parsed(facts(&[Mode::Text]), json!({"strength": 0.5})).unwrap().warnings;
    assert_eq!(warnings, ["strength is ignored, there is no init_image"]);
    let idle = json!({"sampler": "dpmpp_2m", "eta": 0.5, "s_churn": 2, "mask_feather": 2, "init_fit": "pad"});
    let fields: Vec<String> = parsed(facts(&[Mode::Text]), idle).unwrap().warnings;
    let named: Vec<_> = fields.iter().filter_map(|sentence| sentence.split(' ').next()).collect();
    assert_eq!(named, ["init_fit", "mask_feather", "eta", "s_churn"]);
    assert!(parsed(facts(&[Mode::Text]), json!({"sampler": "ddim", "eta": 0.5})).unwrap().warnings.is_empty());
    let turbo = ModelFacts { guidance: "none", guidance_scale: 1.0.try_into().unwrap(), ..facts(&[Mode::Text]) };
    let parsed = parsed(turbo, json!({"guidance_scale": 7.5})).unwrap();
    assert_eq!(parsed.recipe.guidance.scale.get(), 1.0);
    assert_eq!(parsed.warnings, ["guidance_scale is ignored, the model works without guidance"]);
}

#[test]
fn extra_reverse_work_is_bounded() {
    assert_eq!(
        refused(everything(), json!({"depth": photo(8, 8), "steps": 50, "resample": {"repeats": 20}})).1,
        "resample"
    );
    assert!(parsed(everything(), json!({"depth": photo(8, 8), "steps": 50, "resample": {}})).is_ok());
}

#[test]
fn a_run_that_the_model_cannot_have_is_refused_at_the_door() {
    let lcm = json!({"depth": photo(8, 8), "sampler": "lcm", "steps": 50});
    assert!(parsed(everything(), lcm).is_ok());
    let short = SchedulerConfig::parse(r#"{"original_inference_steps": 8}"#).unwrap();
    let model = ModelFacts { scheduler: short, ..everything() };
    assert_eq!(refused(model, json!({"depth": photo(8, 8), "sampler": "lcm", "steps": 9})).1, "steps");
    let silent = r#"{"rescale_betas_zero_snr": true, "timestep_spacing": "trailing"}"#;
    let model = ModelFacts { scheduler: SchedulerConfig::parse(silent).unwrap(), ..everything() };
    assert_eq!(refused(model, json!({"depth": photo(8, 8)})), (Code::UnsupportedMode, "sampler".to_owned()));
}
