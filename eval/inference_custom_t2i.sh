#!/usr/bin/env bash
# Images from text, for the prompts of eval/prompts/custom_t2i.* or of --prompts FILE:
#   bash eval/inference_custom_t2i.sh --model 1B/stage-2-joint --out outputs/t2i num_inference_steps=50
# All options: python -m eval.custom --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" custom t2i "$@"
