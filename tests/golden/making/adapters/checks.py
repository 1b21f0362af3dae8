"""The references once more, by other people's loaders: diffusers takes texts, files and settings itself.

Each line tells how far diffusers' latents, or what it tells the U-Net, are from ours.
"""

import pathlib
import tempfile

from safetensors.torch import load_file, save_file

from ..reference import Watched, arguments
from . import embeddings, formulas, loras, requests, results, texts

CLOSE = 2e-5
LOADABLE = {
    "sd1": ["kohya", "diffusers", "diffusers-old", "peft", "locon"],
    "sd2": ["kohya-sd2"],
    "sdxl": ["kohya-sdxl", "diffusers-sdxl"],
}
UNREAD = ("lora_unet_conv_", "lora_unet_time_embedding_")  # diffusers passes over these; the web UI does not
TEXT_SCALE, UNET_SCALE = 0.6, 0.9


def make():
    for model in ("sd1", "sd2", "sdxl"):
        without_adapters(model)
        clip_skips(model)
        for name in embeddings.names():
            if fits(model, name):
                inverted(model, name)
        for name in LOADABLE[model]:
            loaded(model, name)


def tell(what, ours, theirs):
    gap = ((ours - theirs).abs().max() / theirs.abs().max()).item()
    print(f"  {what}: as in diffusers to {gap:.1e}{'' if gap < CLOSE else '   TOO FAR'}", flush=True)


def ours(model, file=None, scales=None):
    _, request, means = requests.case("check", model=model, negative_prompt=requests.OTHER)
    changed = results.adapted(model, means)
    if file:
        formulas.apply(file, changed.parts, scales)
    return results.Run(changed, request, results.Told(changed, request, means)).run("latent"), request


def theirs(model, request, change=lambda pipe: None):
    """The pipeline is given the texts."""
    family = results.adapted(model, requests.Means([], []))
    watched = Watched(family, request)
    change(watched.pipe)
    watched.given = arguments(family, watched.pipe, request)
    return watched.run("latent")


def without_adapters(model):
    latents, request = ours(model)
    tell(f"{model} without adapters", latents, theirs(model, request))


def clip_skips(model):
    family = results.family(model)
    _, request, _ = requests.case("check", model=model)
    for layers in (0, 1):
        context, pooled, _ = texts.encode(family.parts, requests.PROMPT, layers)
        given = family.pipeline(request).encode_prompt(
            requests.PROMPT, device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False, clip_skip=layers or None
        )
        tell(f"{model} with clip skip {layers}", context, given[0])
        if pooled is not None:
            tell(f"{model} with clip skip {layers}, pooled", pooled, given[2])


def fits(model, name):
    parts = results.family(model).parts
    return texts.fits(name, parts, ["", "_2"] if "text_encoder_2" in parts else [""])


def inverted(model, name):
    """Diffusers matches the name as a text, here between blanks; a pooled text it would take at the wrong place."""
    parts = results.parts(model)
    prompt = f"a {name} circle"
    context, _, _ = texts.encode(parts, prompt)
    family = results.adapted(model, requests.Means([], []))
    _, request, _ = requests.case("check", model=model)
    pipe, vectors = family.pipeline(request), embeddings.read(name)
    for encoder, own in zip(("", "_2"), vectors):
        pipe.load_textual_inversion(
            {f"<{name}>": own},
            text_encoder=getattr(pipe, f"text_encoder{encoder}"),
            tokenizer=getattr(pipe, f"tokenizer{encoder}"),
        )
    given = pipe.encode_prompt(f"a <{name}> circle", device="cpu", num_images_per_prompt=1, do_classifier_free_guidance=False)
    tell(f"{model} with the embedding {name}", context, given[0])


def loaded(model, name):
    """Unfused with a scale for each part, and fused."""
    content = load_file(loras.PLACE / f"{name}.safetensors")
    content = {key: value.float() for key, value in content.items() if not key.startswith(UNREAD)}
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "it.safetensors")
        save_file(content, file)
        apart, _ = ours(model, file, {"unet": UNET_SCALE, "text_encoder": TEXT_SCALE, "text_encoder_2": TEXT_SCALE})
        whole, request = ours(model, file, dict.fromkeys(("unet", "text_encoder", "text_encoder_2"), UNET_SCALE))
    content = {key.replace("base_model.model.", "unet."): value for key, value in content.items()}

    def load(pipe):
        pipe.load_lora_weights(dict(content), adapter_name="it")
        scales = {part: UNET_SCALE if part == "unet" else TEXT_SCALE for part in pipe.get_list_adapters()}
        pipe.set_adapters("it", scales)

    def fuse(pipe):
        pipe.load_lora_weights(dict(content), adapter_name="it")
        pipe.fuse_lora(lora_scale=UNET_SCALE)
        pipe.unload_lora_weights()

    tell(f"{model} with the LoRA {name}", apart, theirs(model, request, load))
    tell(f"{model} with the LoRA {name} fused", whole, theirs(model, request, fuse))
