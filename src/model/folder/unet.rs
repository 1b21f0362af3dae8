//! `unet/config.json`: what the U-Net is given besides the latents.

use serde::Deserialize;
use serde_json::Value;

use super::text::TextEncoder;
use super::{Extra, Family, UnetFacts};
use crate::onnx::Skeleton;

#[derive(Deserialize)]
pub(super) struct Unet {
    in_channels: usize,
    /// Those of the latents.
    pub(super) out_channels: usize,
    block_out_channels: Vec<usize>,
    sample_size: Option<Sides>,
    cross_attention_dim: Value,
    time_cond_proj_dim: Option<usize>,
    addition_embed_type: Option<String>,
    addition_time_embed_dim: Option<usize>,
    projection_class_embeddings_input_dim: Option<usize>,
    class_embed_type: Option<Value>,
    encoder_hid_dim_type: Option<Value>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged)]
pub(super) enum Sides {
    One(u32),
    /// Height and width.
    Two([u32; 2]),
}

impl Sides {
    /// Width and height.
    pub(super) fn size(self) -> (u32, u32) {
        match self {
            Self::One(side) => (side, side),
            Self::Two([height, width]) => (width, height),
        }
    }
}

impl Unet {
    /// What a graph without a configuration tells. The converter that leaves it out knew only the first families.
    pub(super) fn bare(graph: &Skeleton) -> Result<Self, String> {
        let last = |shape: Option<Vec<Option<usize>>>| shape.and_then(|shape| shape.last().copied().flatten());
        let kernel =
            graph.first_kernel("sample").ok_or("the graph must begin with a convolution of its input sample")?;
        let [_, in_channels, ..] = kernel[..] else {
            return Err(format!("the first convolution's kernel must have four dimensions, got {kernel:?}"));
        };
        let out = graph.output("out_sample").and_then(|shape| shape.get(1).copied().flatten());
        Ok(Self {
            in_channels,
            out_channels: out.unwrap_or(4),
            // Every block but the last ends with a halving; how wide the blocks are does not matter here.
            block_out_channels: vec![0; graph.halvings() + 1],
            sample_size: None,
            cross_attention_dim: last(graph.input("encoder_hidden_states")).into(),
            time_cond_proj_dim: last(graph.input("timestep_cond")),
            addition_embed_type: None,
            addition_time_embed_dim: None,
            projection_class_embeddings_input_dim: None,
            class_embed_type: None,
            encoder_hid_dim_type: None,
        })
    }

    pub(super) fn check(&self) -> Result<(), String> {
        for (key, value) in
            [("class_embed_type", &self.class_embed_type), ("encoder_hid_dim_type", &self.encoder_hid_dim_type)]
        {
            if let Some(value) = value {
                return Err(format!("{key} must be null, got {value}"));
            }
        }
        match self.addition_embed_type.as_deref() {
            None | Some("text_time") => {}
            Some(other) => return Err(format!("addition_embed_type must be null or text_time (SDXL), got {other}")),
        }
        if self.time_cond_proj_dim.is_some_and(|width| width < 4) {
            return Err(format!("time_cond_proj_dim must be at least 4, got {}", self.time_cond_proj_dim.unwrap_or(0)));
        }
        if !(1..=8).contains(&self.block_out_channels.len()) {
            return Err(format!("block_out_channels must list 1 to 8 blocks, got {}", self.block_out_channels.len()));
        }
        if self.sides().is_some_and(|(width, height)| width.min(height) == 0) {
            return Err("sample_size must be at least 1, got 0".to_owned());
        }
        self.extra().map(drop)
    }

    /// What the latents are joined by, told by the number of channels.
    pub(super) fn extra(&self) -> Result<Extra, String> {
        let latents = self.out_channels;
        match self.in_channels.checked_sub(latents) {
            Some(0) if latents > 0 => Ok(Extra::None),
            Some(more) if more == latents + 1 => Ok(Extra::Inpaint),
            Some(1) => Ok(Extra::Depth),
            other => {
                let pix2pix =
                    if other == Some(latents) { " (an instruct-pix2pix model, which is not served)" } else { "" };
                let (inpaint, depth, got) = (2 * latents + 1, latents + 1, self.in_channels);
                Err(format!(
                    "in_channels must be {latents} as out_channels, {inpaint} (inpainting) or {depth} (depth), got {got}{pix2pix}"
                ))
            }
        }
    }

    /// The family, where the U-Net tells it.
    pub(super) fn is_sdxl(&self) -> bool {
        self.addition_embed_type.is_some()
    }

    /// What the graph must take, held against the text encoders that feed it.
    pub(super) fn facts(&self, family: Family, texts: &[TextEncoder]) -> Result<UnetFacts, String> {
        Ok(UnetFacts {
            extra: self.extra()?,
            context: self.context(texts)?,
            guidance: self.time_cond_proj_dim,
            pooled: if family == Family::Sdxl { Some(self.pooled(texts)?) } else { None },
        })
    }

    /// The width of the text, if it is known and the same for all blocks.
    pub(super) fn width(&self) -> Option<usize> {
        self.cross_attention_dim.as_u64().and_then(|width| usize::try_from(width).ok())
    }

    /// The width of the text: the encoders' states stand side by side.
    fn context(&self, texts: &[TextEncoder]) -> Result<usize, String> {
        let widths: Vec<String> = texts.iter().map(|text| text.hidden_size.to_string()).collect();
        let expected = texts.iter().map(|text| text.hidden_size).sum::<usize>();
        let dims = &self.cross_attention_dim;
        // Left free by a graph without a configuration, one for all blocks, or one for each.
        let one = dims.is_null()
            || dims == expected
            || dims.as_array().is_some_and(|all| all.iter().all(|dim| *dim == expected));
        match one {
            true => Ok(expected),
            false => Err(format!(
                "cross_attention_dim must be the hidden_size of the text encoder{}, {}, got {dims}",
                if widths.len() > 1 { "s" } else { "" },
                widths.join(" + ")
            )),
        }
    }

    /// The width of the pooled text: what goes into the projection besides the embeddings of the six sizes.
    fn pooled(&self, texts: &[TextEncoder]) -> Result<usize, String> {
        let (Some(whole), Some(each)) = (self.projection_class_embeddings_input_dim, self.addition_time_embed_dim)
        else {
            return Err("projection_class_embeddings_input_dim and addition_time_embed_dim must be given with \
                        addition_embed_type text_time"
                .to_owned());
        };
        let text = texts.last().map_or(0, |text| text.projection_dim);
        match whole == text + 6 * each {
            true => Ok(text),
            false => Err(format!(
                "projection_class_embeddings_input_dim must be the projection_dim of text_encoder_2 and 6 times \
                 addition_time_embed_dim, {text} + 6 * {each}, got {whole}{}",
                if whole == text + 5 * each { " (a refiner, which makes no pictures of its own)" } else { "" }
            )),
        }
    }

    /// Width and height in latents; 64, the size of the first models, where the file does not say.
    pub(super) fn size(&self) -> (u32, u32) {
        self.sides().unwrap_or((64, 64))
    }

    /// How much smaller its smallest latents are than those it is given.
    pub(super) fn downscale(&self) -> u32 {
        1 << (self.block_out_channels.len() - 1)
    }

    fn sides(&self) -> Option<(u32, u32)> {
        self.sample_size.map(Sides::size)
    }
}
