"""The families that have a template: shapes and settings of the models that their makers published."""
import dataclasses
import json
from typing import Any, Callable

from diffusers import AutoencoderKL, DDIMScheduler, EulerDiscreteScheduler, PNDMScheduler, UNet2DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

TRAINED = dict(beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", num_train_timesteps=1000, steps_offset=1)
# The published files have these settings whatever their class; another sampler asks for them.
PUBLISHED = dict(clip_sample=False, set_alpha_to_one=False, skip_prk_steps=True)
DOWN, UP = "CrossAttnDownBlock2D", "CrossAttnUpBlock2D"
FOUR = dict(
    down_block_types=(DOWN, DOWN, DOWN, "DownBlock2D"), up_block_types=("UpBlock2D", UP, UP, UP),
    block_out_channels=(320, 640, 1280, 1280), layers_per_block=2, in_channels=4, out_channels=4)
UNET_1 = dict(FOUR, sample_size=64, cross_attention_dim=768, attention_head_dim=8)
UNET_2 = dict(
    FOUR, sample_size=96, cross_attention_dim=1024, attention_head_dim=(5, 10, 20, 20), use_linear_projection=True,
    upcast_attention=True)
UNET_XL = dict(
    down_block_types=("DownBlock2D", DOWN, DOWN), up_block_types=(UP, UP, "UpBlock2D"),
    block_out_channels=(320, 640, 1280), layers_per_block=2, in_channels=4, out_channels=4, sample_size=128,
    cross_attention_dim=2048, attention_head_dim=(5, 10, 20), transformer_layers_per_block=(1, 2, 10),
    use_linear_projection=True, addition_embed_type="text_time", addition_time_embed_dim=256,
    projection_class_embeddings_input_dim=2816)
VAE = dict(
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
    block_out_channels=(128, 256, 512, 512), layers_per_block=2, in_channels=3, out_channels=3, latent_channels=4)
# The first models' files say of the special tokens what their tokenizer does not: these numbers make transformers take the
# token with the highest id for the end, which is right.
CLIP = dict(vocab_size=49408, max_position_embeddings=77, bos_token_id=0, eos_token_id=2, pad_token_id=1)
CLIP_L = dict(
    CLIP, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, projection_dim=768,
    hidden_act="quick_gelu")
# OpenCLIP's ViT-H without its last layer, which v2 does not use.
CLIP_H = dict(
    CLIP, hidden_size=1024, intermediate_size=4096, num_hidden_layers=23, num_attention_heads=16, projection_dim=512,
    hidden_act="gelu")
CLIP_G = dict(
    CLIP, hidden_size=1280, intermediate_size=5120, num_hidden_layers=32, num_attention_heads=20, projection_dim=1280,
    hidden_act="gelu")


@dataclasses.dataclass
class Family:
    """One family; `graphs` names the graphs that other families use too, or that are its own."""

    name: str
    modules: dict[str, Callable[[], Any]]
    scheduler: Any
    pads: dict[str, str]
    pipeline: str
    graphs: dict[str, str]
    half_vae: bool = True

    def graph(self, part):
        return self.graphs.get(part, part.replace("_", "-"))

    def write_settings(self, folder):
        """The JSON files of the folder, with the keys that diffusers' own files have."""
        index = {"_class_name": self.pipeline, "_diffusers_version": "0.35.2"}
        import torch
        with torch.device("meta"):
            modules = {part: make() for part, make in self.modules.items()}
        for part, module in modules.items():
            for place in ["vae_decoder", "vae_encoder"] if part == "vae" else [part]:
                write_json(folder / place / "config.json", settings(module))
                library = "transformers" if part.startswith("text") else "diffusers"
                index[place] = [library, type(module).__name__]
        write_json(folder / "scheduler" / "scheduler_config.json", PUBLISHED | schedule(self.scheduler))
        index["scheduler"] = ["diffusers", type(self.scheduler).__name__]
        for place, pad in self.pads.items():
            index[place] = ["transformers", "CLIPTokenizer"]
            special = dict(bos_token="<|startoftext|>", eos_token="<|endoftext|>", unk_token="<|endoftext|>", pad_token=pad)
            write_json(folder / place / "special_tokens_map.json", special)
            write_json(folder / place / "tokenizer_config.json", dict(
                special, tokenizer_class="CLIPTokenizer", model_max_length=77, do_lower_case=True, add_prefix_space=False,
                errors="replace"))
        if self.name == "sdxl":
            index["force_zeros_for_empty_prompt"] = True
        write_json(folder / "model_index.json", index)


def settings(module):
    """A module's configuration, without what is private to the machine or of no use here."""
    config = module.config.to_diff_dict() if hasattr(module.config, "to_diff_dict") else dict(module.config)
    config = {key: value for key, value in config.items() if not key.startswith("_") and key != "torch_dtype"}
    head = {"architectures": [type(module).__name__]} if hasattr(module.config, "to_diff_dict") else {
        "_class_name": type(module).__name__, "_diffusers_version": "0.35.2"}
    return {**head, **{key: config[key] for key in sorted(config) if key not in head}}


def schedule(scheduler):
    """A scheduler's configuration. What nobody has set stays absent: another sampler has defaults of its own for it."""
    own = scheduler.config
    unset = set(own.get("_use_default_values", ()))
    kept = {key: own[key] for key in sorted(own) if not key.startswith("_") and key not in unset}
    return {"_class_name": type(scheduler).__name__, "_diffusers_version": "0.35.2", **kept}


def write_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")


def unet(**config):
    return lambda: UNet2DConditionModel(**config)


def vae(**config):
    return lambda: AutoencoderKL(**VAE, **config)


def text(config, kind=CLIPTextModel):
    return lambda: kind(CLIPTextConfig(**config))


END, BANG = "<|endoftext|>", "!"
ALL = [
    Family(
        "sd1", dict(text_encoder=text(CLIP_L), unet=unet(**UNET_1), vae=vae(sample_size=512, scaling_factor=0.18215)),
        PNDMScheduler(**TRAINED, skip_prk_steps=True, set_alpha_to_one=False),
        {"tokenizer": END}, "StableDiffusionPipeline", {"text_encoder": "clip-l", "unet": "unet-sd1"}),
    Family(
        "sd1-inpaint",
        dict(text_encoder=text(CLIP_L), unet=unet(**{**UNET_1, "in_channels": 9}),
             vae=vae(sample_size=512, scaling_factor=0.18215)),
        PNDMScheduler(**TRAINED, skip_prk_steps=True, set_alpha_to_one=False),
        {"tokenizer": END}, "StableDiffusionInpaintPipeline", {"text_encoder": "clip-l", "unet": "unet-sd1-inpaint"}),
    Family(
        "sd2", dict(text_encoder=text(CLIP_H), unet=unet(**UNET_2), vae=vae(sample_size=768, scaling_factor=0.18215)),
        DDIMScheduler(**TRAINED, clip_sample=False, set_alpha_to_one=False, prediction_type="v_prediction"),
        {"tokenizer": BANG}, "StableDiffusionPipeline", {"text_encoder": "clip-h", "unet": "unet-sd2"}),
    Family(
        "sdxl",
        dict(text_encoder=text(CLIP_L), text_encoder_2=text(CLIP_G, CLIPTextModelWithProjection), unet=unet(**UNET_XL),
             vae=vae(sample_size=1024, scaling_factor=0.13025, force_upcast=True)),
        EulerDiscreteScheduler(**TRAINED, timestep_spacing="leading"),
        {"tokenizer": END, "tokenizer_2": BANG}, "StableDiffusionXLPipeline",
        {"text_encoder": "clip-l", "text_encoder_2": "clip-g", "unet": "unet-sdxl"}, half_vae=False),
]
