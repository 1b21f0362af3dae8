"""Makes torch_noise.json: what torch's CPU generator draws, as bits.

Run: OMP_NUM_THREADS=1 python tests/golden/torch_noise.py
Needs torch and numpy; last run with torch 2.15.0 on x86_64 with AVX2 kernels.
"""

import json
import pathlib

import numpy as np
import torch

HEAD = 24  # values kept in full; the rest is covered by a checksum
SEEDS = [0, 1, 42, 4711, 2**32 - 1, 2**32 + 42, 2**53 - 1]
DRAWS = [
    [("rand", 1000)],
    [("randn", 1), ("randn", 4), ("randn", 3), ("randn", 15)],
    [("randn", n) for n in (16, 17, 31, 32, 40, 1000)],
    [("randn", 5), ("randn", 256), ("randn", 2), ("rand", 7), ("randn", 1), ("randn", 16384)],
    [("randn", 1_000_003)],
]


def draw(generator, what, n):
    values = getattr(torch, what)(n, generator=generator)
    bits = values.numpy().view(np.uint32)
    places = np.arange(1, n + 1, dtype=np.uint64)
    check = int((places * bits.astype(np.uint64)).sum(dtype=np.uint64))
    return {"what": what, "n": n, "head": "".join(f"{word:08x}" for word in bits[:HEAD]), "check": check}


def case(seed, draws):
    generator = torch.Generator("cpu").manual_seed(seed)
    return {"seed": seed, "draws": [draw(generator, what, n) for what, n in draws]}


def main():
    cases = [case(seed, draws) for seed in SEEDS for draws in DRAWS if draws[0][1] < 10_000 or seed == 42]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    pathlib.Path(__file__).with_name("torch_noise.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
