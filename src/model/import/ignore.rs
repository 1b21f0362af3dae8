//! Keys of checkpoints that a picture does not need.

/// Where training keeps its own things: averages that are not asked for, noise schedules, losses.
const BEGINNINGS: [&str; 12] = [
    "model_ema.",
    "alphas_cumprod",
    "sqrt_",
    "log_one_minus_alphas_cumprod",
    "posterior_",
    "lvlb_weights",
    "logvar",
    "denoiser.",
    "first_stage_model.loss.",
    "first_stage_model.model_ema.",
    "optimizer_states",
    "callbacks",
];

/// Whole keys: schedules, counters, and marks that were read by then.
const WHOLE: [&str; 8] =
    ["betas", "global_step", "epoch", "state_dict", "scale_factor", "v_pred", "ztsnr", "model_ema.decay"];

/// Ends of keys: tables that the graph has by itself, and what only CLIP's other half needs. The text projection is a weight of
/// those encoders that have one, and of no use where the encoder has none; so is the last norm where only what stands before
/// it is asked for.
const ENDS: [&str; 10] = [
    ".position_ids",
    ".logit_scale",
    ".text_projection",
    ".text_projection.weight",
    ".attn_mask",
    "embedders.0.text_projection",
    ".ln_final.weight",
    ".ln_final.bias",
    ".final_layer_norm.weight",
    ".final_layer_norm.bias",
];

/// Whether a key that no weight of the template asks for is known to be of no use.
pub(super) fn is_of_no_use(key: &str) -> bool {
    BEGINNINGS.iter().any(|beginning| key.starts_with(beginning))
        || WHOLE.contains(&key)
        || ENDS.iter().any(|end| key.ends_with(end))
}

/// Whether a key is of the layer that comes after so many in a text encoder.
///
/// OpenCLIP's has one layer more in the files of v2, which v2 does not use: diffusers leaves it out too. SDXL reads both of its
/// encoders before their last layer.
pub(super) fn is_of_the_layer_after(layers: usize, key: &str) -> bool {
    [".resblocks.", ".layers."].iter().any(|list| key.contains(&format!("{list}{layers}.")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_training_leaves_behind_is_of_no_use_and_weights_are() {
        for key in ["model_ema.diffusion_modeltime_embed0weight", "betas", "cond_stage_model.model.logit_scale"] {
            assert!(is_of_no_use(key), "{key}");
        }
        for key in ["model.diffusion_model.out.2.bias", "first_stage_model.decoder.conv_in.bias", "lora_unet_x.alpha"] {
            assert!(!is_of_no_use(key), "{key}");
        }
    }

    #[test]
    fn only_the_layer_after_the_last_one_is_of_no_use() {
        let last = "cond_stage_model.model.transformer.resblocks.23.ln_1.bias";
        assert!(is_of_the_layer_after(23, last));
        assert!(!is_of_the_layer_after(22, last) && !is_of_the_layer_after(3, last));
    }
}
