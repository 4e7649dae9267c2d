#!/usr/bin/env bash
# Makes a small visual tokenizer for real clips, 64000 codes as released, from photographs that are free to have.
#   bash exps/tiny_visual.sh [FOLDER] [CLIPS...]      (default runs/tiny-visual/model; ckpts/tiny-visual replaces the bundled one;
#   CLIPS: videos it is measured on at the end)
# Needs apt-get (Debian, Ubuntu), or photographs in data/photographs. Stopped or killed: run it again, it goes on.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"; cd "$repo"
out="${1:-runs/tiny-visual/model}" work=runs/tiny-visual; shift $(($# > 0)); mkdir -p "$out" "$work"
step() { printf '\n[%s s] %s\n' "$SECONDS" "$*"; }
step "1/4 photographs of wallpaper packages, pictures of scikit-image, textures"
[ -f data/photographs/sources.md ] || "$python" -m pre_tokenize.photographs --out data/photographs
step "2/4 text tokenizer with room for 64000 codes, from the captions of the shapes world"
[ -f "$out/text_tokenizer.json" ] ||
    "$python" -m lumos.tokenizer.text_training --out "$out/text_tokenizer.json" --num-codes 64000
step "3/4 tokenizer"
"$python" -m lumos.tokenizer.training --config configs/train/tiny_visual.yaml trainer.run_dir="$work/tokenizer" \
    export_to="$out/visual_tokenizer" export_dtype=bfloat16
step "4/4 there and back"
[ $# = 0 ] || "$python" -m eval.codec "$@" --tokenizer "$out" --sizes 112x64 224x128 --out "$work/codec.png"
