#!/usr/bin/env bash
# VBench's own scorer over a folder of videos, in an environment of its own (torch 2.1, transformers 4.33):
#   bash eval/scorers/vbench.sh VIDEOS RESULTS [DIMENSION ...] [--dry-run] [--home DIR] [--python PYTHON3.10]
# One run a dimension (default: all sixteen); those that RESULTS has are passed over, so a stopped run goes on. Then:
#   python -m eval.report vbench RESULTS --samples VIDEOS
# Needs an NVIDIA GPU and, for detectron2, a CUDA compiler. The judges' weights go to ~/.cache/vbench, environment and
# checkout stay in --home (default: ~/.cache/lumos/scorers).
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
source "$(dirname "${BASH_SOURCE[0]}")/vbench_env.sh"
options "$@"
[ ${#words[@]} -ge 2 ] || fail "two folders are needed: VIDEOS RESULTS; bash $0 --help"
videos="$(absolute "${words[0]}")" results="$(absolute "${words[1]}")" dimensions=("${words[@]:2}")
# dynamic_degree comes before temporal_flickering: it downloads the optical flow that finds static videos
all=(dynamic_degree temporal_flickering subject_consistency background_consistency motion_smoothness aesthetic_quality
    imaging_quality object_class multiple_objects human_action color spatial_relationship scene appearance_style
    temporal_style overall_consistency)
if [ ${#dimensions[@]} = 0 ]; then dimensions=("${all[@]}"); fi
for dimension in "${dimensions[@]}"; do
    [[ " ${all[*]} " == *" $dimension "* ]] || fail "VBench has no dimension $dimension; it has ${all[*]}"
done

check vbench "$videos"
vbench_environment
do_it mkdir -p "$results"
for dimension in "${dimensions[@]}"; do
    if scored "$results/$dimension"; then continue; fi
    folder="$videos"
    if [ "$dimension" = temporal_flickering ]; then # of the static ones among 25
        flow="${VBENCH_CACHE_DIR:-$HOME/.cache/vbench}/raft_model/models/raft-things.pth"
        [ -n "$dry" ] || [ -e "$flow" ] || fail "$flow is missing: score dynamic_degree first, which brings it"
        do_it rm -rf "$results/static"
        do_it env -u PYTHONPATH "$scorer" static_filter.py --videos_path "$videos" --result_path "$results/static"
        folder="$results/static/filtered_videos"
    fi
    score "$results/$dimension" evaluate.py --videos_path "$folder" --dimension "$dimension"
done
