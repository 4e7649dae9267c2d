"""The driver of custom prompts on a tiny random model: parts, resuming, the bundled lists."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from eval.custom import __main__ as custom
from eval.custom import jobs
from lumos.cli.jobs import runner
from tests.lumos.lumina_video.tiny import tiny_lumina_folder
from tests.model_folder import make_model_folder


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("model"))


def outputs_in(folder: Path) -> list[str]:
    beside = (".json", "picture-")
    return sorted(path.name for path in folder.glob("*") if not any(word in path.name for word in beside))


def list_of_two(folder: Path, model: Path) -> list[str]:
    """The words that make one short video each of two prompts, into `folder / "o"`."""
    prompts = folder / "list.json"
    prompts.write_text('{"first.mp4": "a circle", "second.mp4": "a square"}')
    places = ["--prompts", str(prompts), "--model", str(model), "--out", str(folder / "o")]
    return ["t2v", *places, "num_frames=5", "--samples", "1"]


def test_parts_share_a_list_and_make_what_one_process_makes(model: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "list.jsonl"
    prompts.write_text("".join(json.dumps({"prompt": text}) + "\n" for text in ("a circle", "a square", "a star")))
    words = ["t2i", "--prompts", str(prompts), "--model", str(model), "--samples", "1"]
    for part in ("1,2", "[2,2]"):
        assert custom.main([*words, "--out", str(tmp_path / "two"), "--part", part]) == 0
    assert custom.main([*words, "--out", str(tmp_path / "one"), "--batch-size", "3"]) == 0
    assert outputs_in(tmp_path / "two") == ["a-circle.png", "a-square.png", "a-star.png"]
    for name in outputs_in(tmp_path / "two"):
        assert (tmp_path / "two" / name).read_bytes() == (tmp_path / "one" / name).read_bytes()


def test_a_list_goes_on_where_it_stopped(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = list_of_two(tmp_path, model)
    assert custom.main([*words, "--part", "2,2"]) == 0
    before = (tmp_path / "o/second.mp4").stat().st_mtime_ns
    assert custom.main(words) == 0
    assert outputs_in(tmp_path / "o") == ["first.mp4", "second.mp4"]
    assert (tmp_path / "o/second.mp4").stat().st_mtime_ns == before
    monkeypatch.setattr(runner, "_make", None)
    assert custom.main(words) == 0


def test_parts_that_are_not_finished_are_listed_for_slurms_array(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = list_of_two(tmp_path, model)
    for name, value in {"ID": "2", "MIN": "1", "MAX": "3", "COUNT": "3"}.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)
    assert custom.main(words) == 0  # the second of three parts
    assert "eval.custom: --part 2,3, as Slurm says (SLURM_ARRAY_TASK_ID: 2)" in capsys.readouterr().out
    assert outputs_in(tmp_path / "o") == ["second.mp4"]
    assert custom.main([*words, "--outstanding", "3"]) == 1
    said = capsys.readouterr()
    assert said.out == "1\n"
    assert f"{tmp_path / 'o'}: 1 of 2 outputs are missing; with Slurm: PARTS=3 sbatch --array=1 exps/slurm" in said.err
    assert custom.main([*words, "--part", "1,3"]) == 0
    assert "note: --part 1,3 was typed, and wins over what Slurm says" in capsys.readouterr().out
    assert custom.main([*words, "--outstanding", "3"]) == 0
    assert capsys.readouterr().out == ""


def test_pictures_start_videos(model: Path, tmp_path: Path) -> None:
    Image.new("RGB", (130, 90), "red").save(tmp_path / "start.png")
    prompts = tmp_path / "list.json"
    prompts.write_text('{"start.png": "it moves"}')
    words = [
        "i2v",
        "--prompts",
        str(prompts),
        "--model",
        str(model),
        "--out",
        str(tmp_path / "o"),
        "num_frames=5",
        "--samples",
        "1",
    ]
    assert custom.main(words) == 0
    assert outputs_in(tmp_path / "o") == ["start.mp4"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["i2v"], "names no picture; i2v takes"),
        (["t2v", "steps=3"], "there is no setting 'steps'"),
        (["t2v", "steps"], "'steps' is no setting"),
        (["t2v", "--model", "nowhere"], "there is no model 'nowhere'"),
    ],
)
def test_bad_input_is_one_clear_line(
    words: list[str], message: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "list.json"
    prompts.write_text('{"first.mp4": "a circle"}')
    assert custom.main(["--prompts", str(prompts), "--model", str(model), "--out", str(tmp_path / "o"), *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("eval.custom: error: ")
    assert message in error


@pytest.mark.parametrize(("words", "said"), [([], "list.json, entry 1: seed"), (["--seed", "-1"], "error: --seed")])
def test_a_wrong_seed_is_that_of_the_list_or_of_the_option(
    words: list[str], said: str, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = tmp_path / "list.json"
    prompts.write_text(json.dumps([{"prompt": "a circle"} if words else {"prompt": "a circle", "seed": -1}]))
    command = ["t2v", "--prompts", str(prompts), "--model", str(model), "--out", str(tmp_path / "o"), *words]
    assert custom.main(command) == 2
    assert f"{said} is -1; it must be" in capsys.readouterr().err


def test_videos_are_numbered_and_have_seeds_of_their_own(model: Path, tmp_path: Path) -> None:
    prompts = tmp_path / "list.json"
    prompts.write_text('[{"prompt": "a circle", "name": "one.mp4"}, {"prompt": "a star", "seed": 40}]')
    words = ["t2v", "--prompts", str(prompts), "--model", str(model), "--out", str(tmp_path / "o"), "--seed", "5"]
    assert custom.main([*words, "num_frames=2"]) == 0
    names = [f"{name}-{copy}.mp4" for name in ("a-star", "one") for copy in range(5)]
    assert outputs_in(tmp_path / "o") == names
    seeds = [json.loads((tmp_path / "o" / f"{name}.json").read_text())["seed"] for name in names]
    assert seeds == [40, 41, 42, 43, 44, 5, 6, 7, 8, 9]
    assert len({(tmp_path / "o" / name).read_bytes() for name in names}) > 5


def test_images_lie_as_geneval_has_them(
    model: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    as_workers: Callable[[int, Callable[[], int]], list[int]],
) -> None:
    """Four of every prompt with their grid and the list's own entry, by two processes; then nothing is left to do."""
    prompts = tmp_path / "list.jsonl"
    prompts.write_text(
        '{"prompt": "a circle", "prompt_rewrite_qwen32b": "a big circle"}\n{"prompt": "a star", "id": 7}\n'
    )
    out = tmp_path / "3B_custom_images"
    words = ["t2i", "--prompts", str(prompts), "--model", str(model), "--out", str(out)]
    assert as_workers(2, lambda: custom.main(words)) == [0, 0]
    for folder, entry in (("00000", {"prompt": "a circle"}), ("00001", {"prompt": "a star", "id": 7})):
        assert json.loads((out / folder / "metadata.jsonl").read_text()) == entry
        assert outputs_in(out / folder / "samples") == [f"{copy:05d}.png" for copy in range(4)]
        with Image.open(out / folder / "samples/00000.png") as one, Image.open(out / folder / "grid.png") as grid:
            assert grid.size == (2 * one.width, 2 * one.height)
    record = json.loads((tmp_path / "3B_custom_images_records/00000/00003.png.json").read_text())
    assert (record["prompt"], record["official_prompt"], record["seed"]) == ("a big circle", "a circle", 3)
    monkeypatch.setattr(runner, "_make", None)
    assert custom.main(words) == 0
    assert custom.main([*words, "--short"]) == 2  # another text: what is there was made otherwise


def test_the_released_list_of_pictures_is_read_with_its_folder_beside(model: Path, tmp_path: Path) -> None:
    for folder in ("prompts", "custom_i2v_1_frame"):
        (tmp_path / folder).mkdir()
    Image.new("RGB", (130, 90), "red").save(tmp_path / "custom_i2v_1_frame" / "a red ball.jpg")
    prompts = tmp_path / "prompts" / "custom_i2v_prompts_old.json"
    entry = {"image_name": "a red ball.jpg", "prompt_en": "a red ball", "prompt_en_qwen32b_vl": "A red ball, at length"}
    prompts.write_text(json.dumps([{**entry, "dimension": ["i2v_subject"], "image_type": "indoor"}]))
    words = ["i2v", "--prompts", str(prompts), "--model", str(model), "--out", str(tmp_path / "o"), "num_frames=2"]
    assert custom.main([*words, "--samples", "2"]) == 0
    assert outputs_in(tmp_path / "o") == ["a red ball-0.mp4", "a red ball-1.mp4"]
    assert json.loads((tmp_path / "o" / "a red ball-0.mp4.json").read_text())["prompt"] == "A red ball, at length"


def test_processes_of_torchrun_share_a_part(
    model: Path, tmp_path: Path, as_workers: Callable[[int, Callable[[], int]], list[int]]
) -> None:
    prompts = tmp_path / "list.json"
    prompts.write_text(json.dumps([f"shape {number}" for number in range(5)]))
    words = ["t2i", "--prompts", str(prompts), "--model", str(model), "--samples", "1", "--out"]
    assert as_workers(2, lambda: custom.main([*words, str(tmp_path / "o"), "--part", "1/2"])) == [0, 0]
    assert outputs_in(tmp_path / "o") == ["shape-0.png", "shape-2.png", "shape-4.png"]
    assert as_workers(3, lambda: custom.main([*words, str(tmp_path / "o"), "--part", "2/2"])) == [0, 0, 0]
    assert custom.main([*words, str(tmp_path / "whole")]) == 0
    for name in outputs_in(tmp_path / "whole"):
        assert (tmp_path / "o" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_a_list_is_made_faster_by_the_model_s_own_settings(model: Path, tmp_path: Path) -> None:
    assert custom.main([*list_of_two(tmp_path, model), "--fast", "--first", "1"]) == 0
    record = json.loads((tmp_path / "o/first.mp4.json").read_text())
    assert record["settings"]["entropy_bound"] == 0.02


def test_a_dry_run_counts_and_makes_nothing(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = list_of_two(tmp_path, model)
    assert custom.main([*words, "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == f"{tmp_path / 'o'}: 2 outputs"
    assert said[2].startswith("clips     2 of 96x64")
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [(["--part", "0,2"], "--part is '0,2'; it must be i,n"), (["--samples", "0"], "--samples is 0;")],
)
def test_a_part_or_number_that_is_none_is_refused(
    words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert custom.main(["t2v", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"eval.custom: error: {message}")
    assert error.count("\n") == 1


@pytest.mark.parametrize("task", ["t2i", "t2v"])
def test_the_bundled_lists_are_in_the_released_formats(task: str) -> None:
    listed = jobs.listed(custom.parse([task, "--seed", "7", "--samples", "1"]), Path("o")).jobs
    assert len(listed) >= 3
    assert [job.seed for job in listed] == list(range(7, 7 + len(listed)))


@pytest.mark.slow
def test_the_shell_wrappers_are_sound(repo: Path) -> None:
    scripts = [repo / "eval" / f"inference_custom_{task}.sh" for task in jobs.TASKS] + [repo / "eval" / "launch.sh"]
    for script in scripts:
        assert len(script.read_text().splitlines()) <= 40
        assert subprocess.run(["bash", "-n", str(script)], check=False).returncode == 0
    done = subprocess.run(["bash", str(scripts[0]), "--help"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "--part i,n" in done.stdout


def test_lumina_video_takes_a_list_through_the_same_door(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lumina = tiny_lumina_folder(tmp_path / "lumina")
    prompts = tmp_path / "list.json"
    prompts.write_text('{"first.mp4": "a circle", "second.mp4": "a square"}')
    words = [
        "--prompts",
        str(prompts),
        "--model",
        str(lumina),
        "--out",
        str(tmp_path / "o"),
        "--samples",
        "1",
        "num_inference_steps=2",
    ]
    small = ["width=32", "height=64", "motion=[1, [0.5, 6]]"]
    assert custom.main(["t2v", *words, *small, "--part", "2,2"]) == 0
    assert custom.main(["t2v", *words, *small]) == 0
    assert outputs_in(tmp_path / "o") == ["first.mp4", "second.mp4"]
    record = json.loads((tmp_path / "o/second.mp4.json").read_text())
    assert (record["settings"]["width"], record["settings"]["preset"]["motion"]) == (32, [1, [0.5, 6]])
    capsys.readouterr()
    assert custom.main(["i2v", *words]) == 2
    error = capsys.readouterr().err
    assert (error.count("\n"), "is Lumina-Video, which makes t2i and t2v and no i2v" in error) == (1, True), error
    assert custom.main(["t2v", *words, "top_k=3"]) == 2
    assert "top_k is a setting of Lumos-1, and" in capsys.readouterr().err
