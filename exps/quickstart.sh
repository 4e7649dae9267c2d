#!/usr/bin/env bash
# The whole of it at small scale, on a CPU and in a few minutes: installs, makes a video from a prompt with the bundled
# model and scores it; asks it for white shapes, which it was never shown; renders clips of them with a CSV,
# pre-tokenises them, fine-tunes on them, asks again, and shows and scores both; last a clip by the second model.
#   bash exps/quickstart.sh [FOLDER]      (default runs/quickstart; stopped or run again, it goes on where it was)
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"
out="${1:-$repo/runs/quickstart}"
mkdir -p "$out" && out="$(cd "$out" && pwd)" && cd "$repo"
prompt="a red circle moves to the right on a white background"
asked=exps/quickstart_prompts.txt   # six of white shapes, in wordings that no caption has, and two of what the model knows
second="a red circle and a blue star on a white background"   # of the second model, with the seed below
step() { printf '\n[%s s] %s\n' "$SECONDS" "$*"; }
lumos() { "$python" -m lumos.cli "$@"; }

step "1/6 a video from a prompt, by the bundled model; then white shapes, which it was never shown"
lumos generate --prompt "$prompt" --seed 1 --out "$out/bundled.mp4" --overwrite
"$python" -m eval.shapes look "$out/bundled.mp4"
lumos generate --prompt-file "$asked" --seed 1 --batch-size 8 --fast --out "$out/before" --overwrite
step "2/6 clips of white shapes among others as mp4 files, with a CSV of path and caption"
[ -f "$out/lesson/clips/clips.csv" ] || "$python" -m lumos.shapes.dataset --out "$out/lesson/clips" --num 64 --seed 100 --lesson
head -n 3 "$out/lesson/clips/clips.csv"
step "3/6 the CSV, pre-tokenised"
bash pre_tokenize/run_tokenization.sh --modality video --input_file "$out/lesson/clips/clips.csv" \
    --output_dir "$out/lesson/codes" --visual_tokenizer lumos-tiny
step "4/6 fine-tuning of the bundled model on these clips"
lumos train --config configs/train/quickstart.yaml trainer.run_dir="$out/lesson/run" task.data.video="$out/lesson/codes/index.json"
"$python" -m xllmx.plot "$out/lesson/run"
lumos export "$out/lesson/run" "$out/model" --overwrite
step "5/6 the same prompts with the same seeds, by the fine-tuned model; both side by side"
lumos generate --model "$out/model" --prompt-file "$asked" --seed 1 --batch-size 8 --fast --out "$out/after" --overwrite
"$python" -m eval.shapes beside "$out/before" "$out/after" --out "$out/beside.gif"
step "6/6 a video by the other bundled model, Lumina-Video: all frames at once, by flow matching"
lumos generate --model lumina-tiny --prompt "$second" --seed 3 --out "$out/second.mp4" --overwrite
"$python" -m eval.shapes look "$out/second.mp4"

step "done"
printf '%-18s %s\n' "bundled model:" "$out/bundled.mp4" "before and after:" "$out/beside.gif" \
    "fine-tuned model:" "$out/model" "losses:" "$out/lesson/run/metrics.jsonl" "second model:" "$out/second.mp4"
echo "more: lumos generate --prompt \"a green triangle gets bigger on a gray background\"   (after: source .venv/bin/activate; README.md)"
