//! Faults of model folders, each in a folder that is right otherwise.

use serde_json::{Value, json};

use super::super::testing::Miniature;
use super::*;

fn open(model: &Miniature) -> Folder {
    Folder::open(model.path()).unwrap()
}

/// The message without the folder's own path.
fn fault(model: &Miniature) -> String {
    let message = Folder::open(model.path()).unwrap_err().to_string();
    message.replace(&format!("{}/", model.path().display()), "")
}

#[test]
fn a_folder_without_our_file_has_the_defaults_of_its_family() {
    let folder = open(&Miniature::new());
    assert_eq!((folder.family, folder.channels, folder.multiple), (Family::Sd1, 4, 2));
    assert_eq!(folder.tokenizer, TokenizerFacts { pad: "!".to_owned(), length: 8 });
    assert_eq!(folder.vae, VaeFacts { scaling_factor: 0.5, shift_factor: 0.0, downscale: 1 });
    let Defaults { steps, guidance_scale, guidance, sampler, size } = folder.defaults;
    assert_eq!((steps.get(), guidance_scale.get(), guidance, sampler.name), (20, 7.5, Guided::Cfg, "ddim"));
    assert_eq!((size.width(), size.height()), (8, 8));
}

#[test]
fn our_file_goes_before_the_others() {
    let ours = [("steps", json!(4)), ("guidance_scale", json!(2.5)), ("sampler", json!("euler")), ("width", json!(16))];
    let model = ours.into_iter().fold(Miniature::new(), |model, (key, value)| model.set("diffused.json", key, value));
    let defaults = open(&model).defaults;
    assert_eq!((defaults.steps.get(), defaults.guidance_scale.get(), defaults.sampler.name), (4, 2.5, "euler"));
    assert_eq!((defaults.size.width(), defaults.size.height()), (16, 8));
    let unguided = Miniature::new().set("diffused.json", "guidance", json!("none"));
    assert_eq!(open(&unguided).defaults.guidance_scale.get(), 1.0);
}

#[test]
fn facts_are_read_and_not_assumed() {
    let model = Miniature::new()
        .set("vae_decoder/config.json", "block_out_channels", json!([8, 16, 16, 32]))
        .set("vae_decoder/config.json", "scaling_factor", Value::Null)
        .set("vae_decoder/config.json", "shift_factor", json!(0.25))
        .set("unet/config.json", "sample_size", json!([2, 4]))
        .set("text_encoder/config.json", "hidden_act", json!("gelu"))
        .set("tokenizer/tokenizer_config.json", "pad_token", json!({"content": "a", "special": true}));
    let folder = open(&model);
    assert_eq!(folder.vae, VaeFacts { scaling_factor: 0.18215, shift_factor: 0.25, downscale: 8 });
    assert_eq!((folder.family, folder.tokenizer.pad.as_str()), (Family::Sd2, "a"));
    assert_eq!((folder.defaults.size.width(), folder.defaults.size.height()), (32, 16));
}

#[test]
fn a_file_that_is_missing_or_no_json_is_named() {
    let files = [
        "model_index.json",
        "text_encoder/config.json",
        "unet/config.json",
        "vae_decoder/config.json",
        "scheduler/scheduler_config.json",
        "tokenizer/tokenizer_config.json",
    ];
    for file in files {
        assert_eq!(fault(&Miniature::new().without(file)), format!("{file}: the file is missing"));
        let message = fault(&Miniature::new().text(file, "{,"));
        assert!(message.starts_with(file) && message.contains("line 1"), "{message}");
    }
}

#[test]
fn a_value_that_cannot_be_served_is_named_with_what_was_expected() {
    let cases = [
        ("model_index.json", "_class_name", json!("StableDiffusionXLPipeline"), "got StableDiffusionXLPipeline"),
        ("model_index.json", "_class_name", Value::Null, "missing field `_class_name`"),
        ("unet/config.json", "in_channels", json!(9), "must be 4 and 4 in this version"),
        ("unet/config.json", "in_channels", json!("4"), "expected usize"),
        ("unet/config.json", "cross_attention_dim", json!(768), "hidden_size of the text encoder, 1, got 768"),
        ("unet/config.json", "time_cond_proj_dim", json!(256), "LCM is not supported by this version"),
        ("unet/config.json", "addition_embed_type", json!("text_time"), "SDXL is not supported by this version"),
        ("unet/config.json", "sample_size", json!(0), "sample_size must be at least 1, got 0"),
        ("unet/config.json", "block_out_channels", json!([]), "must list 1 to 8 blocks, got 0"),
        ("vae_decoder/config.json", "scaling_factor", json!(0.0), "a number other than 0, got 0"),
        ("vae_decoder/config.json", "latent_channels", json!(16), "in_channels of the U-Net, 4, got 16"),
        ("vae_decoder/config.json", "block_out_channels", json!([]), "must list 1 to 8 blocks, got 0"),
        ("text_encoder/config.json", "max_position_embeddings", json!(2), "must be at least 3, got 2"),
        ("tokenizer/tokenizer_config.json", "tokenizer_class", json!("T5Tokenizer"), "CLIPTokenizer, got T5Tokenizer"),
        ("scheduler/scheduler_config.json", "prediction_type", json!("flow"), "got flow"),
        ("diffused.json", "steps", json!(0), "steps must be between 1 and 150, got 0"),
        ("diffused.json", "guidance_scale", json!(31), "guidance_scale must be between 0 and 30, got 31"),
        ("diffused.json", "sampler", json!("plms"), "sampler must be one of ddim, euler"),
        ("diffused.json", "guidance", json!("embedded"), "expected `cfg` or `none`"),
        ("diffused.json", "clip_skip", json!(2), "clip_skip must be 0 in this version, got 2"),
        ("diffused.json", "width", json!(12), "width must be a multiple of 8 between 8 and 8192, got 12"),
        ("diffused.json", "stpes", json!(4), "unknown field `stpes`"),
    ];
    for (file, key, value, reason) in cases {
        let message = fault(&Miniature::new().set(file, key, value));
        assert!(message.starts_with(file) && message.contains(reason), "{file} {key}: {message}");
    }
}

#[test]
fn a_scheduler_without_counterpart_needs_a_sampler_in_our_file() {
    let model = Miniature::new().set("scheduler/scheduler_config.json", "_class_name", json!("HeunDiscreteScheduler"));
    assert!(fault(&model).starts_with("diffused.json: the scheduler HeunDiscreteScheduler has no counterpart here"));
    assert_eq!(open(&model.set("diffused.json", "sampler", json!("euler"))).defaults.sampler.name, "euler");
}
