#!/usr/bin/env bash
# Scores of a folder of GenEval images, by one of two recipes:
#   bash eval/scorers/geneval.sh IMAGES RESULTS [--recipe official|maintained] [--dry-run] [--home DIR] [--python PYTHON3.9]
# official    GenEval's own scorer in an environment of its own (torch 1.12, mmdet 2.28). Needs a GPU that CUDA 11.3
#             knows: up to the A100, the RTX 30 and 40 series. Environment, checkout and weights stay in --home
#             (default: ~/.cache/lumos/scorers).
# maintained  the same rules on detectors of transformers, in the environment of this repository, on any GPU or a CPU:
#             NOT the official score, and labelled so wherever it stands.
# If nothing is said: official where the GPU runs it, else maintained (H100, H200 and newer, no GPU).
# Writes RESULTS/results.jsonl; then: python -m eval.report geneval RESULTS/results.jsonl --samples IMAGES
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
recipe="" rest=()
while (($#)); do
    case "$1" in
        --recipe) recipe="${2:?--recipe needs official or maintained}"; shift ;;
        *) rest+=("$1") ;;
    esac
    shift
done
options ${rest[@]+"${rest[@]}"}
[ ${#words[@]} = 2 ] || fail "two folders are needed: IMAGES RESULTS; bash $0 --help"
images="${words[0]}" results="${words[1]}"

gpu="$(nvidia-smi --query-gpu=compute_cap --format=csv,noheader 2> /dev/null | head -n 1 || true)"
fits=maintained
if [[ "${gpu%%.*}" =~ ^[0-8]$ ]]; then fits=official; fi
case "${recipe:=$fits}" in
    official)
        if [ -z "$dry" ]; then
            [ -n "$gpu" ] || fail "GenEval's scorer needs an NVIDIA GPU, and nvidia-smi finds none; --recipe maintained"
            [ "$fits" = official ] || fail "this GPU (compute capability $gpu) is newer than torch 1.12: use one up to" \
                "the A100 or the RTX 40 series, or --recipe maintained, which is NOT the official score"
        fi ;;
    maintained) echo "the maintained recipe (GPU: ${gpu:-none}): NOT GenEval's official score" >&2 ;;
    *) fail "--recipe is $recipe; give official or maintained" ;;
esac

check geneval "$images"
if [ "$recipe" = maintained ]; then
    do_it "$python" -m eval.geneval.score "$images" "$results"
    exit
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
