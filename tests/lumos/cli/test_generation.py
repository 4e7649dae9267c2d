"""`--extend`, `--seconds`, `--then`, `--history-frames`: made, recorded and refused; of a tiny random Lumos-1."""

import json
from pathlib import Path

import numpy as np
import pytest

from lumos.cli.jobs import runner
from lumos.media.writing import write_video
from tests.lumos.cli.console import Lumos, frames_of

GREY = np.full((5, 64, 96, 3), 127, dtype=np.uint8)
WORDS = ("generate", "--prompt", "a circle", "--seed", "1", "--steps", "1")


def test_a_clip_is_extended_under_a_prompt_that_changes_and_its_record_makes_it_again(lumos: Lumos) -> None:
    write_video(Path("clip.mp4"), GREY, fps=4)
    how = ("--extend", "clip.mp4", "--seconds", "4.25", "--history-frames", "1", "--then", "9", "a star")
    assert lumos(*WORDS, *how, "--out", "o/longer.mp4")[0] == 0
    assert frames_of(Path("o/longer.mp4")) == 17
    record = json.loads(Path("o/longer.mp4.json").read_text())
    assert record["then"] == [[9, "a star"]]
    assert (record["settings"]["num_frames"], record["settings"]["history_frames"]) == (17, 1)
    assert Path("o", record["image"]).read_bytes() == Path("clip.mp4").read_bytes()
    assert "finished before" in lumos(*WORDS, *how, "--out", "o/longer.mp4")[1]
    assert lumos("generate", "--from-json", "o/longer.mp4.json", "--out", "o/again.mp4")[0] == 0
    assert Path("o/again.mp4").read_bytes() == Path("o/longer.mp4").read_bytes()
    assert lumos(*WORDS, *how, "--stream", "--out", "o/grown.mp4")[0] == 0
    assert frames_of(Path("o/grown.mp4")) == 17


def test_a_list_has_clips_to_go_on_from_and_prompts_that_change(lumos: Lumos) -> None:
    write_video(Path("clip.mp4"), GREY, fps=4)
    entry = {"prompt": "a circle", "image": "clip.mp4", "then": [[6, "a star"]], "name": "one", "seed": 1}
    Path("list.json").write_text(json.dumps([entry]))
    assert lumos("generate", "--prompt-file", "list.json", "--steps", "1", "--num-frames", "13", "--out", "o")[0] == 0
    assert json.loads(Path("o/one.mp4.json").read_text())["then"] == [[6, "a star"]]
    Path("list.json").write_text(json.dumps([{"prompt": "a circle", "then": [6, "a star"]}]))
    status, _, error = lumos("generate", "--prompt-file", "list.json", "--out", "o")
    assert (status, "then is [6, 'a star']; give a list of [frame, text]" in error) == (2, True)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--extend", "none.mp4"], "--extend none.mp4: no such file; give the video to go on from"),
        (["--extend", "."], "--extend .: it is a folder"),
        (["--extend", "words.txt"], "--extend words.txt: it must end in one of .mp4"),
        (["--extend", "broken.mp4", "--seconds", "4"], "broken.mp4: undecodable"),
        (["--extend", "clip.mp4", "--image", "a.png"], "--extend and --image are both what the video begins with"),
        (["--extend", "clip.mp4", "--seconds", "1"], "--seconds is 1.0, and clip.mp4 has 5 frames, 1.25 s"),
        (["--extend", "clip.mp4", "--seconds", "4", "--width", "64"], "clip.mp4 is 96x64, and 64x64 is made; cut it"),
        (["--extend", "clip.mp4", "--seconds", "4", "--fps", "8"], "clip.mp4 has 4 frames a second, and 8 are made"),
        (["--seconds", "0"], "--seconds is 0.0; it must be a number above 0"),
        (["--seconds", "2", "--num-frames", "5"], "--seconds says how long the clip is"),
        (["--history-frames", "0"], "--history-frames is 0; it must be a whole number of at least 1"),
        (["--history-frames", "3"], "--history-frames is 3; clips as this model was trained on have 3 latent frames"),
        (["--history-frames", "some"], "'some' is neither a whole number nor all"),
        (["--then", "8", "a star", "--then", "4", "a ring"], "--then: the prompt changes at frame 4 after frame 8"),
        (["--then", "8", " "], "--then: the prompt at frame 8 is ' '; describe what is to be seen"),
        (["--then", "x", "a star"], "--then: the prompt changes at 'x'; give the number of a frame"),
        (["--then", "90", "a star"], "the prompt changes at frame 90, and of the 9 frames the last"),
    ],
)
def test_what_cannot_be_made_is_one_clear_line(
    lumos: Lumos, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("words.txt").write_text("words")
    Path("broken.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(50))
    if "clip.mp4" in words:
        write_video(Path("clip.mp4"), GREY, fps=4)
    monkeypatch.setattr(runner, "_make", None)
    status, said, error = lumos(*WORDS, *words, "--out", "o.mp4")
    assert (status, error.count("\n"), said) == (2, 1, "")
    assert message in error


def test_lumina_video_has_one_prompt_a_clip(lumos: Lumos) -> None:
    words = ("generate", "--model", "lumina-tiny", "--prompt", "a circle")
    assert "--then is for Lumos-1" in lumos(*words, "--then", "8", "a star")[2]
    Path("list.json").write_text(json.dumps([{"prompt": "a circle", "then": [[6, "a star"]]}]))
    error = lumos("generate", "--model", "lumina-tiny", "--prompt-file", "list.json")[2]
    assert "list.json has a prompt that changes, and Lumina-Video makes a clip under one prompt" in error
