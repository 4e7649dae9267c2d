#!/usr/bin/env bash
# Makes the model that is bundled as ckpts/lumina-tiny, from nothing but this code; some hours on 2 cores.
#   bash exps/lumina_tiny.sh [FOLDER]      (default runs/lumina_tiny/model; ckpts/lumina-tiny replaces the bundled one)
# Stopped or killed: run it again, it goes on. Latents of another VAE are refused: delete data/lumina_tiny then.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/env.sh"; cd "$repo"
out="${1:-runs/lumina_tiny/model}" work=runs/lumina_tiny data=data/lumina_tiny; mkdir -p "$out" "$work" "$data"
step() { printf '\n[%s s] %s\n' "$SECONDS" "$*"; }
latents() { # a folder of data/lumina_tiny, number, seed and what else; nothing is done twice
    [ -f "$data/$1/index.json" ] || "$python" -m pre_tokenize.shapes --to latents --vae "$out/vae" \
        --out "$data/$1" --fps 8 --num "$2" --seed "$3" "${@:4}"
}
step "1/5 VAE; then channels that weigh alike, and a decoder that forgives"
vae() { "$python" -m lumos.lumina_video.training.vae --config "configs/train/$1.yaml" trainer.run_dir="$work/$2" "${@:3}"; }
[ -f "$work/vae/network.safetensors" ] || vae lumina_tiny_vae vae
[ -d "$out/vae" ] || vae lumina_tiny_decoder vae_decoder task.init_from="$work/vae/network.safetensors" export_to="$out/vae"
step "2/5 text encoder, from the captions"
[ -d "$out/text_encoder" ] || "$python" -m lumos.lumina_video.training.text \
    --config configs/train/lumina_tiny_text.yaml trainer.run_dir="$work/text" export_to="$out/text_encoder"
step "3/5 latents and motion scores, two processes at a time"
latents video/a 3000 65 --extras 0.1 & latents video/s 8000 61 --objects 1 --extras 0.2; wait $!
latents video/m1 16000 62 --tags motion --extras 0.2 & latents video/m2 16000 64 --tags motion --extras 0.2; wait $!
latents image 6000 33 --images --extras 0.2 & latents image_b 18000 43 --images --extras 0.2; wait $!
latents image_s 16000 51 --images --objects 1 --extras 0.1 & latents eval_video 256 34; wait $!
step "4/5 model: images; single latents of clips that move; whole clips at two scales, and some of both"
compile=false; command -v g++ > /dev/null && compile=true # half the time of a step
with=(task.text_encoder="$out/text_encoder" task.vae="$out/vae" parallel.compile=$compile)
stage() { # config, folder, where its weights begin; its own weights go to FOLDER_model
    bash exps/launch.sh "configs/train/$1.yaml" trainer.run_dir="$work/$2" task.init_from="$3" "${with[@]}"
    "$python" -m lumos.cli export "$work/$2" "$work/$2_model" --tokenizers "$out" --overwrite "${@:4}"
}
stage lumina_tiny_images images null; stage lumina_tiny_atoms atoms "$work/images_model"; stage lumina_tiny dit "$work/atoms_model" --dtype bfloat16
[ -f "$out/generation_config.json" ] || cp ckpts/lumina-tiny/generation_config.json "$out/"
cp "$work/dit_model/config.json" "$work/dit_model/model.safetensors" "$out/"
step "5/5 evaluation, and the curves of training"
"$python" -m eval.shapes run --model "$out" --num 280 --out "$work/eval"
"$python" -m eval.shapes scales --model "$out" --out "$work/scales"
"$python" -m eval.shapes motion --model "$out" --out "$work/motion"
"$python" -m xllmx.plot "$work/dit" --out "$work/curves.png"
