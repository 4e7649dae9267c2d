#!/usr/bin/env bash
# Every check and bench of the GPU paths, in under 8 minutes, the first table after 3 at most:
#   bash benchmarks/gpu.sh            on the first GPU; CUDA_VISIBLE_DEVICES=1 before it: on the second
#   bash benchmarks/gpu.sh --small    the same on small networks, in a minute or two, on a CPU too
# Each part is printed as it ends. One that fails does not stop the others; the exit status says whether all passed.
# What was found is in benchmarks/results/device.json and, as a table for RESULTS.md, in device.md beside it.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh"
cd "$repo"
exec "$python" -m benchmarks.device "$@"
