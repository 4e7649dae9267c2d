"""The released commands: what their flags become, and one of each made small."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from eval.custom.__main__ import parser as custom_parser
from eval.driver import beginning
from eval.geneval import __main__ as geneval
from eval.geneval.prompts import read_official
from eval.prompts import lists
from eval.released import sample, translated
from eval.vbench.i2v import main as vbench_i2v
from eval.vbench.prompts import read_videos, released_long
from eval.vbench.t2v import main as vbench_t2v
from lumos.lumos1.sampling.settings import settings_for


@pytest.mark.parametrize(
    ("task", "words", "module", "expected"),
    [
        ("t2i", '--part [1,4]', "eval.geneval.__main__", "--part 1,4"),
        ("t2i", "--part 2/4 --cluster [2,3]", "eval.geneval.__main__", "--part 6,12"),
        ("t2v", "--mask_history_ratio 0.7", "eval.vbench.t2v", "mask_history_ratio=0.7"),
        ("t2v", "--prompt_source custom --samples 2", "eval.custom.__main__", "t2v --samples 2"),
        ("i2v", "--prompt_source custom --caption_type short --video_path F --caption_path L.json",
         "eval.custom.__main__", "i2v --prompts L.json --images F --short"),
        ("i2v", "--vp_mode given1 --visual_tokenizer Cosmos-Tokenizer-DV4x8x8 --model 3B/stage-2-joint",
         "eval.vbench.i2v", "--model 3B/stage-2-joint"),
        ("t2i", "--save_path R/3B_images --target-size 352 --timesteps 50 --cfg 16 --dry-run seed=1",
         "eval.geneval.__main__",
         "--out R/3B_images target_size=352 num_inference_steps=50 guidance_scale=16 --dry-run seed=1"),
        ("t2v", "--duration_placeholder 2 --fps_placeholder 12", "eval.vbench.t2v", "duration=2 fps=12"),
    ],
)  # fmt: skip
def test_flags_become_words_of_the_driver(task: str, words: str, module: str, expected: str) -> None:
    assert translated(task, words.split()) == (module, expected.split())


def test_a_part_is_written_as_in_the_readme() -> None:
    assert translated("t2i", ["--part", "[1, 4]", "--cluster", "[1, 1]"])[1] == ["--part", "1,4"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--part", "5,4"], "--part is '5,4'; it must be i,n"),
        (["--cluster", "x"], "--cluster is 'x'; it must be i,n"),
        (["--prompt_source", "geneval"], "'geneval' (choose from"),
        (["--visual_tokenizer", "Chameleon"], "'Chameleon' (choose from"),
        (["--prompt_source", "custom", "--nothing"], "--nothing"),
        (["--prompt_sourcee", "custom"], "unknown option --prompt_sourcee; did you mean --prompt_source?"),
        (["--mask-history-ration=0.7"], "did you mean --mask_history_ratio?"),
    ],
)
def test_a_wrong_flag_is_one_line(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert sample("t2v", words) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), said in error) == (1, True), error


def test_no_option_of_a_driver_is_taken_for_a_misspelt_flag() -> None:
    options = [option for option in custom_parser()._option_string_actions if option.startswith("--")]
    options += ["--long", "--overwrite", "--max-memory", "--device-map"]
    for task in ("t2i", "t2v", "i2v"):
        assert translated(task, ["--prompt_source", "custom", "--samples", "1"])[1] == [task, "--samples", "1"]
        for option in options:
            if option.replace("-", "_") not in ("__part", "__help", "__debug"):  # both have these
                assert option in translated(task, ["--prompt_source", "custom", option])[1]


def test_the_files_run_from_any_folder_and_make_what_the_release_makes(model: Path, repo: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text('{"one.mp4": "a circle", "two.mp4": "a star"}')
    words = [
        "--part",
        "[1, 2]",
        "--mask_history_ratio",
        "0.5",
        "--prompt_source",
        "custom",
        "--caption_path",
        "list.json",
    ]
    command = [sys.executable, str(repo / "eval" / "inference_t2v.py"), *words, "--save_path", "videos/1B_t2v_custom"]
    more = ["--model", str(model), "--timesteps", "1", "num_frames=2"]
    done = subprocess.run([*command, *more], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    made = sorted(path.name for path in (tmp_path / "videos/1B_t2v_custom").glob("*.mp4"))
    # part 1 of 2: every other of ten outputs
    assert made == ["one-0.mp4", "one-2.mp4", "one-4.mp4", "two-1.mp4", "two-3.mp4"]
    record = json.loads((tmp_path / "videos/1B_t2v_custom/one-0.mp4.json").read_text())
    assert (record["settings"]["mask_history_ratio"], record["settings"]["num_inference_steps"]) == (0.5, 1)


@pytest.mark.parametrize(
    ("target", "size", "of_a_tall_picture"),
    [(352, (448, 256), (256, 448)), (528, (672, 384), (384, 672)), (656, (768, 480), (480, 832))],
)
def test_a_target_size_is_the_released_size_and_its_crops(
    target: int, size: tuple[int, int], of_a_tall_picture: tuple[int, int]
) -> None:
    import numpy as np

    plain = settings_for({"width": 64, "height": 32}, {"target_size": target})
    assert (plain.width, plain.height) == size
    image = np.zeros((1600, 900, 3), dtype=np.uint8)
    given = settings_for({"width": 64, "height": 32}, {"target_size": target}, image=image)
    assert (given.width, given.height) == of_a_tall_picture
    with pytest.raises(ValueError, match="target_size says width and height; leave these out"):
        settings_for({}, {"target_size": target, "width": 64})


def test_the_released_copy_of_geneval_is_read_as_the_official_list(shared_data: Path) -> None:
    """Word for word, the `exclude` that it lacks put back."""
    official = read_official(shared_data / "prompts" / "geneval_evaluation_metadata.jsonl")
    released = read_official(shared_data / "prompts" / "lumos_geneval_rewritten.jsonl")
    assert [json.dumps(record) for record in released] == [json.dumps(record) for record in official]


def test_the_released_lists_of_vbench_are_read(shared_data: Path) -> None:
    folder = shared_data / "prompts"
    for name, released, official in (
        ("vbench", "lumos_vbench_t2v_long.json", "VBench_full_info.json"),
        ("vbench_i2v", "lumos_vbench_i2v_long.json", "vbench2_i2v_full_info.json"),
    ):
        longs = released_long(folder / released, name)
        assert {one.text for one in read_videos(folder / released, name)} == set(longs)
        assert {one.text for one in read_videos(folder / official, name)} == set(longs)
        assert released_long(folder / official, name) == {}


def test_the_model_sees_the_long_prompts_of_the_released_list(model: Path, tmp_path: Path) -> None:
    released = {"tag": "counting", "include": [{"class": "cat", "count": 2}], "prompt": "two cats"}
    path = tmp_path / "geneval_evaluation_metadata.jsonl"
    path.write_text(json.dumps({**released, "prompt_rewrite_qwen32b": "Two cats, at length"}) + "\n")
    words = ["--model", str(model), "--prompts", str(path), "--out", str(tmp_path / "o"), "--samples", "1"]
    assert geneval.main(words) == 0
    record = json.loads((tmp_path / "o_records/00000/00000.png.json").read_text())
    assert record["prompt"] == "Two cats, at length"
    metadata = json.loads((tmp_path / "o/00000/metadata.jsonl").read_text())
    assert metadata == {**released, "exclude": [{"class": "cat", "count": 3}]}


def test_the_model_is_said_and_missing_prompts_are_brought_before_anything_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []

    def bring(benchmarks: list[str], *, places: list[Path], short: bool) -> None:
        asked.append((benchmarks, places, short))
        raise ValueError("cannot download X: no network")

    monkeypatch.setattr(beginning, "FOLDER", tmp_path / "prompts")
    monkeypatch.setattr("eval.prompts.__main__.bring", bring)
    monkeypatch.setattr("lumos.cli.models.door.find_model", lambda *_, **__: pytest.fail("a model is looked for"))
    (tmp_path / "ckpts").mkdir()
    words = ["--ckpts", str(tmp_path / "ckpts"), "--out", str(tmp_path / "o")]
    assert vbench_t2v(words) == 2
    captured = capsys.readouterr()
    first, second = captured.out.splitlines()
    assert first.startswith("eval.vbench_t2v: the model is lumos-tiny, the bundled one: 3B/stage-2-joint-384p, as")
    assert first.endswith("run: lumos download 3B/stage-2-joint-384p, or name one with --model")
    assert second.endswith("bringing them: lumos evaluate prompts vbench")
    assert asked == [(["vbench"], [tmp_path / "prompts"], False)]
    assert "could not be brought: cannot download X: no network; lumos evaluate prompts vbench --from" in captured.err
    (tmp_path / "ckpts/3B/stage-2-joint-384p").mkdir(parents=True)
    assert vbench_t2v(words) == 2
    assert "the model is 3B/stage-2-joint-384p, as released; --model" in capsys.readouterr().out


def test_a_dry_run_touches_no_network_and_reckons_without_the_lists(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(beginning, "FOLDER", tmp_path / "prompts")
    monkeypatch.setattr("eval.prompts.__main__.bring", lambda *_, **__: pytest.fail("a list is brought"))
    words = ["--model", "1B/stage-1-image", "--ckpts", str(tmp_path), "--out", str(tmp_path / "o"), "--dry-run"]
    assert geneval.main([*words, "--gpu", "H100", "--gpus", "8"]) == 0
    said = capsys.readouterr().out
    assert "evaluation_metadata.jsonl (85 kB, github.com/djghosh13/geneval), the rewritten prompts for geneval" in said
    assert "by: lumos evaluate prompts geneval; a dry run brings nothing" in said
    assert f"{tmp_path / 'o'}: 2212 outputs of 553 prompts" in said
    assert "clips     2212 of" in said
    assert geneval.main([*words, "--gpu", "H100", "--first", "3", "--samples", "2"]) == 0
    assert "6 outputs of 3 prompts" in capsys.readouterr().out
    assert list(tmp_path.iterdir()) == []
    assert vbench_i2v([*words[2:], "--model", "1B/stage-2-joint"]) == 2
    assert "names the first frames, by which the size is chosen; run: lumos evaluate prompts vbench_i2v" in (
        capsys.readouterr().err
    )


def test_a_dry_run_goes_by_the_official_prompts_where_only_the_long_ones_are_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = {"tag": "single_object", "include": [{"class": "cat", "count": 1}], "prompt": "a cat"}
    monkeypatch.setattr(lists, "FOLDER", tmp_path)
    monkeypatch.setattr(beginning, "FOLDER", tmp_path)
    monkeypatch.setattr("eval.prompts.__main__.bring", lambda *_, **__: pytest.fail("a list is brought"))
    (tmp_path / "evaluation_metadata.jsonl").write_text(json.dumps(metadata) + "\n")
    words = ["--model", "1B/stage-1-image", "--ckpts", str(tmp_path), "--out", str(tmp_path / "o"), "--dry-run"]
    monkeypatch.setattr(lists.PromptLists, "long_path", lambda self, folder=tmp_path: folder / "missing.json")
    assert geneval.main([*words, "--gpu", "H100"]) == 0
    said = capsys.readouterr().out
    assert "the rewritten prompts for geneval (545 kB" in said
    assert "evaluation_metadata.jsonl (" not in said
    assert "4 outputs of 1 prompts" in said
