#!/usr/bin/env bash
# Format, lint, types and tests; all of them run, whatever fails, and the exit status says whether all passed.
#   bash tests/run.sh                        everything
#   bash tests/run.sh --fast                 without the slow tests
#   bash tests/run.sh -k rope -x             other words go to pytest (--cov=lumos --cov=xllmx counts the lines tested)
#   bash tests/run.sh -n 0 --pdb             in one process; otherwise one a core, at most four
set -uo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/../exps/env.sh" || exit 1
cd "$repo" || exit 1
if ! lumos_has "$python" ruff mypy pytest xdist hypothesis beartype; then
    echo "error: $python lacks the tools of the tests; run: $python -m pip install -e '$repo[dev]'" >&2
    exit 1
fi
export OMP_NUM_THREADS=1 # one thread: the same sums in the same order, and nothing to wait for

words=()
for word in "$@"; do
    if [ "$word" = --fast ]; then words+=(-m "not slow"); else words+=("$word"); fi
done
# Shapes and types are checked at every call, but for the modules that TorchScript compiles (it knows no wrapped
# function), and for what is called for every number of every drawn clip: half of a test's time, and no shapes in it.
scripted=(lumos/tokenizer/{haar,layers,fsq,network,export}.py)
often=(xllmx/settings/number_range.py lumos/shapes/spec.py)
checked=$(find lumos xllmx -name '*.py' ! -name __init__.py |
    grep -vxF "$(printf '%s\n' "${scripted[@]}" "${often[@]}")" | sed 's/\.py$//; s#/#.#g' | sort | paste -s -d , -)

summary="" failed=0
check() { # name, command ...
    printf '\n--- %s\n' "$1"
    if "${@:2}"; then summary+="$1 ok, "; else summary+="$1 FAILED, " failed=1; fi
}
run_tests() {
    "$python" -m pytest --numprocesses auto --maxprocesses 4 --dist worksteal ${words[@]+"${words[@]}"} \
        --jaxtyping-packages="$checked,beartype.beartype" 2>&1 | tee "$log"
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

check format "$python" -m ruff format --check .
check lint "$python" -m ruff check .
check types "$python" -m mypy
check tests run_tests
printf '\n--- summary\n%s\n' "${summary%, }"
grep -E ' in [0-9.]+s|no tests ran' "$log" | tail -n 1 # pytest's closing line once more
exit "$failed"
