#!/usr/bin/env bash
# Videos from a picture and text, for the prompts of eval/prompts/custom_i2v.* or of --prompts FILE:
#   bash eval/inference_custom_i2v.sh --model 1B/stage-2-joint --out outputs/i2v num_inference_steps=50
# All options: python -m eval.custom --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" custom i2v "$@"
