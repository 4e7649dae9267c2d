#!/usr/bin/env bash
# Trains LoRA adapters on ckpts/3B/stage-2-joint-384p: videos, on one GPU of 40 GB. Needs configs/data/video.yaml, or
# task.data.video=FILE of one's own, and the extra: pip install -e '.[lora]'.
# Words after the script's name are settings. Started again, it goes on from the newest checkpoint.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/3B_lora.yaml "$@"
