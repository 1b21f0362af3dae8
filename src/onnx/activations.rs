//! How wide a graph's layers are, for each place of its input.

use std::collections::HashMap;

use super::Skeleton;
use super::skeleton::{Initializer, Node};

/// What a pass computes for each place (a row and a column) of its input; as numbers, of all channels together.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Activations {
    /// What the widest layer gives.
    pub widest: f64,
    /// Tokens of the finest self-attention that makes all its scores at once, tokens times tokens for each head; 0 where
    /// there is none, as in graphs with fused attention.
    pub tokens: f64,
}

impl Skeleton {
    /// Follows the input `name` through the graph. Resizing is taken to double both sides, as it does in all models of
    /// diffusers. What the nodes do not tell is left out.
    pub fn activations(&self, name: &str) -> Activations {
        let (mut areas, mut weights) = (HashMap::from([(name, 1.0)]), self.weights_by_name());
        let mut found = Activations::default();
        for node in &self.nodes {
            if let Some(weight) = stored(node, &weights) {
                weights.insert(node.output(), weight);
            }
            let before = node.inputs().iter().filter_map(|input| areas.get(input.as_str())).copied().reduce(f64::max);
            let Some(area) = before.and_then(|before| area(node, before)) else { continue };
            areas.extend(node.outputs().iter().map(|output| (output.as_str(), area)));
            found.widest = found.widest.max(area * width(node, &weights) as f64);
            if node.operator() == "Softmax" {
                found.tokens = found.tokens.max(area);
            }
        }
        found
    }

    fn weights_by_name(&self) -> HashMap<&str, &Initializer> {
        self.initializers.iter().map(|weight| (weight.name.as_str(), weight)).collect()
    }
}

/// The weight that a node only gives in another precision.
fn stored<'a>(node: &Node, weights: &HashMap<&str, &'a Initializer>) -> Option<&'a Initializer> {
    match node.operator() {
        "Cast" | "Identity" | "DequantizeLinear" => weights.get(node.input(0)?).copied(),
        _ => None,
    }
}

/// How many places there are after a node, for each of the input; none after one that gives no picture any more.
fn area(node: &Node, before: f64) -> Option<f64> {
    let strides = || node.integers("strides").unwrap_or(&[]).iter().product::<i64>().max(1) as f64;
    match node.operator() {
        "Shape" => None,
        "Conv" | "MaxPool" | "AveragePool" => Some(before / strides()),
        "ConvTranspose" => Some(before * strides()),
        "Resize" | "Upsample" => Some(before * 4.0),
        _ => Some(before),
    }
}

/// The channels that a layer gives; 0 for all other nodes.
fn width(node: &Node, weights: &HashMap<&str, &Initializer>) -> usize {
    let weight = node.input(1).and_then(|input| weights.get(input));
    let width = match node.operator() {
        "Conv" => weight.and_then(|kernel| kernel.shape.first()),
        "MatMul" => weight.and_then(|weight| weight.shape.get(1)),
        _ => None,
    };
    width.copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bundled(name: &str) -> Skeleton {
        let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
        Skeleton::parse(&std::fs::read(file).unwrap()).unwrap()
    }

    #[test]
    fn a_unet_is_widest_in_the_feed_forward_layer_of_its_finest_block() {
        // 64 channels, which the gated layer makes 2 * 4 times as many. The other graph has 8 bits and fused attention.
        for (folder, tokens) in [("models/shapes", 1.0), ("tests/golden/quantised", 0.0)] {
            let found = bundled(&format!("{folder}/unet/model.onnx")).activations("sample");
            assert_eq!(found, Activations { widest: 512.0, tokens }, "{folder}");
        }
    }

    #[test]
    fn a_decoder_is_widest_where_it_has_all_pixels_and_attends_to_latents() {
        // The last block but one, 16 channels wide, is doubled in both directions three times.
        let found = bundled("models/shapes/vae_decoder/model.onnx").activations("latent_sample");
        assert_eq!(found, Activations { widest: 16.0 * 64.0, tokens: 1.0 });
        let found = bundled("models/shapes/vae_encoder/model.onnx").activations("sample");
        assert_eq!(found, Activations { widest: 8.0, tokens: 1.0 / 64.0 });
    }

    #[test]
    fn patches_of_a_picture_are_one_place_each() {
        // Patches of 16 by 16 pixels.
        let found =
            bundled("tests/golden/families/sd1-safety/model/safety_checker/model.onnx").activations("clip_input");
        assert_eq!(found, Activations { widest: 32.0 / 256.0, tokens: 1.0 / 256.0 });
    }

    #[test]
    fn what_does_not_come_from_the_input_does_not_count() {
        assert_eq!(bundled("models/shapes/unet/model.onnx").activations("nothing"), Activations::default());
    }
}
