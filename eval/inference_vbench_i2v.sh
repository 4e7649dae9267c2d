#!/usr/bin/env bash
# Videos for VBench-I2V (1118 prompts, 5 each), on every GPU here; the same command goes on where it was stopped:
#   bash eval/inference_vbench_i2v.sh --model 1B/stage-2-joint --out outputs/vbench_i2v --images crop
#   bash eval/inference_vbench_i2v.sh --part 2,4 ...      the second of four machines that share the folder
# Without --model it is 3B/stage-2-joint-384p if that is in ckpts/, as released, else the bundled one.
# All options: python -m eval.vbench_i2v --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" vbench_i2v "$@"
