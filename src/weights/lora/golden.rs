//! Files of every layout and algorithm, against the weights that their own tools make of a toy model.

#[cfg(test)]
use std::{collections::BTreeMap, fs, path::PathBuf};

use ndarray::ArrayD;
use safetensors::SafeTensors;

use super::{Factors, Lora, LoraError, merged, merged_bias};
use crate::weights::Dtype;
use crate::weights::names::Part;

/// Largest difference allowed, relative to the largest value of the weight: a few roundings of float32.
const TOLERANCE: f32 = 1e-6;

type Tensors = BTreeMap<String, ArrayD<f32>>;

/// What `tests/golden/lora.py` wrote.
#[derive(serde::Deserialize)]
struct Golden {
    modules: BTreeMap<String, Vec<String>>,
    cases: Vec<Case>,
}

#[derive(serde::Deserialize)]
struct Case {
    name: String,
    scale: f32,
}

fn golden() -> Golden {
    serde_json::from_slice(&bytes("cases.json")).unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    let folder: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden", "lora"].iter().collect();
    fs::read(folder.join(name)).unwrap()
}

fn tensors(name: &str) -> Tensors {
    let bytes = bytes(&format!("{name}.safetensors"));
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let array = |tensor: safetensors::tensor::TensorView| {
        let values = tensor.data().chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        ArrayD::from_shape_vec(tensor.shape().to_vec(), values).unwrap()
    };
    file.tensors().into_iter().map(|(key, tensor)| (key, array(tensor))).collect()
}

fn settings(name: &str) -> Option<String> {
    let bytes = bytes(&format!("{name}.safetensors"));
    let (_, header) = SafeTensors::read_metadata(&bytes).unwrap();
    header.metadata().as_ref().and_then(|metadata| metadata.get("lora_adapter_metadata").cloned())
}

fn parts(golden: &Golden) -> Vec<(Part, Vec<String>)> {
    golden.modules.iter().map(|(part, modules)| (part_of(part), modules.clone())).collect()
}

fn part_of(name: &str) -> Part {
    match name {
        "unet" => Part::Unet,
        "text_encoder" => Part::Text(0),
        _ => Part::Text(1),
    }
}

fn lora(name: &str, tensors: &Tensors) -> Lora {
    let header = tensors.iter().map(|(key, tensor)| (key.clone(), Dtype::F32, tensor.shape().to_vec()));
    Lora::of(header, settings(name).as_deref()).unwrap()
}

/// The factors of a case by `PART:MODULE`, after checking that every name in the file fits.
fn factors(golden: &Golden, name: &str) -> BTreeMap<String, Factors> {
    let tensors = tensors(name);
    let lora = lora(name, &tensors);
    let fit = lora.fit(&parts(golden));
    assert!(fit.unmatched.is_empty(), "{name}: {:?}", fit.unmatched);
    let read = |key: &str| -> Result<_, LoraError> { Ok(tensors[key].clone()) };
    let places = fit.places.into_iter();
    places
        .map(|place| {
            let part = golden.modules.keys().find(|part| part_of(part) == place.part).unwrap();
            (format!("{part}:{}", place.module), lora.groups()[place.group].read(read).unwrap())
        })
        .collect()
}

fn difference(ours: &ArrayD<f32>, theirs: &ArrayD<f32>) -> f32 {
    let largest = theirs.iter().fold(0.0f32, |largest, value| largest.max(value.abs()));
    assert!(largest > 0.0 && ours.shape() == theirs.shape());
    (ours - theirs).iter().fold(0.0f32, |worst, value| worst.max(value.abs())) / largest
}

#[test]
fn every_file_makes_the_weights_that_its_own_tool_makes() {
    let golden = golden();
    let model = tensors("model");
    assert!(golden.cases.len() >= 25);
    for Case { name, scale } in &golden.cases {
        let factors = factors(&golden, name);
        let expected = tensors(&format!("{name}.merged"));
        let modules: Vec<&String> = expected.keys().filter(|key| !key.ends_with(":bias")).collect();
        assert_eq!(modules, factors.keys().collect::<Vec<_>>(), "{name}");
        for (key, weight) in &expected {
            let ours = match key.strip_suffix(":bias") {
                Some(module) => merged_bias(model[key].clone(), &[(&factors[module], *scale)]),
                None => merged(model[key].clone(), &[(&factors[key], *scale)]),
            };
            let off = difference(&ours.unwrap(), weight);
            assert!(off <= TOLERANCE, "{name}: {key} differs by {off}");
        }
    }
}

#[test]
fn a_wrong_scale_is_noticed_in_every_case() {
    let golden = golden();
    let model = tensors("model");
    for Case { name, scale } in &golden.cases {
        let expected = tensors(&format!("{name}.merged"));
        for (key, factors) in factors(&golden, name) {
            let ours = merged(model[&key].clone(), &[(&factors, scale * 1.001)]).unwrap();
            assert!(difference(&ours, &expected[&key]) > TOLERANCE, "{name}: {key}");
        }
    }
}

#[test]
fn scale_zero_leaves_every_weight_as_it_was() {
    let golden = golden();
    let model = tensors("model");
    for Case { name, .. } in &golden.cases {
        for (key, factors) in factors(&golden, name) {
            assert_eq!(merged(model[&key].clone(), &[(&factors, 0.0)]).unwrap(), model[&key], "{name}: {key}");
        }
    }
}

#[test]
fn several_files_on_one_weight_add_up_in_any_order() {
    let golden = golden();
    let model = tensors("model");
    let [one, two, three] = ["kohya", "lycoris-loha-dora", "lycoris-lokr"].map(|name| factors(&golden, name));
    for key in three.keys() {
        let own = &model[key];
        let alone = |factors: &BTreeMap<String, Factors>, scale: f32| {
            factors
                .get(key)
                .map_or(own - own, |factors| (merged(own.clone(), &[(factors, 1.0)]).unwrap() - own) * scale)
        };
        let expected = own + &alone(&one, 0.5) + &alone(&two, 0.8) + &alone(&three, -0.3);
        let all = [(one.get(key), 0.5), (two.get(key), 0.8), (three.get(key), -0.3)];
        let mut changes: Vec<(&Factors, f32)> = all.into_iter().filter_map(|(f, scale)| Some((f?, scale))).collect();
        assert!(changes.len() >= 2);
        assert!(difference(&merged(own.clone(), &changes).unwrap(), &expected) <= TOLERANCE, "{key}");
        changes.reverse();
        assert!(difference(&merged(own.clone(), &changes).unwrap(), &expected) <= TOLERANCE, "{key}");
    }
}

#[test]
fn a_transposed_weight_is_changed_like_any_other() {
    let golden = golden();
    let model = tensors("model");
    for name in ["kohya", "lycoris-loha-dora"] {
        for (key, factors) in factors(&golden, name).into_iter().filter(|(key, _)| model[key].ndim() == 2) {
            let turned = model[&key].t().as_standard_layout().into_owned().reversed_axes();
            let expected = merged(model[&key].clone(), &[(&factors, 0.7)]).unwrap();
            assert!(difference(&merged(turned, &[(&factors, 0.7)]).unwrap(), &expected) <= TOLERANCE, "{name}: {key}");
        }
    }
}
