"""What is asked for: variants (`--num`), enlarged outputs (`--scale`), formats of files; of a tiny random Lumos-1."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.lumos.cli.console import Lumos, files_in, frames_of


def test_variants_of_a_prompt_have_seeds_of_their_own_and_are_made_once(lumos: Lumos) -> None:
    words = ("generate", "--prompt", "a circle", "--prompt", "a star", "--num-frames", "1", "--num", "2", "--out", "o")
    status, said, _ = lumos(*words, "--seed", "5", "--batch-size", "3")
    assert status == 0
    names = ["a-circle-seed5.png", "a-circle-seed6.png", "a-star-seed7.png", "a-star-seed8.png"]
    assert files_in(Path("o"))[::2] == names
    assert [json.loads(Path(f"o/{name}.json").read_text())["seed"] for name in names] == [5, 6, 7, 8]
    lumos("generate", "--prompt", "a star", "--num-frames", "1", "--seed", "8", "--out", "one.png")
    assert Path("one.png").read_bytes() == Path("o/a-star-seed8.png").read_bytes()
    said = lumos(*words, "--seed", "5", "--num", "3")[1]
    assert said.count("finished before") == 3  # 5 and 6 of the first prompt, 8 of the second, which begins there now


def test_variants_without_a_seed_are_numbered_and_more_of_them_can_be_asked_for(lumos: Lumos) -> None:
    Path("list.json").write_text('[{"prompt": "a ring", "seed": 3}, "a circle"]')
    words = ("generate", "--prompt-file", "list.json", "--num-frames", "1", "--out", "o")
    assert lumos(*words, "--num", "2")[0] == 0
    names = ["a-circle-1.png", "a-circle-2.png", "a-ring-seed3.png", "a-ring-seed4.png"]
    assert files_in(Path("o"))[::2] == names
    seeds = [json.loads(Path(f"o/{name}.json").read_text())["seed"] for name in names]
    assert seeds[0] != seeds[1]
    status, said, _ = lumos(*words, "--num", "3")
    assert (status, said.count("finished before")) == (0, 4)
    assert len(files_in(Path("o"))) == 12


def test_variants_of_a_record_are_refused(lumos: Lumos) -> None:
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")
    status, _, error = lumos("generate", "--from-json", "image.png.json", "--num", "2", "--out", "more")
    assert (status, error.count("\n")) == (2, 1)
    assert "--from-json makes one output again" in error


def test_a_scale_enlarges_what_is_written_and_is_a_part_of_what_was_asked(lumos: Lumos) -> None:
    words = ("generate", "--prompt", "a circle", "--num-frames", "1", "--seed", "1")
    assert lumos(*words, "--out", "small.png")[0] == 0
    assert lumos(*words, "--out", "large.png", "--scale", "4")[0] == 0
    small, large = (np.asarray(Image.open(f"{name}.png")) for name in ("small", "large"))
    assert np.array_equal(large, small.repeat(4, axis=0).repeat(4, axis=1))
    assert "scale" not in json.loads(Path("small.png.json").read_text())
    assert json.loads(Path("large.png.json").read_text())["scale"] == 4
    status, _, error = lumos(*words, "--out", "large.png", "--scale", "2")
    assert (status, "large.png is there already, and it was made otherwise (scale: 4 -> 2)" in error) == (2, True)
    assert "finished before" in lumos(*words, "--out", "large.png", "--scale", "4")[1]
    assert lumos("generate", "--from-json", "large.png.json", "--out", "again.png")[0] == 0
    assert Path("again.png").read_bytes() == Path("large.png").read_bytes()
    Path("large.png.json").write_text(json.dumps({**json.loads(Path("large.png.json").read_text()), "scale": 10**9}))
    status, _, error = lumos("generate", "--from-json", "large.png.json", "--out", "third.png")
    assert (status, error.count("\n")) == (2, 1)


@pytest.mark.parametrize(
    ("name", "number"), [("clip.webm", "5"), ("image.jpg", "1"), ("image.jpeg", "1"), ("Image.PNG", "1")]
)
def test_other_formats_are_written_and_made_again(lumos: Lumos, name: str, number: str) -> None:
    words = ("generate", "--prompt", "a circle", "--num-frames", number, "--seed", "1")
    assert lumos(*words, "--out", name)[0] == 0
    assert lumos("generate", "--from-json", f"{name}.json", "--out", f"again-{name}")[0] == 0
    assert Path(f"again-{name}").read_bytes() == Path(name).read_bytes()
    if name == "clip.webm":
        assert frames_of(Path(name)) == 5
        assert lumos(*words, "--format", "webm", "--out", "o")[0] == 0
        assert Path("o/a-circle-seed1.webm").read_bytes() == Path(name).read_bytes()
