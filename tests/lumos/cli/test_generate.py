"""`lumos generate` by a tiny random Lumos-1: outputs made once, records that make them again, errors in a line."""

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from lumos.cli.jobs import runner
from lumos.cli.jobs.record import differences
from lumos.lumos1.sampling.settings import FAST
from tests.lumos.cli.console import Lumos, files_in, frames_of


def test_a_prompt_becomes_a_video_with_a_record_of_everything(lumos: Lumos) -> None:
    status, said, _ = lumos("generate", "--prompt", "a red circle", "--out", "clip.mp4", "--seed", "7")
    assert status == 0
    assert said.startswith("clip.mp4  seed 7  ")
    with av.open("clip.mp4") as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt, stream.average_rate) == ("h264", "yuv420p", 4)
    assert frames_of(Path("clip.mp4")) == 9
    written = json.loads(Path("clip.mp4.json").read_text())
    assert (written["prompt"], written["seed"], written["model"], written["dtype"]) == (
        "a red circle",
        7,
        "lumos-tiny",
        "float32",
    )
    assert written["settings"]["num_inference_steps"] == 2
    assert written["settings"]["duration"] == 2
    assert written["model_hash"].startswith("sha256:")
    assert written["code"].startswith("0.")
    assert files_in(Path()) == ["clip.mp4", "clip.mp4.json"]


def test_fast_turns_adaptive_sampling_on_and_the_record_counts_the_calls(lumos: Lumos) -> None:
    words = ["generate", "--prompt", "a red circle", "--num-frames", "5", "--steps", "4", "--seed", "1"]
    for name, more in (("slow", []), ("fast", ["--fast", "--later-steps", "0.25"])):
        assert lumos(*words, *more, "--out", f"{name}.mp4")[0] == 0
    slow, fast = (json.loads(Path(f"{name}.mp4.json").read_text()) for name in ("slow", "fast"))
    assert slow["model_calls"] == 2 * 4 * 2 + 2
    assert fast["model_calls"] <= 4 * 2 + 2 + 1 * 2  # a quarter of the refinements in the later frame
    assert slow["settings"]["entropy_bound"] is None
    assert fast["settings"] == slow["settings"] | FAST | {"later_steps": 0.25}


def test_a_finished_output_is_never_made_twice(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("generate", "--prompt", "a red circle", "--num-frames", "1")
    assert lumos(*words)[0] == 0
    before = Path("outputs/a-red-circle.png").stat().st_mtime_ns
    monkeypatch.setattr(runner, "_make", None)
    for more in ((), ("--num-frames", "1", "--steps", "2")):
        status, said, _ = lumos(*words, *more)
        assert status == 0
        assert "finished before" in said
    assert Path("outputs/a-red-circle.png").stat().st_mtime_ns == before


def test_other_settings_do_not_overwrite_what_is_there_unless_asked(lumos: Lumos) -> None:
    words = ("generate", "--prompt", "a red circle", "--num-frames", "1", "--out", "image.png", "--seed", "1")
    lumos(*words)
    before = Path("image.png").read_bytes()
    status, _, error = lumos(*words, "--steps", "3")
    assert status == 2
    assert "image.png is there already" in error
    assert "num_inference_steps: 2 -> 3" in error
    assert "use --overwrite, or another --out, which keeps both" in error
    assert Path("image.png").read_bytes() == before
    assert lumos(*words, "--steps", "3", "--overwrite")[0] == 0
    assert json.loads(Path("image.png.json").read_text())["settings"]["num_inference_steps"] == 3


def test_a_file_of_the_user_s_is_not_overwritten(lumos: Lumos) -> None:
    Path("image.png").write_bytes(b"mine")
    status, _, error = lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")
    assert (status, Path("image.png").read_bytes()) == (2, b"mine")
    assert "no record says how it was made" in error
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png", "--overwrite")
    with Path("image.png").open("ab") as file:
        file.write(b"edited")
    assert (
        "not the file its record speaks of"
        in lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")[2]
    )


@pytest.mark.parametrize("suffix", ["png", "gif", "mp4"])
def test_a_record_makes_the_same_output_again(lumos: Lumos, suffix: str) -> None:
    count = "1" if suffix == "png" else "6"
    lumos(
        "generate",
        "--prompt",
        "a red circle",
        "--num-frames",
        count,
        "--out",
        f"first.{suffix}",
        "--guidance-scale",
        "3.5",
    )
    status, _, error = lumos("generate", "--from-json", f"first.{suffix}.json", "--out", f"again.{suffix}")
    assert (status, error) == (0, "")
    first, again = (json.loads(Path(f"{name}.{suffix}.json").read_text()) for name in ("first", "again"))
    assert differences(first, again) == []
    assert first["output_hash"] == again["output_hash"]
    assert "finished before" in lumos("generate", "--from-json", f"first.{suffix}.json")[1]


def test_a_record_of_a_picture_s_video_makes_it_again_and_notices_another_picture(lumos: Lumos) -> None:
    Image.fromarray(np.random.RandomState(0).randint(0, 256, (90, 130, 3), dtype=np.uint8)).save("start.png")
    words = ("generate", "--prompt", "it moves", "--image", "start.png", "--num-frames", "5", "--out", "clip.gif")
    assert lumos(*words)[0] == 0
    written = json.loads(Path("clip.gif.json").read_text())
    assert (written["settings"]["width"], written["settings"]["height"]) == (96, 64)
    assert lumos("generate", "--from-json", "clip.gif.json", "--out", "again.gif")[0] == 0
    assert Path("clip.gif").read_bytes() == Path("again.gif").read_bytes()
    Path("start.png").unlink()
    assert lumos("generate", "--from-json", "clip.gif.json", "--out", "third.gif")[0] == 0
    assert Path("clip.gif").read_bytes() == Path("third.gif").read_bytes()
    kept = Path(written["image"])
    assert kept.name == f"picture-{written['image_hash'][:12]}.png"
    Image.new("RGB", (130, 90)).save(kept)
    status, _, error = lumos("generate", "--from-json", "clip.gif.json", "--out", "fourth.gif")
    assert status == 2
    assert "is another picture" in error
    kept.unlink()
    remedy = "is not there; put it back, or name it with --image"
    assert remedy in lumos("generate", "--from-json", "clip.gif.json", "--out", "fourth.gif")[2]


def test_a_record_and_its_picture_make_the_video_again_wherever_they_are_taken(lumos: Lumos, tmp_path: Path) -> None:
    Path("photos").mkdir()
    for name in ("a.JPG", "same.png"):
        Image.new("RGB", (96, 64), (200, 10, 10)).save(Path("photos") / name)
    words = ("generate", "--prompt", "it moves", "--num-frames", "5", "--out", "made", "--format", "gif")
    assert lumos(*words, "--image", "photos/same.png", "--prompt", "it turns", "--seed", "3")[0] == 0
    assert lumos(*words, "--image", "photos/a.JPG", "--seed", "9")[0] == 0
    pictures = sorted(path.name for path in Path("made").glob("picture-*"))
    assert [Path(name).suffix for name in pictures].count(".png") == 1  # one for both outputs
    assert len(pictures) == 2
    Path("made").rename(tmp_path / "elsewhere")
    shutil.rmtree("photos")
    for record in sorted(Path("elsewhere").glob("*.json")):
        again = Path("again") / record.stem
        assert lumos("generate", "--from-json", str(record), "--out", str(again))[0] == 0
        assert again.read_bytes() == record.with_suffix("").read_bytes()


@pytest.mark.parametrize("name", ["..", "../image.png", "in/image.png", "/image.png"])
def test_a_record_that_leads_out_of_its_folder_is_refused(lumos: Lumos, name: str) -> None:
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")
    written = json.loads(Path("image.png.json").read_text())
    Path("image.png.json").write_text(json.dumps({**written, "output": name}))
    status, _, error = lumos("generate", "--from-json", "image.png.json")
    assert (status, error.count("\n")) == (2, 1)
    assert "say where it goes with --out" in error
    assert lumos("generate", "--from-json", "image.png.json", "--out", "again.png")[0] == 0


@pytest.mark.parametrize("changed", [{"image": "/etc/hostname"}, {"image": "../start.png"}, {"image": "link.png"}])
def test_a_record_opens_no_picture_outside_its_folder_but_one_that_is_named(
    lumos: Lumos, changed: dict[str, str], tmp_path: Path
) -> None:
    Image.new("RGB", (96, 64), (200, 10, 10)).save("start.png")
    Path("in").mkdir()
    words = ("generate", "--prompt", "it moves", "--image", "start.png", "--num-frames", "5", "--out", "in/clip.gif")
    assert lumos(*words)[0] == 0
    Path("in/link.png").symlink_to(tmp_path / "start.png")
    written = json.loads(Path("in/clip.gif.json").read_text())
    again = ("generate", "--from-json", "in/clip.gif.json", "--out", "again.gif")
    for record in (written | {"image": str(tmp_path / "start.png")}, written | changed):
        Path("in/clip.gif.json").write_text(json.dumps(record))
        status, _, error = lumos(*again)
        assert (status, error.count("\n")) == (2, 1)
        assert "which lies neither beside it nor in" in error
        assert "name it yourself with --image FILE beside --from-json" in error
        status, _, error = lumos(*again, "--image", "start.png", "--overwrite")
        assert (status, error) == (0, "")
        assert Path("again.gif").read_bytes() == Path("in/clip.gif").read_bytes()
    Image.new("RGB", (96, 64)).save("other.png")
    assert "other.png is another picture than" in lumos(*again, "--image", "other.png")[2]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model": "/etc"}, "names '/etc', which lies neither beside it nor in"),
        ({"model": "../../elsewhere"}, "lies neither beside it nor in"),
        ({"model": "lumos-tiny/../../x"}, "lies outside"),
        ({"model": "elsewhere"}, "there is no model"),
        ({"model": "nobody/nothing"}, "run: lumos download nobody/nothing"),
        ({"lora": "/etc"}, "name it yourself with --lora FOLDER"),
        ({"lora": "\0"}, "is no path"),
        ({"lora": ["x"]}, "its lora is"),
        ({"image": 7}, "its image is '7'"),
        ({"negative_prompt": {}}, "its negative_prompt is"),
        ({"model_hash": 3}, "its model_hash is"),
        ({"seed": True}, "its seed is 'True'"),
        ({"settings": {"preset": "/etc/preset.yaml"}}, "names the preset file '/etc/preset.yaml'"),
    ],
)
def test_whatever_a_record_names_lies_beside_it_or_under_the_checkpoints(
    lumos: Lumos, changed: dict[str, object], message: str
) -> None:
    Path("in").mkdir()
    Path("elsewhere").mkdir()
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "in/image.png")
    written = json.loads(Path("in/image.png.json").read_text())
    Path("in/image.png.json").write_text(json.dumps(written | changed))
    status, _, error = lumos("generate", "--from-json", "in/image.png.json", "--out", "again.png")
    assert (status, error.count("\n")) == (2, 1), error
    assert message in error
    assert not Path("again.png").exists()


def test_a_model_that_is_named_beside_a_record_is_the_one_that_is_taken(lumos: Lumos) -> None:
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")
    written = json.loads(Path("image.png.json").read_text())
    Path("image.png.json").write_text(json.dumps(written | {"model": "/etc"}))
    words = ("generate", "--from-json", "image.png.json", "--model", "lumos-tiny", "--out", "again.png")
    assert lumos(*words)[0] == 0
    assert Path("again.png").read_bytes() == Path("image.png").read_bytes()


def test_a_record_made_without_a_picture_takes_none(lumos: Lumos) -> None:
    Image.new("RGB", (96, 64)).save("start.png")
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")
    status, _, error = lumos("generate", "--from-json", "image.png.json", "--image", "start.png", "--out", "b.png")
    assert (status, "was made without a picture; leave --image out" in error) == (2, True)


def test_a_record_of_other_weights_is_refused(lumos: Lumos) -> None:
    lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "image.png")
    written = json.loads(Path("image.png.json").read_text())
    Path("image.png.json").write_text(json.dumps({**written, "model_hash": "sha256:0"}))
    status, _, error = lumos("generate", "--from-json", "image.png.json", "--out", "again.png")
    assert status == 2
    assert "has other weights" in error
    for name, value in (("settings", []), ("prompt", 3), ("seed", "x"), ("model", None), ("output", 1)):
        Path("image.png.json").write_text(json.dumps({**written, name: value}))
        status, _, error = lumos("generate", "--from-json", "image.png.json", "--out", "again.png")
        assert (status, error.count("\n")) == (2, 1)
        assert f"is no record of an output: its {name} is" in error


def test_several_prompts_share_batches_and_count_their_seeds_on(lumos: Lumos) -> None:
    words = [word for text in ("a circle", "a square", "a star") for word in ("--prompt", text)]
    status, _, _ = lumos("generate", *words, "--num-frames", "1", "--seed", "5", "--batch-size", "2", "--out", "many")
    assert status == 0
    assert files_in(Path("many"))[::2] == ["a-circle-seed5.png", "a-square-seed6.png", "a-star-seed7.png"]
    lumos("generate", "--prompt", "a star", "--num-frames", "1", "--seed", "7", "--out", "one.png")
    assert Path("one.png").read_bytes() == Path("many/a-star-seed7.png").read_bytes()


def test_a_prompt_file_goes_on_where_it_was_stopped(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("list.txt").write_text("a circle\n\na square\na star\n")
    words = ("generate", "--prompt-file", "list.txt", "--num-frames", "1", "--out", "many")
    write = runner.write_image
    written: list[Path] = []

    def stopped_at_the_second(path: Path, image: np.ndarray) -> None:
        if len(written) == 1:
            raise KeyboardInterrupt
        written.append(path)
        write(path, image)

    monkeypatch.setattr(runner, "write_image", stopped_at_the_second)
    status, _, error = lumos(*words)
    assert status == 130
    assert "what was finished is kept" in error
    assert files_in(Path("many")) == ["a-circle.png", "a-circle.png.json"]
    monkeypatch.setattr(runner, "write_image", write)
    first = Path("many/a-circle.png").stat().st_mtime_ns
    assert lumos(*words)[0] == 0
    assert files_in(Path("many"))[::2] == ["a-circle.png", "a-square.png", "a-star.png"]
    assert Path("many/a-circle.png").stat().st_mtime_ns == first


def test_a_full_disk_leaves_nothing_half_written(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(path: Path) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runner, "sha256_of", full)
    status, _, error = lumos("generate", "--prompt", "a", "--num-frames", "1", "--out", "x/image.png")
    assert status == 2
    assert error == "lumos: error: [Errno 28] No space left on device\n"
    assert files_in(Path("x")) == []


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "say what to make: --prompt TEXT"),
        (["--prompt", "a", "--model", "1B/stage-1-image"], "run: lumos download 1B/stage-1-image"),
        (["--prompt", "a", "--model", "lumos-tny"], "did you mean lumos-tiny"),
        (["--prompt", "a " * 3000], "shorten it, or ask for fewer or smaller frames"),
        (["--prompt", "a", "--width", "100"], "error: --width is 100; it must be a multiple of 32"),
        (["--prompt", "a", "--fps", "two"], "argument --fps: invalid int value: 'two'; see lumos generate --help"),
        (["--prompt", "a", "--out", "a.png"], "a.png is to hold 9 frames; use mp4, webm or gif, or one frame"),
        (["--prompt", "a", "--prompt", "b", "--out", "a.mp4"], "is one file for 2 outputs; give a folder"),
        (["--prompt", "a", "--image", "nowhere.png"], "--image nowhere.png: no such file; give a picture"),
        (["--prompt", "a", "--image-folder", "."], "--image-folder is for the pictures a --prompt-file names"),
        (["--prompt", "a", "--image", "words.txt"], "words.txt: undecodable"),
        (["--prompt", "a", "--image", "clip.mp4"], "clip.mp4: undecodable"),
        (["--prompt", "a", "--batch-size", "0"], "--batch-size is 0"),
        (["--prompt", "a", "--num", "0"], "error: --num is 0; it must be"),
        (["--prompt", "a", "--num", "2", "--out", "a.mp4"], "is one file for 2 outputs; give a folder"),
        (["--prompt", "a", "--scale", "0"], "error: --scale is 0; it must be"),
        (
            ["--prompt", "a", "--width", "512", "--scale", "17"],
            "--scale is 17, which makes 8704 pixels of a side of 512",
        ),
        (["--prompt", "a", "--out", "a.jpg"], "a.jpg is to hold 9 frames; use mp4, webm or gif, or one frame"),
        (["--prompt-file", "nowhere.txt"], "cannot read the prompts nowhere.txt"),
        (["--from-json", "words.txt"], "words.txt is not valid JSON"),
        (["--from-json", "nowhere.json"], "--from-json nowhere.json: no such file; give the .json"),
        (["--prompt", "a", "--device", "cuda:99"], "error: --device is 'cuda:99'"),
        (["--prompt", "a", "--device", "meta"], "error: --device is 'meta'; it must be cpu, cuda, cuda:N, mps or xpu"),
        (["--prompt", "a", "--steps", "0"], "error: --steps is 0; it must be a whole number of at least 1"),
        (
            ["--prompt", "a", "--guidance-scale", "-1"],
            "error: --guidance-scale is -1.0; it must be a number of at least 0",
        ),
        (["--prompt", "a", "--prompt", "b", "--fps", "999"], "error: --fps is 999, more than this model has a token"),
        (["--prompt", "a", "--num-frames", "9999"], "duration is 2500 (9999 frames at 4 fps), more than"),
        (["--prompt", "a", "--out", "words.txt"], "words.txt is a file of no known format"),
        (["--prompt", "a", "--out", "clip.mov"], "no .mov is written; give a name with .mp4, .webm"),
        (["--prompt", "a", "--out", "words.txt/more/clip.mp4"], "cannot write to words.txt/more: Not a directory"),
        (["--prompt", "a b", "--prompt", "a " * 3000], "prompt 2 of 2 ('" + "a " * 20 + "...'): the prompt has"),
        (["--prompt", "a", "--seed", "-1"], "error: --seed is -1; it must be a whole number from 0"),
        (["--prompt", "a", "--prompt", " "], "the prompt is empty"),
        (["--prompt", "a", "--prompt-file", "words.txt"], "--prompt and --prompt-file are both given"),
    ],
)
def test_bad_input_is_one_clear_line(
    lumos: Lumos, words: list[str], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("words.txt").write_text("these are words\n")
    Path("clip.mp4").write_bytes(b"\0\0\0\x18ftypisom" + bytes(50))
    monkeypatch.setattr(runner, "_make", None)  # it is said before anything is made
    status, said, error = lumos("generate", *words)
    assert status == 2
    assert error.startswith("lumos: error: ")
    assert error.count("\n") == 1
    assert message in error
    assert said == ""
    assert files_in(Path()) == ["clip.mp4", "words.txt"]


def test_deterministic_chooses_kernels_before_a_model_is_loaded(lumos: Lumos, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen: list[str] = []
    monkeypatch.setattr("xllmx.run.deterministic.use_deterministic_kernels", lambda: chosen.append("chosen"))
    words = ("generate", "--prompt", "a red circle", "--num-frames", "1", "--seed", "5")
    assert lumos(*words, "--out", "first.png")[0] == 0
    assert chosen == []
    assert lumos(*words, "--deterministic", "--out", "again.png")[0] == 0
    assert chosen == ["chosen"]
    assert Path("again.png").read_bytes() == Path("first.png").read_bytes()
