# Sourced by the scripts: leaves the root of the checkout in $repo and an interpreter that runs it in $python, which is
#   LUMOS_PYTHON             an interpreter or an environment's folder, taken as it is (conda, docker, a cluster), or
#   the active environment   if lumos is installed in it, or
#   .venv of the checkout    made if missing (Python >= 3.11), installed into again only when pyproject.toml changed.
# shellcheck shell=bash
repo="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
export PYTHONPATH="$repo${PYTHONPATH:+:$PYTHONPATH}"

lumos_has() { # whether interpreter $1 is new enough and has the modules named after it
    "$1" -I -c 'import importlib.util as u, sys
sys.exit(sys.version_info < (3, 11) or not all(map(u.find_spec, sys.argv[1:])))' "${@:2}" > /dev/null 2>&1
}

lumos_venv() { # .venv, ready; an installation that was cut goes on
    local venv="$repo/.venv" base stamp
    python="$venv/bin/python" stamp="$repo $(cksum < "$repo/pyproject.toml")"
    [ "$(cat "$venv/installed" 2> /dev/null)" != "$stamp" ] || ! lumos_has "$python" lumos torch || return 0
    for base in python3 python python3.13 python3.12 python3.11 none; do lumos_has "$base" pip && break; done
    [ $base != none ] || { echo "error: no Python >= 3.11 with pip: install one, or set LUMOS_PYTHON" >&2; return 1; }
    echo "installing into $venv (once; takes some minutes); what is brought:" >&2; rm -f "$venv/installed"
    if ! lumos_has "$python" pip; then # where Python comes without ensurepip, its own pip does
        "$base" -m venv --clear "$venv" > /dev/null 2>&1 || { "$base" -m venv --clear --without-pip "$venv" &&
            "$base" -m pip --python "$python" install -qq pip; } || return 1
    fi
    if ! (set -o pipefail; "$python" -m pip install --disable-pip-version-check -e "$repo[dev]" |
        while read -r word name _; do [ "$word" != Collecting ] || echo "  $name" >&2; done); then
        echo "error: the installation did not finish; run the same command again, it goes on" >&2; return 1
    fi
    echo "$stamp" > "$venv/installed"
}

python="${LUMOS_PYTHON:-}" active="${VIRTUAL_ENV:-${CONDA_PREFIX:-}}"
if [ -d "$python" ]; then python="$python/bin/python"; fi
if [ -n "$python" ] && ! lumos_has "$python" torch transformers av omegaconf; then
    echo "error: LUMOS_PYTHON=$python: too old or packages missing; $python -m pip install -e $repo" >&2; return 1
elif [ -z "$python" ] && [ "$active" != "$repo/.venv" ] && lumos_has "$active/bin/python" lumos torch; then
    python="$active/bin/python"
elif [ -z "$python" ]; then lumos_venv || return 1; fi
case "$python" in */*) python="$(cd "$(dirname "$python")" && pwd)/$(basename "$python")" ;; esac
export LUMOS_PYTHON="$python" # the scripts that this one calls need not look again
