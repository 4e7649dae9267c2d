#!/usr/bin/env bash
# VBench-I2V's own scorer over a folder of videos, in the environment of vbench.sh:
#   bash eval/scorers/vbench_i2v.sh VIDEOS RESULTS CROPS [DIMENSION ...] [--dry-run] [--home DIR] [--python PYTHON3.10]
# CROPS is the folder of first frames that the videos were made from, crop/7-4 of VBench's image suite. One run a
# dimension (default: the nine of the total); those that RESULTS has are passed over. Then:
#   python -m eval.report vbench_i2v RESULTS --samples VIDEOS
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
source "$(dirname "${BASH_SOURCE[0]}")/vbench_env.sh"
options "$@"
[ ${#words[@]} -ge 3 ] || fail "three folders are needed: VIDEOS RESULTS CROPS; bash $0 --help"
videos="$(absolute "${words[0]}")" results="$(absolute "${words[1]}")" crops="$(absolute "${words[2]}")"
dimensions=("${words[@]:3}")
all=(camera_motion i2v_subject i2v_background subject_consistency background_consistency motion_smoothness
    dynamic_degree aesthetic_quality imaging_quality)
if [ ${#dimensions[@]} = 0 ]; then dimensions=("${all[@]}"); fi
for dimension in "${dimensions[@]}"; do
    [[ " ${all[*]} " == *" $dimension "* ]] || fail "VBench-I2V has no dimension $dimension; it has ${all[*]}"
done

check vbench_i2v "$videos"
[ -n "$dry" ] || [ -d "$crops" ] || fail "$crops is no folder: give the crops that the videos were made from"
vbench_environment
do_it mkdir -p "$results" vbench2_beta_i2v/data/crop
do_it ln -sfn "$crops" vbench2_beta_i2v/data/crop/given
for dimension in "${dimensions[@]}"; do
    if scored "$results/$dimension"; then continue; fi
    score "$results/$dimension" evaluate_i2v.py --videos_path "$videos" --dimension "$dimension" --ratio given
done
