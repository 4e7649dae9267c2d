"""Curves of runs: which quantities are drawn, under which names, and what is said where there is nothing to draw."""

import builtins
import json
from pathlib import Path

import pytest
from PIL import Image

from xllmx.plot import draw, main, panels_of, read_curves, read_spread, smoothed, table


def write_run(folder: Path, *, steps: int = 6) -> Path:
    """A run with two streams, the second of three frames, and an evaluation at every third step."""
    rows = []
    for step in range(1, steps + 1):
        image, video = 8 / step, 9 / step
        values = {"image/loss": image, "image/ce": image, "image/frame_0": image, "video/loss": video}
        values |= {f"video/frame_{frame}": video + frame for frame in range(3)} | {"video/accuracy": 1 - 1 / step}
        rows.append({"kind": "train", "step": step, "loss": (image + video) / 2, "lr": 0.1, **values})
        if step % 3 == 0:
            rows.append({"kind": "eval", "step": step, **values})
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_every_quantity_has_a_panel_and_what_repeats_another_has_none(tmp_path: Path):
    panels = panels_of(read_curves([write_run(tmp_path / "run")]))
    names = {name: [(curve.kind, curve.label) for curve in curves] for name, curves in panels.items()}
    kinds = ("train", "eval")
    assert names == {
        "loss": [(kind, stream) for kind in kinds for stream in ("image", "video")],
        "loss of each frame, video": [(kind, f"frame {frame}") for kind in kinds for frame in range(3)],
        "accuracy": [(kind, "video") for kind in kinds],
        "loss of each frame, at the end": [("eval", "video")],
    }
    (over_frames,) = panels["loss of each frame, at the end"]
    assert (over_frames.steps, over_frames.values, over_frames.across) == ((0, 1, 2), (1.5, 2.5, 3.5), "frame")
    frame_2 = panels["loss of each frame, video"][5]
    assert (frame_2.steps, frame_2.values) == ((3, 6), (5.0, 3.5))


def test_a_run_without_streams_shows_its_loss(tmp_path: Path):
    (tmp_path / "metrics.jsonl").write_text('{"kind": "train", "step": 5, "loss": 1.25, "lr": 0.1}\n')
    (curve,) = read_curves([tmp_path])
    assert (curve.panel, curve.label, curve.values) == ("loss", "all", (1.25,))


def test_curves_of_several_runs_bear_their_names(tmp_path: Path):
    runs = [write_run(tmp_path / name) for name in ("first", "second")]
    labels = [curve.label for curve in panels_of(read_curves(runs))["accuracy"]]
    assert labels == ["first video", "first video", "second video", "second video"]


def test_runs_that_differ_in_their_seed_are_one_curve_with_a_band(tmp_path: Path):
    runs = [write_run(tmp_path / name, steps=steps) for name, steps in (("tube-0", 6), ("tube-1", 3), ("random", 6))]
    rows = (tmp_path / "tube-1" / "metrics.jsonl").read_text()
    (tmp_path / "tube-1" / "metrics.jsonl").write_text(rows.replace('"video/loss": 3.0', '"video/loss": 5.0'))
    panels = panels_of(read_spread(runs))
    tube = next(curve for curve in panels["loss"] if (curve.label, curve.kind) == ("tube video", "eval"))
    assert (tube.steps, tube.values, tube.band) == ((3,), (4.0,), ((3.0,), (5.0,))), "steps that both have"
    random = next(curve for curve in panels["loss"] if curve.label == "random video")
    assert random.band is None
    assert "loss of each frame, video" not in panels, "frames are along the axis"
    assert [curve.label for curve in panels["loss of each frame, at the end"]] == ["tube video", "random video"]


def test_a_smoothed_value_is_the_mean_of_those_up_to_it():
    assert smoothed([1.0, 3.0, 5.0, 9.0], 2) == [1.0, 2.0, 4.0, 7.0]


def test_the_table_shows_losses_from_the_first_step_to_the_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main([str(write_run(tmp_path / "run", steps=40))]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["step", "image", "video"]
    assert (lines[1], lines[-1]) == (["1", "8.0000", "9.0000"], ["40", "0.2000", "0.2250"])
    assert len(lines) == 13


def test_the_table_leaves_a_gap_where_a_run_has_no_row(tmp_path: Path):
    runs = [write_run(tmp_path / "long", steps=3), write_run(tmp_path / "short", steps=2)]
    assert table(read_curves(runs)).splitlines()[-1].split() == ["3", "2.6667", "3.0000"]


@pytest.mark.parametrize("suffix", ["png", "svg"])
def test_a_picture_is_written(suffix: str, tmp_path: Path):
    pytest.importorskip("matplotlib", reason="the plot extra is not installed")
    run, out = write_run(tmp_path / "run"), tmp_path / f"curves.{suffix}"
    assert main([str(run), "--out", str(out)]) == 0
    if suffix == "png":
        with Image.open(out) as picture:
            assert picture.size[0] > 1000
    else:
        assert "<svg" in out.read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == [out.name, "run"]


def test_matplotlib_is_asked_for_by_the_name_of_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    find = builtins.__import__

    def without_matplotlib(name: str, *args, **kwargs):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return find(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_matplotlib)
    with pytest.raises(ValueError, match=r"pip install -e '.\[plot\]'"):
        draw(read_curves([write_run(tmp_path / "run")]), tmp_path / "curves.png")


@pytest.mark.parametrize(("rows", "out", "said"), [
    (None, "curves.png", "has no metrics.jsonl; give the trainer.run_dir"),
    ("", "curves.png", "holds no row of training yet"),
    ('{"kind": "train", "step": 1, "loss": 1.0}\n', "curves.xyz", "let it end in .png"),
])  # fmt: skip
def test_what_cannot_be_drawn_ends_in_one_line(
    rows: str | None, out: str, said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    if rows is not None:
        (tmp_path / "metrics.jsonl").write_text(rows)
    assert main([str(tmp_path), "--out", str(tmp_path / out)]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1
