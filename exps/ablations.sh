#!/usr/bin/env bash
# The paper's comparisons on the shapes world: MM-RoPE against 1-D and plain 3-D RoPE, tubes against random masks and
# diffusion forcing, two seeds each; the share of masked history, guidance and steps of sampling (exps/ABLATIONS.md).
#   bash exps/ablations.sh [FOLDER]      (default runs/ablations; stopped or killed, the same command goes on)
#   bash exps/ablations.sh --dry-run     (what there is to do, and how long it will take)
#   bash exps/ablations.sh --only base random --seeds 1
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
exec "$python" -m eval.ablations "$@"
