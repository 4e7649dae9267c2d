#!/usr/bin/env bash
# Every check and bench of the GPU paths, in under 8 minutes, as tables; json beside them in benchmarks/results.
#   bash benchmarks/gpu.sh            on the first GPU
#   CUDA_VISIBLE_DEVICES=1 bash benchmarks/gpu.sh
# One that fails does not stop the others; the exit status says whether all passed.
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh" || exit 1
cd "$repo" || exit 1
if ! "$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())'; then
    echo "error: torch sees no GPU here; the benches of a CPU are: $python -m benchmarks.lumos1.sampling --work mid" >&2
    exit 1
fi
out=benchmarks/results failed=0 summary=""
run() { # name, seconds, command ...
    if timeout "$2" "$python" "${@:3}"; then summary+="$1 ok, "; else summary+="$1 FAILED, " failed=1; fi
}

run "graphs equal eager" 90 -m benchmarks.lumos1.sampling --device cuda --dtypes bf16 --literal --graphs --rounds 2
run "sampling 256p" 90 -m benchmarks.lumos1.sampling --work 1b-class --device cuda --dtypes bf16 --literal bf16 --graphs \
    --rounds 5 --out $out/gpu_sampling_256p.json
run "sampling 384p" 90 -m benchmarks.lumos1.sampling --work 1b-class-384p --device cuda --dtypes bf16 --literal bf16 --graphs \
    --rounds 5 --out $out/gpu_sampling_384p.json
run "sampling compiled" 120 -m benchmarks.lumos1.sampling --work 1b-class --device cuda --dtypes bf16 --literal --compile \
    --rounds 5 --out $out/gpu_sampling_compiled.json
run "attention" 60 -m benchmarks.lumos1.attention --work 1b-class --device cuda --dtypes bf16 --frames 7 --flex \
    --rounds 5 --out $out/gpu_attention.json
run "head" 40 -m benchmarks.lumos1.head --work 1b-class --device cuda --dtypes bf16 --rounds 5 --out $out/gpu_head.json
if [ -f benchmarks/lumos1/training.py ]; then
    run "training" 120 -m benchmarks.lumos1.training --work 1b-class --device cuda --out $out/gpu_training.json
fi

printf '\n--- summary\n%s\n' "${summary%, }"
exit "$failed"
