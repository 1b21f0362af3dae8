"""Measures what reuse of the U-Net's deep layers costs in quality and saves in time, through ONNX Runtime.

    python measure_reuse.py DIFFUSED FOLDER [--count 240] [--cuts 1 2] [--intervals 2 3] [--rounds 5] [--sheet reuse.png]

DIFFUSED is the program, which cuts copies of the model folder FOLDER. The full runs and those with reuse get the same noise;
accuracy is judged as in measure.py, and PSNR is of each picture against that of the full run. Times are of whole pictures, one at
a time with both passes of guidance in one batch, in interleaved rounds: the median of the full run's time over the other's in the
same round, and between which values those ratios lie.
The last rows only guide in a part of the run, for comparison.
"""
import argparse
import pathlib
import shutil
import subprocess
import tempfile
import time

import numpy as np
import onnxruntime
from PIL import Image

from measure import judge
from prompts import single_prompts, single_text
from sample import Model


class Reusing(Model):
    """Runs the whole U-Net in the first of every `interval` steps, and guides in a part of the run."""

    def __init__(self, folder, interval, part=(0, 1)):
        super().__init__(folder)
        self.interval, self.part, self.step, self.feature = interval, part, 0, None
        if interval > 1:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads = 1
            for name in ("full", "shallow"):
                self.graphs[name] = onnxruntime.InferenceSession(f"{folder}/unet/{name}.onnx", options,
                                                                 providers=["CPUExecutionProvider"])

    def guided_noise(self, latents, time, words, empty, guidance):
        steps = self.settings["steps"]
        share = self.step % steps / steps + 1e-9
        if not self.part[0] <= share < self.part[1]:
            guidance = 1
        noise = super().guided_noise(latents, time, words, empty, guidance)
        self.step += 1
        return noise

    def noise_in(self, latents, time, words):
        if self.interval == 1:
            return super().noise_in(latents, time, words)
        feeds = {"sample": latents.astype(np.float32), "timestep": np.float32(time), "encoder_hidden_states": words}
        port = {port.name: port for port in self.graphs["full"].get_inputs()}["timestep"]
        feeds["timestep"] = np.array(time, np.int64 if "int64" in port.type else np.float32).reshape([1] * len(port.shape))
        # The count goes on from picture to picture, and all have the same number of steps.
        if self.step % self.settings["steps"] % self.interval == 0:
            noise, self.feature = self.graphs["full"].run(["out_sample", "deep_feature"], feeds)
            return noise
        return self.graphs["shallow"].run(["out_sample"], {**feeds, "deep_feature": self.feature})[0]


def cut(program, folder, layers, scratch):
    copy = pathlib.Path(scratch) / f"cut-{layers}"
    shutil.copytree(folder, copy)
    print(subprocess.run([program, "models", "prepare", copy, "--reuse", "--cut", str(layers)], check=True,
                         capture_output=True, text=True).stdout.strip().removeprefix(f"{copy}: "))
    return copy


def psnr(pictures, like):
    gaps = ((pictures.astype(np.float64) - like) ** 2).mean((1, 2, 3))
    return 10 * np.log10(255**2 / np.maximum(gaps, 1e-9))


def times(models, text, rounds):
    """Seconds a picture, [rounds, models]."""
    taken = np.zeros((rounds + 1, len(models)))
    for turn in range(rounds + 1):
        for place, model in enumerate(models):
            begun = time.perf_counter()
            model.pictures([text] * 2, batch=1)
            taken[turn, place] = time.perf_counter() - begun
    return taken[1:]


def main():
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("program")
    options.add_argument("folder")
    options.add_argument("--count", type=int, default=240)
    options.add_argument("--cuts", type=int, nargs="+", default=[1, 2])
    options.add_argument("--intervals", type=int, nargs="+", default=[2, 3])
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--sheet")
    options = options.parse_args()
    wanted = single_prompts(options.count, seed=11)
    texts = [single_text(facts) for facts in wanted]
    with tempfile.TemporaryDirectory() as scratch:
        models = {"full": Reusing(options.folder, 1)}
        for layers in options.cuts:
            folder = cut(options.program, options.folder, layers, scratch)
            models |= {f"cut {layers}, interval {interval}": Reusing(folder, interval) for interval in options.intervals}
        for part in ((0, 0.5), (0.25, 0.75), (0.5, 1)):
            models[f"guidance interval {part[0]:g} to {part[1]:g}"] = Reusing(options.folder, 1, part)
        taken = times(list(models.values()), texts[0], options.rounds)
        made = {name: model.pictures(texts) for name, model in models.items()}
    print("| | pictures | all three right, % | PSNR, median | worst tenth | times as fast | between |\n|---|---|---|---|---|---|---|")
    for place, (name, pictures) in enumerate(made.items()):
        right = 100 * judge(pictures, wanted)[:, 4].mean()
        near = psnr(pictures, made["full"])
        ratios = taken[:, 0] / taken[:, place]
        print(f"| {name} | {len(pictures)} | {right:.1f} | {np.median(near):.1f} | {np.quantile(near, 0.1):.1f} | "
              f"{np.median(ratios):.2f} | {ratios.min():.2f} to {ratios.max():.2f} |", flush=True)
    other = 100 * judge(made["full"], wanted[1:] + wanted[:1])[:, 4].mean()
    print(f"| control: full, judged by other prompts | {len(wanted)} | {other:.1f} | | | | |")
    if options.sheet:
        rows = [np.concatenate(list(pictures[:12]), 1) for pictures in made.values()]
        Image.fromarray(np.concatenate(rows)).save(options.sheet)


if __name__ == "__main__":
    main()
