//! `text_encoder/config.json` and `tokenizer/tokenizer_config.json`, and their likes for a second encoder.

use serde::Deserialize;

use super::Family;
use crate::onnx::Skeleton;

#[derive(Deserialize)]
pub(super) struct TextEncoder {
    pub(super) hidden_size: usize,
    /// Absent in files of the class's default, which is OpenAI's.
    #[serde(default = "quick_gelu")]
    hidden_act: String,
    /// Of CLIP's class.
    #[serde(default = "seventy_seven")]
    pub(super) max_position_embeddings: usize,
    /// Width of the pooled output of an encoder that has a projection; of CLIP's class.
    #[serde(default = "five_hundred_and_twelve")]
    pub(super) projection_dim: usize,
}

fn quick_gelu() -> String {
    "quick_gelu".to_owned()
}

fn seventy_seven() -> usize {
    77
}

fn five_hundred_and_twelve() -> usize {
    512
}

impl TextEncoder {
    /// What a graph without a configuration tells; `width` is what the U-Net says of the text.
    pub(super) fn bare(graph: &Skeleton, width: Option<usize>) -> Result<Self, String> {
        let states = graph.output("last_hidden_state").and_then(|shape| shape.last().copied().flatten());
        let ids = graph.input("input_ids").and_then(|shape| shape.last().copied().flatten());
        // The exact activation is made of the error function, OpenAI's of a sigmoid.
        let hidden_act = if graph.has("Erf") || graph.has("Gelu") { "gelu".to_owned() } else { quick_gelu() };
        Ok(Self {
            hidden_size: states
                .or(width)
                .ok_or("the graph or the U-Net's must say how wide the text is, both leave it free")?,
            hidden_act,
            max_position_embeddings: ids.unwrap_or_else(seventy_seven),
            projection_dim: five_hundred_and_twelve(),
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        match self.max_position_embeddings {
            3.. => Ok(()),
            few => Err(format!("max_position_embeddings must be at least 3, got {few}")),
        }
    }

    /// OpenAI's encoder has its own activation; OpenCLIP's, which came with v2, the exact one.
    pub(super) fn family(&self) -> Family {
        if self.hidden_act == "quick_gelu" { Family::Sd1 } else { Family::Sd2 }
    }
}

#[derive(Deserialize)]
pub(super) struct TokenizerConfig {
    #[serde(default = "clip")]
    tokenizer_class: String,
    pad_token: Option<Token>,
    added_tokens_decoder: Option<serde::de::IgnoredAny>,
}

/// `special_tokens_map.json`, which may be absent.
#[derive(Default, Deserialize)]
pub(super) struct SpecialTokens {
    pad_token: Option<Token>,
}

fn clip() -> String {
    "CLIPTokenizer".to_owned()
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Token {
    Text(String),
    Added { content: String },
}

impl TokenizerConfig {
    pub(super) fn check(&self) -> Result<(), String> {
        match self.tokenizer_class.as_str() {
            "CLIPTokenizer" | "CLIPTokenizerFast" => Ok(()),
            other => Err(format!("tokenizer_class must be CLIPTokenizer, got {other}")),
        }
    }

    /// The token that fills up: the end token unless the files say otherwise (v2 pads with `!`).
    ///
    /// As transformers reads them, the map goes first where this file is of the older kind without a list of added tokens:
    /// the first v2 models have the right token only there.
    pub(super) fn pad(self, map: SpecialTokens) -> String {
        let map = if self.added_tokens_decoder.is_some() { SpecialTokens::default() } else { map };
        match map.pad_token.or(self.pad_token) {
            Some(Token::Text(text) | Token::Added { content: text }) => text,
            None => "<|endoftext|>".to_owned(),
        }
    }
}
