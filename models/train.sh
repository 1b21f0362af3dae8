#!/bin/sh
# Draws the pictures, trains the model, exports it to models/shapes and measures it.
#
#   models/train.sh [WORK]
#
# WORK (default: .train beside this script, about 1 GB) keeps the pictures and the checkpoints.
# Run the same command again after an interruption: finished phases are skipped, and others go on from their checkpoint.
# THREADS=2 uses two cores; PYTHON names another interpreter (3.11 was used), or one that has the requirements already.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
work=${1:-$here/.train}
mkdir -p "$work"
work=$(cd "$work" && pwd)
export OMP_NUM_THREADS="${THREADS:-1}" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1

python=${PYTHON:-python3}
if ! "$python" -c 'import torch, diffusers, open_clip, optimum.onnxruntime' 2>/dev/null; then
    [ -x "$work/venv/bin/python" ] || "$python" -m venv "$work/venv"
    "$work/venv/bin/python" -m pip install --quiet -r "$here/requirements.txt"
    python=$work/venv/bin/python
fi

# phase NAME FILE SCRIPT ARGUMENTS...: runs a script unless the file that it ends with is there.
phase() {
    name=$1 result=$2 script=$3
    shift 3
    if [ -e "$work/$result" ]; then
        echo "== $name: done before"
    else
        echo "== $name"
        "$python" -W ignore "$here/training/$script" "$@"
    fi
}

phase pictures pictures.npz draw.py "$work/pictures.npz"
phase autoencoder latents.pt autoencoder.py "$work/pictures.npz" "$work"
phase denoiser denoiser.done denoiser.py "$work/pictures.npz" "$work"
touch "$work/denoiser.done"
phase decoder vae_sharp/config.json decoder.py "$work/pictures.npz" "$work"
phase export none export.py "$work" "$here/shapes"
"$python" -W ignore "$here/training/reload.py" "$here/shapes"
phase classifier classifier.pt classifier_training.py "$here/shapes" "$work/classifier.pt"
"$python" -W ignore "$here/training/classifier_graph.py" "$work/classifier.pt" "$here/shapes"
"$python" "$here/manifest.py" "$here/shapes"
"$python" -W ignore "$here/training/measure.py" "$here/shapes" --sheet "$here/shapes.png"
"$python" -W ignore "$here/training/classifier_guidance.py" "$here/shapes" --sheet "$here/shapes-classifier.png"

adapters=$here/adapters
phase totem none train_embedding.py "$here/shapes" "$work/adapters" \
    "$adapters/embeddings/totem.safetensors" "$here/../tests/golden/adapters/shapes/totem.pt"
phase beacon none train_dreamartist.py "$here/shapes" "$work/adapters" \
    "$adapters/embeddings/beacon.pt" "$adapters/embeddings/beacon-neg.pt"
phase outline none train_lora.py "$here/shapes" "$work/adapters" "$adapters/loras/outline.safetensors"
phase blueprint none train_hypernetwork.py "$here/shapes" "$work/adapters" \
    "$adapters/hypernetworks/blueprint.pt"
"$python" -W ignore "$here/training/adapters_reference.py" "$here/shapes" "$adapters" \
    "$here/../tests/golden/adapters/shapes"
"$python" -W ignore "$here/training/measure_adapters.py" "$here/shapes" "$adapters" --sheet "$here/shapes-adapters.png"
