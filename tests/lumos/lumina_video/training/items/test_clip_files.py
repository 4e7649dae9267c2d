"""Videos that are no latents yet: which are taken, of which frames, in which batches, and why not the others."""

import contextlib
import json
import logging
import pickle
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lumos.cli.training.training_run import load_run, run
from lumos.lumina_video.sizes import Compression
from lumos.lumina_video.training.items import clip_files
from lumos.lumina_video.training.items.clip_files import ClipFiles
from lumos.lumina_video.training.task import LuminaVideoTask, ScaleTask
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.decoding.video_facts import VideoFacts
from tests.lumos.lumina_video.latents import run_config, task_config, write_raw_clips
from tests.lumos.lumina_video.tiny import tiny_vae_folder
from tests.lumos.media.clips import Form, numbers, write_clip
from xllmx.data.broken import BrokenSampleError, Replacing
from xllmx.run.reporting.metrics import read_metrics

VAE = Compression(spatial=8, temporal=4)
Row = dict[str, Any]


def tall(number: int) -> np.ndarray:
    return np.full((96, 64, 3), 10 * number % 256, np.uint8)


def small(number: int) -> np.ndarray:
    return np.full((64, 62, 3), number, np.uint8)


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A list of two good videos, 96x64 and 64x96, among others that give no clip; the fourth is not there."""
    write_clip(tmp_path / "wide.mp4", 40, Form(fps=Fraction(16)))
    write_clip(tmp_path / "short.mp4", 7, Form(fps=Fraction(8)))
    write_clip(tmp_path / "slow.mp4", 20, Form(fps=Fraction(3)))
    write_clip(tmp_path / "small.mp4", 20, Form(fps=Fraction(8)), paint=small)
    write_clip(tmp_path / "tall.mp4", 20, Form(fps=Fraction(8)), paint=tall)
    rows = [{"path": f"{n}.mp4", "prompt": n} for n in ("wide", "short", "slow", "none", "small", "tall")]
    rows[0]["unimatch_flow"] = "4.5"
    return write_list(tmp_path / "list.jsonl", rows)


def write_list(path: Path, rows: list[Row]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_a_csv_with_the_same_rows_gives_the_same_clips(listed: Path) -> None:
    rows = [json.loads(line) for line in listed.read_text().splitlines()]
    lines = [f"{row['path']},{row['prompt']},{row.get('unimatch_flow', '')}\n" for row in rows]
    (listed.parent / "list.csv").write_text("".join(["path,text,unimatch_flow\n", *lines]))
    ours = ClipFiles("clips", task_of(listed.parent / "list.csv"), vae=VAE)
    theirs = ClipFiles("clips", task_of(listed), vae=VAE)
    assert list(ours.sizes.values) == list(theirs.sizes.values)
    for one, other in zip((ours[0], ours[2]), (theirs[0], theirs[2]), strict=True):
        assert (one.caption, one.motion) == (other.caption, other.motion)
        assert torch.equal(one.frames, other.frames)


def task_of(path: Path, **fields: Any) -> ScaleTask:
    settings = {"data": str(path), "image_size": 64, "max_frames": 16, "target_fps": 8.0, **fields}
    return ScaleTask(**settings)


def clips_of(path: Path, *, held_out: bool = False, **fields: Any) -> ClipFiles:
    return ClipFiles("raw", task_of(path, **fields), vae=VAE, held_out=held_out)


def test_what_gives_no_clip_is_left_out_with_a_reason_and_what_cannot_be_opened_is_broken(
    listed: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        clips = clips_of(listed)
    reasons = "1 too short, 1 source slower than the target fps, 1 smaller than the target size"
    assert f"task.tasks.raw: 3 of 6 clips are left out: {reasons}; the first: " in caplog.text
    assert "short.mp4: too short (0.88 s, at least 8 frames at 8 fps)" in caplog.text
    assert "task.tasks.raw: 6 of 6 clips are opened" in caplog.text
    broken = "1 of 6 clips cannot be opened and count as broken (trainer.max_broken); the first: "
    assert f"task.tasks.raw: {broken}{listed.with_name('none.mp4')}: missing file" in caplog.text
    assert len(clips) == 3
    with pytest.raises(BrokenSampleError, match=r"none\.mp4: missing file"):
        clips[1]
    drawn = Replacing(clips, stream="raw")[1]
    assert drawn.content.caption == "tall"
    assert [fault.index for fault in drawn.faults] == [1]


def test_each_rank_opens_its_share_and_all_know_the_same(listed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other rank found stands in the place of `gather`: a file that only it could open is known here too."""
    whole = clips_of(listed)
    opened: list[Path] = []
    shares: list[Any] = []

    def found(path: Path) -> VideoFacts | str:
        opened.append(path)
        return real(path)

    def gather(share: Any) -> list[Any]:
        shares.append(share)
        return shares

    real = clip_files._opened
    monkeypatch.setattr(clip_files, "_opened", found)
    monkeypatch.setattr(clip_files, "num_ranks", lambda: 2)
    monkeypatch.setattr(clip_files, "gather", gather)
    monkeypatch.setattr(clip_files, "rank", lambda: 1)
    with contextlib.suppress(KeyError):  # alone it lacks the share of the first
        clips_of(listed)
    seen = set(opened)
    monkeypatch.setattr(clip_files, "rank", lambda: 0)
    assert clips_of(listed).sizes.values == whole.sizes.values
    assert len(opened) == len(set(opened)) > len(seen) > 0


def test_a_window_has_the_frames_of_its_draw(listed: Path) -> None:
    """2.5 s of 16 frames a second, 2 s of them at 8: each other frame, from 0 to 8 on."""
    clips, begins = clips_of(listed), set()
    for seed in range(12):
        sample = clips.drawn(0, seed)
        assert sample.frames.shape == (16, 32, 64, 3)
        assert (sample.caption, sample.motion) == ("wide", 4.5)
        shown = clips_of(listed, image_size=78).drawn(0, seed)  # of whole pictures, whose tiles are their numbers
        found = numbers(shown.frames.numpy()) if shown.frames.shape[1:3] == (64, 96) else []
        assert found == list(range(found[0], found[0] + 32, 2))
        begins.add(found[0])
    assert begins <= set(range(9))
    assert len(begins) > 4
    assert torch.equal(clips[0].frames, clips[0].frames)
    assert torch.equal(clips.drawn(0, 7).frames, clips.drawn(0, 7).frames)


def test_batches_are_of_one_size_and_one_type(tmp_path: Path, listed: Path) -> None:
    clips = clips_of(listed)
    assert list(clips.sizes) == [(4, 4, 8), (4, 4, 8), (4, 8, 4)]
    assert list(clips.lengths) == [16, 16, 16]
    (tmp_path / "both.yaml").write_text(
        "META: [{path: list.jsonl, type: a}, {path: list.jsonl, type: b, ratio: 0.5, drawn: each_epoch}]"
    )
    both = clips_of(tmp_path / "both.yaml")
    assert len(both) == 6
    assert [(subset.start, subset.stop) for subset in both.subsets] == [(3, 6)]
    assert both.bucket_keys[0] != both.bucket_keys[3]
    assert both[5].caption == "tall"


def test_a_row_that_says_enough_is_taken_at_its_word(tmp_path: Path, listed: Path) -> None:
    said = {"seconds": "2.5", "fps": 16.0, "width": 96, "height": 64}
    rows = [{"path": "wide.mp4", "prompt": "a", **said}, {"path": "none.mp4", "prompt": "b", **said}]
    clips = clips_of(write_list(tmp_path / "said.jsonl", rows))
    assert list(clips.sizes) == [(4, 4, 8)] * 2
    assert clips[0].frames.shape == (16, 32, 64, 3)
    with pytest.raises(BrokenSampleError, match="missing file"):
        clips[1]
    wrong = [
        {**rows[0], "seconds": 9, "path": "tall.mp4"},
        {**rows[0], "path": "tall.mp4"},
        {**rows[0], "seconds": 0.9},
    ]
    others = clips_of(write_list(tmp_path / "wrong.jsonl", wrong), max_frames=24)
    with pytest.raises(BrokenSampleError, match=r"too short \(2\.50 s, more was said of it\)"):
        others[0]
    with pytest.raises(BrokenSampleError, match=r"another size than was said of it \(it is 64x96; correct its list\)"):
        others[1]
    assert len(others) == 2


@pytest.mark.parametrize(("fields", "said"), [
    ({"target_fps": None}, r"lists videos: set KEY\.target_fps, the frames a second that are taken of them"),
    ({"image_size": None}, r"lists videos: set KEY\.image_size, "),
    ({"max_frames": None}, r"lists videos: set KEY\.max_frames, "),
    ({"max_frames": 7, "f_patch_size": 2}, r"KEY\.max_frames is 7; a patch of scale 2x2 takes 2 latents of 4 frames"),
    ({"image_size": 640}, "KEY: none of the 6 clips that .* can be used: .*px, fewer than 640x640"),
])  # fmt: skip
@pytest.mark.parametrize("held_out", [False, True])
def test_a_fault_is_named_by_the_setting_to_change(
    listed: Path, fields: dict[str, Any], said: str, held_out: bool
) -> None:
    with pytest.raises(ValueError, match=said.replace("KEY", f"task\\.{'eval_tasks' if held_out else 'tasks'}\\.raw")):
        clips_of(listed, held_out=held_out, **fields)


@pytest.mark.parametrize(("row", "said"), [
    ({"path": "a.mp4"}, r'row 1 has no caption \(.a\.mp4.\); write \{"path": \.\.\., "prompt": \.\.\.\} for each'),
    ({"path": "a.mp4", "prompt": "a", "pkl": "1.pkl"}, "row 1 is of a latent, the first of a video"),
    ({"path": "a.mp4", "prompt": "a", "unimatch_flow": "fast"}, "row 1: unimatch_flow is 'fast'; it must be a number"),
])  # fmt: skip
def test_rows_that_are_wrong_are_left_out_and_named(
    listed: Path, row: Row, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        clips = clips_of(write_list(listed.with_name("list.jsonl"), [{"path": "wide.mp4", "prompt": "a"}, row]))
    assert len(clips) == 1
    assert re.search("1 of 2 rows are left out; the first: " + said, caplog.text)
    with pytest.raises(
        ValueError, match="none of its 1 rows can be used; the first: " + said.replace("row 1", "row 0")
    ):
        clips_of(write_list(listed.with_name("wrong.jsonl"), [row]))


@pytest.mark.parametrize("ending", ["pkl", "pth"])
def test_a_list_may_be_in_a_pickle(listed: Path, ending: str) -> None:
    path = listed.with_name(f"list.{ending}")
    rows = [{"path": "wide.mp4", "prompt": "a"}]
    if ending == "pth":
        torch.save(rows, path)
    else:
        path.write_bytes(pickle.dumps(rows))
    assert clips_of(path)[0].caption == "a"


def test_a_batch_is_encoded_on_the_way_as_whole_clips(tmp_path: Path, listed: Path) -> None:
    vae = tiny_vae_folder(tmp_path / "vae")
    config = task_config(tmp_path, vae=str(vae), text_drop=0.0, motion_drop=0.0)
    task = LuminaVideoTask(replace(config, tasks={"raw": task_of(listed, f_patch_size=2)}))
    clips = task.build_dataset("train")["raw"]
    assert isinstance(clips, ClipFiles)
    samples = [clips.drawn(0, 1), clips.drawn(0, 2)]
    prepared = task.prepare(task.collate(samples), torch.Generator().manual_seed(0))
    latents = prepared.targets["latents"]
    assert latents.shape == (2, 4, 4, 4, 8)
    encoder = CogVideoXVAE.from_pretrained(vae)
    for latent, sample in zip(latents, samples, strict=True):
        expected = encoder.encode(sample.frames.permute(3, 0, 1, 2)[None].float() / 127.5 - 1)[0]
        torch.testing.assert_close(latent, expected)
    assert not torch.equal(latents[0], latents[1])
    assert prepared.inputs["motion"].tolist() == [4.5, 4.5]
    assert not prepared.inputs["first_frame_only"]


def test_without_a_vae_the_remedy_is_named(tmp_path: Path, listed: Path) -> None:
    config = task_config(tmp_path)
    for data, said in (
        (listed, r"task raw reads videos that are no latents yet; set task\.vae to the folder of the VAE, or make"),
        (tmp_path, r"holds videos, and no latents; to train on them as they are, list them in a CSV"),
    ):
        task = LuminaVideoTask(replace(config, tasks={"raw": task_of(data)}))
        with pytest.raises(ValueError, match=said):
            task.build_dataset("train")


def test_a_run_that_was_stopped_goes_on_bit_for_bit_and_cut_batches_are_the_same(tmp_path: Path) -> None:
    """Windows too: at the second reading of a clip another one is drawn, and the same in each of the runs."""
    task_config(tmp_path)
    raw = {
        "data": str(write_raw_clips(tmp_path / "raw")), "image_size": 64, "max_frames": 8, "target_fps": 8,
        "global_bsz": 4, "patch_size": 2,
    }  # fmt: skip
    vae = str(tiny_vae_folder(tmp_path / "vae"))

    def losses(name: str, *, steps: int, micro_bsz: int = 4, workers: int = 0) -> list[float]:
        task = {"vae": vae, "tasks": {"raw": {**raw, "micro_bsz": micro_bsz, "num_workers": workers}}}
        config = run_config(tmp_path, name, steps=steps, task=task, trainer={"run_dir": str(tmp_path / name)})
        run(load_run(config))
        return [row["loss"] for row in read_metrics(tmp_path / name)]

    whole = losses("whole", steps=4)
    losses("cut", steps=2, workers=1)
    assert losses("cut", steps=4, workers=1) == whole
    assert losses("accumulated", steps=4, micro_bsz=2) == pytest.approx(whole, rel=1e-5)
