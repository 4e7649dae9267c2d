#!/usr/bin/env bash
# Trains stage 2 of the 1B recipe: images and videos. Needs ckpts/1B/stage-1-image and configs/data/{image,video}.yaml.
# Words after the script's name are settings:  bash exps/1B_Stage_2_JointTraining.sh trainer.run_dir=runs/mine
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/1B_stage_2_joint.yaml "$@"
