#!/usr/bin/env bash
# Fine-tunes ckpts/3B/stage-1-image, as the released script does: text to image. Needs the clips that
# configs/data/image.yaml points to. From fresh weights: exps/3B_Pretrain_Stage_1_Image.sh.
# Words after the script's name are settings:  bash exps/3B_Stage_1_Image.sh trainer.run_dir=runs/mine trainer.epochs=1
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_stage_1_image.yaml "$@"
