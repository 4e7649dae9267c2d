#!/usr/bin/env bash
# One training from a config, one process per GPU (one on the CPU where there is none); the recipes call it:
#   bash exps/launch.sh configs/train/debug.yaml trainer.run_dir=runs/debug task.data.video=data/video/index.json
# NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
# Several machines that share the folder of the run, the same line on each:
#   static:   NUM_NODES=6 NODE_RANK=0 MASTER_ADDR=first-machine bash exps/...     with the NODE_RANK of the machine
#   elastic:  NUM_NODES=4:6 RDZV_ENDPOINT=first-machine:29400 bash exps/...       goes on while 4 to 6 are there
# (elastic: RDZV_ID tells runs apart; MAX_RESTARTS, 3: how often the rest goes on from the newest checkpoint.)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$repo"

config="${1:?give a config, for example configs/train/debug.yaml}"
shift
processes="${NUM_PROCESSES:-$("$python" -c "import torch; print(max(1, torch.cuda.device_count()))")}"
launcher=()
if [ -n "${RDZV_ENDPOINT:-}" ]; then
    launcher=(--nnodes "${NUM_NODES:-1}" --rdzv-backend c10d --rdzv-endpoint "$RDZV_ENDPOINT"
        --rdzv-id "${RDZV_ID:-lumos}" --max-restarts "${MAX_RESTARTS:-3}")
elif [ "${NUM_NODES:-1}" != 1 ]; then
    launcher=(--nnodes "$NUM_NODES" --node-rank "${NODE_RANK:?set NODE_RANK, from 0, on each machine}"
        --master-addr "${MASTER_ADDR:?set MASTER_ADDR to the machine of NODE_RANK 0}"
        --master-port "${MASTER_PORT:-29500}")
elif [ "$processes" -gt 1 ]; then
    launcher=(--standalone)
fi
if [ ${#launcher[@]} -gt 0 ]; then
    launcher=(-m torch.distributed.run --nproc-per-node "$processes" "${launcher[@]}")
fi
exec "$python" ${launcher[@]+"${launcher[@]}"} -m lumos.train --config "$config" "$@"
