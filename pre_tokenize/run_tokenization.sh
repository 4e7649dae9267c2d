#!/usr/bin/env bash
# Pre-tokenise a CSV with several processes on this machine, one per GPU where there are GPUs:
#
#   bash pre_tokenize/run_tokenization.sh --input_file clips.csv --output_dir data/clips --modality video --splits 4
#
# All options go to `python -m pre_tokenize` (see --help). Stopped or killed: run the same again, it goes on. One machine
# writes the index at the end; of several (--all_tasks N --task_id I), run pre_tokenize/concat_record.py after the last.
# Without options it codes the example: pre_tokenize/csv_files/test_image.csv and test_video.csv, into pre_tokenize/data/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh"

if (($# == 0)); then
    "$python" -u -m pre_tokenize.parallel_tokenization_image
    exec "$python" -u -m pre_tokenize.parallel_tokenization_video
fi

splits=1 all_tasks=1 output_dir=
arguments=("$@")
for ((i = 0; i < $#; i++)); do
    case "${arguments[i]}" in
        --splits) splits=${arguments[i + 1]-} ;;
        --splits=*) splits=${arguments[i]#*=} ;;
        --all_tasks) all_tasks=${arguments[i + 1]-} ;;
        --all_tasks=*) all_tasks=${arguments[i]#*=} ;;
        --output_dir | --out_dir) output_dir=${arguments[i + 1]-} ;;
        --output_dir=* | --out_dir=*) output_dir=${arguments[i]#*=} ;;
    esac
done
[[ $splits =~ ^[1-9][0-9]*$ ]] ||
    { echo "run_tokenization: error: --splits is '$splits'; give a whole number of at least 1" >&2; exit 2; }
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$((($(getconf _NPROCESSORS_ONLN) + splits - 1) / splits))}"
gpus=0
if command -v nvidia-smi > /dev/null; then gpus=$(nvidia-smi -L | wc -l); fi

pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true' EXIT
for ((rank = 0; rank < splits; rank++)); do
    if ((gpus > 0)); then export CUDA_VISIBLE_DEVICES=$((rank % gpus)); fi
    "$python" -m pre_tokenize "$@" --rank "$rank" &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=$?; done
if ((failed > 1)); then exit "$failed"; fi # 1: there is no clip, which the index is to say too
if ((all_tasks == 1)); then "$python" -m pre_tokenize.concat_record --output_dir "$output_dir"; fi
