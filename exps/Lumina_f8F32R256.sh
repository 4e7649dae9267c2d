#!/usr/bin/env bash
# Trains Lumina-Video as released at 256 px, 8 fps, 32 frames: images and videos at three scales in one step. Needs
# latents (configs/data/lumina_{image,video}.yaml), ckpts/google/gemma-2-2b and ckpts/THUDM/CogVideoX-2b/vae.
# Words after the script's name are settings:  bash exps/Lumina_f8F32R256.sh trainer.run_dir=runs/mine
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
# What it takes:  python -m lumos train --config configs/train/lumina_f8F32R256.yaml --dry-run --gpus 32
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/launch.sh" configs/train/lumina_f8F32R256.yaml "$@"
