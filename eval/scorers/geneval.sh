#!/usr/bin/env bash
# GenEval's own scorer over a folder of images, in an environment of its own (torch 1.12, mmdet 2.28):
#   bash eval/scorers/geneval.sh IMAGES RESULTS [--dry-run] [--home DIR] [--python PYTHON3.9]
# Writes RESULTS/results.jsonl; then: python -m eval.report geneval RESULTS/results.jsonl --samples IMAGES
# Needs a GPU that CUDA 11.3 knows: up to the A100 and the RTX 30 series, not the H100. Environment, checkout and the
# detector's weights stay in --home (default: ~/.cache/lumos/scorers).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
options "$@"
[ ${#words[@]} = 2 ] || fail "two folders are needed: IMAGES RESULTS; bash $0 --help"
images="${words[0]}" results="${words[1]}"

check geneval "$images"
if [ -z "$dry" ]; then
    gpu="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1)"
    [ -n "$gpu" ] || fail "GenEval's scorer needs an NVIDIA GPU, and nvidia-smi finds none"
    [ "${gpu%%.*}" -lt 9 ] || fail "this GPU (compute capability $gpu) is newer than torch 1.12: use one up to the A100"
fi

checkout djghosh13/geneval af4902f24d3ca90ebbb446dd9891a59e0f82725f
environment geneval 3.9 "$here/geneval.txt" --extra-index-url https://download.pytorch.org/whl/cu113
if [ -n "$fresh" ]; then
    do_it env -u PYTHONPATH "$scorer" -m mim install -q mmcv-full==1.7.1
    finished
fi
weights="$home/geneval-weights" name=mask2former_swin-s-p4-w7-224_lsj_8x2_50e_coco
if [ -n "$dry" ] || [ ! -e "$weights/ready" ]; then
    do_it bash "$home/geneval/evaluation/download_models.sh" "$weights"
    do_it touch "$weights/ready"
fi
config="$env/lib/python3.9/site-packages/mmdet/.mim/configs/mask2former/$name.py"

do_it mkdir -p "$results"
do_it env -u PYTHONPATH "$scorer" "$home/geneval/evaluation/evaluate_images.py" "$images" \
    --outfile "$results/results.jsonl.part" --model-config "$config" --model-path "$weights"
do_it mv "$results/results.jsonl.part" "$results/results.jsonl"
do_it env -u PYTHONPATH "$scorer" "$home/geneval/evaluation/summary_scores.py" "$results/results.jsonl"
