# Sourced by exps/launch.sh: NUM_NODES, NODE_RANK, MASTER_ADDR and MASTER_PORT as Slurm says, where they are not set.
# shellcheck shell=bash
in_step=""
if [ -n "${SLURM_STEP_ID:-}" ] && [ "${SLURM_NTASKS:-1}" != 1 ] && [ -z "${RDZV_ENDPOINT:-}" ]; then in_step=yes; fi
if [ -n "$in_step" ] && [ "${SLURM_NNODES:-}" = "$SLURM_NTASKS" ]; then # one task a machine: a launcher on each
    whole SLURM_NODEID "${SLURM_NODEID:-}" 0 $((10#$SLURM_NNODES - 1))
    for pair in NUM_NODES:SLURM_NNODES NODE_RANK:SLURM_NODEID; do
        ours=${pair%:*} theirs=${pair#*:}
        if [ "${!ours:-${!theirs}}" != "${!theirs}" ]; then
            echo "note: $ours=${!ours} was set, and wins over $theirs=${!theirs}" >&2
        fi
    done
    : "${NUM_NODES:=$SLURM_NNODES}" "${NODE_RANK:=$SLURM_NODEID}" "${MASTER_PORT:=$((15000 + ${SLURM_JOB_ID:-0} % 10000))}"
    : "${MASTER_ADDR:=$(scontrol show hostnames "${SLURM_JOB_NODELIST:-}" 2> /dev/null | head -n 1)}"
elif [ -n "$in_step" ] && [ -z "${NUM_NODES:-}" ]; then # a task a GPU: no launcher
    : "${NUM_PROCESSES:=1}"
elif [ -n "${SLURM_JOB_ID:-}" ] && [ -z "${SLURM_STEP_ID:-}" ] && [ "${SLURM_NNODES:-1}" != 1 ] &&
    [ "${NUM_NODES:-1}" = 1 ]; then
    echo "note: the job has $SLURM_NNODES machines, and this runs on one; on all: srun bash exps/launch.sh ..." >&2
fi
