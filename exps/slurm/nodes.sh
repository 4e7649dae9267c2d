# Sourced by exps/launch.sh: NUM_NODES, NODE_RANK, MASTER_ADDR and MASTER_PORT as Slurm says, where they are not set; of
# an elastic run (NUM_NODES=MIN:MAX) RDZV_ENDPOINT and RDZV_ID.
# shellcheck shell=bash
in_step=""
if [ -n "${SLURM_STEP_ID:-}" ] && [ "${SLURM_NTASKS:-1}" != 1 ] && [ -z "${RDZV_ENDPOINT:-}" ]; then in_step=yes; fi
slurm_port=$((15000 + 10#${SLURM_JOB_ID:-0} % 10000))
first_machine() { scontrol show hostnames "${SLURM_JOB_NODELIST:-}" 2> /dev/null | head -n 1; }
if [ -n "$in_step" ] && [[ ${NUM_NODES:-} == *:* ]]; then # elastic: a launcher on each machine, which meet on the first
    if [ "${SLURM_NNODES:-}" != "$SLURM_NTASKS" ]; then
        wrong "--ntasks-per-node" "$((SLURM_NTASKS / SLURM_NNODES))" "1: an elastic run has one launcher a machine"
    fi
    : "${RDZV_ENDPOINT:=$(first_machine):$slurm_port}" "${RDZV_ID:=$SLURM_JOB_ID}"
elif [ -n "$in_step" ] && [ "${SLURM_NNODES:-}" = "$SLURM_NTASKS" ]; then # one task a machine: a launcher on each
    whole SLURM_NODEID "${SLURM_NODEID:-}" 0 $((10#$SLURM_NNODES - 1))
    for pair in NUM_NODES:SLURM_NNODES NODE_RANK:SLURM_NODEID; do
        ours=${pair%:*} theirs=${pair#*:}
        if [ "${!ours:-${!theirs}}" != "${!theirs}" ]; then
            echo "note: $ours=${!ours} was set, and wins over $theirs=${!theirs}" >&2
        fi
    done
    : "${NUM_NODES:=$SLURM_NNODES}" "${NODE_RANK:=$SLURM_NODEID}" "${MASTER_PORT:=$slurm_port}"
    : "${MASTER_ADDR:=$(first_machine)}"
elif [ -n "$in_step" ] && [ -z "${NUM_NODES:-}" ]; then # a task a GPU: no launcher
    : "${NUM_PROCESSES:=1}"
elif [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ] && [ "${SLURM_NNODES:-1}" != 1 ] &&
    [ "${NUM_NODES:-1}" = 1 ]; then
    echo "note: the job has $SLURM_NNODES machines, and this runs on one; on all: srun bash exps/launch.sh ..." >&2
fi
