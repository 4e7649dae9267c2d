# Sourced by vbench.sh and vbench_i2v.sh after env.sh: VBench's environment and checkout, and one run of it.
# shellcheck shell=bash
detectron=9604f5995cc628619f0e4fd913453b4d7d61db3f

vbench_environment() { # made if need be; leaves the shell in the checkout
    local list
    list="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/vbench.txt"
    checkout Vchitect/VBench 45e79ec14e69a2187202c675d2dbce1a71843d53
    environment vbench 3.10 "$list"
    if [ -n "$fresh" ]; then
        do_it env -u PYTHONPATH "$scorer" -m pip install -q --no-build-isolation \
            "detectron2 @ git+https://github.com/facebookresearch/detectron2.git@$detectron"
        finished
    fi
    do_it cd "$home/VBench"
}

scored() { # folder: whether it holds the results of a finished run
    compgen -G "$1/*_eval_results.json" > /dev/null && echo "$1 is there already"
}

score() { # folder for the results, script of VBench and its words: the folder appears when the run is finished
    do_it rm -rf "$1.part"
    do_it env -u PYTHONPATH "$scorer" "$2" "${@:3}" --output_path "$1.part"
    do_it mv "$1.part" "$1"
}
