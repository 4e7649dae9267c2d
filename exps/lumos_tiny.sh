#!/usr/bin/env bash
# Makes the model that is bundled as ckpts/lumos-tiny, from nothing but this code; some hours on 2 cores.
#   bash exps/lumos_tiny.sh [FOLDER]      (default runs/lumos-tiny/model; ckpts/lumos-tiny replaces the bundled one)
# Stopped or killed: run it again, it goes on. Clips coded with another tokenizer are refused: delete data/tiny then.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"; cd "$repo"
out="${1:-runs/lumos-tiny/model}" work=runs/lumos-tiny; mkdir -p "$out" "$work" data/tiny; step() { printf '\n[%s s] %s\n' "$SECONDS" "$*"; }
clips() { # a folder of data/tiny, number, seed and what else; nothing is done twice
    [ -f "data/tiny/$1/index.json" ] ||
        "$python" -m pre_tokenize.shapes --out "data/tiny/$1" --tokenizer "$out" --num "$2" --seed "$3" "${@:4}"
}
step "1/5 text tokenizer, from the captions"
"$python" -m lumos.tokenizer.text_training --out "$out/text_tokenizer.json" --num-codes 8000
step "2/5 visual tokenizer, then its decoder alone for longer, which leaves the codes as they are"
"$python" -m lumos.tokenizer.training --config configs/train/tiny_tokenizer.yaml \
    trainer.run_dir="$work/tokenizer" export_to="$out/visual_tokenizer"
"$python" -m lumos.tokenizer.training --config configs/train/tiny_decoder.yaml trainer.run_dir="$work/decoder" \
    task.init_from="$work/tokenizer/network.safetensors" export_to="$out/visual_tokenizer"
codes="$(cat "$out/text_tokenizer.json" "$work/tokenizer/network.safetensors" | cksum)"
[ -f data/tiny/tokenizer ] || echo "$codes" > data/tiny/tokenizer
[ "$(cat data/tiny/tokenizer)" = "$codes" ] || { echo "error: data/tiny has other codes; delete it" >&2; exit 2; }
step "3/5 clips, two processes at a time"
clips video/a 18000 31 & clips video/b 18000 32; clips eval_video 256 26; wait $!
clips image/a 18000 23 --images & clips image/b 18000 24 --images; clips eval_image 512 25 --images; wait $!
clips image/c 14000 35 --images --extras 0.4 & clips video/c 18000 33 --extras 0.4; wait $!
clips video/m1 9000 41 --extras 0.4 --tags motion & clips video/m2 9000 42 --extras 0.4 --tags motion; wait $!
step "4/5 model: images; images and videos; these with Muon; longer, in two processes; four more descents"; start=null
for stage in tiny_images:1 tiny:1 tiny_muon:1 tiny_long:2 tiny_last:1 tiny_more:2 tiny_extras:2 tiny_motion:2; do
    name="${stage%:*}" # : and its number of processes
    NUM_PROCESSES="${stage#*:}" bash exps/launch.sh "configs/train/$name.yaml" \
        trainer.run_dir="$work/$name" task.init_from="$start"
    start="$work/$name/model"; [ -d "$start" ] || "$python" -m lumos.cli export "$work/$name" "$start"; done
[ -f "$out/generation_config.json" ] || cp ckpts/lumos-tiny/generation_config.json "$out/"
"$python" -m lumos.cli export "$work/tiny_motion" "$work/export" --tokenizers "$out" --dtype bfloat16 --overwrite
cp "$work/export/config.json" "$work/export/model.safetensors" "$out/"
step "5/5 evaluation, and the curves of training"
"$python" -m eval.shapes run --model "$out" --num 280 --out "$work/eval"
"$python" -m xllmx.plot "$work/tiny_motion" --out "$work/curves.png"
