//! Files of other kinds: what is refused, and what is read all the same.

use super::*;

/// The toy checkpoint of SD v1 with other names, and with more tensors of one number each.
fn renamed(place: &Place, rename: impl Fn(&str) -> String, more: &[&str]) -> PathBuf {
    let file = fs::read(place.changed("sd1.safetensors", |name, _, _| !name.starts_with("model_ema."))).unwrap();
    let data = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let header: serde_json::Map<String, Value> = serde_json::from_slice(&file[8..data]).unwrap();
    let mut values = file[data..].to_vec();
    let mut out: serde_json::Map<_, _> = header.into_iter().map(|(name, entry)| (rename(&name), entry)).collect();
    for name in more {
        let offsets = [values.len(), values.len() + 4];
        out.insert((*name).to_owned(), serde_json::json!({"dtype": "F32", "shape": [1], "data_offsets": offsets}));
        values.extend([0; 4]);
    }
    let (path, header) = (place.path().join("renamed.safetensors"), serde_json::to_vec(&out).unwrap());
    fs::write(&path, [&(header.len() as u64).to_le_bytes(), &header[..], &values].concat()).unwrap();
    path
}

fn same(name: &str) -> String {
    name.to_owned()
}

#[test]
fn a_weight_that_the_template_has_no_place_for_is_refused_in_a_part_that_is_filled() {
    let place = Place::with("sd1");
    for key in [
        "model.diffusion_model.time_embed.cond_proj.weight",
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.fuser.alpha_attn",
        "first_stage_model.decoder.extra.weight",
        "cond_stage_model.extra.weight",
    ] {
        let weights = renamed(&place, same, &[key]);
        let fault = place.fault(&place.order(&weights, "toy", "new"));
        assert_eq!(fault, format!("renamed.safetensors: the template has no place for {key}"));
    }
    let weights = renamed(&place, same, &["control_model.extra.weight", "first_stage_model.loss.logvar"]);
    let report = import(&place.order(&weights, "toy", "new")).unwrap();
    assert_eq!(report.unknown, ["control_model.extra.weight"]);
}

#[test]
fn a_folder_with_a_weight_that_the_template_has_no_place_for_is_refused() {
    let place = Place::with("inpaint");
    let weights = place.path().join("weights");
    copy(&Path::new(GOLDEN).join("checkpoints/inpaint"), &weights);
    let text = weights.join("text_encoder/model.safetensors");
    let file = fs::read(&text).unwrap();
    let data = 8 + u64::from_le_bytes(file[..8].try_into().unwrap()) as usize;
    let mut header: serde_json::Map<String, Value> = serde_json::from_slice(&file[8..data]).unwrap();
    let end = file.len() - data;
    header.insert(
        "text_model.extra.weight".to_owned(),
        serde_json::json!({"dtype": "F32", "shape": [1], "data_offsets": [end, end + 4]}),
    );
    let header = serde_json::to_vec(&header).unwrap();
    fs::write(&text, [&(header.len() as u64).to_le_bytes(), &header[..], &file[data..], &[0; 4]].concat()).unwrap();
    let fault = place.fault(&place.order(&weights, "toy", "new"));
    assert_eq!(fault, "weights: the template has no place for text_encoder/text_model.extra.weight");
}

#[test]
fn the_half_of_an_autoencoder_that_the_template_lacks_is_not_missed() {
    let place = Place::with("sd1");
    fs::remove_dir_all(place.path().join("toy/vae_encoder")).unwrap();
    let report = import(&place.order("sd1.safetensors", "toy", "new")).unwrap();
    assert!(report.unknown.iter().all(|key| key.starts_with("first_stage_model.")), "{:?}", report.unknown);
    assert!(report.unknown.contains(&"first_stage_model.quant_conv.bias".to_owned()));
}

#[test]
fn models_of_karras_kind_are_refused_by_name() {
    let place = Place::with("sd1");
    for key in ["edm_vpred.sigma_max", "edm_mean", "edm_std"] {
        let weights = renamed(&place, same, &[key]);
        let fault = place.fault(&place.order(&weights, "toy", "new"));
        assert!(fault.contains("EDM models") && fault.contains("are not served"), "{fault}");
    }
    let weights = place.path().join("weights");
    copy(&Path::new(GOLDEN).join("checkpoints/inpaint"), &weights);
    fs::write(weights.join("scheduler/scheduler_config.json"), r#"{"_class_name": "EDMEulerScheduler"}"#).unwrap();
    let fault = place.fault(&place.order(&weights, "toy", "new"));
    assert!(fault.contains("EDM models"), "{fault}");
}

#[test]
fn a_checkpoint_with_only_averaged_weights_is_read() {
    let place = Place::with("sd1");
    let average = |name: &str| match name.strip_prefix("model.diffusion_model.") {
        Some(rest) => format!("model_ema.diffusion_model{}", rest.replace('.', "")),
        None => name.to_owned(),
    };
    let weights = renamed(&place, average, &["model_ema.decay", "model_ema.num_updates"]);
    let shelf = Shelf::open(&weights).unwrap();
    let plain = Shelf::open(&Path::new(GOLDEN).join("checkpoints/sd1.safetensors")).unwrap();
    assert_eq!(
        Findings::of(&shelf).unwrap().family(&shelf).map_err(|error| error.to_string().replace("renamed", "sd1")),
        Findings::of(&plain).unwrap().family(&plain).map_err(|error| {
            error.to_string().replace(&format!("{GOLDEN}/checkpoints"), &place.path().display().to_string())
        })
    );
    let reference = graphs(&place.path().join("toy"));
    let report = import(&place.order(&weights, "toy", "new")).unwrap();
    assert!(graphs(&report.folder) == reference && report.unknown.is_empty(), "{:?}", report.unknown);
}

#[test]
fn the_model_inside_what_a_training_tool_saved_is_read() {
    let place = Place::with("sd1");
    let weights = renamed(&place, |name| format!("state_dict.{name}"), &[]);
    let reference = graphs(&place.path().join("toy"));
    assert!(graphs(&import(&place.order(&weights, "toy", "new")).unwrap().folder) == reference);
    let twice = renamed(&place, same, &["state_dict.model.diffusion_model.out.2.bias"]);
    let fault = place.fault(&place.order(&twice, "toy", "other"));
    assert!(fault.ends_with("model.diffusion_model.out.2.bias must be there once, got it twice"), "{fault}");
}

#[test]
fn a_file_of_torch_is_refused_with_what_to_do() {
    let place = Place::with("sd1");
    let file = place.path().join("model.ckpt");
    for begin in [&b"PK\x03\x04 and so on"[..], b"\x80\x02}q\x00 and so on"] {
        fs::write(&file, begin).unwrap();
        let fault = place.fault(&place.order(&file, "toy", "new"));
        assert_eq!(fault, "model.ckpt: only .safetensors files are read, got one of torch: convert it first");
    }
    fs::write(&file, "something else, of some length").unwrap();
    assert!(!place.fault(&place.order(&file, "toy", "new")).contains("torch"));
}
