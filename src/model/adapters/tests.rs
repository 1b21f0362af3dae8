//! The adapters that were trained on the bundled model do here what they do in torch.

use std::fs;
use std::sync::Arc;

use ndarray::{Array4, ArrayD};
use safetensors::SafeTensors;
use serde_json::{Map, Value};

use super::*;
use crate::diffusion::{Input, Pass, Predict};
use crate::job::AdapterKind;
use crate::model::testing::{Notes, apart, bundled, engine, golden};
use crate::model::{Kept, Prompted, TextAdapters, TextEncoders, Timeline, Unet};
use crate::prompt::{Prompt, Syntax};

/// Of the largest value; weights of 16 bits may be rounded to the one or the other side.
const TOLERANCE: f32 = 5e-4;

/// The LoRAs of a case, with the scales of one of its parts.
fn scaled(store: &Adapters, scales: &Value) -> Vec<Scaled> {
    let one = |(name, scale): (&String, &Value)| {
        let entry = store.find(AdapterKind::Lora, name).unwrap();
        let Ok(Content::Lora(lora)) = &entry.content else { panic!("{name}") };
        let scale = scale.as_f64().unwrap() as f32;
        Scaled { name: name.clone(), path: entry.path.clone(), lora: Arc::clone(lora), scale }
    };
    scales.as_object().unwrap_or(&Map::new()).iter().map(one).collect()
}

/// States of the text and the U-Net's output for a case, whose scales are all multiplied by `factor`.
fn answer(case: &Value, latents: &Array4<f32>, factor: f32) -> [ArrayD<f32>; 2] {
    let (engine, folder) = (engine(), Folder::open(&bundled("shapes")).unwrap());
    let store = Adapters::scan(&bundled("adapters"), &Adapters::default());
    let embeddings = &Body::read(&folder).vocabulary(&store);
    let text_scales = if case["lora_text"].is_null() { &case["lora"] } else { &case["lora_text"] };
    let [mut in_text, mut in_unet] = [text_scales, &case["lora"]].map(|scales| scaled(&store, scales));
    in_text.iter_mut().chain(&mut in_unet).for_each(|scaled| scaled.scale *= factor);
    let strengths: Vec<(&String, f32)> = case["hypernetwork"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, it)| (name, it.as_f64().unwrap() as f32 * factor))
        .collect();
    let networks: Vec<_> = strengths
        .iter()
        .map(|(name, _)| match &store.find(AdapterKind::Hypernetwork, name).unwrap().content {
            Ok(Content::Hypernetwork(network)) => Arc::clone(network),
            other => panic!("{other:?}"),
        })
        .collect();
    let texts = TextAdapters { embeddings, loras: &in_text, clip_skip: 0, most_chunks: None };
    let texts = TextEncoders::load(&engine, &folder, &texts).unwrap();
    let unet = UnetAdapters { loras: &in_unet, hypernetworks: &networks };
    let unet = Unet::load(&engine, &folder, &unet).unwrap();
    let prompt = Prompt::parse(case["prompt"].as_str().unwrap(), Syntax::Weighted);
    let watch = Notes::default();
    let text = texts.encode(&prompt.conditions()[0].at(0, 1), Syntax::Weighted, &watch).unwrap();
    let timeline = Timeline::constant(text.conditioning.clone());
    let strengths: Vec<f32> = strengths.iter().map(|(_, strength)| *strength).collect();
    let mut prompted = Prompted {
        unet: &unet,
        conditional: vec![&timeline],
        unconditional: &timeline,
        extra: None,
        scale: 1.0,
        strengths: &strengths,
        kept: Kept::nothing(),
        watch: &watch,
    };
    let input = Input { latents, timestep: case["timestep"].as_f64().unwrap(), step: 0, steps: 1, progress: 0.0 };
    let noise = prompted.predict(input, &[Pass::Conditional(0)]).unwrap().remove(0);
    [text.conditioning.context.clone().into_dyn(), noise.into_dyn()]
}

#[test]
fn trained_adapters_answer_as_in_torch() {
    let folder = golden("adapters/shapes");
    let cases: Map<String, Value> = serde_json::from_slice(&fs::read(folder.join("cases.json")).unwrap()).unwrap();
    let file = fs::read(folder.join("reference.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let tensor = |name: &str| {
        let tensor = tensors.tensor(name).ok()?;
        let values = tensor.data().as_chunks().0.iter().map(|value| f32::from_le_bytes(*value)).collect();
        ArrayD::from_shape_vec(tensor.shape(), values).ok()
    };
    let latents = tensor("latents").unwrap().into_dimensionality().unwrap();
    assert!(cases.len() >= 10);
    for (name, case) in &cases {
        let reference = ["states", "noise"].map(|what| {
            // The bundled model has weights of 16 bits, and so have merged ones.
            tensor(&format!("{name}.{what}_half")).or_else(|| tensor(&format!("{name}.{what}"))).unwrap()
        });
        let ours = answer(case, &latents, 1.0);
        let far = |ours: &[ArrayD<f32>; 2]| {
            ours.iter().zip(&reference).map(|(one, other)| apart(one, other)).fold(0.0, f32::max)
        };
        assert!(far(&ours) < TOLERANCE, "{name}: {}", far(&ours));
        if !case["lora"].is_null() || !case["hypernetwork"].is_null() {
            assert!(far(&answer(case, &latents, 0.98)) > TOLERANCE, "{name}: a wrong scale is not noticed");
        }
    }
}
