use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array1, Array2};

use super::super::{Element, Modules, Place};
use super::*;

fn golden(name: &str) -> Skeleton {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    Skeleton::parse(&std::fs::read(file).unwrap()).unwrap()
}

fn unet(family: &str) -> Skeleton {
    golden(&format!("families/{family}/model/unet/model.onnx"))
}

fn inputs(skeleton: &Skeleton) -> Vec<&str> {
    skeleton.inputs.iter().map(|port| port.said.name.as_str()).collect()
}

/// Whether every value is made before it is used, and made once.
fn is_in_order(skeleton: &Skeleton) -> bool {
    let mut values: Vec<&str> = inputs(skeleton);
    values.extend(skeleton.initializers().iter().map(|tensor| tensor.name.as_str()));
    let mut values = std::collections::HashSet::<&str>::from_iter(values);
    let ordered = skeleton.nodes.iter().all(|node| {
        let known = node.inputs().iter().all(|input| input.is_empty() || values.contains(input.as_str()));
        known && node.outputs().iter().all(|output| values.insert(output))
    });
    ordered && skeleton.outputs.iter().all(|port| values.contains(port.said.name.as_str()))
}

/// A network that changes nothing.
fn idle(width: usize) -> Mlp {
    let (weight, bias) = (Array2::zeros((width, width)), Array1::zeros(width));
    Mlp { layers: vec![Layer::Linear { weight, bias }, Layer::Activation(Activation::Relu)] }
}

fn net(widths: &[usize]) -> Net {
    Net { widths: widths.iter().map(|&width| (width, [idle(width), idle(width)])).collect::<BTreeMap<_, _>>() }
}

#[test]
fn only_the_table_of_embeddings_reads_the_new_ids() {
    for text in ["sd1", "sd1-legacy"].map(|family| format!("families/{family}/model/text_encoder/model.onnx")) {
        let mut skeleton = golden(&text);
        let modules = Modules::of(&skeleton);
        let table = modules.get("text_model.embeddings.token_embedding", "weight").unwrap().initializer.clone();
        assert_eq!(own_ids(&mut skeleton, &table).unwrap(), "embedding_ids");
        assert_eq!(inputs(&skeleton), ["input_ids", "embedding_ids"]);
        assert_eq!(skeleton.input("embedding_ids"), skeleton.input("input_ids"));
        assert!(is_in_order(&skeleton));
        // The largest of the first ids is still looked for.
        assert!(!cone::between(&skeleton, "input_ids", "pooler_output").is_empty());
        let error = own_ids(&mut skeleton, &table).unwrap_err().to_string();
        assert!(error.contains("among the inputs") || error.contains("already has a value"), "{error}");
    }
    let error = own_ids(&mut golden("graphs/unet.onnx"), "embeddings").unwrap_err().to_string();
    assert_eq!(error, "the graph cannot be edited: one Gather of embeddings was looked for, got 0");
}

#[test]
fn a_skip_of_more_layers_than_there_are_is_refused() {
    let mut skeleton = golden("families/sd1/model/text_encoder/model.onnx");
    let before = skeleton.to_bytes();
    clip_skip(&mut skeleton, 0).unwrap();
    assert_eq!(skeleton.to_bytes(), before);
    let error = clip_skip(&mut skeleton, 3).unwrap_err().to_string();
    assert!(error.ends_with("at most 2 layers can be skipped, which is all it has, got 3"), "{error}");
    clip_skip(&mut skeleton, 2).unwrap();
    assert!(is_in_order(&skeleton));
    let error = clip_skip(&mut unet("sd1"), 1).unwrap_err().to_string();
    assert!(error.contains("were looked for, got neither"), "{error}");
}

#[test]
fn a_state_that_is_an_output_already_is_not_given_out_twice() {
    let mut skeleton = golden("families/sdxl/model/text_encoder_2/model.onnx");
    let before = skeleton.to_bytes();
    assert_eq!(states_before_last(&mut skeleton, 1).unwrap(), "hidden_states.1");
    assert_eq!(skeleton.to_bytes(), before);
    let mut skeleton = golden("families/sd1/model/text_encoder/model.onnx");
    assert_eq!(states_before_last(&mut skeleton, 1).unwrap(), "hidden_states.1");
    assert_eq!(skeleton.output("hidden_states.1"), skeleton.output("last_hidden_state"));
}

#[test]
fn parameters_that_shared_a_value_have_each_their_own() {
    let mut skeleton = golden("families/sd1/model/text_encoder/model.onnx");
    assert_eq!(unshare(&mut skeleton), 19);
    let modules = Modules::of(&skeleton);
    assert!(modules.iter().all(|(_, _, weight)| !weight.shared && !weight.folded));
    assert_eq!(unshare(&mut skeleton), 0);
    let again = Skeleton::parse(&skeleton.to_bytes()).unwrap();
    assert_eq!(again.initializers().len(), skeleton.initializers().len());
}

#[test]
fn a_table_declares_more_rows_at_the_same_place() {
    let mut skeleton = golden("families/sd1/model/text_encoder/model.onnx");
    let table = "text_model.embeddings.token_embedding.weight";
    let before = skeleton.initializer(table).unwrap().clone();
    grow(&mut skeleton, table, 1003).unwrap();
    let again = Skeleton::parse(&skeleton.to_bytes()).unwrap();
    let after = again.initializer(table).unwrap();
    assert_eq!((before.shape.as_slice(), after.shape.as_slice()), (&[1000, 24][..], &[1003, 24][..]));
    let Place::File { length, .. } = after.place else { panic!("it is in the graph") };
    assert_eq!(length, 1003 * 24 * 4);
    // One in the graph takes any shape as it is.
    let small = "text_model.encoder.layers.0.mlp.fc1.bias";
    grow(&mut skeleton, small, 50).unwrap();
    assert_eq!(skeleton.initializer(small).unwrap().shape, [48]);
    assert!(grow(&mut skeleton, "none", 50).is_err());
}

#[test]
fn layers_that_read_the_same_text_share_a_hypernetwork() {
    for family in ["sd1", "sd2", "sdxl", "sd1-legacy", "sd1-fp16"] {
        let mut skeleton = unet(family);
        let before = skeleton.nodes.len();
        let modules = Modules::of(&skeleton);
        let strengths = hypernetworks(&mut skeleton, &modules, &[net(&[24, 40]), net(&[24, 40])]).unwrap();
        assert_eq!(strengths, ["hypernetwork_strength.0", "hypernetwork_strength.1"]);
        assert!(inputs(&skeleton).ends_with(&["hypernetwork_strength.0", "hypernetwork_strength.1"]));
        assert!(is_in_order(&skeleton));
        // For keys and for values, two networks of a product, a sum, a relu, a strength and a sum; halves cast the strength.
        let each = if family == "sd1-fp16" { 6 } else { 5 };
        assert_eq!(skeleton.nodes.len() - before, 2 * 2 * each, "{family}");
    }
}

#[test]
fn the_weights_of_a_hypernetwork_have_the_type_of_the_graph() {
    for (family, element) in [("sd1", Element::F32), ("sd1-fp16", Element::F16)] {
        let mut skeleton = unet(family);
        let before = skeleton.initializers().len();
        let modules = Modules::of(&skeleton);
        hypernetworks(&mut skeleton, &modules, &[net(&[8, 16, 24])]).unwrap();
        let added = &skeleton.initializers()[before..];
        // For three widths, keys and values: a matrix and a row.
        assert_eq!(added.len(), 3 * 2 * 2);
        assert!(added.iter().all(|tensor| tensor.element == element && matches!(tensor.place, Place::Inline(_))));
        assert!(added.iter().all(|tensor| match &tensor.place {
            Place::Inline(values) => Some(values.len() as u64) == tensor.size(),
            Place::File { .. } => false,
        }));
    }
}

#[test]
fn a_hypernetwork_of_other_widths_is_refused() {
    let mut skeleton = unet("sd1");
    let before = skeleton.to_bytes();
    let modules = Modules::of(&skeleton);
    let error = hypernetworks(&mut skeleton, &modules, &[net(&[24]), net(&[320, 768])]).unwrap_err().to_string();
    assert_eq!(
        error,
        "the graph cannot be edited: keys and values of a width out of [320, 768] were looked for, got {8, 16, 24}"
    );
    assert_eq!(skeleton.to_bytes(), before);
}

#[test]
fn one_timestep_for_all_becomes_one_for_each_entry() {
    for family in ["sd1", "sd2", "sdxl"] {
        let mut skeleton = unet(family);
        let (nodes, constants) = (skeleton.nodes.len(), skeleton.initializers().len());
        assert_eq!(skeleton.input("timestep"), Some(vec![]), "{family}");
        own_times(&mut skeleton, "timestep").unwrap();
        assert_eq!(skeleton.input("timestep"), Some(vec![None]), "{family}");
        assert_eq!(skeleton.nodes.len(), nodes - 1);
        assert!(skeleton.initializers().len() >= constants - 1);
        assert!(is_in_order(&skeleton));
        let again = own_times(&mut skeleton, "timestep").unwrap_err().to_string();
        assert_eq!(again, "the graph cannot be edited: timestep must be one number for all entries");
    }
}

#[test]
fn a_timestep_that_is_not_spread_over_the_batch_as_usual_stays_one_for_all() {
    let mut skeleton = golden("graphs/unet.onnx");
    let before = skeleton.to_bytes();
    let error = own_times(&mut skeleton, "timestep").unwrap_err().to_string();
    assert_eq!(error, "the graph cannot be edited: Unsqueeze and Expand were looked for behind timestep");
    let error = own_times(&mut skeleton, "time").unwrap_err().to_string();
    assert_eq!(error, "the graph cannot be edited: an input time was looked for, got none");
    // A second user of the number would get a list.
    let mut shared = unet("sd1");
    shared.nodes.push(Node::new("other", "Identity", &["timestep"], "other"));
    assert!(own_times(&mut shared, "timestep").is_err());
    assert_eq!(skeleton.to_bytes(), before);
}
