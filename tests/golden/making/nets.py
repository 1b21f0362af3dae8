"""Tiny nets of the real architectures: each has the layers and the ports of its family, and nothing of its size."""

import torch
from diffusers import AutoencoderTiny, UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    DPTConfig,
    DPTForDepthEstimation,
)

SCALE = 0.15  # of random weights: large enough that different words give different embeddings


def widen(model):
    """Gives the weights of a fresh model a spread with which its input shows in its output."""
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("weight") and "norm" not in name:
                weight.normal_(0, 0.02 if "position" in name else SCALE)
    return model.eval()


def text_encoder(vocabulary, width, act, projection=None):
    """CLIP's text model: two layers; with a projection of the pooled state where `projection` gives its width."""
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=2,
        num_attention_heads=4,
        projection_dim=projection or width,
        max_position_embeddings=77,
        hidden_act=act,
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    return widen(CLIPTextModel(config) if projection is None else CLIPTextModelWithProjection(config))


def unet(context, channels=4, **more):
    """A U-Net of two levels, so that sides need only be multiples of 16 pixels; `context` is the width of its text."""
    settings = {
        "sample_size": 8,
        "in_channels": channels,
        "out_channels": 4,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "block_out_channels": (8, 16),
        "layers_per_block": 1,
        "cross_attention_dim": context,
        "attention_head_dim": 4,
        "norm_num_groups": 4,
    }
    return UNet2DConditionModel(**{**settings, **more})


def unet_of_v2(context, channels=4):
    """Heads by level and linear projections, as in Stable Diffusion v2."""
    return unet(context, channels, attention_head_dim=[2, 4], use_linear_projection=True)


def unet_of_xl(context, pooled):
    """No attention at the first level, and added conditions: pooled text and sizes."""
    return unet(
        context,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        transformer_layers_per_block=[1, 1],
        attention_head_dim=[2, 4],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=6 * 8 + pooled,
    )


def tiny_autoencoder():
    """TAESD's layout, eight channels wide."""
    model = AutoencoderTiny(
        encoder_block_out_channels=(8, 8, 8, 8),
        decoder_block_out_channels=(8, 8, 8, 8),
        num_encoder_blocks=(1, 1, 1, 1),
        num_decoder_blocks=(1, 1, 1, 1),
        latent_channels=4,
        scaling_factor=1.0,
    ).eval()
    with torch.no_grad():  # random weights give grey and latents near 0: both get contrast
        pixels = model.decode(torch.randn(8, 4, 8, 8)).sample
        last, scale = model.decoder.layers[-1], 0.4 / pixels.std((0, 2, 3))
        last.weight *= scale.view(3, 1, 1, 1)
        last.bias.copy_(scale * (last.bias - (pixels.mean((0, 2, 3)) + 1) / 2) + 0.5)
        latents = model.encode(torch.rand(8, 3, 64, 64) * 2 - 1).latents
        last, scale = model.encoder.layers[-1], 1.0 / latents.std((0, 2, 3))
        last.weight *= scale.view(4, 1, 1, 1)
        last.bias.copy_(scale * (last.bias - latents.mean((0, 2, 3))))
    return model


def depth_net():
    """DPT, as MiDaS has it, for pictures of 64 by 64; always the same one."""
    config = DPTConfig(
        hidden_size=16,
        num_hidden_layers=4,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=64,
        patch_size=16,
        backbone_out_indices=[0, 1, 2, 3],
        neck_hidden_sizes=[8, 8, 8, 8],
        fusion_hidden_size=8,
        use_auxiliary_head=False,
    )
    with torch.random.fork_rng():
        torch.manual_seed(5)
        return widen(DPTForDepthEstimation(config))


def safety_checker(harmless, unsafe):
    """Flags what lies nearer to the second than to the first; both are pictures as CLIP wants them, [1, 3, 224, 224]."""
    sizes = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}
    model = StableDiffusionSafetyChecker(CLIPConfig(vision_config={**sizes, "patch_size": 16}, projection_dim=12))
    widen(model)
    with torch.no_grad():
        kept, flagged = (
            torch.nn.functional.normalize(model.visual_projection(model.vision_model(picture)[1]))
            for picture in (harmless, unsafe)
        )
        for concepts in (model.concept_embeds, model.special_care_embeds):
            concepts.normal_()
        model.concept_embeds[0] = (flagged - kept)[0]
        for thresholds in (model.concept_embeds_weights, model.special_care_embeds_weights):
            thresholds.fill_(1.0)  # no cosine is above it
        model.concept_embeds_weights[0] = 0.0
        margin = torch.nn.functional.cosine_similarity(flagged, flagged - kept).item()
        for find in (model.forward, model.forward_onnx):
            found = [bool(find(picture, torch.zeros(1, 1, 1, 3))[1][0]) for picture in (harmless, unsafe)]
            assert found == [False, True], found
        print(f"  the flagged picture is {margin:.3f} beyond the threshold, the other as far before it")
    return model
