# Sourced by the scorers, which need worlds of their own: makes an environment from a list of pinned packages, gets a
# pinned checkout, checks the samples. With --dry-run nothing is done: what would be done is printed.
# shellcheck shell=bash
source "$(dirname "${BASH_SOURCE[0]}")/../../exps/env.sh"
home="${XDG_CACHE_HOME:-$HOME/.cache}/lumos/scorers" dry="" base=""

do_it() { # a command, or with --dry-run its words
    if [ -n "$dry" ]; then printf '%q ' "$@" && echo; else "$@"; fi
}

fail() { echo "error: $*" >&2; exit 2; }

options() { # --dry-run, --home DIR, --python INTERPRETER; the other words are left in $words
    words=()
    while (($#)); do
        case "$1" in
            --dry-run) dry=yes ;;
            --home) home="${2:?--home needs a folder}"; shift ;;
            --python) base="${2:?--python needs an interpreter}"; shift ;;
            -h | --help) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 0 ;;
            -*) fail "unknown option $1; bash $0 --help" ;;
            *) words+=("$1") ;;
        esac
        shift
    done
}

checkout() { # owner/name, commit -> $home/name at that commit
    local folder="$home/${1#*/}"
    if [ -n "$dry" ] || [ "$(git -C "$folder" rev-parse HEAD 2> /dev/null)" != "$2" ]; then
        do_it git init -q "$folder"
        do_it git -C "$folder" fetch -q --depth 1 "https://github.com/$1.git" "$2"
        do_it git -C "$folder" checkout -q "$2"
    fi
}

environment() { # name, Python version, list of packages, more words for pip -> $env, its interpreter $scorer, $fresh
    env="$home/$1-env" scorer="$home/$1-env/bin/python" fresh=yes
    stamp="$(cksum < "$3")"
    if [ -z "$dry" ] && [ "$(cat "$env/ready" 2> /dev/null)" = "$stamp" ]; then fresh="" && return; fi
    if [ -z "$base" ]; then
        for base in "python$2" uv micromamba mamba conda none; do "$base" --version > /dev/null 2>&1 && break; done
        if [ "$base" = none ] && [ -n "$dry" ]; then base="python$2"; fi
    fi
    case "$base" in
        none) fail "no Python $2: install it, uv or conda, or give one with --python" ;;
        uv) do_it uv venv -q --seed --clear --python "$2" "$env" ;;
        micromamba | mamba | conda) do_it "$base" create -q -y -p "$env" -c conda-forge "python=$2" pip ;;
        *) do_it "$base" -m venv --clear "$env" ;;
    esac
    do_it env -u PYTHONPATH "$scorer" -m pip install -q -r "$3" "${@:4}"
}

finished() { # the environment is whole
    if [ -z "$dry" ]; then echo "$stamp" > "$env/ready"; fi
}

absolute() { # a path that holds from any folder
    case "$1" in /*) echo "$1" ;; *) echo "$PWD/$1" ;; esac
}

check() { # benchmark, folder: nothing is scored that is not complete
    do_it "$python" -m eval.check "$1" "$2" || fail "$2 is not what $1 can score (see above)"
}
