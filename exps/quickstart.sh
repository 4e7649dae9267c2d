#!/usr/bin/env bash
# The whole of it at small scale, on a CPU and in a few minutes: installs, makes a video from a prompt with the bundled
# model and scores it; renders clips with a CSV, pre-tokenises them, fine-tunes on them, generates again and scores.
#   bash exps/quickstart.sh [FOLDER]      (default runs/quickstart; stopped or run again, it goes on where it was)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
out="${1:-$repo/runs/quickstart}"
mkdir -p "$out" && out="$(cd "$out" && pwd)" && cd "$repo"
prompt="a red circle moves to the right on a white background"

step() { printf '\n[%s s] %s\n' "$SECONDS" "$*"; }
lumos() { "$python" -m lumos.cli "$@"; }

step "1/5 a video from a prompt, by the bundled model"
lumos generate --prompt "$prompt" --seed 1 --out "$out/bundled.mp4" --overwrite
"$python" -m eval.shapes look "$out/bundled.mp4"

step "2/5 clips of shapes as mp4 files, with a CSV of path and caption"
[ -f "$out/clips/clips.csv" ] || "$python" -m lumos.shapes.dataset --out "$out/clips" --num 48 --seed 100
head -n 3 "$out/clips/clips.csv"

step "3/5 the CSV, pre-tokenised"
bash pre_tokenize/run_tokenization.sh --modality video --input_file "$out/clips/clips.csv" --output_dir "$out/codes" \
    --visual_tokenizer lumos-tiny

step "4/5 fine-tuning of the bundled model on these clips"
lumos train --config configs/train/quickstart.yaml trainer.run_dir="$out/run" task.data.video="$out/codes/index.json"
"$python" -m xllmx.plot "$out/run"
lumos export "$out/run" "$out/model" --overwrite

step "5/5 the same prompt, by the fine-tuned model"
lumos generate --model "$out/model" --prompt "$prompt" --seed 1 --out "$out/finetuned.mp4" --overwrite
"$python" -m eval.shapes look "$out/finetuned.mp4"

step "done"
printf '%-18s %s\n' "bundled model:" "$out/bundled.mp4" "fine-tuned model:" "$out/finetuned.mp4" \
    "its folder:" "$out/model" "losses:" "$out/run/metrics.jsonl"
echo "more: lumos generate --prompt \"a green triangle gets bigger on a gray background\"   (after: source .venv/bin/activate; README.md)"
