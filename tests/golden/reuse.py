"""Makes the reference pictures of runs that reuse what the U-Net's deep layers made, with diffusers' pipeline and a hook.

Run: OMP_NUM_THREADS=1 python tests/golden/reuse.py        -> tests/golden/reuse/toy, tests/golden/reuse/shapes
Needs what pictures.py needs, and writes the same files.

The hook stands before one resnet of the way up. In the first of every `reuse` steps it keeps the channels that the layers below
made (DeepCache, Ma, Fang and Wang 2023, uniform interval); in the others it puts the kept ones in their place. All layers run all
the time here, so that nothing is shared with the cut graphs but the idea. `cut` says how many layers of the way up come after it.
"""

import json
import shutil

import pictures
import reload
import torch

COMMON = {
    "prompt": "a red circle on a blue background",
    "seed": 4711,
    "steps": 20,
    "sampler": "ddim",
    "schedule": "model",
    "width": 64,
    "height": 64,
}
CASES = {
    "toy": {
        "cut-1": {"cut": 1, "reuse": 2, "steps": 6},
        "cut-3": {"cut": 3, "reuse": 3, "steps": 7, "sampler": "dpmpp_2m"},
        "cut-5": {"cut": 5, "reuse": 2, "steps": 6, "width": 128},
        # A cut further down proves nothing here: what the toy's middle block makes changes the latents by less than 1e-4.
    },
    "shapes": {
        "cut-1": {"cut": 1, "reuse": 2},
        "cut-2": {"cut": 2, "reuse": 3, "negative_prompt": "a small green house"},
        "cut-2-alone": {"cut": 2, "reuse": 2, "guidance_scale": 1.0, "sampler": "dpmpp_2m"},
        "cut-3": {"cut": 3, "reuse": 4, "steps": 12, "schedule": "karras", "sampler": "dpmpp_2m"},
    },
}


class Reuse:
    """Counts the U-Net's calls, one a step."""

    def __init__(self, unet, cut, interval):
        layers = [(block, layer) for block in unet.up_blocks for layer in range(len(block.resnets))]
        block, layer = layers[-cut]
        before = layers[: len(layers) - cut]
        below = before[-1][0].resnets[before[-1][1]] if before else unet.mid_block.resnets[-1]
        self.channels, self.interval, self.calls, self.kept = below.out_channels, interval, 0, None
        self.hooks = [
            unet.register_forward_pre_hook(self.called),
            block.resnets[layer].register_forward_pre_hook(self.swapped),
        ]

    def called(self, *_):
        self.calls += 1

    def swapped(self, _, given):
        own, skip = given[0].split([self.channels, given[0].shape[1] - self.channels], 1)
        if (self.calls - 1) % self.interval == 0:
            self.kept = own
        return (torch.cat([self.kept, skip], 1), *given[1:])

    def end(self):
        for hook in self.hooks:
            hook.remove()


def main():
    run = pictures.run
    for model, changes in CASES.items():
        folder, target = pictures.FOLDERS[model], pictures.HERE / "reuse" / model
        settings = folder / "diffused.json"
        guidance = json.loads(settings.read_text())["guidance_scale"] if settings.exists() else 7.5
        parts = reload.load_text_encoder(folder), reload.load_unet(folder), reload.load_autoencoder(folder)

        def reusing(pipe, case, output):
            reuse = Reuse(pipe.unet, case["cut"], case["reuse"])
            made = run(pipe, case, output)
            assert reuse.calls == case["steps"], reuse.calls
            reuse.end()
            return made

        pictures.run = reusing
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir(parents=True)
        cases = [{"name": name, "negative_prompt": "", "guidance_scale": guidance, **COMMON, **it} for name, it in changes.items()]
        for case in cases:
            pictures.make(folder, parts, case, target)
            print(model, case["name"], flush=True)
        pictures.write_index(folder, target, cases)


if __name__ == "__main__":
    main()
