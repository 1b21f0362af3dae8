//! Edited graphs at work: each must give what torch gives for the model that was changed in the same way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array1, Array2, ArrayD, IxDyn, arr0};
use safetensors::SafeTensors;

use super::blueprint::Blueprint;
use super::session::{Feed, Options, Session};
use super::testing::{apart, golden, runtime};
use crate::onnx::edit::{self, Activation, Layer, Mlp, Net};
use crate::onnx::{Modules, Skeleton};

type Values = BTreeMap<String, ArrayD<f32>>;

/// Differences relative to the largest value: those of two orders of summation, and of 16-bit floats.
const CLOSE: f32 = 1e-5;
const CLOSE_IN_HALVES: f32 = 2e-3;

const TEXTS: [(&str, &str); 4] =
    [("sd1", "text_encoder"), ("sd2", "text_encoder"), ("sdxl", "text_encoder_2"), ("sd1-legacy", "text_encoder")];

/// What torch was given and what it gave.
fn reference(family: &str, part: &str) -> Values {
    let bytes = std::fs::read(golden(&format!("edits/{family}-{part}.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let array = |name: &str| {
        let tensor = tensors.tensor(name).unwrap();
        let values = tensor.data().chunks(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
        ArrayD::from_shape_vec(IxDyn(tensor.shape()), values).unwrap()
    };
    tensors.names().into_iter().map(|name| (name.to_owned(), array(name))).collect()
}

fn file(family: &str, part: &str) -> PathBuf {
    golden(&format!("families/{family}/model/{part}/model.onnx"))
}

fn read(file: &Path) -> (Skeleton, Modules) {
    let skeleton = Skeleton::read(&mut std::fs::File::open(file).unwrap(), "model.onnx").unwrap();
    let modules = Modules::of(&skeleton);
    (skeleton, modules)
}

/// Runs a graph from memory, beside the file that has its weights, and feeds it those of `values` that it wants.
fn run(file: &Path, skeleton: &Skeleton, values: &Values, wanted: &[&str]) -> Vec<ArrayD<f32>> {
    let graph = Blueprint { edited: Some(skeleton.to_bytes()), ..Blueprint::as_exported(file) };
    let options = Options { threads: Some(1), ..Options::default() };
    let (mut session, ports) = Session::open(runtime(), graph, &options).unwrap();
    let feed = |(name, value): (&String, &ArrayD<f32>)| {
        let port = ports.input_named(name, value.ndim()).unwrap()?.clone();
        Some(Feed { port, value: value.clone() })
    };
    let wanted: Vec<String> = wanted.iter().map(|&name| name.to_owned()).collect();
    session.run(values.iter().filter_map(feed).collect(), &wanted, &Arc::new).unwrap().0
}

fn same(what: &str, got: &ArrayD<f32>, expected: &ArrayD<f32>, close: f32) {
    let difference = apart(got, expected);
    assert!(difference < close, "{what} differs by {difference:.1e}");
}

fn pooled(part: &str) -> &'static str {
    if part == "text_encoder_2" { "text_embeds" } else { "pooler_output" }
}

#[test]
fn skipped_layers_leave_the_pooled_text_as_it_is() {
    for (family, part) in TEXTS {
        let (file, values) = (file(family, part), reference(family, part));
        for layers in 0..=2 {
            let (mut skeleton, _) = read(&file);
            edit::clip_skip(&mut skeleton, layers).unwrap();
            let got = run(&file, &skeleton, &values, &["last_hidden_state", pooled(part)]);
            same(&format!("{family} without {layers}"), &got[0], &values[&format!("skip.{layers}")], CLOSE);
            same(&format!("{family} pooled without {layers}"), &got[1], &values["pooled"], CLOSE);
            // The control: another number of layers is another state.
            assert!(apart(&got[0], &values[&format!("skip.{}", (layers + 1) % 3)]) > 0.05);
        }
    }
}

#[test]
fn earlier_states_come_out_without_the_final_norm() {
    for (family, part) in TEXTS {
        let (file, values) = (file(family, part), reference(family, part));
        for layers in 0..=2 {
            let (mut skeleton, _) = read(&file);
            let name = edit::states_before_last(&mut skeleton, layers).unwrap();
            let got = run(&file, &skeleton, &values, &[&name, "last_hidden_state"]);
            same(&format!("{family} {name}"), &got[0], &values[&format!("state.{layers}")], CLOSE);
            same(&format!("{family} last"), &got[1], &values["skip.0"], CLOSE);
        }
    }
}

#[test]
fn ids_of_embeddings_do_not_move_the_end_of_the_text() {
    for (family, part) in TEXTS {
        let (file, values) = (file(family, part), reference(family, part));
        let (mut skeleton, modules) = read(&file);
        let table = modules.get("text_model.embeddings.token_embedding", "weight").unwrap();
        assert_eq!(edit::own_ids(&mut skeleton, &table.initializer).unwrap(), "embedding_ids");
        let got = run(&file, &skeleton, &values, &["last_hidden_state", pooled(part)]);
        same(&format!("{family} states"), &got[0], &values["own.last"], CLOSE);
        same(&format!("{family} pooled"), &got[1], &values["own.pooled"], CLOSE);
    }
}

#[test]
fn parameters_that_no_longer_share_their_values_have_the_same_ones() {
    let (file, values) = (file("sd1", "text_encoder"), reference("sd1", "text_encoder"));
    let (mut skeleton, _) = read(&file);
    assert_eq!(edit::unshare(&mut skeleton), 19);
    let got = run(&file, &skeleton, &values, &["last_hidden_state"]);
    same("states", &got[0], &values["skip.0"], CLOSE);
}

/// The network of `tests/golden/edits.py`.
fn mlp(width: usize, seed: usize, activation: Activation, norm: bool) -> Mlp {
    let value = move |kind: usize, row: usize, column: usize| {
        ((row * 31 + column * 17 + kind * 13 + seed * 7) % 23) as f32 / 40.0 - 11.0 / 40.0
    };
    let linear = |kind, inputs, outputs| Layer::Linear {
        weight: Array2::from_shape_fn((outputs, inputs), |(row, column)| value(kind, row, column)),
        bias: Array1::from_shape_fn(outputs, |row| value(kind + 1, row, 0)),
    };
    let row = |kind, more: f32| Array1::from_shape_fn(2 * width, |row| more + value(kind, row, 0));
    let mut layers = vec![linear(1, width, 2 * width), Layer::Activation(activation)];
    layers.extend(norm.then(|| Layer::LayerNorm { weight: row(5, 1.0), bias: row(6, 0.0) }));
    layers.push(linear(3, 2 * width, width));
    Mlp { layers }
}

fn nets() -> Vec<Net> {
    let net = |index: usize, activation, norm| {
        let pair = |width| [mlp(width, 10 * index, activation, norm), mlp(width, 10 * index + 1, activation, norm)];
        Net { widths: [8, 16, 24, 40].map(|width| (width, pair(width))).into() }
    };
    vec![net(0, Activation::Gelu, true), net(1, Activation::Mish, false)]
}

#[test]
fn hypernetworks_change_keys_and_values_as_torch_changes_them() {
    for family in ["sd1", "sd2", "sdxl", "sd1-legacy", "sd1-fp16"] {
        let close = if family == "sd1-fp16" { CLOSE_IN_HALVES } else { CLOSE };
        let (file, mut values) = (file(family, "unet"), reference(family, "unet"));
        let (mut skeleton, modules) = read(&file);
        let names = edit::hypernetworks(&mut skeleton, &modules, &nets()).unwrap();
        let mut at = |strengths: [f32; 2]| {
            values.extend(names.iter().cloned().zip(strengths.map(|strength| arr0(strength).into_dyn())));
            run(&file, &skeleton, &values, &["out_sample"]).remove(0)
        };
        let (changed, idle, other) = (at([0.8, -0.5]), at([0.0, 0.0]), at([0.8, 0.5]));
        assert_eq!(values["strengths"].as_slice().unwrap(), [0.8, -0.5]);
        same(family, &changed, &values["changed"], close);
        same(&format!("{family} without strength"), &idle, &values["plain"], close);
        // The control: another strength is seen.
        assert!(apart(&other, &values["changed"]) > 5.0 * close);
    }
}

/// What the whole graph and the shallow one say, the latter given what the deep layers made of the same input.
fn both_halves(file: &Path, skeleton: &Skeleton, layers: usize, values: &Values) -> [ArrayD<f32>; 2] {
    let halves = edit::halves(skeleton, Some(layers)).unwrap();
    let mut full = run(file, &halves.full, values, &["out_sample", edit::FEATURE]);
    let mut values = values.clone();
    values.insert(edit::FEATURE.to_owned(), full.remove(1));
    [full.remove(0), run(file, &halves.shallow, &values, &["out_sample"]).remove(0)]
}

#[test]
fn the_outermost_layers_give_the_whole_pass_from_what_the_deep_ones_made() {
    for family in ["sd1", "sd2", "sdxl", "sd1-legacy", "sd1-fp16"] {
        let close = if family == "sd1-fp16" { CLOSE_IN_HALVES } else { CLOSE };
        let (file, values) = (file(family, "unet"), reference(family, "unet"));
        let (skeleton, _) = read(&file);
        for layers in 1..=4 {
            let [full, shallow] = both_halves(&file, &skeleton, layers, &values);
            same(&format!("{family} whole, cut {layers}"), &full, &values["plain"], close);
            same(&format!("{family} in two, cut {layers}"), &shallow, &full, close);
        }
        // The control: what the deep layers made counts.
        let mut values = values;
        let halves = edit::halves(&skeleton, Some(2)).unwrap();
        let feature = run(&file, &halves.full, &values, &[edit::FEATURE]).remove(0);
        values.insert(edit::FEATURE.to_owned(), feature.mapv(|value| -value));
        let other = run(&file, &halves.shallow, &values, &["out_sample"]).remove(0);
        assert!(apart(&other, &values["plain"]) > 5.0 * close, "{family}");
    }
}

#[test]
fn a_graph_with_hypernetworks_can_be_cut_too() {
    let (file, mut values) = (file("sd1", "unet"), reference("sd1", "unet"));
    let (mut skeleton, modules) = read(&file);
    let names = edit::hypernetworks(&mut skeleton, &modules, &nets()).unwrap();
    values.extend(names.into_iter().zip([0.8, -0.5].map(|strength| arr0(strength).into_dyn())));
    for layers in [1, 3] {
        let [full, shallow] = both_halves(&file, &skeleton, layers, &values);
        same("whole", &full, &values["changed"], CLOSE);
        same("in two", &shallow, &full, CLOSE);
    }
}
