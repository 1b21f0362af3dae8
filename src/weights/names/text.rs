//! The text encoders' names: CLIP as transformers has it, and OpenCLIP.

use super::Source;
use super::unet::renamed;

/// Where OpenCLIP keeps the parameter `name` of a `CLIPTextModel`; `prefix` ends with a dot.
///
/// OpenCLIP stacks the matrices of queries, keys and values in one, and multiplies by its projection from the other
/// side. Source: `convert_open_clip_checkpoint` of diffusers.
pub(super) fn open_clip(name: &str, prefix: &str) -> Option<Source> {
    const WHOLE: [(&str, &str); 3] = [
        ("embeddings.token_embedding.weight", "token_embedding.weight"),
        ("embeddings.position_embedding.weight", "positional_embedding"),
        ("final_layer_norm", "ln_final"),
    ];
    if name == "text_projection.weight" {
        return Some(Source::Transposed(format!("{prefix}text_projection")));
    }
    let name = name.strip_prefix("text_model.").unwrap_or(name);
    if let Some(whole) = WHOLE.iter().find_map(|(ours, original)| renamed(name, ours, original)) {
        return Some(Source::Whole(format!("{prefix}{whole}")));
    }
    let (layer, inner) = name.strip_prefix("encoder.layers.")?.split_once('.')?;
    let block = format!("{prefix}transformer.resblocks.{layer}");
    in_layer(inner, &block)
}

fn in_layer(inner: &str, block: &str) -> Option<Source> {
    const WHOLE: [(&str, &str); 5] = [
        ("layer_norm1", "ln_1"),
        ("layer_norm2", "ln_2"),
        ("mlp.fc1", "mlp.c_fc"),
        ("mlp.fc2", "mlp.c_proj"),
        ("self_attn.out_proj", "attn.out_proj"),
    ];
    const STACKED: [&str; 3] = ["self_attn.q_proj.", "self_attn.k_proj.", "self_attn.v_proj."];
    if let Some(whole) = WHOLE.iter().find_map(|(ours, original)| renamed(inner, ours, original)) {
        return Some(Source::Whole(format!("{block}.{whole}")));
    }
    STACKED.iter().enumerate().find_map(|(third, stacked)| {
        let kind = inner.strip_prefix(stacked)?;
        Some(Source::Rows { key: format!("{block}.attn.in_proj_{kind}"), third })
    })
}
