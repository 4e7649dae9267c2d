#!/usr/bin/env bash
# Images for GenEval (553 prompts, 4 each), on every GPU here; the same command goes on where it was stopped:
#   bash eval/inference_geneval.sh --model 1B/stage-2-joint --out outputs/geneval
#   bash eval/inference_geneval.sh --part 2,4 ...      the second of four machines that share the folder
# Without --model it is 3B/stage-1-image if that is in ckpts/, as released, else the bundled one.
# All options: python -m eval.geneval --help
exec bash "$(dirname "${BASH_SOURCE[0]}")/launch.sh" geneval "$@"
