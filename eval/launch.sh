#!/usr/bin/env bash
# One process per GPU (one on the CPU where there is none); each finds its share of the list by itself:
#   bash eval/launch.sh geneval --model 1B/stage-2-joint        runs `torchrun --nproc-per-node n -m eval.geneval ...`
# Stop it and give the same command again: what is finished is skipped. What people edited in the released scripts may
# stand before the command or among its words: start_device=2 num_devices=4 (or sub_tasks=4) mask_history_ratio=0.7.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh"
fail() { echo "$driver: error: $*" >&2; exit 2; }

driver="eval.$1" words=()
for word in "${@:2}"; do
    case "$word" in
        start_device=* | num_devices=* | sub_tasks=*) declare "$word" ;;
        *) words+=("$word") ;;
    esac
done
ratio="${mask_history_ratio:-}"
case " ${words[*]-} " in *" mask_history_ratio="*) ratio="" ;; esac
set -- ${words[@]+"${words[@]}"} ${ratio:+"mask_history_ratio=$ratio"}

gpus="$("$python" -c 'import torch; print(torch.cuda.device_count())')"
start="${start_device:-0}" number="${num_devices:-${sub_tasks:-}}"
asked="start_device=$start num_devices=${number:-all}"
[[ "$start" =~ ^[0-9]+$ && "${number:-1}" =~ ^[1-9][0-9]*$ ]] || fail "$asked: write whole numbers, as in num_devices=4"
[ "$number" = "${sub_tasks:-$number}" ] || fail "num_devices=$number and sub_tasks=$sub_tasks differ; give one of them"
if ((gpus == 0)); then
    gpus="${number:-0}" # that many processes on the CPU
elif [ -n "${start_device:-}$number" ]; then
    ((start + ${number:-1} <= gpus)) || fail "$asked: this machine has $gpus GPUs, numbered from 0; give smaller numbers"
    number="${number:-$((gpus - start))}"
    IFS=, read -ra visible <<< "${CUDA_VISIBLE_DEVICES:-$(seq -s, 0 $((gpus - 1)))}"
    CUDA_VISIBLE_DEVICES="$(IFS=,; echo "${visible[*]:start:number}")" gpus="$number"
    export CUDA_VISIBLE_DEVICES
fi
# with --device-map one process has all GPUs, with --engine ray it hands the work out; those of srun need no launcher
[ -z "${SLURM_STEP_ID:-}" ] || [ "${SLURM_NTASKS:-1}" = 1 ] || gpus=0
case " $* " in *" --help "* | *" --dry-run "* | *" --outstanding"* | *" --device"[-_]map* | *" --engine"[\ =]"ray "*) gpus=0 ;; esac
if ((gpus < 2)); then exec "$python" -m "$driver" "$@"; fi
"$python" -m "$driver" "$@" --dry-run --gpus "$gpus" # what will be made, or a mistake, is said once and at once
exec "$python" -m torch.distributed.run --standalone --nproc-per-node "$gpus" -m "$driver" "$@"
