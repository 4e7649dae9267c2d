#!/usr/bin/env bash
# Fine-tunes ckpts/3B/stage-2-joint-384p, as the released script does: images and videos. Needs configs/data/{image,video}.yaml.
# From stage 1: exps/3B_Pretrain_Stage_2_Joint.sh.
# Words after the script's name are settings:  bash exps/3B_Stage_2_JointTraining.sh trainer.run_dir=runs/mine
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_stage_2_joint.yaml "$@"
