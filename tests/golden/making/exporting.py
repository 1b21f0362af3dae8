"""Writes pipelines as folders of ONNX graphs, the way their users do: with optimum where it can, else as the old scripts did."""

import copy
import json
import pathlib
import shutil
import tempfile

import onnx
import torch
from optimum.exporters.onnx import onnx_export_from_model

KL_SCALE, OPSET, LEGACY_OPSET = 0.18215, 17, 14


def with_optimum(pipeline, folder, own):
    """Exports the whole pipeline and keeps the parts `own` of it: the other parts are another family's."""
    shutil.rmtree(folder, ignore_errors=True)
    with tempfile.TemporaryDirectory() as whole:
        onnx_export_from_model(pipeline, whole, opset=OPSET, do_validation=False)
        for part in own:
            source, target = pathlib.Path(whole, part), folder / part
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copytree(source, target) if source.is_dir() else shutil.copyfile(source, target)


def by_hand(model, arguments, file, inputs, outputs, axes, opset=OPSET):
    """One graph by torch's own exporter; `inputs` and `outputs` name the ports, `axes` the free sides of each."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with torch.no_grad():
        torch.onnx.export(
            model,
            arguments,
            str(file),
            input_names=inputs,
            output_names=outputs,
            dynamic_axes=axes,
            opset_version=opset,
            do_constant_folding=True,
            dynamo=False,
        )


class Call(torch.nn.Module):
    """A module whose forward pass is the function given; it owns the `model` that the function uses."""

    def __init__(self, model, function):
        super().__init__()
        self.model, self.function = model, function

    def forward(self, *arguments):
        return self.function(self.model, *arguments)


SIDES = {0: "batch", 1: "channels", 2: "height", 3: "width"}


def legacy(pipeline, folder):
    """The layout and the ports of diffusers' convert_stable_diffusion_checkpoint_to_onnx.py.

    No config.json beside the graphs, 32-bit token ids, a vector of 64-bit timesteps, an encoder that draws the sample inside
    the graph, and the U-Net's weights in a file of their own.
    """
    shutil.rmtree(folder, ignore_errors=True)
    hidden = pipeline.unet.config.cross_attention_dim
    text = Call(pipeline.text_encoder, lambda model, ids: model(ids, return_dict=False))
    by_hand(
        text,
        (torch.randint(0, 999, (1, 77), dtype=torch.int32),),
        folder / "text_encoder" / "model.onnx",
        ["input_ids"],
        ["last_hidden_state", "pooler_output"],
        {"input_ids": {0: "batch", 1: "sequence"}},
        LEGACY_OPSET,
    )
    by_hand(
        Call(pipeline.unet, lambda model, sample, time, states: model(sample, time, states, return_dict=False)[0]),
        (torch.randn(2, 4, 8, 8), torch.LongTensor([0, 1]), torch.randn(2, 77, hidden)),
        folder / "unet" / "model.onnx",
        ["sample", "timestep", "encoder_hidden_states"],
        ["out_sample"],
        {"sample": SIDES, "timestep": {0: "batch"}, "encoder_hidden_states": {0: "batch", 1: "sequence"}},
        LEGACY_OPSET,
    )
    weights_outside(folder / "unet" / "model.onnx", "weights.pb")
    by_hand(
        Call(pipeline.vae, lambda model, sample: model.encode(sample, return_dict=False)[0].sample()),
        (torch.randn(1, 3, 64, 64),),
        folder / "vae_encoder" / "model.onnx",
        ["sample"],
        ["latent_sample"],
        {"sample": SIDES},
        LEGACY_OPSET,
    )
    by_hand(
        Call(pipeline.vae, lambda model, latents: model.decode(latents, return_dict=False)[0]),
        (torch.randn(1, 4, 8, 8),),
        folder / "vae_decoder" / "model.onnx",
        ["latent_sample"],
        ["sample"],
        {"latent_sample": SIDES},
        LEGACY_OPSET,
    )
    parts = ["text_encoder", "unet", "vae_decoder", "vae_encoder"]
    index = {part: ["diffusers", "OnnxRuntimeModel"] for part in parts}
    index |= {"scheduler": ["diffusers", "PNDMScheduler"], "tokenizer": ["transformers", "CLIPTokenizer"]}
    index |= {"feature_extractor": [None, None], "safety_checker": [None, None]}
    write_json(folder / "model_index.json", {"_class_name": "OnnxStableDiffusionPipeline", "_diffusers_version": "0.35.2", **index})


def weights_outside(file, name):
    """Moves the weights of a graph to the file `name` beside it."""
    graph = onnx.load(file)
    file.unlink()
    onnx.save_model(
        graph, file, save_as_external_data=True, all_tensors_to_one_file=True, location=name, convert_attribute=False
    )


def tiny_autoencoder(model, folder):
    """Optimum does not know this class; the names are those that its runtime takes: an encoder that gives latents as they are."""
    down, up = ({0: "batch_size", 2: f"{kind}_height", 3: f"{kind}_width"} for kind in ("sample", "latent"))
    by_hand(
        Call(model, lambda model, sample: model.encode(sample, return_dict=False)[0]),
        (torch.rand(1, 3, 64, 64),),
        folder / "vae_encoder" / "model.onnx",
        ["sample"],
        ["latent_sample"],
        {"sample": down, "latent_sample": up},
    )
    by_hand(
        Call(model, lambda model, latents: model.decode(latents, return_dict=False)[0]),
        (torch.rand(1, 4, 8, 8),),
        folder / "vae_decoder" / "model.onnx",
        ["latent_sample"],
        ["sample"],
        {"latent_sample": up, "sample": down},
    )
    for half in ("vae_encoder", "vae_decoder"):
        model.save_config(folder / half)


def depth_net(model, folder):
    """Depth has no exporter task: the graph and its preprocessor beside the others, by hand."""
    by_hand(
        Call(model, lambda model, pixels: model(pixels, return_dict=False)[0]),
        (torch.rand(1, 3, 64, 64),),
        folder / "depth_estimator" / "model.onnx",
        ["pixel_values"],
        ["predicted_depth"],
        {"pixel_values": {0: "batch_size"}, "predicted_depth": {0: "batch_size", 1: "height", 2: "width"}},
    )
    model.config.save_pretrained(folder / "depth_estimator")


def safety_checker(model, folder):
    """As the old script exports it, the names of the free sides included."""
    by_hand(
        Call(model, lambda model, clip_input, images: model.forward_onnx(clip_input, images)),
        (torch.randn(1, 3, 224, 224), torch.rand(1, 64, 64, 3)),
        folder / "safety_checker" / "model.onnx",
        ["clip_input", "images"],
        ["out_images", "has_nsfw_concepts"],
        {"clip_input": SIDES, "images": SIDES},
        LEGACY_OPSET,
    )


def in_half(pipeline):
    """The same pipeline in 16-bit floats."""
    halves = {part: copy.deepcopy(getattr(pipeline, part)).half() for part in ("text_encoder", "unet", "vae")}
    return type(pipeline)(**{**pipeline.components, **halves}, requires_safety_checker=False)


def write_json(file, content):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(content, indent=2) + "\n")
    file.chmod(0o644)


def tidy(folder):
    """Leaves nothing in the folder that names the machine it was made on."""
    for path in sorted(folder.rglob("*")):
        if path.is_dir():
            path.chmod(0o755)
        else:
            path.chmod(0o644)
        if path.suffix == ".json" and path.name != "vocab.json":
            content = json.loads(path.read_text())
            for key in ("_name_or_path", "name_or_path"):
                content.pop(key, None)
            write_json(path, content)
