"""Mistakes in configs and data YAMLs are said at once, before torch is loaded, and all that is missing is named."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from lumos.cli import main
from lumos.cli.training.data_check import check_data, missing_data
from lumos.cli.training.run_config import data_of, load_run
from tests.lumos.lumina_video.latents import write_latents
from tests.tiny_data import write_clips

ALL = """
import contextlib, io, json, sys
from lumos.cli import main as lumos
from lumos.cli.training.train_program import main as lumos_train
said = []
for words in json.load(sys.stdin):
    for main, before in ((lumos, ["train"]), (lumos_train, []))[: 1 if "--dry-run" in words else 2]:
        with contextlib.redirect_stderr(io.StringIO()) as errors:
            status = main([*before, *words])
        said.append([status, errors.getvalue()])
print(json.dumps([said, "torch" in sys.modules]))
"""
"""Gives each command line to both programs, but a dry run to the one that has it, in one process."""


def lumina(**tasks: Path | str) -> list[str]:
    data = ", ".join(f"{name}: {{data: '{path}'}}" for name, path in tasks.items())
    return ["model=lumina_video", "trainer.run_dir=run", "trainer.max_steps=1", f"task.tasks={{{data}}}"]


def lumos1(path: Path | str) -> list[str]:
    return ["trainer.run_dir=run", "trainer.max_steps=1", f"task.data.video={path}"]


WRONG = [
    (["trainer.run_dir=run", "trainer.max_steps=1"], "task.data names no clips; give some, for example"),
    ([*lumos1("DATA.yaml"), "trainer.max_steps=x"], "trainer.max_steps is 'x'; it must be a whole number"),
    ([*lumos1("DATA.yaml"), "task.too_long=what"], "too_long is 'what'; it must be one of error, cut, drop"),
    ([*lumos1("DATA.yaml"), "task.attention=what"], "task.attention is 'what'; choose one of per_frame"),
    ([*lumos1("DATA.yaml"), "task.ardf.mask_type=what"], "mask_type is 'what'; it must be one of tube"),
    ([*lumos1("DATA.yaml"), "lora.targets=[x]"], "lora.targets are ['x']; choose one or more of"),
    ([*lumos1("DATA.yaml"), "optim.min_lr=7"], "optim.min_lr is 7.0; it must lie between 0 and optim.lr"),
    ([*lumos1("DATA.yaml"), "parallel.cpu_offload=true", "parallel.sharding=none"], "needs sharded weights"),
    ([*lumos1("DATA.yaml"), "samples.every=3"], "samples.every is set, but samples.prompts is empty"),
    (lumos1("DATA.yaml"), "ratio is -1; it must be above 0"),
    (lumos1("nowhere"), "task.data.video: nowhere: no such file or folder; python -m pre_tokenize --to codes"),
    (lumos1("notes.txt"), "task.data.video: notes.txt is no set of clips; give a folder of shards"),
    (lumina(a="DATA.yaml"), "ratio is -1; it must be above 0"),
    ([*lumina(a="x"), "task.tasks.a.snr_type=gauss"], "snr_type is 'gauss'; it must be uniform"),
    ([*lumina(a="x"), "task.tasks.a.time_shift=5000"], "the time shift (ts) is 5000"),
    ([*lumina(a="x"), "task.tasks.a.sp_size=2"], "sp_size of a training task is 2"),
    (lumina(a="notes.txt"), "task.tasks.a.data: notes.txt is no set of clips; give a folder of shards"),
    (
        [*lumos1("x"), "trainer.batch_size={vidoe: 2}"],
        "batch_size names 'vidoe', and no stream has this name; did you mean",
    ),
    ([*lumos1("x"), "trainer.batch_size={vidoe: 2}", "--dry-run"], "batch_size names 'vidoe'"),
    ([*lumos1("x"), "trainer.batch_size={vidoe: 2}", "--dry-run", "--size", "64x64"], "did you mean video?"),
    ([*lumos1("x"), "trainer.global_batch_size={vidoe: 2}"], "did you mean video?"),
    ([*lumos1("x"), "trainer.schedule={vidoe: 2}"], "did you mean video?"),
    ([*lumos1("x"), "trainer.together={vidoe: 2}"], "did you mean video?"),
    ([*lumos1("x"), "trainer.epoch_stream=vidoe"], "did you mean video?"),
    ([*lumos1("x"), "task.eval_data.held=y", "trainer.eval_batch_size={hled: 2}"], "did you mean held?"),
    (
        [*lumos1("x"), "task.eval_data.held=y", "trainer.eval_batch_size={held/text_to_video: 2}"],
        "eval_batch_size names 'held/text_to_video', and no stream has this name",
    ),
    ([*lumina(fine="x"), "trainer.epoch_stream=fien"], "did you mean fine?"),
    (
        [*lumina(a="latents"), "task.tasks.a.f_patch_size=5"],
        "task.tasks.a: scale 5x2 (frames x pixels) divides none of",
    ),
    ([*lumina(a="latents"), "task.tasks.a.max_frames=3"], "divides none of the 3 video latents, the first of 4 frames"),
    (
        [*lumina(a="latents/index.json"), "task.tasks.a.media_type=image"],
        "media_type is image, and none of the 3 latents",
    ),
    (
        [*lumina(a="latents/shard-00000.parquet"), "task.tasks.a.image_size=32"],
        "a clip has 96x64 px, more than the square",
    ),
    ([*lumina(a="two.yaml"), "task.tasks.a.patch_size=16", "--dry-run"], "divides none of the 6 video latents"),
    (
        [*lumina(a="x"), "task.eval_tasks.b={data: latents, max_frames: 3}", "trainer.eval_every=1"],
        "task.eval_tasks.b: scale 1x2 (frames",
    ),
    (
        [*lumina(a="latents"), "task.init_from=model", "task.tasks.a.f_patch_size=2"],
        "task.tasks.a: scale is 2x2 (frames x pixels), which this model does not have; choose of 1x2, or add it to",
    ),
    ([*lumina(a="latents"), "task.init_from=model"], "task.tasks.a: its latents have 4 channels, the model"),
    ([*lumina(a="latents"), "task.init_from=model", "--dry-run"], "are of another VAE; encode the clips"),
    (
        [*lumina(a="latents"), "task.architecture=MultiScaleNextDiT_2B_GQA", "task.tasks.a.patch_size=1"],
        "task.tasks.a: scale is 1x1 (frames x pixels), which this model does not have; choose of 1x2, 2x2, 2x4",
    ),
    ([*lumina(a="latents"), "task.init_from=model", "task.model.all_patch_size=[0]"], "all_patch_size"),
    (
        [*lumos1("clips.yaml"), "task.max_length=80"],
        "task.data.video: 9 of 18 clips are over task.max_length=80, up to 145 tokens long: lower task.duration_s",
    ),
    ([*lumos1("clips.yaml"), "task.max_length=80", "--dry-run"], "task.data.video: 9 of 18 clips are over"),
    (
        [*lumos1("long"), "task.max_length=80", "task.too_long=drop"],
        "task.data.video: no clip of 9 is within task.max_length=80",
    ),
    (
        [*lumos1("long/index.json"), "task.max_length=9", "task.too_long=cut"],
        "no clip of 9 is within task.max_length=9",
    ),
    ([*lumina(a="DATA.yaml"), "--dry-run"], "ratio is -1; it must be above 0"),
    ([*lumina(a="x"), "--dry-run", "--size", "a"], "--size"),
]


def test_what_settings_and_data_yamls_tell_is_said_without_torch(repo: Path, tmp_path: Path) -> None:
    (tmp_path / "DATA.yaml").write_text("META: [{path: nowhere, ratio: -1}]")
    (tmp_path / "notes.txt").touch()
    write_latents(tmp_path / "latents", num=3)
    fields = {"model_type": "lumina_video", "all_patch_size": [2], "all_f_patch_size": [1], "in_channels": 3}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(fields))
    write_clips(tmp_path / "short", num_latent=1)
    write_clips(tmp_path / "long", num_latent=3)
    (tmp_path / "clips.yaml").write_text("META: [{path: short}, {path: long}]")
    (tmp_path / "two.yaml").write_text("META: [{path: latents}, {path: latents/index.json}]")
    done = subprocess.run(
        [sys.executable, "-c", ALL],
        input=json.dumps([words for words, _ in WRONG]),
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(repo)},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    found, torch_is_loaded = json.loads(done.stdout)
    expected = [said for words, said in WRONG for _ in range(1 if "--dry-run" in words else 2)]
    assert [(status, said) for (status, error), said in zip(found, expected, strict=True) if said not in error] == []
    assert {status for status, _ in found} == {2}
    assert not torch_is_loaded


def test_all_data_that_are_missing_are_named_with_setting_and_path(tmp_path: Path) -> None:
    listed = tmp_path / "listed.yaml"
    listed.write_text("META: [{path: a}, {path: b/c, ratio: 0.5}]")
    gone = tmp_path / "gone"
    config = load_run(None, lumina(x=listed, y=gone, z=listed))
    places = f"in {tmp_path} or the working directory"
    assert [str(one) for one in missing_data(config)] == [
        f"task.tasks.x.data, task.tasks.z.data: {listed}: there is no a, no b/c {places}",
        f"task.tasks.y.data: {gone}: no such file or folder",
    ]
    with pytest.raises(ValueError, match=r"no such file or folder; python -m pre_tokenize --to latents makes them of"):
        check_data(config)


def test_what_is_there_or_in_a_store_is_not_missing(tmp_path: Path) -> None:
    data = write_clips(tmp_path / "data", num_latent=1)
    words = [*lumos1(data), "task.eval_data.video=s3://nowhere/a.yaml"]
    config = load_run(None, words)
    assert missing_data(config) == []
    check_data(config)


def test_data_in_the_home_of_the_user_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A shell leaves the ~ of key=~/data as it is."""
    monkeypatch.setenv("HOME", str(tmp_path))
    write_clips(tmp_path / "clips", num_latent=1)
    write_latents(tmp_path / "latents", num=1)
    for words, data in (
        ([*lumos1("~/clips"), "task.eval_data.held=~/clips"], "clips"),
        ([*lumina(a="~/latents"), "task.eval_tasks.b.data=~/latents"], "latents"),
    ):
        config = load_run(None, words)
        assert set(data_of(config).values()) == {str(tmp_path / data)}
        assert missing_data(config) == []


def test_held_out_data_are_missing_only_where_a_training_evaluates(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    codes, latents = write_clips(tmp_path / "codes", num_latent=1), write_latents(tmp_path / "latents", num=3)
    for words, setting in (
        ([*lumos1(codes), f"task.eval_data.video={gone}"], "task.eval_data.video"),
        ([*lumina(a=latents), f"task.eval_tasks.b.data={gone}"], "task.eval_tasks.b.data"),
    ):
        check_data(load_run(None, words))
        for evaluated in ("trainer.eval_every=2", "trainer.eval_in_epoch=1"):
            (missing,) = missing_data(load_run(None, [*words, evaluated]))
            assert missing.settings == [setting]


def test_processes_that_have_not_met_yet_leave_it_to_their_task(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    config = load_run(None, lumos1(tmp_path / "gone"))
    assert len(missing_data(config)) == 1
    check_data(config)


def test_a_dry_run_names_every_task_whose_data_are_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    words = ["task.architecture=MultiScaleNextDiT_2B_GQA", "task.tasks.x.micro_bsz=2"]
    assert main(["train", *lumina(x="gone/x", y="gone/y"), *words, "--dry-run"]) == 0
    lines = capsys.readouterr().out.splitlines()
    (first,) = [number for number, line in enumerate(lines) if line.startswith("not there")]
    assert [line.strip() for line in lines[first:]] == [
        "not there     task.tasks.x.data: gone/x: no such file or folder",
        "task.tasks.y.data: gone/y: no such file or folder",
        "python -m pre_tokenize --to latents makes them of images or videos (pre_tokenize/README.md); or bring them "
        "there, or correct the path",
    ]
