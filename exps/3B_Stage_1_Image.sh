#!/usr/bin/env bash
# Trains stage 1 of the 3B recipe: text to image. Needs the clips that configs/data/image.yaml points to.
# Words after the script's name are settings:  bash exps/3B_Stage_1_Image.sh trainer.run_dir=runs/mine trainer.epochs=1
# Uses every GPU there is; NUM_PROCESSES says otherwise. Started again, it goes on from the newest checkpoint.
set -euo pipefail
cd "$(dirname "$0")/.."

python="${PYTHON:-.venv/bin/python}"
if ! "$python" -c "import lumos, xllmx" 2>/dev/null; then
    echo "error: $python cannot import lumos; install as INSTALL.md says, or set PYTHON to an interpreter that can" >&2
    exit 1
fi
processes="${NUM_PROCESSES:-$("$python" -c "import torch; print(max(1, torch.cuda.device_count()))")}"
launcher=()
if [ "$processes" -gt 1 ]; then
    launcher=(-m torch.distributed.run --standalone --nproc-per-node "$processes")
fi
exec "$python" ${launcher[@]+"${launcher[@]}"} -m lumos.train --config configs/train/3B_stage_1_image.yaml "$@"
