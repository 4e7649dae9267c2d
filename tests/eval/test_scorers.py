"""The official scorers: the scripts that run them, and their own code over our folders where a checkout is at hand.

GENEVAL_CHECKOUT and VBENCH_CHECKOUT name checkouts of djghosh13/geneval and Vchitect/VBench; an installed `vbench`
will do. What needs weights or another torch is stood in for; reading folders, names and results is the official code.
"""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from eval.check.__main__ import check
from eval.geneval.prompts import read_official
from eval.geneval.recipe import NOT_OFFICIAL, said_before_sampling
from eval.geneval.report import read_results
from eval.vbench.prompts import read_videos
from eval.vbench.t2v import main as make_videos
from eval.vbench.totals import DIMENSIONS, GROUP_WEIGHTS, totals_of
from lumos.media.writing import write_image, write_video

NAMES = ("geneval", "vbench", "vbench_i2v")

STAND_INS = """
import importlib, sys
from unittest.mock import MagicMock
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {names!r}:
            return importlib.machinery.ModuleSpec(name, self)
    def create_module(self, spec):
        module = MagicMock()
        module.__path__, module.__spec__ = [], spec
        return module
    def exec_module(self, module): pass
sys.meta_path.insert(0, Finder())
"""
"""Modules that hold whatever is asked of them, for libraries that only the judges use."""


@pytest.fixture(scope="module")
def geneval_code() -> Path:
    folder = Path(os.environ.get("GENEVAL_CHECKOUT", ""))
    if not (folder / "evaluation" / "summary_scores.py").is_file():
        pytest.skip("GENEVAL_CHECKOUT names no checkout of djghosh13/geneval")
    return folder


@pytest.fixture(scope="module")
def vbench_code() -> Path:
    """The folder that has the packages vbench and vbench2_beta_i2v."""
    spec = importlib.util.find_spec("vbench")
    given = os.environ.get("VBENCH_CHECKOUT")
    folder = Path(given) if given else Path(spec.origin).parent.parent if spec and spec.origin else Path()
    if not (folder / "vbench" / "__init__.py").is_file():
        pytest.skip("VBENCH_CHECKOUT names no checkout of Vchitect/VBench, and vbench is not installed")
    return folder


def python(code: str, *words: object, path: Path | None = None) -> str:
    """What a program prints, run apart from this one."""
    environment = {**os.environ, "PYTHONPATH": str(path or "")}
    command = [sys.executable, "-c", code, *map(str, words)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


# --- the scripts ------------------------------------------------------------------------------------------------------


@pytest.fixture
def script(repo: Path, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a scorer's script in an empty folder; one that does more than print would leave something there."""

    def run(name: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["bash", str(repo / "eval" / "scorers" / f"{name}.sh"), *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    return run


def test_scripts_are_bash(repo: Path) -> None:
    scripts = sorted((repo / "eval" / "scorers").glob("*.sh"))
    assert {path.stem for path in scripts} >= set(NAMES)
    for path in scripts:
        subprocess.run(["bash", "-n", str(path)], check=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_dry_run_says_what_would_be_done_and_does_nothing(
    script: Callable, tmp_path: Path, repo: Path, name: str
) -> None:
    home = tmp_path / "a home"
    more = {"vbench_i2v": ["crops"], "geneval": ["--recipe", "official"]}.get(name, [])
    done = script(name, "my samples", "results", *more, "--dry-run", "--home", str(home))
    assert done.returncode == 0, done.stderr
    lines = [shlex.split(line) for line in done.stdout.splitlines()]
    assert lines[0][1:4] == ["-m", "eval.check", name], "nothing is scored that was not checked"
    commits = [word for line in lines for word in line if re.fullmatch("[0-9a-f]{40}", word)]
    assert len(set(commits)) == 1, "the checkout is pinned"
    installs = [line[line.index("-r") + 1] for line in lines if "-r" in line and "pip" in line]
    assert installs == [str(repo / "eval" / "scorers" / f"{name.removesuffix('_i2v')}.txt")]
    assert all(str(home / "") in " ".join(line) for line in lines if "venv" in line or "fetch" in line)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("gpu", "recipe"),
    [("8.0", "official"), ("8.9", "official"), ("9.0", "maintained"), ("10.0", "maintained"), ("", "maintained")],
)
def test_geneval_is_scored_by_the_recipe_that_the_gpu_runs(
    script: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, gpu: str, recipe: str
) -> None:
    """The script and what the driver says before sampling agree; what is not official says so."""
    smi = tmp_path / "bin" / "nvidia-smi"
    smi.parent.mkdir()
    smi.write_text(f"#!/bin/sh\n{f'echo {gpu}; echo {gpu}' if gpu else 'exit 9'}\n")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{smi.parent}:{os.environ['PATH']}")
    done = script("geneval", "samples", "results", "--dry-run")
    assert done.returncode == 0, done.stderr
    scores = "eval.geneval.score samples results" in done.stdout
    said = said_before_sampling()
    assert (scores, "evaluate_images.py" in done.stdout) == (recipe == "maintained", recipe == "official")
    assert (NOT_OFFICIAL in done.stderr, NOT_OFFICIAL in said) == (recipe == "maintained",) * 2
    assert gpu in said
    if gpu == "9.0":
        refused = script("geneval", "samples", "results", "--recipe", "official")
        assert (refused.returncode, "9.0) is newer than torch 1.12" in refused.stderr) == (2, True), refused.stderr
        assert "--recipe maintained, which is NOT the official score" in refused.stderr


def test_all_dimensions_of_the_totals_are_scored(script: Callable) -> None:
    for name, more in (("vbench", []), ("vbench_i2v", ["crops"])):
        lines = [shlex.split(line) for line in script(name, "v", "r", *more, "--dry-run").stdout.splitlines()]
        scored = [line[line.index("--dimension") + 1] for line in lines if "--dimension" in line]
        assert sorted(scored) == sorted(DIMENSIONS[name])
        if name == "vbench":  # the flow network that static_filter.py needs comes with dynamic_degree
            assert scored.index("dynamic_degree") < scored.index("temporal_flickering")
            assert any("static_filter.py" in line for line in lines)


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["geneval", "images"], "two folders are needed"),
        (["vbench", "v", "r", "beauty", "--dry-run"], "no dimension beauty"),
        (["vbench_i2v", "v", "r"], "three folders are needed"),
        (["geneval", "i", "r", "--fast"], "unknown option --fast"),
    ],
)
def test_mistakes_are_said_in_a_line(script: Callable, words: list[str], why: str) -> None:
    done = script(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert why in done.stderr
    assert done.stderr.count("\n") == 1


def test_packages_are_pinned(repo: Path) -> None:
    """Every one to a version; among them what makes the official worlds."""
    for name, wanted in {
        "geneval": {"torch==1.12.1", "mmdet==2.28.2", "open-clip-torch==2.20.0"},
        "vbench": {"transformers==4.33.2", "pyiqa==0.1.10", "decord==0.6.0"},
    }.items():
        lines = (repo / "eval" / "scorers" / f"{name}.txt").read_text().splitlines()
        packages = [line for line in lines if not line.startswith("#")]
        assert [line for line in packages if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []
        assert wanted <= set(packages)


# --- their code, our folders ------------------------------------------------------------------------------------------

BUILD = """
name, info, videos, out, *dimensions = sys.argv[1:]
if name == "vbench":
    from vbench import VBench as Bench
else:
    from vbench2_beta_i2v import VBenchI2V as Bench
bench = Bench("cpu", info, out)
print("BUILT", bench.build_full_info_json(videos, "ours", dimensions or bench.build_full_dimension_list()))
"""


def build(code: Path, name: str, info: Path, videos: Path, *, out: Path) -> tuple[list[dict], str]:
    """What VBench's own build_full_info_json finds in a folder, and all it says."""
    optional = [m for m in ("torchvision", "decord", "clip", "cv2") if importlib.util.find_spec(m) is None]
    said = python(STAND_INS.format(names=set(optional) | {"-"}) + BUILD, name, info, videos, out, path=code)
    return json.loads((out / "ours_full_info.json").read_text()), said


@pytest.mark.parametrize(
    ("name", "file", "most"),
    [("vbench", "VBench_full_info.json", 946), ("vbench_i2v", "vbench2_i2v_full_info.json", 1118)],
)
def test_vbench_finds_every_video_under_our_names(
    vbench_code: Path, shared_data: Path, tmp_path: Path, name: str, file: str, most: int
) -> None:
    """All prompts, five videos each; of the 25 under temporal flickering it takes the first five."""
    info, videos = shared_data / "prompts" / file, tmp_path / "videos"
    videos.mkdir()
    for prompt in read_videos(info, name):
        for video in prompt.names:
            (videos / video).touch()
    found, said = build(vbench_code, name, info, videos, out=tmp_path / "out")
    assert "WARNING" not in said
    assert [len(record["video_list"]) for record in found] == [5] * most


def test_vbench_misses_what_our_check_misses(vbench_code: Path, tmp_path: Path) -> None:
    info, videos = tmp_path / "info.json", tmp_path / "videos"
    prompts = ["A fantasy landscape", "a fantasy landscape", "a cup. 1.2-3", "façades"]
    info.write_text(json.dumps([{"prompt_en": prompt, "dimension": ["scene"]} for prompt in prompts]))
    videos.mkdir()
    frames = np.random.default_rng(0).integers(0, 255, (3, 24, 32, 3), dtype=np.uint8)
    for prompt in read_videos(info, "vbench"):
        for video in prompt.names:
            write_video(videos / video, frames, fps=12)
    assert check("vbench", videos, prompts=info).ok
    assert "WARNING" not in build(vbench_code, "vbench", info, videos, out=tmp_path / "out")[1]
    (videos / "a cup. 1.2-3-4.mp4").unlink()
    assert [problem.path for problem in check("vbench", videos, prompts=info).problems] == ["a cup. 1.2-3-4.mp4"]
    said = build(vbench_code, "vbench", info, videos, out=tmp_path / "out")[1]
    assert re.findall("The missing video is: (.*)", said) == ["a cup. 1.2-3-4.mp4"]


WALK = """
import torch
torch.cuda.is_available = lambda: True
import evaluate_images as official
folder, out = sys.argv[1:]
def judged(path, metadata):
    right = path.endswith("00001.png") or metadata["tag"] == "colors"
    return {"filename": path, "tag": metadata["tag"], "prompt": metadata["prompt"], "correct": right, "reason": "",
            "metadata": official.json.dumps(metadata), "details": "{}"}
official.evaluate_image = judged
official.main(type("Args", (), {"imagedir": folder, "outfile": out}))
"""


def test_geneval_reads_our_images_and_our_report_agrees_with_its_summary(geneval_code: Path, tmp_path: Path) -> None:
    """Its own walk over the folder, its own results file, its own summary; only the detector is stood in for."""
    official = read_official(geneval_code / "prompts" / "evaluation_metadata.jsonl")
    first = {record["tag"]: record for record in reversed(official)}
    records = [*first.values(), next(r for r in official if r["tag"] == "colors" and r != first["colors"])]
    prompts, images = tmp_path / "metadata.jsonl", tmp_path / "images"
    prompts.write_text("".join(json.dumps(record) + "\n" for record in records))
    for index, record in enumerate(records):
        for name in (*(f"samples/{copy:05d}.png" for copy in range(4)), "grid.png"):
            path = images / f"{index:05d}" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            write_image(path, np.full((24, 32, 3), 10 * index + len(name), dtype=np.uint8))
        (images / f"{index:05d}" / "metadata.jsonl").write_text(json.dumps(record))
    assert check("geneval", images, prompts=prompts).ok
    results, code = tmp_path / "results.jsonl", geneval_code / "evaluation"
    python(STAND_INS.format(names={"mmdet", "open_clip", "clip_benchmark"}) + WALK, images, results, path=code)
    command = [sys.executable, str(code / "summary_scores.py"), str(results)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    scores = read_results(results, records)
    assert f"Overall score (avg. over tasks): {scores.totals['overall']:.5f}" in said
    assert scores.totals["overall"] == pytest.approx((5 * 0.25 + 1) / 6)
    for part in scores.parts:
        assert re.search(rf"{part.name} += {part.value:.2%} ", said), part
    assert f"Total images: {4 * len(records)}" in said


@pytest.mark.slow
def test_vbench_reads_what_our_driver_writes(vbench_code: Path, repo: Path, tmp_path: Path) -> None:
    """The bundled model's videos of two prompts that differ in one capital, one of which ends like a number of ours."""
    if not (repo / "ckpts" / "lumos-tiny" / "config.json").is_file():
        pytest.skip("ckpts/lumos-tiny has no model yet: exps/lumos_tiny.sh makes it")
    info, videos = tmp_path / "info.json", tmp_path / "videos"
    prompts = ["A red circle moves right-0.", "a red circle moves right-0."]
    info.write_text(json.dumps([{"prompt_en": prompt, "dimension": ["scene"]} for prompt in prompts]))
    words = ["--prompts", str(info), "--short", "--out", str(videos), "--device", "cpu", "num_inference_steps=2"]
    assert make_videos(words) == 0
    assert check("vbench", videos, prompts=info).ok
    found, said = build(vbench_code, "vbench", info, videos, out=tmp_path / "out")
    assert "WARNING" not in said
    assert [[Path(video).name for video in record["video_list"]] for record in found] == [
        [f"{prompt}-{copy}.mp4" for copy in range(5)] for prompt in prompts
    ]


def test_our_totals_are_those_of_vbench_s_own_scripts(vbench_code: Path) -> None:
    if not (vbench_code / "scripts" / "constant.py").is_file():
        pytest.skip("an installed vbench has no scripts: VBENCH_CHECKOUT names a checkout")
    code = """
import json, sys
import constant as c, cal_final_score as t, cal_i2v_final_score as i
scores = json.loads(sys.argv[1])
t2v = t.get_nomalized_score({key.replace("_", " "): value for key, value in scores["vbench"].items()})
i2v = i.get_nomalized_score({c.I2VKEY[key]: value for key, value in scores["vbench_i2v"].items()})
q, s, r, g = t.get_quality_score(t2v), t.get_semantic_score(t2v), i.get_i2v_quality_score(i2v), i.get_i2v_score(i2v)
print(json.dumps({"vbench": {"quality": q, "semantic": s, "total": t.get_final_score(q, s)},
                  "vbench_i2v": {"quality": r, "i2v": g, "total": i.get_final_score(r, g)}}))
"""
    draw = np.random.default_rng(4)
    scores = {name: {key: draw.uniform() for key in DIMENSIONS[name]} for name in GROUP_WEIGHTS}
    theirs = json.loads(python(code, json.dumps(scores), path=vbench_code / "scripts"))
    for name, values in scores.items():
        assert totals_of(name, values) == pytest.approx(theirs[name], rel=1e-12)
