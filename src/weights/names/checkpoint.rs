//! Which key of a file holds a parameter, and what must be done with what stands there.

use std::collections::HashSet;

use super::{Blocks, Part, text, unet, vae};

/// Where a parameter comes from, and how it is made from what the file has there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The tensor as it is.
    Whole(String),
    /// The `third` third (0, 1 or 2) of the tensor's rows: one of the queries, keys and values stacked in one.
    Rows {
        /// The key of the stacked tensor, of shape `[3n, m]` or `[3n]`.
        key: String,
        /// Which third: 0 queries, 1 keys, 2 values.
        third: usize,
    },
    /// The matrix, transposed.
    Transposed(String),
    /// The tensor without the axes of length 1 at its end: a convolution `[n, m, 1, 1]` that is a matrix `[n, m]` here.
    /// Some files have the matrix already.
    Squeezed(String),
}

impl Source {
    /// The key to read.
    pub fn key(&self) -> &str {
        match self {
            Self::Whole(key) | Self::Rows { key, .. } | Self::Transposed(key) | Self::Squeezed(key) => key,
        }
    }
}

/// A checkpoint in one file with the original layout: where its parts stand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    unet: Option<&'static str>,
    vae: Option<&'static str>,
    texts: [Option<Text>; 2],
}

/// How a text encoder's parameters are named after its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Text {
    /// As transformers names them.
    Clip(&'static str),
    /// The same without the `text_model.` at the beginning, as early transformers had it.
    ShortClip(&'static str),
    OpenClip(&'static str),
}

const TEXTS: [&[Text]; 2] = [
    &[
        Text::Clip("cond_stage_model.transformer."),
        Text::ShortClip("cond_stage_model.transformer."),
        Text::OpenClip("cond_stage_model.model."),
        Text::Clip("conditioner.embedders.0.transformer."),
        Text::OpenClip("conditioner.embedders.0.model."),
    ],
    &[Text::OpenClip("conditioner.embedders.1.model."), Text::Clip("conditioner.embedders.1.transformer.")],
];

/// The U-Net's prefix in the original code.
const UNET: &str = "model.diffusion_model.";

/// The first weight of every U-Net.
const UNET_BEGINS: &str = "input_blocks.0.0.weight";

/// What LDM calls the moving average of a weight: all its dots are gone (`LitEma` in its `ema.py`).
///
/// None for what is no weight of the U-Net: there are no other averages.
pub fn averaged(key: &str) -> Option<String> {
    let key = key.strip_prefix("model.").filter(|_| key.starts_with(UNET))?;
    Some(format!("model_ema.{}", key.replace('.', "")))
}

impl Checkpoint {
    /// The layout of a file with these keys; None when no part of it has the original layout's names.
    pub fn of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let keys: HashSet<&str> = keys.into_iter().collect();
        let has = |prefix: &str, key: &str| keys.contains(format!("{prefix}{key}").as_str());
        let after = |prefixes: [&'static str; 3], key| prefixes.into_iter().find(|prefix| has(prefix, key));
        let unet = after([UNET, "diffusion_model.", ""], UNET_BEGINS).or_else(|| {
            averaged(&format!("{UNET}{UNET_BEGINS}")).filter(|key| keys.contains(key.as_str())).map(|_| UNET)
        });
        let vae = after(["first_stage_model.", "vae.", ""], "decoder.mid.block_1.conv1.weight");
        let texts = TEXTS.map(|layouts| layouts.iter().copied().find(|layout| layout.is_in(has)));
        let any = unet.is_some() || vae.is_some() || texts.iter().any(Option::is_some);
        any.then_some(Self { unet, vae, texts })
    }

    /// Where the parameter `name` (diffusers' name) of a part stands. `blocks` is the structure of that part.
    ///
    /// None when the file lacks the part or the original layout has no such parameter. That the file has the key is
    /// not said by this.
    pub fn source(&self, part: Part, name: &str, blocks: &Blocks) -> Option<Source> {
        match part {
            Part::Unet => Some(Source::Whole(format!("{}{}", self.unet?, unet::original(name, blocks)?))),
            Part::Text(number) => (*self.texts.get(number)?)?.source(name),
            Part::Vae => {
                let key = format!("{}{}", self.vae?, vae::original(name, blocks)?);
                Some(if vae::is_attention_matrix(name) { Source::Squeezed(key) } else { Source::Whole(key) })
            }
        }
    }

    /// What the keys of a part begin with; None when the file lacks the part.
    pub fn prefix(&self, part: Part) -> Option<&'static str> {
        match part {
            Part::Unet => self.unet,
            Part::Vae => self.vae,
            Part::Text(number) => (*self.texts.get(number)?).map(Text::prefix),
        }
    }
}

impl Text {
    fn prefix(self) -> &'static str {
        let (Self::Clip(prefix) | Self::ShortClip(prefix) | Self::OpenClip(prefix)) = self;
        // Above the encoder itself stands its embedder, which has nothing else.
        prefix.strip_suffix("transformer.").or_else(|| prefix.strip_suffix("model.")).unwrap_or(prefix)
    }

    fn is_in(self, has: impl Fn(&str, &str) -> bool) -> bool {
        match self {
            Self::Clip(prefix) => has(prefix, "text_model.embeddings.token_embedding.weight"),
            Self::ShortClip(prefix) => has(prefix, "embeddings.token_embedding.weight"),
            Self::OpenClip(prefix) => has(prefix, "token_embedding.weight"),
        }
    }

    fn source(self, name: &str) -> Option<Source> {
        let short = name.strip_prefix("text_model.").unwrap_or(name);
        match self {
            Self::Clip(prefix) if short.starts_with("text_projection.") => {
                Some(Source::Whole(format!("{prefix}{short}")))
            }
            Self::Clip(prefix) => Some(Source::Whole(format!("{prefix}text_model.{short}"))),
            Self::ShortClip(prefix) => Some(Source::Whole(format!("{prefix}{short}"))),
            Self::OpenClip(prefix) => text::open_clip(name, prefix),
        }
    }
}

/// Where the parameter `name` stands in a file of diffusers' own layout with the keys that `has` tells of.
///
/// It is the name itself, but for the autoencoder's attention, which old folders name otherwise.
pub fn in_folder(name: &str, has: impl Fn(&str) -> bool) -> Source {
    match vae::old(name).filter(|old| !has(name) && has(old)) {
        Some(old) => Source::Squeezed(old),
        None => Source::Whole(name.to_owned()),
    }
}
