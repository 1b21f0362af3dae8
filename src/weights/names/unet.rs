//! The U-Net's names.

use super::Blocks;
use super::blocks::number;

/// The original name of a U-Net's parameter or module, without the checkpoint's prefix `model.diffusion_model.`.
///
/// `down_blocks.1.attentions.0.proj_in` of SD v1 is `input_blocks.4.1.proj_in`: with n layers a block, the blocks are
/// counted through in steps of n + 1, and entry 0 is the first convolution. None where the original has no such weight.
pub fn original(name: &str, blocks: &Blocks) -> Option<String> {
    whole(name).or_else(|| in_block(name, blocks))
}

/// Modules outside the blocks.
fn whole(name: &str) -> Option<String> {
    const NAMES: [(&str, &str); 9] = [
        ("conv_in", "input_blocks.0.0"),
        ("time_embedding.linear_1", "time_embed.0"),
        ("time_embedding.linear_2", "time_embed.2"),
        ("add_embedding.linear_1", "label_emb.0.0"),
        ("add_embedding.linear_2", "label_emb.0.2"),
        ("class_embedding.linear_1", "label_emb.0.0"),
        ("class_embedding.linear_2", "label_emb.0.2"),
        ("conv_norm_out", "out.0"),
        ("conv_out", "out.2"),
    ];
    NAMES.iter().find_map(|(ours, original)| renamed(name, ours, original))
}

fn in_block(name: &str, blocks: &Blocks) -> Option<String> {
    let (side, rest) = name.split_once('.')?;
    if side == "mid_block" {
        return layer(rest, |kind, index| match kind {
            "resnets" => Some(format!("middle_block.{}", 2 * index)),
            "attentions" => Some(format!("middle_block.{}", 2 * index + 1)),
            _ => None,
        });
    }
    let (block, rest) = rest.split_once('.')?;
    let block = number(block)?;
    let first = block * (blocks.layers + 1);
    match side {
        "down_blocks" => layer(rest, |kind, index| match kind {
            "resnets" => Some(format!("input_blocks.{}.0", first + index + 1)),
            "attentions" => Some(format!("input_blocks.{}.1", first + index + 1)),
            "downsamplers" => Some(format!("input_blocks.{}.0", first + blocks.layers + 1)),
            _ => None,
        }),
        "up_blocks" => layer(rest, |kind, index| match kind {
            "resnets" => Some(format!("output_blocks.{}.0", first + index)),
            "attentions" => Some(format!("output_blocks.{}.1", first + index)),
            "upsamplers" => {
                let place = if blocks.attentive_ups.contains(&block) { 2 } else { 1 };
                Some(format!("output_blocks.{}.{place}", first + blocks.layers))
            }
            _ => None,
        }),
        _ => None,
    }
}

/// `KIND.INDEX.INNER`: the place of the layer as told by `place`, and the inner name as the original has it.
fn layer(name: &str, place: impl Fn(&str, usize) -> Option<String>) -> Option<String> {
    let (kind, rest) = name.split_once('.')?;
    let (index, inner) = rest.split_once('.')?;
    let place = place(kind, number(index)?)?;
    let inner = match kind {
        "resnets" => resnet(inner)?,
        "downsamplers" => renamed(inner, "conv", "op")?,
        _ => inner.to_owned(),
    };
    Some(format!("{place}.{inner}"))
}

fn resnet(inner: &str) -> Option<String> {
    const NAMES: [(&str, &str); 6] = [
        ("norm1", "in_layers.0"),
        ("conv1", "in_layers.2"),
        ("time_emb_proj", "emb_layers.1"),
        ("norm2", "out_layers.0"),
        ("conv2", "out_layers.3"),
        ("conv_shortcut", "skip_connection"),
    ];
    NAMES.iter().find_map(|(ours, original)| renamed(inner, ours, original))
}

/// `name` with its beginning `from`, which ends at a dot or with the name, replaced by `to`.
pub(super) fn renamed(name: &str, from: &str, to: &str) -> Option<String> {
    let rest = name.strip_prefix(from)?;
    (rest.is_empty() || rest.starts_with('.')).then(|| format!("{to}{rest}"))
}
