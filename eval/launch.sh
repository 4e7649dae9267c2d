#!/usr/bin/env bash
# One process per GPU (one on the CPU where there is none), each with its part of the list:
#   bash eval/launch.sh custom t2v --model 1B/stage-2-joint     runs `python -m eval.custom t2v --part i,n ...`
#   bash eval/launch.sh geneval --model 1B/stage-2-joint        runs `torchrun --nproc-per-node n -m eval.geneval ...`
# Stop it and give the same command again: what is finished is skipped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh"

driver="eval.$1"
shift
gpus="$("$python" -c 'import torch; print(torch.cuda.device_count())')"
parts=$((gpus > 0 ? gpus : 1))
if [ "$driver" != eval.custom ]; then # these find their part by themselves
  case " $* " in *" --help "* | *" --dry-run "*) parts=1 ;; esac
  if ((parts == 1)); then exec "$python" -m "$driver" "$@"; fi
  "$python" -m "$driver" "$@" --dry-run > /dev/null # a mistake is said once, not once a process
  exec "$python" -m torch.distributed.run --standalone --nproc-per-node "$parts" -m "$driver" "$@"
fi
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true' INT TERM
for ((part = 1; part <= parts; part++)); do
  device=()
  if ((gpus > 0)); then device=(--device "cuda:$((part - 1))"); fi
  "$python" -m "$driver" "$@" --part "$part,$parts" ${device[@]+"${device[@]}"} &
  pids+=($!)
done
status=0
for pid in "${pids[@]}"; do wait "$pid" || status=$?; done
exit "$status"
