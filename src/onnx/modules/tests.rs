use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use half::f16;

use super::super::{Element, Initializer, Place};
use super::*;

type Parameters = BTreeMap<String, (Vec<usize>, f32, f32)>;

fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Torch's parameters of each graph of `edits/modules.json`: shape, and the values at one third and at two thirds.
fn parameters() -> BTreeMap<String, Parameters> {
    serde_json::from_slice(&std::fs::read(golden().join("edits/modules.json")).unwrap()).unwrap()
}

/// A graph of `tests/golden` and its folder.
fn read(file: &Path) -> (Skeleton, PathBuf) {
    let skeleton = Skeleton::read(&mut std::fs::File::open(file).unwrap(), file.file_name().unwrap().to_str().unwrap());
    (skeleton.unwrap(), file.parent().unwrap().to_owned())
}

/// The numbers of an initializer, as they lie.
fn numbers(tensor: &Initializer, folder: &Path) -> Vec<f32> {
    let bytes = match &tensor.place {
        Place::Inline(bytes) => bytes.clone(),
        Place::File { location, offset, length } => {
            std::fs::read(folder.join(location)).unwrap()[*offset as usize..][..*length as usize].to_vec()
        }
    };
    match tensor.element {
        Element::F32 => bytes.chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect(),
        Element::F16 => bytes.chunks(2).map(|two| f16::from_le_bytes(two.try_into().unwrap()).to_f32()).collect(),
        Element::I8 => bytes.iter().map(|&byte| f32::from(byte as i8)).collect(),
        Element::U8 => bytes.iter().map(|&byte| f32::from(byte)).collect(),
        other => panic!("{other:?}"),
    }
}

/// A parameter as torch has it.
fn torch(weight: &Weight, skeleton: &Skeleton, folder: &Path) -> Vec<f32> {
    let tensor = skeleton.initializer(&weight.initializer).unwrap();
    let mut values = numbers(tensor, folder);
    if let Some(Quantised { scale, zero_point, axis }) = &weight.quantised {
        let read = |name: &String| numbers(skeleton.initializer(name).unwrap(), folder);
        let (scale, zero) = (read(scale), zero_point.as_ref().map_or(vec![0.0], read));
        let inner: usize = tensor.shape[axis + 1..].iter().product();
        for (place, value) in values.iter_mut().enumerate() {
            let channel = if scale.len() == 1 { 0 } else { place / inner % tensor.shape[*axis] };
            *value = scale[channel] * (*value - zero[channel]);
        }
    }
    match weight.layout {
        Layout::Plain | Layout::Reshaped => values,
        Layout::Transposed => {
            let (rows, columns) = (weight.shape[0], weight.shape[1]);
            (0..rows * columns).map(|place| values[place % columns * rows + place / columns]).collect()
        }
    }
}

fn compare(graph: &str, file: &Path, parameters: &Parameters, tolerance: f32) {
    let (skeleton, folder) = read(file);
    let modules = Modules::of(&skeleton);
    for (name, (shape, third, two_thirds)) in parameters {
        let (module, parameter) = name.rsplit_once('.').unwrap();
        let weight = modules.get(module, parameter).unwrap_or_else(|| panic!("{graph} has no {name}"));
        assert_eq!(&weight.shape, shape, "{name} of {graph}");
        let values = torch(weight, &skeleton, &folder);
        for (place, expected) in [(1, third), (2, two_thirds)] {
            let got = values[values.len() * place / 3];
            assert!((got - expected).abs() <= tolerance, "{name} of {graph}: {expected} expected, got {got}");
        }
    }
}

#[test]
fn every_torch_parameter_is_found_in_every_export() {
    let all = parameters();
    assert!(all.len() > 10);
    for (graph, parameters) in &all {
        assert!(parameters.len() > 30);
        compare(graph, &golden().join(format!("families/{graph}/model.onnx")), parameters, 0.0);
    }
}

#[test]
fn nothing_is_found_that_torch_does_not_have() {
    for (graph, parameters) in parameters() {
        let modules = Modules::of(&read(&golden().join(format!("families/{graph}/model.onnx"))).0);
        for (module, parameter, _) in modules.iter() {
            assert!(parameters.contains_key(&format!("{module}.{parameter}")), "{module}.{parameter} in {graph}");
        }
        let weights = parameters.keys().filter_map(|name| name.strip_suffix(".weight")).collect::<Vec<_>>();
        assert_eq!(modules.paths().collect::<Vec<_>>(), weights);
    }
}

#[test]
fn weights_of_eight_bits_are_found_with_their_scales() {
    let parameters = &parameters()["sd1/model/text_encoder"];
    for kind in ["dynamic", "static"] {
        // A step of the coarsest scale is below this.
        compare(kind, &golden().join(format!("edits/{kind}.onnx")), parameters, 0.006);
        let modules = Modules::of(&read(&golden().join(format!("edits/{kind}.onnx"))).0);
        assert_eq!(modules.iter().filter(|(_, _, weight)| weight.quantised.is_some()).count(), 14);
    }
}

#[test]
fn equal_parameters_are_known_to_share_their_values() {
    let (skeleton, _) = read(&golden().join("families/sd1/model/text_encoder/model.onnx"));
    let modules = Modules::of(&skeleton);
    let weight =
        |module: &str, parameter| modules.get(&format!("text_model.encoder.layers.0.{module}"), parameter).unwrap();
    assert!(weight("self_attn.k_proj", "bias").shared && weight("layer_norm1", "weight").shared);
    assert!(!weight("self_attn.k_proj", "weight").shared);
    assert!(weight("self_attn.q_proj", "bias").folded && !weight("self_attn.q_proj", "weight").folded);
}
