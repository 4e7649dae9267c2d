"""Runs as a whole: the released shards under the released settings, broken and foreign data, as a person meets them."""

import json
import pickle
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from lumos.cli import main
from lumos.cli.training import training_run
from lumos.cli.training.training_run import RunConfig, load_run, run, stopped_status
from lumos.lumina_video.checkpoint.weights import load_dit
from lumos.lumos1.sequence import sequence_of
from lumos.tokenizer.vocab import Vocab
from tests.lumos.lumina_video import latents as lumina
from tests.lumos.lumina_video.tiny import tiny_lumina_folder, tiny_vae_folder
from tests.tiny_data import MODEL, VOCAB, make_clip, write_clips
from tests.xllmx import launched_ranks as ranks
from xllmx.run.reporting.metrics import read_metrics
from xllmx.settings.config import load_config

SMALL = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2,
         "num_key_value_heads": 2, "max_position_embeddings": 65536, "vocab_size": 129536}  # fmt: skip


def small_words(folder: Path, **data: Path) -> list[str]:
    """Words that make a released recipe a short one on a CPU, with a model of a few million weights."""
    trainer = {"run_dir": str(folder / "run"), "epochs": None, "max_steps": 3, "device": "cpu", "progress": False}
    task = {"init_from": None, "model_config": None, "model": SMALL, "data": {k: str(v) for k, v in data.items()}}
    groups = {"trainer": {**trainer, "log_every": 1, "save_every": 0}, "task": task}
    return [f"{group}.{key}={json.dumps(value)}" for group, keys in groups.items() for key, value in keys.items()]


def record(shards: Path, folder: Path, kind: str) -> Path:
    """A released record of the shards of a kind, which are put beside it: a record names files of its own folder."""
    files = [Path(shutil.copy(file, folder)) for file in sorted(shards.glob(f"{kind}_*.pkl"))]
    entries = [
        {"file": str(file), "len": len(pickle.loads(file.read_bytes())["token"]), "id": number}
        for number, file in enumerate(files)
    ]
    path = folder / f"{kind}-record.jsonl"
    path.write_text("".join(json.dumps(entry) + "\n" for entry in entries))
    return path


@pytest.mark.parametrize("place", ["images", "held_out", "text_encoder", "vae"])
def test_a_run_of_lumina_video_writes_over_nothing_that_it_reads(tmp_path: Path, place: str) -> None:
    config = lumina.run_config(tmp_path)
    lumina.write_latents(tmp_path / "held_out", num=2)
    tiny_vae_folder(tmp_path / "vae")
    held_out = {"fine": {"data": str(tmp_path / "held_out")}}
    words = [f"task.eval_tasks={json.dumps(held_out)}", f"task.vae={tmp_path / 'vae'}"]
    run_dir = tmp_path / place / "run"
    with pytest.raises(ValueError, match=rf"trainer\.run_dir: .*{place} is .*task\..*, and would be written over"):
        run(load_run(config, [*words, f"trainer.run_dir={run_dir}"]))


def test_a_run_of_lumos_1_does_not_lie_in_the_model_whose_tokenizers_its_samples_take(tmp_path: Path) -> None:
    data, model = write_clips(tmp_path / "data", num_latent=1), tmp_path / "model"
    model.mkdir()
    words = [f"task.data.image={data}", f"task.model={json.dumps({**MODEL, 'vocab': VOCAB})}", "trainer.max_steps=3"]
    words += [f"samples={{every: 5, prompts: [a], tokenizers: {model}}}", f"trainer.run_dir={model / 'run'}"]
    with pytest.raises(ValueError, match=r"trainer\.run_dir: .*model is the model samples\.tokenizers, and would be"):
        run(load_run(None, words))


@pytest.mark.parametrize("model", ["lumos1", "lumina_video"])
def test_a_run_lies_in_no_set_that_a_data_yaml_lists(tmp_path: Path, model: str) -> None:
    sets, mixed = tmp_path / "sets", tmp_path / "mixed.yaml"
    mixed.write_text("META: [{path: sets/a}, {path: sets/b}]")
    if model == "lumos1":
        for name in "ab":
            write_clips(sets / name, num_latent=1)
        words = [f"task.data.image={mixed}", f"task.model={json.dumps({**MODEL, 'vocab': VOCAB})}"]
        file, setting = None, r"task\.data\.image"
    else:
        for name in "ab":
            lumina.write_latents(sets / name, num=2)
        words = [f"task.tasks.fine.data={mixed}"]
        file, setting = lumina.run_config(tmp_path), r"task\.tasks\.fine\.data"
    words += ["trainer.max_steps=3", f"trainer.run_dir={sets / 'b' / 'run'}"]
    with pytest.raises(ValueError, match=rf"run_dir: .*b is entry 2 of {setting}, and would be written over"):
        run(load_run(file, words))
    assert not (sets / "b" / "run").exists()


@pytest.mark.slow
def test_released_shards_train_under_the_joint_recipe(repo: Path, shared_data: Path, tmp_path: Path) -> None:
    shards = shared_data / "released_shards"
    data = {kind: record(shards, tmp_path, kind) for kind in ("image", "video")}
    path = repo / "configs" / "train" / "1B_stage_2_joint.yaml"
    config = load_config(
        RunConfig,
        path,
        [*small_words(tmp_path, **data), "trainer.batch_size={image: 2, video: 1}", "trainer.precision=fp32"],
    )
    assert run(config).step == 3
    rows = read_metrics(tmp_path / "run")
    assert [{name.split("/")[0] for name in row if "/" in name} for row in rows] == [{"image"}, {"video"}, {"image"}]
    assert all(10.5 < row["loss"] < 11.7 for row in rows)  # ln 64000 = 11.07, untrained
    assert {f"video/frame_{frame}" for frame in range(7)} <= rows[1].keys()
    assert "video/frame_7" not in rows[1]
    assert (config.optim.lr, rows[0]["lr"]) == (2.5e-5, 0.0)


def released_like(folder: Path, *, broken: set[int]) -> Path:
    """A record of 12 pickles of the tiny vocabulary, some of which are cut."""
    vocab, entries = Vocab.from_dict(VOCAB), []
    for number in range(12):
        clip = make_clip(number, 1)
        codes, prompt = torch.from_numpy(clip.codes.astype("int64")), torch.from_numpy(clip.prompt_ids).long()
        tokens = sequence_of(prompt, codes, vocab=vocab, fps=1, duration=1).tolist()
        content = pickle.dumps({"token": tokens, "label": tokens, "id": number})
        (folder / f"{number}.pkl").write_bytes(content[:20] if number in broken else content)
        entries.append({"file": f"{number}.pkl", "len": len(tokens), "id": number})
    (folder / "merge-record.json").write_text(json.dumps(entries))
    return folder / "merge-record.json"


def test_a_broken_sample_is_logged_and_too_many_end_the_run(tmp_path: Path) -> None:
    data = released_like(tmp_path, broken={4})
    settings = "max_steps: 8, batch_size: {image: 3}, device: cpu, precision: fp32, progress: false"
    trainer = f"{settings}, run_dir: {tmp_path / 'run'}"
    task = f"task={{data: {{image: {data}}}, model: {MODEL | {'vocab': VOCAB}}}}"
    assert run(load_config(RunConfig, None, [f"trainer={{{trainer}, max_broken: 0.1}}", task])).step == 8
    lines = (tmp_path / "run" / "log.txt").read_text().splitlines()
    (warning,) = [line for line in lines if " WARNING " in line]
    assert "stream image: sample 4 is left out" in warning
    assert "4.pkl: not a released sample" in warning
    strict = [f"trainer={{{trainer}, max_broken: 0, resume: true}}", task, "trainer.max_steps=16"]
    with pytest.raises(ValueError, match="1 of 12 samples of stream 'image' cannot be read"):
        run(load_config(RunConfig, None, strict))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("nowhere.yaml", "nowhere.yaml: no such file or folder; python -m pre_tokenize"),
        ("gone", "no such file or folder"),
        ("points_nowhere.yaml", "there is no gone/index.json in "),
        ("foreign", "made with another tokenizer than this model's"),
    ],
)
def test_data_that_cannot_be_trained_on_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], data: str, message: str
) -> None:
    (tmp_path / "points_nowhere.yaml").write_text("META: [{path: gone/index.json, ratio: 1.0}]")
    write_clips(tmp_path / "foreign", num_latent=1)
    fields = {**VOCAB, "num_codes": 10, "size": 320}
    model = json.dumps({**MODEL, "vocab_size": 320, "vocab": fields})
    words = [f"trainer={{run_dir: {tmp_path / 'run'}, max_steps: 3, device: cpu}}", f"task.model={model}"]
    assert main(["train", *words, f"task.data.image={tmp_path / data}"]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_run_folder_that_takes_no_file_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "run").touch()
    data = write_clips(tmp_path / "data", num_latent=1)
    words = [f"trainer={{run_dir: {tmp_path / 'run'}, max_steps: 3, device: cpu}}", f"task.data.image={data}"]
    assert main(["train", *words, f"task.model={json.dumps({**MODEL, 'vocab': VOCAB})}"]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"lumos: error: trainer.run_dir: cannot write to {tmp_path / 'run'}: Not a directory; ")
    assert error.count("\n") == 1


@pytest.mark.parametrize(("local_rank", "said"), [("0", 1), ("3", 0)])
def test_a_config_that_one_machine_lacks_is_said_there_once(
    local_rank: str, said: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in {"RANK": "8", "WORLD_SIZE": "16", "LOCAL_RANK": local_rank}.items():
        monkeypatch.setenv(name, value)
    assert training_run.main(["--config", "missing.yaml"]) == 2
    assert capsys.readouterr().err.count("missing.yaml") == said


def test_a_stopped_run_does_not_look_like_a_finished_one(capsys: pytest.CaptureFixture[str]) -> None:
    assert (stopped_status("SIGTERM"), stopped_status("SIGINT"), stopped_status("time")) == (143, 130, 0)
    assert capsys.readouterr().err.splitlines()[0] == (
        "stopped by SIGTERM before the last step; the same command goes on from the checkpoint"
    )


@pytest.mark.parametrize("length", ["max_steps", "epochs"])
def test_a_finished_run_says_so_where_its_checkpoint_lies_and_how_to_go_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], length: str
) -> None:
    data, folder = write_clips(tmp_path / "data", num_latent=1), tmp_path / "run"
    words = [f"trainer={{run_dir: {folder}, {length}: 1, device: cpu, progress: false}}", f"task.data.image={data}"]
    words += [f"task.model={json.dumps({**MODEL, 'vocab': VOCAB})}"]
    assert main(["train", *words]) == 0
    ended = capsys.readouterr()
    assert "finished" not in ended.err
    assert ended.out == f"{folder}  (a model folder: lumos export {folder} FOLDER)\n"
    (checkpoint,) = (folder / "checkpoints").glob("step-*")
    step = int(checkpoint.name[-8:])
    for again, before in ((main, ["train"]), (training_run.main, [])):
        assert again([*before, *words]) == 0
        said = capsys.readouterr()
        assert said.out == ended.out, before
        assert said.err.splitlines()[-1] == (
            f"{folder} is finished: it stands at step {step} of {step} (its checkpoint: {checkpoint}), and there is "
            f"nothing to train. To go on, raise trainer.{length}; to use it: lumos export {folder} FOLDER"
        )
    assert main(["train", *words, f"trainer.run_dir={tmp_path / 'other'}", f"trainer.resume_path={checkpoint}"]) == 0
    assert capsys.readouterr().err.splitlines()[-1] == (  # there is no checkpoint of its own to export
        f"trainer.resume_path {checkpoint} stands at step {step} of {step}, and there is nothing to train. To go on "
        f"from it, raise trainer.{length}"
    )
    assert main(["train", *words, f"trainer.{length}=2"]) == 0
    assert "finished" not in capsys.readouterr().err


def test_data_that_were_made_anew_under_their_path_are_warned_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data, folder = write_clips(tmp_path / "data", num_latent=1), tmp_path / "run"
    words = [f"trainer={{run_dir: {folder}, max_steps: 1, device: cpu, progress: false}}", f"task.data.image={data}"]
    words += [f"task.model={json.dumps({**MODEL, 'vocab': VOCAB})}"]
    assert main(["train", *words]) == 0
    assert main(["train", *words]) == 0
    assert "other data" not in caplog.text
    shutil.rmtree(data)
    write_clips(data, num_latent=2)
    assert main(["train", *words, "trainer.max_steps=2"]) == 0
    (said,) = [one.getMessage() for one in caplog.records if "other data than it had" in one.getMessage()]
    assert "image has as many samples as it had (9), but others" in said


# --- Lumina-Video -----------------------------------------------------------------------------------------------------

TASKS = {"images": 2, "fine": 4, "middle": 1, "coarse": 3}
LOSSES = ("loss", "grad_norm", *(f"{name}/{value}" for name in TASKS for value in ("loss", "mse", "cosine")))


def assert_same_losses(run_folder: Path, reference: Path, *, exact: bool = False) -> None:
    rows, expected = read_metrics(run_folder), read_metrics(reference)
    assert len(rows) == len(expected)
    for row, wanted in zip(rows, expected, strict=True):
        names = [name for name in LOSSES if name in wanted]
        values, targets = [row[name] for name in names], [wanted[name] for name in names]
        assert values == targets if exact else values == pytest.approx(targets, rel=2e-4), run_folder.name


def test_lumina_video_trains_all_active_tasks_in_each_step(tmp_path: Path) -> None:
    assert main(["train", "--config", str(lumina.run_config(tmp_path, steps=6))]) == 0
    rows = read_metrics(tmp_path / "run")
    for step, row in enumerate(rows):
        active = {name for name, ratio in TASKS.items() if step % 4 < ratio}
        assert {name for name in TASKS if f"{name}/loss" in row} == active
        assert row["loss"] == pytest.approx(sum(row[f"{name}/loss"] for name in active), rel=1e-5)
        assert row["fine/loss"] == pytest.approx(row["fine/mse"] + row["fine/cosine"], rel=1e-5)
        bins = {name for name in row if name.startswith("fine/mse_t")}
        assert 1 <= len(bins) <= 6
        assert bins <= {f"fine/mse_t{number / 20:.2f}" for number in range(20)}
    assert rows[0]["fine/mse"] == pytest.approx(2, abs=0.2)  # a fresh model predicts nothing, and u has variance 2
    assert rows[0]["fine/cosine"] == 1


def test_lumina_video_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config = str(lumina.run_config(tmp_path, steps=6))
    assert main(["train", "--config", config]) == 0
    for steps in (3, 6):
        assert (
            main(["train", "--config", config, f"trainer.run_dir={tmp_path / 'cut'}", f"trainer.max_steps={steps}"])
            == 0
        )
    assert_same_losses(tmp_path / "cut", tmp_path / "run", exact=True)
    folders = [tmp_path / name / "checkpoints" / "step-00000006" for name in ("run", "cut")]
    assert len({file.read_bytes() for folder in folders for file in folder.glob("*.distcp")}) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_lumina_video_killed_goes_on_bit_for_bit(tmp_path: Path) -> None:
    config = str(lumina.run_config(tmp_path, steps=30, trainer={"save_every": 2}))
    killed = f"trainer.run_dir={tmp_path / 'killed'}"
    worker = subprocess.Popen([sys.executable, "-m", "lumos.train", "--config", config, killed])
    while not any((tmp_path / "killed").glob("checkpoints/step-*4")):
        assert worker.poll() is None
        time.sleep(0.05)
    worker.kill()
    worker.wait()
    for run_dir in (killed, f"trainer.run_dir={tmp_path / 'run'}"):
        assert main(["train", "--config", config, run_dir]) == 0
    assert_same_losses(tmp_path / "killed", tmp_path / "run", exact=True)


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("num", "words"),
    [
        (2, []),
        (2, ["parallel.sharding=none"]),
        (2, ["parallel.replicas=2", "parallel.activation_checkpointing=true"]),
        (3, ["task.tasks.coarse.micro_bsz=1"]),
    ],
    ids=["sharded", "none", "replicas", "three"],
)
def test_lumina_video_has_the_same_losses_on_more_processes(tmp_path: Path, num: int, words: list[str]) -> None:
    config = str(lumina.run_config(tmp_path, optim={"weight_decay": 0.1}))
    assert main(["train", "--config", config]) == 0
    sizes = [f"task.tasks.{name}.micro_bsz={6 // num}" for name in TASKS]
    command = ["-m", "lumos.train", "--config", config, f"trainer.run_dir={tmp_path / 'many'}", *sizes, *words]
    errors, codes = ranks.ended(ranks.start_ranks(command, num=num))
    assert codes == [0] * num, errors
    assert_same_losses(tmp_path / "many", tmp_path / "run")


def test_lumina_video_stops_at_a_loss_that_is_not_finite(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = lumina.run_config(tmp_path, optim={"lr": 1000.0})
    assert main(["train", "--config", str(config)]) == 2
    assert re.search(r"not finite at step \d+ \(streams? .*fine", capsys.readouterr().err)
    assert not list((tmp_path / "run" / "checkpoints").glob("step-*"))


def test_lumina_video_trains_adapters_alone(tmp_path: Path) -> None:
    pytest.importorskip("peft")
    tiny_lumina_folder(tmp_path / "base")
    (tmp_path / "base" / "vae").rename(tmp_path / "vae")
    config = lumina.run_config(tmp_path, steps=3, task={"init_from": str(tmp_path / "base")}, lora={"rank": 2})
    assert main(["train", "--config", str(config)]) == 0
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "merged")]) == 0
    base, merged = load_dit(tmp_path / "base").state_dict(), load_dit(tmp_path / "merged").state_dict()
    changed = {name for name, value in base.items() if not torch.equal(value, merged[name])}
    assert changed
    assert {name.split(".")[-2] for name in changed} <= {"wq", "wk", "wv", "wk_y", "wv_y", "wo", "w1", "w2", "w3"}
    assert main(["export", str(tmp_path / "run"), str(tmp_path / "adapter"), "--adapter"]) == 0
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


def test_held_out_tasks_of_lumina_video_have_the_batches_they_name(tmp_path: Path) -> None:
    config = load_run(lumina.run_config(tmp_path), ["task.eval_tasks.other={data: videos, micro_bsz: 5}"])
    assert config.engine_settings.eval_batch_size == {"other": 5}
    assert "other" not in config.engine_settings.batch_size


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("model=lumina", "model is 'lumina', which is none to train; did you mean lumina_video"),
        ("trainer.batch_size.fine=3", "trainer.batch_size has no part here; set micro_bsz of each task"),
        ("task.tasks.fine.scale=1x2", "unknown setting task.tasks.fine.scale"),
        ("task.tasks.fine.data=null", "setting task.tasks.fine.data is None"),
        ("task.tasks.fine.data=''", "task.tasks.fine names no data"),
        (
            "task.tasks.fine.global_bsz=96",
            "there are 30; give more data, or take a smaller global batch (task.tasks.fine.",
        ),
        ("task.eval_tasks.fine={data: videos, micro_bsz: 5}", "task.eval_tasks.fine.micro_bsz is 5, and a held-out"),
    ],
)
def test_settings_of_lumina_video_that_are_wrong_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], word: str, message: str
) -> None:
    config = lumina.run_config(tmp_path)
    capsys.readouterr()
    assert main(["train", "--config", str(config), word]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1
    assert message in error[0]
