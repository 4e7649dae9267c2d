#!/usr/bin/env bash
# Pre-tokenise a CSV with several processes on this machine, one per GPU (those of CUDA_VISIBLE_DEVICES, or all) unless
# --splits says otherwise; one where there is none:
#
#   bash pre_tokenize/run_tokenization.sh --input_file clips.csv --output_dir data/clips --modality video --splits 4
#
# All options go to `python -m pre_tokenize` (see --help). Stopped or killed: run the same again, it goes on. One machine
# writes the index at the end; of several (--all_tasks N --task_id I), run pre_tokenize/concat_record.py after the last.
# Under Slurm the jobs of an array are those machines, the last of which writes the index; with several processes of srun
# each is one process of the pre-tokenisation (exps/slurm/pre_tokenize.sbatch).
# With --engine ray it is one process, and Ray's cluster does the work (pre_tokenize/README.md).
# Without options it codes the example: pre_tokenize/csv_files/test_image.csv and test_video.csv, into pre_tokenize/data/.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh"

if (($# == 0)); then
    "$python" -u -m pre_tokenize.parallel_tokenization_image
    exec "$python" -u -m pre_tokenize.parallel_tokenization_video
fi

splits=auto all_tasks= output_dir= engine=local
arguments=("$@")
for ((i = 0; i < $#; i++)); do
    case "${arguments[i]}" in
        --splits) splits=${arguments[i + 1]-} ;;
        --splits=*) splits=${arguments[i]#*=} ;;
        --all[_-]tasks) all_tasks=${arguments[i + 1]-} ;;
        --all[_-]tasks=*) all_tasks=${arguments[i]#*=} ;;
        --engine) engine=${arguments[i + 1]-} ;;
        --engine=*) engine=${arguments[i]#*=} ;;
        -h | --help | --dry_run | --dry-run) exec "$python" -m pre_tokenize "$@" ;;
        --output[_-]dir | --out[_-]dir) output_dir=${arguments[i + 1]-} ;;
        --output[_-]dir=* | --out[_-]dir=*) output_dir=${arguments[i]#*=} ;;
    esac
done
gpus=()
if [ "$engine" = ray ]; then # one process, which hands out the work
    if [ "$splits" = auto ]; then splits=1; fi
elif [ -n "${CUDA_VISIBLE_DEVICES+set}" ]; then
    for id in ${CUDA_VISIBLE_DEVICES//,/ }; do case "$id" in -*) break ;; *) gpus+=("$id") ;; esac done
elif command -v nvidia-smi > /dev/null; then
    found=$(nvidia-smi -L | grep -c '^GPU ' || true)
    for ((id = 0; id < found; id++)); do gpus+=("$id"); done
fi
if [ "$splits" = auto ] && [ -n "${SLURM_STEP_ID:-}" ] && [ "${SLURM_NTASKS:-1}" != 1 ]; then
    if ((${#gpus[@]})); then export CUDA_VISIBLE_DEVICES=${gpus[${SLURM_LOCALID:-0} % ${#gpus[@]}]}; fi
    exec "$python" -m pre_tokenize "$@"
fi
if [ "$splits" = auto ]; then splits=$((${#gpus[@]} ? ${#gpus[@]} : 1)); fi
[[ $splits =~ ^[1-9][0-9]*$ ]] ||
    { echo "run_tokenization: error: --splits is '$splits'; give a whole number of at least 1" >&2; exit 2; }
threads=$((($(nproc 2> /dev/null || getconf _NPROCESSORS_ONLN) + splits - 1) / splits))
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-$threads}"
own=() # a GPU's process decodes on its share of the cores; a CPU's needs them for the network
if ((${#gpus[@]})); then own=(--num_workers "$threads"); fi

pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true' EXIT
for ((rank = 0; rank < splits; rank++)); do
    if ((${#gpus[@]})); then export CUDA_VISIBLE_DEVICES=${gpus[rank % ${#gpus[@]}]}; fi
    "$python" -m pre_tokenize ${own[@]+"${own[@]}"} "$@" --splits "$splits" --rank "$rank" &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=$?; done
if ((failed > 1)); then exit "$failed"; fi # 1: there is no clip, which the index is to say too
if [ -z "$all_tasks" ] && [ -z "${SLURM_ARRAY_TASK_ID:-}" ]; then all_tasks=1; fi
if [ "$all_tasks" = 1 ] || { [ -n "${SLURM_ARRAY_TASK_ID:-}" ] &&
    "$python" -m pre_tokenize.outstanding --output_dir "$output_dir" > /dev/null; }; then
    "$python" -m pre_tokenize.concat_record --output_dir "$output_dir"
fi
