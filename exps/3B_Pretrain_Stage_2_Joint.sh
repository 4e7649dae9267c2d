#!/usr/bin/env bash
# Trains stage 2 of the 3B recipe from stage 1: images and videos. Needs ckpts/3B/stage-1-image, or task.init_from=FOLDER
# of one's own, and configs/data/{image,video}.yaml.
# Words after the script's name are settings; uses every GPU there is; started again, it goes on where it was.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_pretrain_joint.yaml "$@"
