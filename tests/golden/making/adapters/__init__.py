"""Adapter files in the layouts that people use, and what they and the prompt language make of requests.

| module | what it does |
|---|---|
| `embeddings`, `loras`, `hypernetworks` | write the files, and say what each means |
| `formulas` | the weights that a LoRA file of any kind leads to |
| `texts` | chunks, weights, embeddings and clip skip: from spans of text to what the U-Net is told |
| `norm` | makes a model on which weights can be tested |
| `requests` | the cases, each with what its request means |
| `results` | runs the cases and writes the references |
| `checks` | the same by other people's loaders |
"""

from ..folders import GOLDEN

FOLDER = GOLDEN / "adapters"


def make(names):
    """`check`, or the cases to make again; without names, the files and all cases."""
    from . import checks, results

    checks.make() if names == ["check"] else results.make(names)
