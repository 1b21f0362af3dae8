"""Makes cuda_noise.json: torch's CUDA random stream, computed without a GPU.

Run: python tests/golden/cuda_noise.py
Needs numpy only; last run with numpy 2.4.6.

Philox4x32-10 with Python's whole numbers and the Box-Muller transform in float64. main() checks it against the vector that
the Stable Diffusion web UI publishes for seed 0 (modules/rng_philox.py). Its own formula gives the bits that this script
gives and differs from that vector by up to 2.7e-7, as single precision on a GPU would.
"""

import json
import math
import pathlib

import numpy as np

SEEDS = [0, 1, 42, 2**32 - 1, 2**32 + 42, 2**53 - 1, 2**64 - 1]
DRAWS = [1, 12, 15, 40, 256]
WEB_UI = [
    -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564,
    -0.62285122, -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
]  # fmt: skip


def philox(counter, key):
    a, b, c, d = counter
    k, l = key
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = (second >> 32) ^ b ^ k, second % 2**32, (first >> 32) ^ d ^ l, first % 2**32
        k, l = (k + 0x9E3779B9) % 2**32, (l + 0xBB67AE85) % 2**32
    return a, b, c, d


def normal(seed, draw, index):
    x, y, _, _ = philox((draw, 0, index, 0), (seed % 2**32, seed >> 32))
    tau = float(np.float32(2 * math.pi))
    return np.float32(math.sqrt(-2 * math.log((x + 0.5) / 2**32)) * math.sin((y + 0.5) / 2**32 * tau))


def draws(seed):
    return [np.array([normal(seed, draw, index) for index in range(n)]) for draw, n in enumerate(DRAWS)]


def main():
    assert all(abs(normal(0, 0, i) - x) < 3e-7 for i, x in enumerate(WEB_UI))
    cases = [{"seed": s, "draws": ["".join(f"{w:08x}" for w in d.view(np.uint32)) for d in draws(s)]} for s in SEEDS]
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in cases)
    pathlib.Path(__file__).with_name("cuda_noise.json").write_text(f"[\n{lines}\n]\n")


if __name__ == "__main__":
    main()
