//! Hypernetworks of the web UI's own modules, and what PyTorch makes of them.

use std::collections::BTreeMap;

use ndarray::Array2;
use serde::Deserialize;

use super::{Activation, Hypernetwork, Layer, Mlp};
use crate::weights::testing::{int, saved, tensor, text};

/// PyTorch's functions are vectorised approximations of another kind; a few units in the last place.
const TOLERANCE: f32 = 2e-6;

/// What the key's and the value's network make of three rows.
type Outputs = [Vec<Vec<f32>>; 2];

#[derive(Deserialize)]
struct Golden {
    x: Vec<f32>,
    activations: BTreeMap<String, Vec<f32>>,
    unsupported: Vec<String>,
    strength: f32,
    files: BTreeMap<String, BTreeMap<usize, Outputs>>,
}

fn golden() -> Golden {
    serde_json::from_str(include_str!("../../../tests/golden/hypernetworks.json")).unwrap()
}

fn file(name: &str) -> &'static [u8] {
    macro_rules! files {
        ($($name:literal),*) => {
            match name {
                $($name => include_bytes!(concat!("../../../tests/golden/hypernetworks/", $name, ".pt")).as_slice(),)*
                _ => panic!("no file {name}"),
            }
        };
    }
    files!("dropout", "last", "linear", "norm", "oldest", "output", "prelu", "relu", "structure")
}

#[track_caller]
fn assert_close(name: &str, ours: f32, theirs: f32) {
    assert!((ours - theirs).abs() <= TOLERANCE * theirs.abs().max(1.0), "{name}: {ours} instead of {theirs}");
}

#[test]
fn every_structure_gives_what_the_web_ui_computes() {
    let golden = golden();
    assert_eq!(golden.files.len(), 9);
    for (name, widths) in golden.files {
        let network = Hypernetwork::parse(file(&name)).unwrap();
        assert_eq!(network.layers().keys().collect::<Vec<_>>(), widths.keys().collect::<Vec<_>>(), "{name}");
        for (width, expected) in widths {
            let x =
                Array2::from_shape_fn((3, width), |(row, column)| ((row * width + column) as f32 - width as f32) / 4.0);
            for (mlp, expected) in network.layers()[&width].iter().zip(expected) {
                let result = mlp.apply(x.view(), golden.strength);
                assert_eq!(result.len(), expected.iter().flatten().count());
                result
                    .iter()
                    .zip(expected.iter().flatten())
                    .for_each(|(ours, theirs)| assert_close(&name, *ours, *theirs));
                assert_eq!(mlp.apply(x.view(), 0.0), x, "{name} at strength 0");
            }
        }
    }
}

#[test]
fn every_activation_gives_what_torch_computes() {
    let golden = golden();
    assert_eq!(golden.activations.len(), 22);
    for (name, values) in golden.activations {
        let activation = Activation::named(&name).unwrap();
        for (x, expected) in golden.x.iter().zip(values) {
            assert_close(&format!("{name}({x})"), activation.of(*x), expected);
        }
    }
    for name in golden.unsupported {
        let error = Activation::named(&name).unwrap_err().to_string();
        assert_eq!(error, format!("the activation {name:?} of a hypernetwork is not supported"));
    }
}

#[test]
fn dropout_and_norm_leave_the_layers_in_their_order() {
    let network = Hypernetwork::parse(file("dropout")).unwrap();
    let [key, _] = &network.layers()[&4];
    let kind = |layer: &Layer| match layer {
        Layer::Linear { weight, .. } => format!("{}x{}", weight.nrows(), weight.ncols()),
        Layer::Activation(_) => "activation".to_owned(),
        Layer::LayerNorm { .. } => "norm".to_owned(),
    };
    let kinds: Vec<String> = Mlp::layers(key).iter().map(kind).collect();
    assert_eq!(kinds, ["8x4", "activation", "norm", "8x8", "activation", "norm", "4x8", "activation", "norm"]);
}

/// A file with one network, of one layer of width 1, with these instructions in the place of its weight and more entries.
fn small(weight: &[u8], more: &[u8]) -> Vec<u8> {
    let state =
        [b"}(".to_vec(), text("linear.0.weight"), weight.to_vec(), text("linear.0.bias"), vector(1), b"u".to_vec()]
            .concat();
    let layers = [text("layer_structure"), b"(".to_vec(), int(1), int(1), b"l".to_vec()].concat();
    let pair = [state.clone(), state, b"\x86".to_vec()].concat();
    let program = [b"}(".to_vec(), int(1), pair, layers, more.to_vec(), b"u.".to_vec()].concat();
    saved(&program, &[("0", &[0, 0, 0x80, 0x3f, 0, 0, 0, 0x40]), ("1", &[0, 0, 0xc0, 0x7f])])
}

fn vector(length: i64) -> Vec<u8> {
    tensor("FloatStorage", "0", 0, &[length], &[1])
}

#[test]
fn a_network_that_is_not_as_the_file_says_is_refused() {
    let good = tensor("FloatStorage", "0", 0, &[1, 1], &[1, 1]);
    let refusal = |weight: &[u8], more: &[u8]| Hypernetwork::parse(&small(weight, more)).unwrap_err().to_string();
    assert!(Hypernetwork::parse(&small(&good, &[])).is_ok());
    let wide = tensor("FloatStorage", "0", 0, &[1, 2], &[2, 1]);
    assert_eq!(refusal(&wide, &[]), "the tensor \"linear.0.weight\" must have the shape [1, 1], got [1, 2]");
    let not_a_number = tensor("FloatStorage", "1", 0, &[1, 1], &[1, 1]);
    assert!(refusal(&not_a_number, &[]).contains("has a value that is not a number"));
    let whole = tensor("IntStorage", "0", 0, &[1, 1], &[1, 1]);
    assert!(refusal(&whole, &[]).contains("must hold floating point numbers, got I32"));
    assert!(refusal(b"N", &[]).contains("the parameters must be tensors by name"));
    let norm = [text("is_layer_norm"), b"\x88".to_vec()].concat();
    let missing = "the network of width 1 for keys: the parameter linear.1.weight is missing";
    assert_eq!(refusal(&good, &norm), missing);
    let more = [text("linear.1.weight"), vector(1)].concat();
    let unused = refusal(&[good.clone(), more].concat(), &[]);
    assert_eq!(unused, "the network of width 1 for keys: the parameter linear.1.weight has no place in the network");
    let softmax = [text("activation_func"), text("softmax")].concat();
    assert_eq!(refusal(&good, &softmax), "the activation \"softmax\" of a hypernetwork is not supported");
    let structure = [text("layer_structure"), b"(".to_vec(), int(1), int(2), b"l".to_vec()].concat();
    assert!(
        refusal(&good, &structure).starts_with("layer_structure must be 2 to 64 numbers, the first and the last 1")
    );
    let negative = [int(-1), b"N".to_vec()].concat();
    assert_eq!(refusal(&good, &negative), "the width -1 must be positive and have two networks");
}

#[test]
fn a_file_without_networks_is_refused() {
    for program in [b"}.".as_slice(), b"N."] {
        assert!(Hypernetwork::parse(&saved(program, &[])).is_err());
    }
    let embedding = include_bytes!("../../../tests/golden/weights/web-ui.pt");
    let error = Hypernetwork::parse(embedding).unwrap_err().to_string();
    assert_eq!(error, "a hypernetwork must have networks by their widths, got none");
}
