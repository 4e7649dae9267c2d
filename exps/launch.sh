#!/usr/bin/env bash
# One training from a config, one process per GPU (one on the CPU where there is none); the recipes call it:
#   bash exps/launch.sh configs/train/debug.yaml trainer.run_dir=runs/debug task.data.video=data/video/index.json
# NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$repo"

config="${1:?give a config, for example configs/train/debug.yaml}"
shift
processes="${NUM_PROCESSES:-$("$python" -c "import torch; print(max(1, torch.cuda.device_count()))")}"
launcher=()
if [ "$processes" -gt 1 ]; then launcher=(-m torch.distributed.run --standalone --nproc-per-node "$processes"); fi
exec "$python" ${launcher[@]+"${launcher[@]}"} -m lumos.train --config "$config" "$@"
