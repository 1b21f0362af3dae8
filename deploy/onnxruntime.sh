#!/bin/sh
# Brings ONNX Runtime's library out of the package registry's wheel into a folder where diffused finds it by itself.
#
#   deploy/onnxruntime.sh [FOLDER] [x86_64|aarch64] [cpu|openvino|cuda]
#
# FOLDER is onnxruntime/ in the checkout unless given; the machine is this one; `cpu` is the library for processors alone.
# `openvino` (x86_64) brings OpenVINO with it, `cuda` wants the CUDA 13 and cuDNN 9 of the machine, on x86_64 also for
# TensorRT 10. Needs Python 3 with pip. Does nothing if the right library is there already.
set -eu

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
folder=${1:-$root/onnxruntime}
machine=${2:-$(uname -m)}
kind=${3:-cpu}
[ "$machine" != arm64 ] || machine=aarch64

platform=manylinux_2_28
case $kind-$machine in
    cpu-x86_64)
        package=onnxruntime version=1.31.1
        sha256=1f3dea47f2f0e5117c2404cea7d21fd253ae7836a3bf167a501cdfbb2600d536
        ;;
    cpu-aarch64)
        package=onnxruntime version=1.31.1
        sha256=0b9a492176886992e0e875f06bc0367e333f5fff11711a2d642e18b02f3009cc
        ;;
    openvino-x86_64)
        package=onnxruntime-openvino version=1.24.1
        sha256=d617fac2f59a6ab5ea59a788c3e1592240a129642519aaeaa774761dfe35150e
        ;;
    cuda-x86_64)
        package=onnxruntime-gpu version=1.31.1
        sha256=05d548956197b9d01f59b625de740e0d6be3593f874e241a12dc0362650ecdf7
        ;;
    cuda-aarch64)
        package=onnxruntime-gpu version=1.31.1 platform=manylinux_2_34
        sha256=a0f1725c5a6d1ef82d63498b5ebc25e2c90c9560e91dc76db9be4a49162d4d33
        ;;
    *)
        echo "onnxruntime.sh: there is no library of the kind $kind for $machine here" >&2
        exit 1
        ;;
esac

mark="$folder/.wheel-sha256"
if [ -f "$folder/libonnxruntime.so" ] && [ "$(cat "$mark" 2>/dev/null)" = "$sha256" ]; then
    exit 0
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
echo "fetching $package $version for $machine" >&2
python3 -m pip download --quiet --disable-pip-version-check --no-deps --only-binary :all: --python-version 3.12 \
    --implementation cp --platform "${platform}_$machine" --dest "$scratch" "$package==$version"
wheel=$(ls "$scratch"/onnxruntime*.whl)
echo "$sha256  $wheel" | sha256sum --check --quiet -

# The library is moved into place as the last step, so that a broken run leaves nothing that looks finished.
python3 - "$wheel" "$scratch" <<'PYTHON'
import sys, zipfile
wheel, scratch = sys.argv[1:]
with zipfile.ZipFile(wheel) as archive:
    for name in archive.namelist():
        is_library = name.startswith("onnxruntime/capi/lib") and ".so" in name
        if is_library or name in ("onnxruntime/LICENSE", "onnxruntime/ThirdPartyNotices.txt"):
            archive.extract(name, scratch)
PYTHON
mkdir -p "$folder"
cp "$scratch/onnxruntime/LICENSE" "$scratch/onnxruntime/ThirdPartyNotices.txt" "$folder/"
cp "$scratch"/onnxruntime/capi/lib* "$folder/"
ln -sf "libonnxruntime.so.$version" "$folder/libonnxruntime.so"
printf %s "$sha256" >"$mark"
echo "ONNX Runtime $version is in $folder" >&2
