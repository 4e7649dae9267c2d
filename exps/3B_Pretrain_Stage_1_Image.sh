#!/usr/bin/env bash
# Trains stage 1 of the 3B recipe from fresh weights: text to image. Needs configs/data/image.yaml.
# Words after the script's name are settings; uses every GPU there is; started again, it goes on where it was.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_pretrain_image.yaml "$@"
