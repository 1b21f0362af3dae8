"""Makes pictures from prompts with ONNX Runtime, from the exported folder alone."""
import json

import numpy as np
import onnxruntime

from tokenizer import load_tokenizer

TRAINING_STEPS = 1000


class Model:
    """The graphs of an exported folder that text-to-image needs, and the encoder for round trips."""

    def __init__(self, folder, threads=1):
        self.tokenizer = load_tokenizer(f"{folder}/tokenizer")
        with open(f"{folder}/diffused.json") as file:
            self.settings = json.load(file)
        with open(f"{folder}/vae_decoder/config.json") as file:
            self.factor = json.load(file)["scaling_factor"]
        with open(f"{folder}/scheduler/scheduler_config.json") as file:
            schedule = json.load(file)
        ends = np.array([schedule["beta_start"], schedule["beta_end"]], np.float64) ** .5
        self.signal = np.cumprod(1 - np.linspace(*ends, TRAINING_STEPS) ** 2)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        self.graphs = {name: onnxruntime.InferenceSession(f"{folder}/{name}/model.onnx", options,
                                                          providers=["CPUExecutionProvider"])
                       for name in ("text_encoder", "unet", "vae_encoder", "vae_decoder")}

    def words(self, prompts):
        rows = self.tokenizer(prompts, padding="max_length", truncation=True).input_ids
        kind = np.int32 if "int32" in self.graphs["text_encoder"].get_inputs()[0].type else np.int64
        return self.graphs["text_encoder"].run(None, {"input_ids": np.array(rows, kind)})[0]

    def noise_in(self, latents, time, words):
        port = {port.name: port for port in self.graphs["unet"].get_inputs()}["timestep"]
        time = np.array(time, np.int64 if "int64" in port.type else np.float32).reshape([1] * len(port.shape))
        feeds = {"sample": latents.astype(np.float32), "timestep": time, "encoder_hidden_states": words}
        return self.graphs["unet"].run(None, feeds)[0]

    def guided_noise(self, latents, time, words, empty, guidance):
        """Guidance 0 ignores the prompt, 1 follows it plainly, more exaggerates what the prompt changes."""
        if guidance == 0:
            return self.noise_in(latents, time, empty)
        if guidance == 1:
            return self.noise_in(latents, time, words)
        both = self.noise_in(np.concatenate([latents, latents]), time, np.concatenate([empty, words]))
        without, prompted = np.split(both, 2)
        return without + guidance * (prompted - without)

    def pictures(self, prompts, guidance=None, steps=None, seed=0, batch=32, negative=""):
        """DDIM with leading timesteps and offset 1, as Stable Diffusion v1 has it; returns bytes, height by width."""
        guidance = self.settings["guidance_scale"] if guidance is None else guidance
        steps = steps or self.settings["steps"]
        random = np.random.default_rng(seed)
        made = []
        for start in range(0, len(prompts), batch):
            words = self.words(prompts[start:start + batch])
            empty = np.repeat(self.words([negative]), len(words), 0)
            latents = random.standard_normal((len(words), 4, 8, 8))
            stride = TRAINING_STEPS // steps
            for time in range((steps - 1) * stride + 1, 0, -stride):
                noise = self.guided_noise(latents, time, words, empty, guidance)
                now, later = self.signal[time], self.signal[max(time - stride, 0)]
                clean = (latents - (1 - now) ** .5 * noise) / now ** .5
                latents = later ** .5 * clean + (1 - later) ** .5 * noise
            made.append(self.decode(latents))
        return np.concatenate(made)

    def decode(self, latents):
        feeds = {"latent_sample": (latents / self.factor).astype(np.float32)}
        decoded = self.graphs["vae_decoder"].run(None, feeds)[0]
        return ((decoded.clip(-1, 1) + 1) * 127.5).round().astype(np.uint8).transpose(0, 2, 3, 1)

    def round_trip(self, pictures):
        """What is left of real pictures after encoding and decoding."""
        floats = (pictures.astype(np.float32) / 127.5 - 1).transpose(0, 3, 1, 2)
        mean = self.graphs["vae_encoder"].run(None, {"sample": floats})[0][:, :4]
        return self.decode(mean * self.factor)
