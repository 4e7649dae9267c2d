"""`python -m eval.check`: a complete folder passes, and every way to spoil one is found and named."""

import json
import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.check.__main__ import main
from eval.check.media import probe
from lumos.media.writing import write_image, write_video

RECORDS = [
    {"tag": "single_object", "include": [{"class": "bench", "count": 1}], "prompt": "a photo of a bench"},
    {
        "tag": "counting",
        "include": [{"class": "clock", "count": 2}],
        "exclude": [{"class": "clock", "count": 3}],
        "prompt": "a photo of two clocks",
    },
]
FULL_INFO = [
    {"prompt_en": "A fantasy landscape", "dimension": ["overall_consistency"]},
    {"prompt_en": "a laptop, frozen in time.", "dimension": ["temporal_flickering"]},
    {"prompt_en": "façades 3.5-2", "dimension": ["scene"]},
    {"prompt_en": "façades 3.5-2", "dimension": ["appearance_style"]},
]
I2V_INFO = [{"prompt_en": "a cow, camera pans left", "dimension": ["camera_motion"], "image_name": "a cow.jpg"}]


def picture(seed: int, *, width: int = 32, height: int = 24) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def geneval_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("geneval")
    (root / "metadata.jsonl").write_text("".join(json.dumps(record) + "\n" for record in RECORDS))
    for index, record in enumerate(RECORDS):
        prompt = root / "images" / f"{index:05d}"
        (prompt / "samples").mkdir(parents=True)
        (prompt / "metadata.jsonl").write_text(json.dumps(record))
        write_image(prompt / "grid.png", picture(index, width=64))
        for copy in range(4):
            write_image(prompt / "samples" / f"{copy:05d}.png", picture(10 * index + copy))
    return root


@pytest.fixture(scope="session")
def vbench_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("vbench")
    (root / "info.json").write_text(json.dumps(FULL_INFO))
    (root / "i2v.json").write_text(json.dumps(I2V_INFO))
    for folder, names in {
        "videos": {"A fantasy landscape": 5, "a laptop, frozen in time.": 25, "façades 3.5-2": 5},
        "i2v_videos": {"a cow, camera pans left": 5},
    }.items():
        (root / folder).mkdir()
        for prompt, copies in names.items():
            for copy in range(copies):
                frames = np.stack([picture(copy), picture(copy + 50), picture(copy + 99)])
                write_video(root / folder / f"{prompt}-{copy}.mp4", frames, fps=12)
    return root


@pytest.fixture
def geneval(geneval_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(geneval_template, tmp_path / "geneval"))


@pytest.fixture
def vbench(vbench_template: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(vbench_template, tmp_path / "vbench"))


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str]]:
    def check(*words: object) -> tuple[int, str]:
        status = main([str(word) for word in words])
        output = capsys.readouterr()
        return status, output.out + output.err

    return check


Check = Callable[..., tuple[int, str]]


def test_a_complete_geneval_folder_passes(geneval: Path, run: Check) -> None:
    (geneval / "images" / "notes").mkdir()  # the scorer passes over what is no number
    status, said = run("geneval", geneval / "images", "--prompts", geneval / "metadata.jsonl", "--size", "32x24")
    assert (status, "8 of 8 outputs are good (32x24)" in said, "complete" in said) == (0, True, True), said


def missing(root: Path) -> None:
    (root / "00001" / "samples" / "00002.png").unlink()


def whole_prompt(root: Path) -> None:
    shutil.rmtree(root / "00000")


def no_grid(root: Path) -> None:
    (root / "00000" / "grid.png").unlink()


def cut(root: Path) -> None:
    path = root / "00001" / "samples" / "00003.png"
    path.write_bytes(path.read_bytes()[:-40])


def another_format(root: Path) -> None:
    (root / "00001" / "samples" / "00003.png").write_bytes(b"not a picture")


def larger(root: Path) -> None:
    write_image(root / "00000" / "samples" / "00001.png", picture(3, width=24, height=32))


def one_more(root: Path) -> None:
    write_image(root / "00000" / "samples" / "00004.png", picture(7))


def one_more_prompt(root: Path) -> None:
    shutil.copytree(root / "00001", root / "00002")


def no_exclude(root: Path) -> None:
    record = {key: value for key, value in RECORDS[1].items() if key != "exclude"}
    (root / "00001" / "metadata.jsonl").write_text(json.dumps(record))


def with_rewrite(root: Path) -> None:
    (root / "00000" / "metadata.jsonl").write_text(json.dumps({**RECORDS[0], "rewrite": "a weathered bench"}))


def two_lines(root: Path) -> None:
    path = root / "00000" / "metadata.jsonl"
    path.write_text(path.read_text() + "\n" + path.read_text())


def shifted(root: Path) -> None:
    (root / "00000" / "metadata.jsonl").write_text(json.dumps({**RECORDS[0], "prompt": "a photo of a cow"}))


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (missing, "missing: 1\n  00001/samples/00002.png: a photo of two clocks"),
        (whole_prompt, "missing: 1\n  00000/: the whole prompt: a photo of a bench"),
        (no_grid, "missing: 1\n  00000/grid.png"),
        (cut, "unreadable: 1\n  00001/samples/00003.png"),
        (another_format, "unreadable: 1\n  00001/samples/00003.png"),
        (larger, "size: 1\n  00000/samples/00001.png: 24x32 instead of 32x24"),
        (one_more, "unexpected: 1\n  00000/samples/00004.png"),
        (one_more_prompt, "unexpected: 1\n  00002/"),
        (no_exclude, "metadata: 1\n  00001/metadata.jsonl: lacks exclude"),
        (with_rewrite, "metadata: 1\n  00000/metadata.jsonl: has besides rewrite"),
        (two_lines, "metadata: 1\n  00000/metadata.jsonl: is not one json object"),
        (shifted, "metadata: 1\n  00000/metadata.jsonl: differs in prompt"),
    ],
)
def test_what_is_wrong_with_geneval_images_is_named(
    geneval: Path, run: Check, spoil: Callable[[Path], None], said: str
) -> None:
    spoil(geneval / "images")
    status, output = run("geneval", geneval / "images", "--prompts", geneval / "metadata.jsonl")
    assert status == 1
    assert said in output
    assert "not to be scored" in output


def test_a_size_that_was_not_asked_for_is_wrong_even_if_all_have_it(geneval: Path, run: Check) -> None:
    status, said = run("geneval", geneval / "images", "--prompts", geneval / "metadata.jsonl", "--size", "24x32")
    assert (status, "size: 8" in said, "0 of 8" in said) == (1, True, True), said


def test_outputs_of_one_seed_are_remarked(geneval: Path, run: Check) -> None:
    samples = geneval / "images" / "00000" / "samples"
    shutil.copy(samples / "00001.png", samples / "00003.png")
    status, said = run("geneval", geneval / "images", "--prompts", geneval / "metadata.jsonl")
    assert (status, "remark: 00000/samples/00001.png has an equal" in said) == (0, True), said


def test_complete_video_folders_pass(vbench: Path, run: Check) -> None:
    """Five videos a prompt, 25 under temporal flickering, a prompt listed twice once."""
    words = ("--prompts", vbench / "info.json", "--size", "32x24", "--frames", 3)
    assert run("vbench", vbench / "videos", *words)[0] == 0
    status, said = run("vbench_i2v", vbench / "i2v_videos", "--prompts", vbench / "i2v.json")
    assert (status, "5 of 5 outputs are good (32x24, 3 frames)" in said) == (0, True), said


def unlink(root: Path) -> None:
    (root / "a laptop, frozen in time.-24.mp4").unlink()


def unlink_all(root: Path) -> None:
    for path in root.glob("A fantasy*"):
        path.unlink()


def side_car(root: Path) -> None:
    (root / "A fantasy landscape-0.json").write_text("{}")


def hidden(root: Path) -> None:
    (root / ".A fantasy landscape-0.mp4.tmp").write_text("half")


def decomposed(root: Path) -> None:
    name = "façades 3.5-2-0.mp4"
    (root / name).rename(root / unicodedata.normalize("NFD", name))


def lower(root: Path) -> None:
    path = root / "A fantasy landscape-1.mp4"
    path.rename(root / "a fantasy landscape-1.mp4")


def cut_video(root: Path) -> None:
    path = root / "A fantasy landscape-2.mp4"
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def short(root: Path) -> None:
    write_video(root / "A fantasy landscape-3.mp4", np.stack([picture(1), picture(2)]), fps=12)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (unlink, "missing: 1\n  a laptop, frozen in time.-24.mp4"),
        (unlink_all, "missing: 1\n  A fantasy landscape-*.mp4: all 5 of the prompt"),
        (side_car, "unexpected: 1\n  A fantasy landscape-0.json"),
        (hidden, "unexpected: 1\n  .A fantasy landscape-0.mp4.tmp"),
        (decomposed, "in another Unicode form"),
        (lower, "but for capitals"),
        (cut_video, "unreadable: 1\n  A fantasy landscape-2.mp4"),
        (short, "frames: 1\n  A fantasy landscape-3.mp4: 2 instead of 3"),
    ],
)
def test_what_is_wrong_with_videos_is_named(vbench: Path, run: Check, spoil: Callable[[Path], None], said: str) -> None:
    spoil(vbench / "videos")
    status, output = run("vbench", vbench / "videos", "--prompts", vbench / "info.json")
    assert status == 1
    assert said in output


def test_findings_are_cut_for_people_and_whole_in_json(vbench: Path, run: Check, tmp_path: Path) -> None:
    for copy in range(3, 25):
        (vbench / "videos" / f"a laptop, frozen in time.-{copy}.mp4").unlink()
    words = ("vbench", vbench / "videos", "--prompts", vbench / "info.json", "--json", tmp_path / "f.json")
    status, said = run(*words, "--most", 2)
    assert (status, said.count("  a laptop"), "... and 20 more" in said) == (1, 2, True), said
    assert len(json.loads((tmp_path / "f.json").read_text())["problems"]) == 22


@pytest.mark.parametrize(
    ("benchmark", "file", "why"),
    [
        ("geneval", "info.json", "is not GenEval's metadata"),
        ("vbench", "i2v.json", "record 0 has an image_name"),
        ("vbench_i2v", "info.json", "record 0 lacks its image_name"),
        ("vbench", "absent.json", "cannot read the prompt file"),
    ],
)
def test_a_prompt_file_of_another_benchmark_is_refused(
    vbench: Path, run: Check, benchmark: str, file: str, why: str
) -> None:
    status, said = run(benchmark, vbench / "videos", "--prompts", vbench / file)
    assert (status, said.count("\n"), why in said) == (2, 1, True), said


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path, run: Check) -> None:
    status, said = run("vbench", tmp_path / "nowhere")
    assert (status, "nowhere is no folder" in said) == (2, True)


def test_a_list_of_other_files_is_no_output(tmp_path: Path) -> None:
    write_video(tmp_path / "other.mp4", np.zeros((5, 64, 96, 3), np.uint8), fps=8)
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\nfile other.mp4\n")
    assert probe(tmp_path / "other.mp4").frames == 5
    with pytest.raises(ValueError, match="not one of the kinds of video files"):
        probe(tmp_path / "a.mp4")
