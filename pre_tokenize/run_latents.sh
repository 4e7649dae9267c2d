#!/usr/bin/env bash
# Encode a CSV of videos (or pictures) with captions into latents of Lumina-Video, as run_tokenization.sh does it:
#
#   bash pre_tokenize/run_latents.sh --input_file clips.csv --output_dir data/latents --modality video \
#       --vae ckpts/CogVideoX-2b/vae --target_size 256 --target_fps 8 --splits 4
#
# Motion scores come from the CSV's column unimatch_flow; `python -m pre_tokenize.motion` makes it.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/run_tokenization.sh" --to latents "$@"
