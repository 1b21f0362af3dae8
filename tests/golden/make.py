"""Makes toy pipelines of every family and, with diffusers, what they answer to the requests in `making/requests.py`.

Run: OMP_NUM_THREADS=1 python tests/golden/make.py folders [FAMILY...]    the model folders; some minutes of training each
     OMP_NUM_THREADS=1 python tests/golden/make.py cases [FAMILY...]      the references, from the folders as they are
     OMP_NUM_THREADS=1 python tests/golden/make.py check [FAMILY...]      whether graphs and torch agree, and what matters
     OMP_NUM_THREADS=1 python tests/golden/make.py adapters [CASE...]     adapter files and cases with them, or only some cases
     OMP_NUM_THREADS=1 python tests/golden/make.py adapters check         the latter as far as diffusers can do it by itself
Needs torch, diffusers, transformers, optimum-onnx, onnxruntime, open_clip and scipy; last run with torch 2.15.0,
diffusers 0.35.2, transformers 4.57.6, optimum-onnx 0.1.0, onnxruntime 1.31.1; adapters also need peft and lycoris-lora (0.21.2
and 4.1.3).

`toy.py` comes first, and sd1 before what shares its parts: without names, all families are made in the right order. New folders
want new references, and the folder sd1-safety is made from the pictures of sd1.
"""

import sys

from making import checks, folders, inputs, results


def main():
    task, *names = sys.argv[1:]
    if task == "adapters":
        from making import adapters  # needs more packages than the rest

        return adapters.make(names)
    make = {"folders": folders.make, "cases": results.make, "check": checks.make}[task]
    if task == "cases":
        inputs.make()
    for name in names or folders.MAKERS:
        print(name, flush=True)
        make(name)


if __name__ == "__main__":
    main()
