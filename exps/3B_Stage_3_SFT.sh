#!/usr/bin/env bash
# Fine-tunes ckpts/3B/stage-2-joint-384p on a smaller, chosen set: images and videos, each epoch saved. Needs
# configs/data/{image,video}.yaml, or task.data.video=FILE of one's own.
# Words after the script's name are settings:  bash exps/3B_Stage_3_SFT.sh task.data.video=data/mine/index.json
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_sft.yaml "$@"
