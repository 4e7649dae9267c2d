#!/usr/bin/env bash
# One process per GPU (one on the CPU where there is none); each finds its share of the list by itself:
#   bash eval/launch.sh geneval --model 1B/stage-2-joint        runs `torchrun --nproc-per-node n -m eval.geneval ...`
# Stop it and give the same command again: what is finished is skipped.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh"

driver="eval.$1"
shift
gpus="$("$python" -c 'import torch; print(torch.cuda.device_count())')"
case " $* " in *" --help "* | *" --dry-run "*) gpus=0 ;; esac
if ((gpus < 2)); then exec "$python" -m "$driver" "$@"; fi
"$python" -m "$driver" "$@" --dry-run > /dev/null # a mistake is said once, not once a process
exec "$python" -m torch.distributed.run --standalone --nproc-per-node "$gpus" -m "$driver" "$@"
