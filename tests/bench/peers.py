"""The peers of side_by_side.py: each makes the same pictures from the same exported folder, in a process of its own.

    python tests/bench/peers.py PEER ORDER        ORDER is a JSON object; prints what was measured as one line of JSON
    python tests/bench/peers.py --prepare PEER ORDER        makes the folder that a peer in 8 bits works from
"""
import functools
import io
import json
import os
import pathlib
import statistics
import sys
import time

# When the process was asked for: imports count, for whoever waits for the first picture waits for them too.
STARTED = float(os.environ.get("BENCH_STARTED", time.time()))


def torch_pipeline(order):
    """diffusers on torch, from a folder of diffusers with the weights of the export."""
    from diffusers import StableDiffusionPipeline
    return StableDiffusionPipeline.from_pretrained(order["torch"])


def optimum_pipeline(order):
    from optimum.onnxruntime import ORTStableDiffusionPipeline
    return ORTStableDiffusionPipeline.from_pretrained(order["model"], provider="CPUExecutionProvider")


def openvino_pipeline(order):
    """OpenVINO's own pipeline on the same graphs, made for one size as its makers advise, in 32 bits."""
    from optimum.intel import OVStableDiffusionPipeline
    return of_one_size(OVStableDiffusionPipeline.from_pretrained(
        order["model"], from_onnx=True, compile=False, ov_config={"INFERENCE_PRECISION_HINT": "f32"}), order)


def openvino_int8_pipeline(order):
    """The same in 8 bits as its makers do it: "hybrid", convolutions wholly, of linear layers the weights alone."""
    from optimum.intel import OVStableDiffusionPipeline
    return of_one_size(OVStableDiffusionPipeline.from_pretrained(
        order["openvino-int8"], compile=False, ov_config={"INFERENCE_PRECISION_HINT": "f32"}), order)


def of_one_size(pipe, order):
    pipe.reshape(batch_size=1, height=order["height"], width=order["width"], num_images_per_prompt=1)
    pipe.compile()
    return pipe


def optimum_int8_pipeline(order):
    """The same as optimum's own, of whose U-Net ORTQuantizer made 8 bits with ranges that each pass finds for itself."""
    from optimum.onnxruntime import ORTStableDiffusionPipeline
    return ORTStableDiffusionPipeline.from_pretrained(order["optimum-int8"], provider="CPUExecutionProvider")


PEERS = {
    "torch": torch_pipeline, "optimum": optimum_pipeline, "openvino": openvino_pipeline,
    "optimum-int8": optimum_int8_pipeline, "openvino-int8": openvino_int8_pipeline}


def prepare_openvino_int8(order):
    """Few passes are seen for the ranges: they decide on quality, which is not compared here, and not on speed."""
    from optimum.intel import OVStableDiffusionPipeline, OVWeightQuantizationConfig
    OVStableDiffusionPipeline.__call__ = functools.partialmethod(OVStableDiffusionPipeline.__call__, num_inference_steps=4)
    hybrid = OVWeightQuantizationConfig(bits=8, quant_method="hybrid", dataset=[order["prompt"]], num_samples=4)
    pipe = OVStableDiffusionPipeline.from_pretrained(order["model"], from_onnx=True, quantization_config=hybrid)
    pipe.save_pretrained(order["openvino-int8"])


def prepare_optimum_int8(order):
    import shutil
    from optimum.onnxruntime import ORTQuantizer
    from optimum.onnxruntime.configuration import AutoQuantizationConfig
    folder = pathlib.Path(order["optimum-int8"])
    shutil.copytree(order["model"], folder, ignore=lambda path, names: ["unet"] if path == order["model"] else [])
    source = pathlib.Path(order["model"]) / "unet"
    ORTQuantizer.from_pretrained(source, file_name="model.onnx").quantize(
        save_dir=folder / "unet", file_suffix="", use_external_data_format=True,
        quantization_config=AutoQuantizationConfig.avx512_vnni(is_static=False, per_channel=False))
    shutil.copy(source / "config.json", folder / "unet")


PREPARATIONS = {"openvino-int8": prepare_openvino_int8, "optimum-int8": prepare_optimum_int8}


def timed(part, method, times):
    """Notes the seconds of each call of a method, and when it ended."""
    original = getattr(part, method)

    def call(*arguments, **named):
        begun = time.perf_counter()
        result = original(*arguments, **named)
        times.append((time.perf_counter() - begun, time.time()))
        return result

    setattr(part, method, call)


def peak_memory():
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:"))


def measure(peer, order):
    import torch
    from diffusers import EulerDiscreteScheduler
    torch.set_num_threads(os.cpu_count())
    imported = time.time()
    pipe = PEERS[peer](order)
    loaded = time.time()
    pipe.scheduler = EulerDiscreteScheduler.from_config(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)
    passes, decodes, pictures = [], [], []
    timed(pipe.unet, "forward", passes)
    timed(pipe.vae, "decode", decodes)
    for number in range(order["warm_up"] + order["runs"]):
        begun = time.perf_counter()
        image = pipe(
            f"{order['prompt']} {number}", num_inference_steps=order["steps"], guidance_scale=order["guidance"],
            height=order["height"], width=order["width"], generator=torch.Generator("cpu").manual_seed(0)).images[0]
        png = io.BytesIO()
        image.save(png, "png")
        pictures.append((time.perf_counter() - begun, time.time()))
        if number == 0 and order.get("picture"):
            pathlib.Path(order["picture"]).write_bytes(png.getvalue())
    a_run = len(passes) // len(pictures)
    median = lambda seconds: statistics.median(second for second, _ in seconds)
    return {
        "picture_s": median(pictures[order["warm_up"]:]),
        "unet_call_s": median(passes[order["warm_up"] * a_run:]), "unet_calls": a_run,
        "decode_s": median(decodes[order["warm_up"]:]),
        "load_s": loaded - imported, "first_pass_s": passes[0][1] - imported,
        "start_to_first_pass_s": passes[0][1] - STARTED, "peak_bytes": peak_memory(),
    }


if __name__ == "__main__":
    if sys.argv[1] == "--prepare":
        PREPARATIONS[sys.argv[2]](json.loads(sys.argv[3]))
    else:
        print(json.dumps(measure(sys.argv[1], json.loads(sys.argv[2]))))
