"""VBench's folders made with a tiny model: exact names, nothing but videos, counts, crops."""

import argparse
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import pytest
import torch
from PIL import Image

from eval.driver import folders
from eval.driver.command import Driver, parse, parser_of
from eval.driver.folders import ignores_case, require_case
from eval.prompts.__main__ import bring
from eval.vbench import i2v as vbench_i2v
from eval.vbench import t2v as vbench_t2v
from eval.vbench.folder import VideoFolder
from eval.vbench.prompts import full_info
from lumos.cli.jobs.outputs import staging_folder
from lumos.lumos1.sampling.settings import settings_for
from tests.eval.conftest import VBENCH
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import MeanColourDecoder, make_model_folder

Contents = Callable[[Path], dict[str, bytes]]


@pytest.fixture
def command(model: Path, full_info: Path) -> Callable[..., int]:
    """Runs the text-to-video driver into a folder, with short videos."""

    def run(out: Path, *words: str) -> int:
        paths = ["--model", str(model), "--prompts", str(full_info), "--out", str(out)]
        return vbench_t2v.main([*paths, "--short", "num_frames=5", "num_inference_steps=1", *words])

    return run


def options_of(driver: Driver, *words: str | Path) -> argparse.Namespace:
    return parse(parser_of(driver), [str(word) for word in words])


def test_names_are_prompt_and_number_and_nothing_else_is_there(command: Callable[..., int], tmp_path: Path) -> None:
    assert command(tmp_path / "o") == 0
    prompts = ("Fireworks.", "a fantasy landscape", "A fantasy landscape")
    wanted = [f"{prompt}-{index}.mp4" for prompt in prompts for index in range(5)]
    wanted += [f"a laptop, frozen in time-{index}.mp4" for index in range(25)]
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == sorted(wanted)
    records = sorted(path.name for path in (tmp_path / "o_records").glob("*.json"))
    assert records == sorted(["run.json", *(f"{name}.json" for name in wanted)])
    with av.open(str(tmp_path / "o/Fireworks.-4.mp4")) as container:
        sizes = [(frame.width, frame.height) for frame in container.decode(video=0)]
    assert sizes == [(96, 64)] * 5
    seeds = [json.loads((tmp_path / "o_records" / f"{name}.json").read_text())["seed"] for name in wanted]
    assert len(set(seeds)) == len(wanted)


def test_1_3_and_8_workers_make_the_same_videos(
    command: Callable[..., int],
    as_workers: Callable[[int, Callable[[], int]], list[int]],
    contents: Contents,
    tmp_path: Path,
) -> None:
    made = []
    for number in (1, 3, 8):
        out = tmp_path / str(number)
        assert as_workers(number, lambda out=out: command(out, "--samples", "2", "--batch-size", "2")) == [0] * number
        made.append(contents(out))
    assert len(made[0]) == 8
    assert made[0] == made[1] == made[2]


@pytest.mark.parametrize("stranger", [".DS_Store", "Fireworks.-0.mp4.json", "fireworks.-0.mp4", "Fireworks.-5.mp4"])
def test_a_folder_with_anything_else_is_refused(
    stranger: str, command: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / stranger).write_text("")
    assert command(tmp_path / "o") == 2
    assert f"holds what the scorer would take for outputs: '{stranger}'" in capsys.readouterr().err


def test_a_video_that_was_cut_is_made_again_and_one_without_record_is_not_ours(
    command: Callable[..., int], contents: Contents, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "o"
    words = ("--samples", "1", "--first", "2", "--batch-size", "2")
    assert command(out, *words) == 0
    before = contents(out)
    (out / "Fireworks.-0.mp4").write_bytes(before["Fireworks.-0.mp4"][:100])
    assert command(out, *words) == 0
    assert "1 made (1 were damaged), 1 finished before" in capsys.readouterr().out
    assert contents(out) == before
    (tmp_path / "o_records/Fireworks.-0.mp4.json").unlink()
    assert command(out, *words) == 2
    assert "no record says how it was made; use --overwrite" in capsys.readouterr().err


def test_prompts_that_differ_by_capitals_need_a_file_system_that_tells_them_apart(
    command: Callable[..., int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(folders, "ignores_case", lambda folder: True)
    assert command(tmp_path / "o") == 2
    error = capsys.readouterr().err
    assert "cannot hold the videos of both 'A fantasy landscape' and 'a fantasy landscape': its file system" in error
    assert not (tmp_path / "o").exists()


def test_whether_a_file_system_ignores_case_is_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    exists = Path.exists
    assert not ignores_case(tmp_path)
    monkeypatch.setattr(Path, "exists", lambda path: exists(path) or exists(path.with_name(path.name.swapcase())))
    assert ignores_case(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("prompt", "message"), [("a/b", "a character that no file name"), ("é" * 125, "is longer than")]
)
def test_prompts_that_cannot_be_file_names_are_refused(
    prompt: str,
    message: str,
    full_info: Path,
    command: Callable[..., int],
    tmp_path: Path,
    capsys: pytest.CaptureFixture,
) -> None:
    full_info.write_text(json.dumps([{"prompt_en": prompt, "dimension": ["scene"]}]))
    assert command(tmp_path / "o") == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "prompt", ["..", ".hidden", "ends in .mp4", "a-0", " spaced ", "50% [x]*? \"quoted\" 'x' $y", "雪"]
)
def test_names_are_exact_whatever_a_prompt_has(
    prompt: str, full_info: Path, command: Callable[..., int], tmp_path: Path
) -> None:
    full_info.write_text(json.dumps([{"prompt_en": prompt, "dimension": ["scene"]}]))
    assert command(tmp_path / "o", "--samples", "1") == 0
    assert [path.name for path in (tmp_path / "o").iterdir()] == [f"{prompt}-0.mp4"]
    assert command(tmp_path / "o", "--samples", "1") == 0


class OneFrameEach(MeanColourDecoder):
    """An image tokenizer: as many frames come out as went in."""

    def forward(self, codes: torch.Tensor) -> torch.Tensor:
        level = codes.unsqueeze(1).repeat(1, 3, 1, 1, 1).to(self.levels.dtype)
        return level.repeat_interleave(8, 3).repeat_interleave(8, 4)


def test_models_without_video_are_refused_before_anything_is_made(
    full_info: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = make_model_folder(tmp_path / "model")
    torch.jit.script(OneFrameEach()).save(str(model / "visual_tokenizer/decoder.jit"))
    words = ["--model", str(model), "--prompts", str(full_info), "--short", "--out", str(tmp_path / "o")]
    assert vbench_t2v.main(words) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cannot do video: 2 latent frames are 5 frames (" in error
    (model / "generation_config.json").write_text('{"num_frames": 1}')
    assert vbench_t2v.main(words) == 2
    assert "is asked for one frame; choose a model of videos" in capsys.readouterr().err
    assert not (tmp_path / "o").exists()


def test_another_benchmarks_list_is_refused(
    command: Callable[..., int], metadata: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(tmp_path / "o", "--prompts", str(metadata)) == 2
    error = capsys.readouterr().err
    assert "is not VBench's full info" in error
    assert error.count("\n") == 1


@pytest.fixture
def i2v(model: Path, tmp_path: Path) -> Callable[..., int]:
    """Runs the image-to-video driver on two prompts of one picture and one of another."""
    prompts = [("a boat", "boat.jpg"), ("a boat, camera pans left", "boat.jpg"), ("a tree", "tree.jpg")]
    records = [{"prompt_en": text, "image_name": name, "dimension": ["i2v_subject"]} for text, name in prompts]
    (tmp_path / "i2v.json").write_text(json.dumps(records))
    (tmp_path / "crop/7-4").mkdir(parents=True)
    for name, colour in (("boat.jpg", "red"), ("tree.jpg", "white")):
        Image.new("RGB", (140, 80), colour).save(tmp_path / "crop/7-4" / name)

    def run(out: Path, *words: str) -> int:
        paths = ["--model", str(model), "--prompts", str(tmp_path / "i2v.json"), "--images", str(tmp_path / "crop")]
        return vbench_i2v.main([*paths, "--out", str(out), "--short", "num_frames=5", "num_inference_steps=1", *words])

    return run


def test_videos_begin_with_the_crop_of_their_image(i2v: Callable[..., int], tmp_path: Path) -> None:
    assert i2v(tmp_path / "o", "--batch-size", "4") == 0
    names = sorted(path.name for path in (tmp_path / "o").iterdir())
    assert names == sorted(f"{p}-{k}.mp4" for p in ("a boat", "a boat, camera pans left", "a tree") for k in range(5))
    for name, colour in (("a boat-3.mp4", (255, 0, 0)), ("a tree-0.mp4", (255, 255, 255))):
        with av.open(str(tmp_path / "o" / name)) as container:
            first = next(container.decode(video=0)).to_ndarray(format="rgb24")
        assert first.shape == (64, 96, 3)
        assert abs(first.reshape(-1, 3).mean(0) - colour).max() < 12
    record = json.loads((tmp_path / "o_records/a boat-3.mp4.json").read_text())
    kept = tmp_path / "o_records" / record["image"]  # a copy that travels with the records
    assert kept.read_bytes() == (tmp_path / "crop/7-4/boat.jpg").read_bytes()


def test_missing_and_broken_crops_are_named_before_anything_is_made(
    i2v: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crop/7-4/tree.jpg").write_bytes(b"\xff\xd8 no picture")
    assert i2v(tmp_path / "o") == 2
    assert "1 crops in" in (error := capsys.readouterr().err)
    assert "are no images: tree.jpg; download" in error
    (tmp_path / "crop/7-4/tree.jpg").unlink()
    (tmp_path / "crop/7-4/boat.jpg").unlink()
    assert i2v(tmp_path / "o") == 2
    error = capsys.readouterr().err
    assert f"2 of 2 crops are not in {tmp_path / 'crop/7-4'}: boat.jpg; tree.jpg; bring them" in error
    assert not (tmp_path / "o").exists()
    assert not (tmp_path / "o_records").exists()


def test_a_target_size_is_the_size_whose_crop_is_nearest_to_the_ratio(i2v: Callable[..., int], tmp_path: Path) -> None:
    assert i2v(tmp_path / "o", "--samples", "1", "--first", "1", "target_size=64") == 0
    with av.open(str(tmp_path / "o/a boat-0.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 32)


def test_crops_of_another_ratio_make_videos_of_another_size(
    i2v: Callable[..., int], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "crop/1-1").mkdir()
    for name in ("boat.jpg", "tree.jpg"):
        Image.new("RGB", (90, 90)).save(tmp_path / "crop/1-1" / name)
    assert i2v(tmp_path / "o", "--ratio", "1-1", "--samples", "1", "--first", "1") == 0
    with av.open(str(tmp_path / "o/a boat-0.mp4")) as container:
        assert (container.streams.video[0].width, container.streams.video[0].height) == (64, 64)
    assert "no crops" not in capsys.readouterr().err
    assert i2v(tmp_path / "p", "--images", str(tmp_path / "crop/1-1"), "--dry-run") == 0
    assert "2 images are no crops of 7-4, e.g. boat.jpg (90x90)" in capsys.readouterr().err
    assert i2v(tmp_path / "p", "--ratio", "wide") == 2
    assert "--ratio is 'wide'; it must be width-height" in capsys.readouterr().err


def test_the_official_list_gives_exactly_the_names_of_all_944_prompts(shared_data: Path, tmp_path: Path) -> None:
    bring(["vbench"], places=[shared_data / "prompts"], folder=tmp_path, offline=True)
    path, long = tmp_path / "VBench_full_info.json", tmp_path / "vbench_long.json"
    options = options_of(vbench_t2v.DRIVER, "--prompts", path, "--long", long, "--out", tmp_path / "o")
    work = vbench_t2v.work(options, partial(settings_for, {}))
    records = full_info(path)
    flickering = {record["prompt_en"] for record in records if "temporal_flickering" in record["dimension"]}
    prompts = {record["prompt_en"] for record in records}
    assert (len(prompts), len(flickering)) == (944, 75)
    wanted = {f"{text}-{k}.mp4" for text in prompts for k in range(25 if text in flickering else 5)}
    assert len(work.jobs) == 6220
    assert work.remarks == []
    require_case(work.jobs, tmp_path)
    folder = VideoFolder(tmp_path / "o", work.jobs)
    with staging_folder(folder.staging) as staging:
        for job in work.jobs[::5]:
            (staging / "made.mp4").write_bytes(b"")
            folder.put(job.name, staging / "made.mp4")
    listed = {path.name for path in (tmp_path / "o").iterdir()}
    assert listed == {job.name for job in work.jobs[::5]}
    assert {job.name for job in work.jobs} == wanted
    assert folder.strangers() == []


def test_the_official_i2v_list_gives_1118_prompts_over_355_images(shared_data: Path, tmp_path: Path) -> None:
    bring(["vbench_i2v"], places=[shared_data / "prompts"], folder=tmp_path, offline=True)
    path, long = tmp_path / "vbench2_i2v_full_info.json", tmp_path / "vbench_i2v_long.json"
    names = sorted({record["image_name"] for record in full_info(path)})
    (tmp_path / "crop/7-4").mkdir(parents=True)
    for name in names[:-2]:
        Image.new("RGB", (7, 4)).save(tmp_path / "crop/7-4" / name)
    words = ["--prompts", path, "--long", long, "--images", tmp_path / "crop", "--out", tmp_path / "o"]
    with pytest.raises(ValueError, match=r"2 of 355 crops are not in .*") as error:
        vbench_i2v.work(options_of(vbench_i2v.DRIVER, *words), partial(settings_for, {}))
    assert all(name in str(error.value) for name in names[-2:])
    for name in names[-2:]:
        Image.new("RGB", (7, 4)).save(tmp_path / "crop/7-4" / name)
    work = vbench_i2v.work(options_of(vbench_i2v.DRIVER, *words), partial(settings_for, {}))
    assert len(work.jobs) == 5590
    assert len({job.image for job in work.jobs}) == 355
    assert (work.settings["width"], work.settings["height"]) == (672, 384)
    assert work.remarks == []
    with pytest.raises(ValueError, match="lacks its image_name"):
        vbench_i2v.read_videos(shared_data / "prompts/VBench_full_info.json", "vbench_i2v")


def test_the_small_list_has_the_odd_names_of_the_official_one() -> None:
    assert len({record["prompt_en"] for record in VBENCH}) < len(VBENCH)


def test_lumina_video_makes_the_videos_too_and_no_others_of_pictures(
    full_info: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lumina = tiny_lumina_folder(tmp_path / "lumina")
    words = ["--model", str(lumina), "--prompts", str(full_info), "--out", str(tmp_path / "o"), "--short"]
    small = ["--first", "1", "--samples", "2", "width=32", "height=64", "num_inference_steps=1"]
    assert vbench_t2v.main([*words, *small]) == 0
    assert sorted(path.name for path in (tmp_path / "o").iterdir()) == ["Fireworks.-0.mp4", "Fireworks.-1.mp4"]
    assert json.loads((tmp_path / "o_records" / "run.json").read_text())["settings"]["width"] == 32
    capsys.readouterr()
    assert vbench_i2v.main([*words, "--images", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), "is Lumina-Video, which makes t2i and t2v and no i2v" in error) == (1, True), error
