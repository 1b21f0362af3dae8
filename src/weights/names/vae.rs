//! The autoencoder's names.

use super::Blocks;
use super::blocks::number;
use super::unet::renamed;

/// The names that diffusers gave the autoencoder's attention before version 0.17, beside the present ones.
pub(super) const OLD_ATTENTION: [(&str, &str); 4] =
    [("to_q", "query"), ("to_k", "key"), ("to_v", "value"), ("to_out.0", "proj_attn")];

/// The original name of an autoencoder's parameter, without the checkpoint's prefix `first_stage_model.`.
///
/// The original counts the decoder's blocks from the picture, diffusers from the latents.
pub(super) fn original(name: &str, blocks: &Blocks) -> Option<String> {
    if name.starts_with("quant_conv.") || name.starts_with("post_quant_conv.") {
        return Some(name.to_owned());
    }
    let (half, rest) = name.split_once('.').filter(|(half, _)| ["encoder", "decoder"].contains(half))?;
    let inner = whole(rest).or_else(|| middle(rest)).or_else(|| in_block(rest, blocks))?;
    Some(format!("{half}.{inner}"))
}

/// Whether this is a matrix of the attention, which the original keeps as a convolution of one pixel.
pub(super) fn is_attention_matrix(name: &str) -> bool {
    name.contains(".attentions.") && name.ends_with(".weight") && !name.contains(".group_norm.")
}

/// The parameter of the autoencoder's attention under its old name in diffusers.
pub(super) fn old(name: &str) -> Option<String> {
    let (place, inner) = name.split_once(".attentions.0.")?;
    let inner = OLD_ATTENTION.iter().find_map(|(new, old)| renamed(inner, new, old))?;
    Some(format!("{place}.attentions.0.{inner}"))
}

fn whole(name: &str) -> Option<String> {
    const NAMES: [(&str, &str); 3] = [("conv_in", "conv_in"), ("conv_out", "conv_out"), ("conv_norm_out", "norm_out")];
    NAMES.iter().find_map(|(ours, original)| renamed(name, ours, original))
}

fn middle(name: &str) -> Option<String> {
    let rest = name.strip_prefix("mid_block.")?;
    if let Some(inner) = rest.strip_prefix("attentions.0.") {
        return attention(inner).map(|inner| format!("mid.attn_1.{inner}"));
    }
    let (index, inner) = rest.strip_prefix("resnets.")?.split_once('.')?;
    Some(format!("mid.block_{}.{}", number(index)? + 1, resnet(inner)))
}

fn in_block(name: &str, blocks: &Blocks) -> Option<String> {
    let (side, rest) = name.split_once('.')?;
    let (block, rest) = rest.split_once('.')?;
    let (kind, rest) = rest.split_once('.')?;
    let (layer, inner) = rest.split_once('.')?;
    let (block, layer) = (number(block)?, number(layer)?);
    let place = match side {
        "down_blocks" => format!("down.{block}"),
        "up_blocks" => format!("up.{}", blocks.ups.checked_sub(block + 1)?),
        _ => return None,
    };
    match kind {
        "resnets" => Some(format!("{place}.block.{layer}.{}", resnet(inner))),
        "downsamplers" => Some(format!("{place}.downsample.{inner}")),
        "upsamplers" => Some(format!("{place}.upsample.{inner}")),
        _ => None,
    }
}

fn resnet(inner: &str) -> String {
    renamed(inner, "conv_shortcut", "nin_shortcut").unwrap_or_else(|| inner.to_owned())
}

fn attention(inner: &str) -> Option<String> {
    const NAMES: [(&str, &str); 5] =
        [("group_norm", "norm"), ("to_q", "q"), ("to_k", "k"), ("to_v", "v"), ("to_out.0", "proj_out")];
    let old = OLD_ATTENTION.iter().find_map(|(new, old)| renamed(inner, old, new));
    let inner = old.as_deref().unwrap_or(inner);
    NAMES.iter().find_map(|(ours, original)| renamed(inner, ours, original))
}
