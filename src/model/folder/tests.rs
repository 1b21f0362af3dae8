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
    let model = Miniature::new();
    let folder = open(&model);
    assert_eq!((folder.family, folder.channels, folder.multiple), (Family::Sd1, 4, 2));
    let [text] = &folder.texts[..] else { unreachable!() };
    assert_eq!((text.pad.as_str(), text.length, text.layer, text.pooled), ("!", 8, Layer::Last, false));
    let (kind, tile) = (Autoencoder::Gaussian, 512);
    assert_eq!(folder.vae, VaeFacts { kind, scaling_factor: 0.5, shift_factor: 0.0, downscale: 1, tile });
    assert_eq!(folder.unet, UnetFacts { extra: Extra::None, context: 1, guidance: None, pooled: None });
    assert!(!folder.force_zeros_for_empty_prompt && folder.has("unet") && !folder.has("vae_encoder"));
    let Defaults { steps, guidance_scale, guidance, sampler, size, clip_skip } = folder.defaults;
    assert_eq!(clip_skip.get(), 0);
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
    let (kind, tile) = (Autoencoder::Gaussian, 512);
    assert_eq!(folder.vae, VaeFacts { kind, scaling_factor: 0.18215, shift_factor: 0.25, downscale: 8, tile });
    assert_eq!((folder.family, folder.texts[0].pad.as_str()), (Family::Sd2, "a"));
    assert_eq!((folder.defaults.size.width(), folder.defaults.size.height()), (32, 16));
}

#[test]
fn pictures_of_the_models_own_size_are_never_cut() {
    let large = Miniature::new().set("vae_decoder/config.json", "sample_size", json!(1024));
    assert_eq!(open(&large).vae.tile, 1024);
    let wide = Miniature::new().set("diffused.json", "width", json!(2048));
    assert_eq!(open(&wide).vae.tile, 2048);
}

#[test]
fn coefficients_for_previews_are_taken_from_our_file() {
    assert_eq!(open(&Miniature::new()).preview, None);
    let rows = json!([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0], [0.5, 0.5, 0.5]]);
    let model = Miniature::new().set("diffused.json", "latent_rgb_factors", rows);
    let preview = open(&model).preview.unwrap();
    assert_eq!((preview.factors[3], preview.bias), ([0.5; 3], [0.0; 3]));
    let model = model.set("diffused.json", "latent_rgb_bias", json!([0.25, 0.0, -0.25]));
    assert_eq!(open(&model).preview.unwrap().bias, [0.25, 0.0, -0.25]);
}

#[test]
fn a_tiny_autoencoder_has_the_defaults_of_its_class() {
    let file = "vae_decoder/config.json";
    let model = Miniature::new().set(file, "_class_name", json!("AutoencoderTiny"));
    let model = model.set(file, "scaling_factor", Value::Null).set(file, "block_out_channels", Value::Null);
    let facts = VaeFacts { kind: Autoencoder::Tiny, scaling_factor: 1.0, shift_factor: 0.0, downscale: 8, tile: 512 };
    assert_eq!(open(&model).vae, facts);
}

#[test]
fn the_first_v2_models_have_their_padding_in_another_file() {
    let (file, map) = ("tokenizer/tokenizer_config.json", "tokenizer/special_tokens_map.json");
    let pad = |model: &Miniature| open(model).texts[0].pad.clone();
    let old = Miniature::new().set(file, "pad_token", json!("<|endoftext|>")).set(map, "pad_token", json!("!"));
    assert_eq!(pad(&old), "!");
    assert_eq!(pad(&old.set(file, "added_tokens_decoder", json!({"0": {"content": "!"}}))), "<|endoftext|>");
    let none = Miniature::new().set(file, "pad_token", Value::Null);
    assert_eq!(pad(&none), "<|endoftext|>");
}

#[test]
fn the_channels_that_join_the_latents_tell_the_task() {
    for (channels, extra) in [(4, Extra::None), (9, Extra::Inpaint), (5, Extra::Depth)] {
        let folder = open(&Miniature::new().set("unet/config.json", "in_channels", json!(channels)));
        assert_eq!((folder.channels, folder.unet.extra), (4, extra));
        assert_eq!(4 + extra.channels(4), channels);
    }
}

#[test]
fn sdxl_has_two_encoders_and_nothing_for_an_empty_negative_prompt() {
    let folder = open(&Miniature::sdxl());
    assert_eq!((folder.family, folder.force_zeros_for_empty_prompt), (Family::Sdxl, true));
    assert_eq!(folder.unet, UnetFacts { extra: Extra::None, context: 3, guidance: None, pooled: Some(2) });
    let texts: Vec<_> = folder.texts.iter().map(|text| (text.tokenizer, text.pad.as_str(), text.pooled)).collect();
    assert_eq!(texts, [("tokenizer", "a", false), ("tokenizer_2", "!", true)]);
    assert!(folder.texts.iter().all(|text| text.layer == Layer::Penultimate));
    let key = "force_zeros_for_empty_prompt";
    assert!(open(&Miniature::sdxl().set("model_index.json", key, Value::Null)).force_zeros_for_empty_prompt);
    assert!(!open(&Miniature::sdxl().set("model_index.json", key, json!(false))).force_zeros_for_empty_prompt);
}

#[test]
fn a_latent_consistency_model_takes_its_scale_as_an_input() {
    let folder = open(&Miniature::lcm());
    let Defaults { steps, guidance_scale, guidance, .. } = folder.defaults;
    assert_eq!((steps.get(), guidance_scale.get(), guidance), (4, 8.5, Guided::Embedded));
    assert_eq!(folder.unet.guidance, Some(4));
    let stubborn = Miniature::lcm().set("diffused.json", "guidance", json!("cfg"));
    assert_eq!(
        fault(&stubborn),
        "diffused.json: guidance must be embedded for a U-Net with time_cond_proj_dim, got cfg"
    );
}

#[test]
fn a_folder_without_configurations_is_told_by_its_graphs() {
    let folder = open(&Miniature::legacy("unet_legacy_9"));
    assert_eq!((folder.family, folder.channels, folder.unet.extra), (Family::Sd1, 4, Extra::Inpaint));
    assert_eq!((folder.unet.context, folder.texts[0].width, folder.texts[0].length), (1, 1, 77));
    assert_eq!((folder.vae.scaling_factor, folder.vae.downscale, folder.multiple), (0.18215, 8, 8));
    assert_eq!(folder.defaults.size.to_string(), "512x512");
    assert_eq!(
        fault(&Miniature::legacy("text_encoder")),
        "unet/model.onnx: the graph must begin with a convolution of its input sample"
    );
    let broken = Miniature::legacy("unet_legacy_9").text("unet/model.onnx", "no graph");
    assert!(fault(&broken).starts_with("unet/model.onnx: it must be an ONNX model"), "{}", fault(&broken));
    let described = Miniature::new().without("unet/config.json");
    assert_eq!(fault(&described), "unet/config.json: the file is missing");
}

#[test]
fn one_of_two_graphs_may_leave_the_width_of_the_text_free() {
    let free = Miniature::legacy("unet_legacy_free");
    assert_eq!((open(&free).unet.context, open(&free).unet.extra), (1, Extra::None));
    let encoder = |unet| Miniature::legacy(unet).with("text_encoder", "text_encoder_free");
    assert_eq!(open(&encoder("unet_legacy_9")).texts[0].width, 1);
    let reason = "the graph or the U-Net's must say how wide the text is, both leave it free";
    assert_eq!(fault(&encoder("unet_legacy_free")), format!("text_encoder/model.onnx: {reason}"));
}

#[test]
fn half_a_second_encoder_is_a_fault() {
    for file in ["text_encoder_2/config.json", "tokenizer_2/tokenizer_config.json"] {
        assert_eq!(fault(&Miniature::sdxl().without(file)), format!("{file}: the file is missing"));
    }
    let cases = [
        ("cross_attention_dim", json!(2048), "the hidden_size of the text encoders, 1 + 2, got 2048"),
        ("addition_time_embed_dim", Value::Null, "must be given with addition_embed_type text_time"),
        ("projection_class_embeddings_input_dim", json!(27), "addition_time_embed_dim, 2 + 6 * 4, got 27"),
        ("projection_class_embeddings_input_dim", json!(22), "got 22 (a refiner, which makes no pictures of its own)"),
    ];
    for (key, value, reason) in cases {
        let message = fault(&Miniature::sdxl().set("unet/config.json", key, value));
        assert!(message.starts_with("unet/config.json") && message.ends_with(reason), "{key}: {message}");
    }
    let refiner = fault(&Miniature::sdxl().set("model_index.json", "requires_aesthetics_score", json!(true)));
    assert!(
        refiner.ends_with("must be false (a refiner only finishes another model's latents), got true"),
        "{refiner}"
    );
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
        (
            "model_index.json",
            "_class_name",
            json!("StableDiffusion3Pipeline"),
            "XL or of LCM, got StableDiffusion3Pipeline",
        ),
        ("model_index.json", "_class_name", Value::Null, "missing field `_class_name`"),
        ("unet/config.json", "in_channels", json!(7), "must be 4 as out_channels, 9 (inpainting) or 5 (depth), got 7"),
        ("unet/config.json", "in_channels", json!(8), "got 8 (an instruct-pix2pix model, which is not served)"),
        ("unet/config.json", "class_embed_type", json!("projection"), "class_embed_type must be null"),
        ("unet/config.json", "in_channels", json!("4"), "expected usize"),
        ("unet/config.json", "cross_attention_dim", json!(768), "hidden_size of the text encoder, 1, got 768"),
        ("unet/config.json", "time_cond_proj_dim", json!(2), "time_cond_proj_dim must be at least 4, got 2"),
        ("unet/config.json", "addition_embed_type", json!("text"), "must be null or text_time (SDXL), got text"),
        ("unet/config.json", "sample_size", json!(0), "sample_size must be at least 1, got 0"),
        ("unet/config.json", "block_out_channels", json!([]), "must list 1 to 8 blocks, got 0"),
        ("vae_decoder/config.json", "scaling_factor", json!(0.0), "a number other than 0, got 0"),
        ("vae_decoder/config.json", "latents_mean", json!([0.1, 0.0, 0.0, 0.0]), "latents_std must be null"),
        ("vae_decoder/config.json", "latent_channels", json!(16), "out_channels of the U-Net, 4, got 16"),
        ("vae_decoder/config.json", "block_out_channels", json!([]), "must list 1 to 8 blocks, got 0"),
        ("vae_decoder/config.json", "block_out_channels", Value::Null, "must list 1 to 8 blocks, got 0"),
        ("text_encoder/config.json", "max_position_embeddings", json!(2), "must be at least 3, got 2"),
        ("tokenizer/tokenizer_config.json", "tokenizer_class", json!("T5Tokenizer"), "CLIPTokenizer, got T5Tokenizer"),
        ("scheduler/scheduler_config.json", "prediction_type", json!("flow"), "got flow"),
        ("diffused.json", "steps", json!(0), "steps must be between 1 and 150, got 0"),
        ("diffused.json", "guidance_scale", json!(31), "guidance_scale must be between 0 and 30, got 31"),
        ("diffused.json", "sampler", json!("dpm_fast"), "sampler must be one of ddim, euler"),
        (
            "diffused.json",
            "guidance",
            json!("embedded"),
            "guidance must be cfg or none for a U-Net without time_cond_proj_dim, got embedded",
        ),
        ("diffused.json", "guidance", json!("some"), "expected one of `cfg`, `embedded`, `none`"),
        ("diffused.json", "clip_skip", json!(5), "clip_skip must be between 0 and 4, got 5"),
        ("diffused.json", "width", json!(12), "width must be a multiple of 8 between 8 and 8192, got 12"),
        ("diffused.json", "latent_rgb_factors", json!([[1, 0, 0]]), "a row for each of the 4 channels, got 1"),
        ("diffused.json", "latent_rgb_bias", json!([0, 0, 0]), "latent_rgb_bias needs latent_rgb_factors beside it"),
        ("diffused.json", "stpes", json!(4), "unknown field `stpes`"),
    ];
    for (file, key, value, reason) in cases {
        let message = fault(&Miniature::new().set(file, key, value));
        assert!(message.starts_with(file) && message.contains(reason), "{file} {key}: {message}");
    }
}

#[test]
fn a_scheduler_without_counterpart_needs_a_sampler_in_our_file() {
    let model = Miniature::new().set(
        "scheduler/scheduler_config.json",
        "_class_name",
        json!("FlowMatchEulerDiscreteScheduler"),
    );
    assert!(
        fault(&model)
            .starts_with("diffused.json: the scheduler FlowMatchEulerDiscreteScheduler has no counterpart here")
    );
    assert_eq!(open(&model.set("diffused.json", "sampler", json!("euler"))).defaults.sampler.name, "euler");
}
