"""Writes CLIP's byte-pair tokenizer in the four files of a Stable Diffusion folder.

    python tokenizer.py FOLDER

The vocabulary and its merges come from the open_clip package, which carries CLIP's own; only the two special tokens
get the names that Stable Diffusion folders use.
"""
import json
import pathlib
import sys

from open_clip.tokenizer import SimpleTokenizer
from transformers import CLIPTokenizerFast

START, END = "<|startoftext|>", "<|endoftext|>"


def write_tokenizer(folder):
    """vocab.json, merges.txt, tokenizer_config.json and special_tokens_map.json."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    source = SimpleTokenizer()
    names = {"<start_of_text>": START, "<end_of_text>": END}
    vocabulary = {names.get(token, token): number for token, number in source.encoder.items()}
    merges = sorted(source.bpe_ranks, key=source.bpe_ranks.get)
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = dict(special, tokenizer_class="CLIPTokenizer", model_max_length=77, do_lower_case=True,
                  add_prefix_space=False, errors="replace")
    write_json(folder / "vocab.json", vocabulary)
    write_json(folder / "special_tokens_map.json", special)
    write_json(folder / "tokenizer_config.json", config)
    lines = ["#version: 0.2"] + [" ".join(pair) for pair in merges]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=False) + "\n", encoding="utf-8")


def load_tokenizer(folder):
    """The same tokenizer as a Python object, for training and export."""
    return CLIPTokenizerFast(f"{folder}/vocab.json", f"{folder}/merges.txt", unk_token=END, bos_token=START,
                             eos_token=END, pad_token=END, model_max_length=77)


if __name__ == "__main__":
    write_tokenizer(sys.argv[1])
    print(load_tokenizer(sys.argv[1])("a red circle on a blue background").input_ids)
