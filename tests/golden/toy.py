"""Makes the folder `toy`: Stable Diffusion v1's architecture with tiny widths, in the layout that optimum exports.

Run: OMP_NUM_THREADS=1 python tests/golden/toy.py        (some minutes; afterwards run pictures.py again)
Needs torch, diffusers, transformers, optimum-onnx and open_clip; last run with torch 2.15.0, diffusers 0.35.2,
transformers 4.57.6, optimum-onnx 0.1.0.

The weights are random. Only the U-Net then learns for a thousand steps to tell the noise from a fixed pattern for each
phrase; otherwise the latents of a run would grow beyond what the decoder can show, and no picture would depend on its prompt.
"""

import json
import pathlib
import shutil

import torch
from diffusers import AutoencoderKL, PNDMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from open_clip.tokenizer import SimpleTokenizer
from optimum.exporters.onnx import onnx_export_from_model
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

FOLDER = pathlib.Path(__file__).with_name("toy")
MERGES = 486  # with 512 byte symbols and two special tokens: 1000 tokens
START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = "red green blue yellow black white small large circle square star house tree sea night boat".split()
STEPS = 1000


def tokenizer(folder):
    """The first entries of CLIP's own vocabulary and merges."""
    source = SimpleTokenizer()
    by_id = sorted(source.encoder, key=source.encoder.get)
    vocabulary = by_id[: 512 + MERGES] + [START, END]
    merges = sorted(source.bpe_ranks, key=source.bpe_ranks.get)[:MERGES]
    folder.mkdir(parents=True)
    ids = {token: number for number, token in enumerate(vocabulary)}
    (folder / "vocab.json").write_text(json.dumps(ids, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(map(" ".join, merges)) + "\n", encoding="utf-8")
    return CLIPTokenizer(
        str(folder / "vocab.json"),
        str(folder / "merges.txt"),
        bos_token=START,
        eos_token=END,
        unk_token=END,
        pad_token=END,
        model_max_length=77,
    )


def text_encoder(vocabulary):
    config = CLIPTextConfig(
        vocab_size=vocabulary,
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        projection_dim=32,
        max_position_embeddings=77,
        hidden_act="quick_gelu",
        bos_token_id=0,
        eos_token_id=2,
        pad_token_id=1,
    )
    model = CLIPTextModel(config).eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith("weight") and "norm" not in name:
                weight.normal_(0, 0.02 if "position" in name else 0.15)
    return model


def unet():
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
        up_block_types=("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
        block_out_channels=(16, 16, 32, 32),
        layers_per_block=2,
        cross_attention_dim=32,
        attention_head_dim=4,
        norm_num_groups=8,
    )


def autoencoder():
    model = AutoencoderKL(
        sample_size=64,
        in_channels=3,
        out_channels=3,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=(8, 8, 16, 16),
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=4,
        scaling_factor=0.18215,
    ).eval()
    with torch.no_grad():  # random weights give grey; this gives contrast, mostly within the range that is shown
        pixels = model.decode(torch.randn(8, 4, 8, 8) / 0.18215).sample
        last, scale = model.decoder.conv_out, 0.4 / pixels.std((0, 2, 3))
        last.weight *= scale.view(3, 1, 1, 1)
        last.bias.copy_(scale * (last.bias - pixels.mean((0, 2, 3))))
    return model


def phrases():
    """Each phrase has its pattern: a smooth field over the 8x8 latents."""
    generator = torch.Generator().manual_seed(1)
    texts = [f"a {a} {b}" for a in WORDS[:8] for b in WORDS[8:]]
    fields = torch.randn(len(texts), 4, 3, 3, generator=generator)
    return texts, torch.nn.functional.interpolate(fields, size=8, mode="bicubic", align_corners=True)


def learn(model, encoder, words, scheduler):
    """Noise prediction on the phrases' patterns, an eighth of them without their phrase."""
    texts, fields = phrases()

    def embed(batch):
        ids = words(batch, padding="max_length", max_length=77, return_tensors="pt").input_ids
        with torch.no_grad():
            return encoder(ids).last_hidden_state

    known, nothing = embed(texts), embed([""])
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.0)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=STEPS)
    for step in range(STEPS):
        chosen = torch.randint(len(texts), (16,))
        noise, time = torch.randn(16, 4, 8, 8), torch.randint(0, 1000, (16,))
        dropped = (torch.rand(16) < 0.125).view(16, 1, 1)
        states = torch.where(dropped, nothing, known[chosen])
        noisy = scheduler.add_noise(fields[chosen], noise, time)
        loss = (model(noisy, time, states).sample - noise).square().mean()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        rate.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {loss.item():.3f}", flush=True)
    return model.eval()


def tidy():
    """Leaves nothing in the folder that names the machine it was made on."""
    for path in [*FOLDER.glob("*.json"), *FOLDER.glob("*/*.json")]:
        if path.name == "vocab.json":
            continue
        content = json.loads(path.read_text())
        if isinstance(content, dict):
            content.pop("_name_or_path", None)
            content.pop("name_or_path", None)
        path.write_text(json.dumps(content, indent=2) + "\n")
    scheduler = FOLDER / "scheduler" / "scheduler_config.json"
    content = json.loads(scheduler.read_text())
    for absent in ("timestep_spacing", "prediction_type"):  # as in Stable Diffusion v1's own file
        content.pop(absent)
    scheduler.write_text(json.dumps(content, indent=2) + "\n")


def main():
    torch.manual_seed(0)
    shutil.rmtree(FOLDER, ignore_errors=True)
    words = tokenizer(FOLDER / "tokenizer")
    scheduler = PNDMScheduler(
        beta_start=0.00085, beta_end=0.012, beta_schedule="scaled_linear", skip_prk_steps=True, steps_offset=1
    )
    encoder = text_encoder(len(words))
    pipeline = StableDiffusionPipeline(
        vae=autoencoder(),
        text_encoder=encoder,
        tokenizer=words,
        unet=learn(unet(), encoder, words, scheduler),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    onnx_export_from_model(pipeline, FOLDER, opset=17, do_validation=False)
    tidy()
    for path in sorted(FOLDER.rglob("*")):
        if path.is_file():
            print(f"{path.stat().st_size:9d} {path.relative_to(FOLDER)}")
    print(sum(path.stat().st_size for path in FOLDER.rglob("*") if path.is_file()), "bytes in all")


if __name__ == "__main__":
    main()
