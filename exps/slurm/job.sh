# Sourced by the jobs: runs their command, and queues the job again where a signal of Slurm has stopped it.
# shellcheck shell=bash

run_again() { # a command; ends the job with its status
    local status=0 state
    trap : USR1 TERM # Slurm may tell this script as well as what srun started, which is what has to act
    "$@" || status=$?
    case "$status" in
        138 | 143) # 128 + SIGUSR1 (10), SIGTERM (15)
            state="$(scontrol show job "$SLURM_JOB_ID" --oneliner | sed -n 's/.*JobState=\([A-Z_]*\).*/\1/p')"
            if [ "$state" = RUNNING ]; then # not one that scancel ends, or that Slurm itself queues again
                echo "job $SLURM_JOB_ID: stopped by a signal (status $status); queued again, it goes on"
                scontrol requeue "$SLURM_JOB_ID" && sleep 60 # until Slurm takes this script away
            fi ;;
    esac
    exit "$status"
}
