#!/usr/bin/env bash
# Trains stage 1 of the 3B recipe: text to image. Needs the clips that configs/data/image.yaml points to.
# Words after the script's name are settings:  bash exps/3B_Stage_1_Image.sh trainer.run_dir=runs/mine trainer.epochs=1
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_stage_1_image.yaml "$@"
