#!/usr/bin/env bash
# One training from a config, one process per GPU (one on the CPU where there is none); the recipes call it:
#   bash exps/launch.sh configs/train/quickstart.yaml trainer.run_dir=runs/mine task.data.video=data/video/index.json
# NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint. --dry-run: what it would take.
# Several machines that share the folder of the run, the same line on each:
#   static:   NUM_NODES=6 NODE_RANK=0 MASTER_ADDR=first-machine bash exps/...     with the NODE_RANK of the machine
#   elastic:  NUM_NODES=3:6 RDZV_ENDPOINT=first-machine:29400 bash exps/...       goes on while 3 to 6 are there
# (RDZV_ID tells runs apart; MAX_RESTARTS, 3: how often the rest goes on; RDZV_CONF: for --rdzv-conf. Slurm: README.md)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
cd "$repo"

wrong() { echo "error: $1 is '$2'; set it to $3" >&2; exit 2; } # NAME VALUE RULE
whole() { # NAME VALUE LEAST [MOST]: ends the script, with what to mend, unless the value is such a whole number
    [[ $2 =~ ^[0-9]{1,9}$ ]] && ((10#$2 >= $3 && 10#$2 <= ${4:-999999999})) ||
        wrong "$1" "$2" "a whole number from $3 ${4:+to }${4:-on}"
}

source exps/slurm/nodes.sh # what Slurm says, where nothing else is set
config="${1:?give a config, for example configs/train/debug.yaml}" && shift
[[ " $* " != *" --dry-run "* ]] || exec "$python" -m lumos train --config "$config" "$@" # reckoned by one process
processes="${NUM_PROCESSES:-$("$python" -c "import torch; print(max(1, torch.cuda.device_count()))")}"
whole NUM_PROCESSES "$processes" 1
nodes="${NUM_NODES:-1}" launcher=()
if [ -n "${RDZV_ENDPOINT:-}" ]; then
    [[ $nodes =~ ^[0-9]{1,9}(:[0-9]{1,9})?$ ]] && ((10#${nodes%%:*} >= 1 && 10#${nodes%%:*} <= 10#${nodes#*:})) ||
        wrong NUM_NODES "$nodes" "a whole number from 1 on, or to MIN:MAX"
    export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=1 # else a round reads what the one before left in its store, and hangs
    launcher=(--nnodes "$nodes" --rdzv-backend c10d --rdzv-endpoint "$RDZV_ENDPOINT"
        --rdzv-id "${RDZV_ID:-lumos}" --max-restarts "${MAX_RESTARTS:-3}" ${RDZV_CONF:+--rdzv-conf "$RDZV_CONF"})
elif [ "$nodes" != 1 ]; then
    whole "NUM_NODES (without RDZV_ENDPOINT)" "$nodes" 1
    whole NODE_RANK "${NODE_RANK:?set NODE_RANK, from 0, on each machine}" 0 $((10#$nodes - 1))
    launcher=(--nnodes "$nodes" --node-rank "$NODE_RANK"
        --master-addr "${MASTER_ADDR:?set MASTER_ADDR to the machine of NODE_RANK 0}"
        --master-port "${MASTER_PORT:-29500}")
elif [ "$processes" -gt 1 ]; then launcher=(--standalone); fi
[ ${#launcher[@]} = 0 ] || launcher=(-m torch.distributed.run --nproc-per-node "$processes" "${launcher[@]}")
exec "$python" ${launcher[@]+"${launcher[@]}"} -m lumos.train --config "$config" "$@"
