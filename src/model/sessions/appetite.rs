//! How much memory a pass takes besides the graph's weights: as it was measured, or else as the graph's nodes tell.
//!
//! Nodes tell it for graphs of pictures on the processor. While scores of self-attention are made, they are there twice,
//! before and after the softmax; and where a layer is widest, about three tensors of that width are there. Held against
//! real graphs this was from 1 % too little to 56 % too much (`docs/performance.md`).

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use serde::Deserialize;

use super::super::anatomy::Anatomy;
use crate::onnx::Activations;

/// What passes of one graph take.
#[derive(Default)]
pub(super) struct Appetite {
    activations: Activations,
    heads: usize,
    /// Bytes by the shape of the input.
    measured: HashMap<Vec<usize>, u64>,
}

/// Bytes of a number. Graphs in half precision are computed in single precision on the processor.
const NUMBER: f64 = 4.0;
/// How many tensors of the widest layer there are at a time.
const TENSORS: f64 = 3.0;

impl Appetite {
    /// What the nodes of a graph tell that takes pictures or latents by its input `name`; nothing if it cannot be read.
    pub(super) fn of(file: &Path, name: &str) -> Self {
        let Ok(graph) = Anatomy::read(file) else { return Self::default() };
        let activations = graph.skeleton.activations(name);
        // How often the sides were halved where attention is finest.
        let level = (0..8).take_while(|level| activations.tokens * f64::from(1 << (2 * level)) < 1.0).count();
        let takes_text = graph.skeleton.input("encoder_hidden_states").is_some();
        Self { activations, heads: heads(file, level, takes_text), measured: HashMap::new() }
    }

    /// Bytes of a pass with an input of that shape, [batch, channels, height, width]; 0 if nothing is known.
    pub(super) fn bytes(&self, shape: &[usize]) -> u64 {
        self.measured.get(shape).copied().unwrap_or_else(|| self.told(shape))
    }

    /// Learns from such a pass, by which what its session has for passes grew by `grew` bytes to `taken`: it took something
    /// between the two, and all of them if it was the first.
    pub(super) fn learn(&mut self, shape: &[usize], grew: u64, taken: u64) {
        // What other threads gave back meanwhile must not make a large pass a small one.
        let least = self.told(shape) / 2;
        let bytes = self.bytes(shape).clamp(grew.min(taken), taken).max(least);
        self.measured.insert(shape.to_vec(), bytes);
    }

    fn told(&self, shape: &[usize]) -> u64 {
        let [batch, _, height, width] = shape.iter().map(|&side| side as f64).collect::<Vec<_>>()[..] else { return 0 };
        let places = height * width;
        let scores = 2.0 * self.heads as f64 * (places * self.activations.tokens).powi(2);
        (NUMBER * batch * (scores + TENSORS * self.activations.widest * places)) as u64
    }
}

/// What a graph's configuration says of attention heads; in diffusers the one key means the other.
#[derive(Deserialize)]
struct Config {
    num_attention_heads: Option<Heads>,
    attention_head_dim: Option<Heads>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Heads {
    All(usize),
    /// For each level.
    Each(Vec<usize>),
}

/// The heads of attention at a level. Without a configuration it is one of the first models; autoencoders have one head.
fn heads(file: &Path, level: usize, takes_text: bool) -> usize {
    let config = fs::read(file.with_file_name("config.json")).ok();
    let config = config.and_then(|json| serde_json::from_slice::<Config>(&json).ok());
    match config.and_then(|config| config.num_attention_heads.or(config.attention_head_dim)) {
        Some(Heads::All(heads)) => heads,
        Some(Heads::Each(heads)) => heads.get(level).or(heads.last()).copied().unwrap_or(1),
        None if takes_text => 8,
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::testing::{bundled, golden};

    #[test]
    fn scores_grow_with_the_square_of_the_places_and_all_else_with_the_places() {
        let unet = Appetite::of(&bundled("shapes/unet/model.onnx"), "sample");
        // Four heads, and 512 channels.
        assert_eq!(unet.bytes(&[1, 4, 8, 8]), 4 * (2 * 4 * 64 * 64 + 3 * 512 * 64));
        assert_eq!(unet.bytes(&[2, 4, 16, 8]), 2 * 4 * (2 * 4 * 128 * 128 + 3 * 512 * 128));
        let decoder = Appetite::of(&bundled("shapes/vae_decoder/model.onnx"), "latent_sample");
        assert_eq!(decoder.bytes(&[1, 4, 8, 8]), 4 * (2 * 64 * 64 + 3 * 16 * 64 * 64));
    }

    #[test]
    fn each_level_has_its_own_heads() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("model.onnx");
        let told = |json: &str, level| {
            fs::write(folder.path().join("config.json"), json).unwrap();
            heads(&file, level, true)
        };
        assert_eq!(told(r#"{"attention_head_dim": [5, 10, 20]}"#, 1), 10);
        assert_eq!(told(r#"{"attention_head_dim": 8, "num_attention_heads": null}"#, 2), 8);
        assert_eq!(told(r#"{"attention_head_dim": 8, "num_attention_heads": 4}"#, 2), 4);
        assert_eq!((told("{}", 0), heads(&file, 0, false)), (8, 1));
    }

    #[test]
    fn what_was_measured_goes_before_what_was_told() {
        let mut unet = Appetite::of(&bundled("shapes/unet/model.onnx"), "sample");
        let (shape, other) = ([1, 4, 8, 8], [1, 4, 16, 16]);
        let told = unet.bytes(&shape);
        unet.learn(&shape, told + 1000, told + 1000);
        assert_eq!(unet.bytes(&shape), told + 1000);
        // It fitted into what larger passes had left, so it takes no more than that.
        unet.learn(&shape, 0, told + 500);
        assert_eq!(unet.bytes(&shape), told + 500);
        // What larger passes had left says nothing more, even if a little was wanted besides.
        unet.learn(&shape, 10, 9 * told);
        assert_eq!(unet.bytes(&shape), told + 500);
        unet.learn(&other, 0, 0);
        assert_eq!(unet.bytes(&other), unet.told(&other) / 2);
    }

    #[test]
    fn nothing_is_told_of_graphs_without_pictures() {
        let text = Appetite::of(&bundled("shapes/text_encoder/model.onnx"), "input_ids");
        assert_eq!(text.bytes(&[1, 77]), 0);
        assert_eq!(Appetite::of(&golden("nothing.onnx"), "sample").bytes(&[1, 4, 64, 64]), 0);
    }
}
