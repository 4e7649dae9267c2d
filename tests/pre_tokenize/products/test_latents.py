"""`python -m pre_tokenize --to latents`, from CSV to shards: which frames, which crop, which rows and why not."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest
import torch

from lumos.lumina_video.data.shards import LatentShards
from lumos.lumina_video.encoding.crops import crop_sizes
from lumos.lumina_video.vae import CogVideoXVAE, NotFiniteError
from lumos.media.crop import crop_to_bucket, nearest_size
from lumos.media.reading import read_image
from lumos.media.writing import write_image
from pre_tokenize import __main__ as program
from pre_tokenize import concat_record
from pre_tokenize.job import vae_of
from pre_tokenize.products.latents import NOT_FINITE, Latents, LatentTarget
from pre_tokenize.products.pixels import Pixels
from tests.lumos.media.clips import Form, numbers, write_clip
from tests.pre_tokenize.conftest import write_csv
from tests.pre_tokenize.test_main import contents

Command = Callable[..., list[str]]
TARGET = LatentTarget(modality="video", size=64, fps=4, most_seconds=30)


class MeanVAE:
    """A VAE that only counts: 4 frames and 8x8 pixels averaged, three channels."""

    spatial, temporal, channels, scale = 8, 4, 3, 0.5

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        frames = 1 if pixels.shape[2] == 1 else 4
        return torch.nn.functional.avg_pool3d(pixels, (frames, 8, 8)) * self.scale

    def decode(self, latents: torch.Tensor, num_frames: int) -> torch.Tensor:
        raise AssertionError(f"nothing is decoded here ({latents.shape}, {num_frames})")


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    """A CSV of two good videos, one of them taller than wide and twice as fast, among what gives no clip."""
    upright = {"paint": lambda number: np.full((96, 80, 3), number % 256, np.uint8)}
    write_clip(tmp_path / "wide.mp4", 13, Form(fps=Fraction(4)))
    write_clip(tmp_path / "tall.mp4", 40, Form(fps=Fraction(8)), **upright)
    write_clip(tmp_path / "slow.mp4", 20, Form(fps=Fraction(1)))
    write_clip(tmp_path / "short.mp4", 8, Form(fps=Fraction(4)))
    write_clip(tmp_path / "long.mp4", 160, Form(fps=Fraction(4)))
    write_clip(tmp_path / "small.mp4", 13, Form(fps=Fraction(4)), paint=lambda number: np.zeros((64, 62, 3), np.uint8))
    rows = ["wide", "slow", "short", "long", "small", "none", "tall"]
    lines = [f"{name}.mp4,{name} clip,{5.5 if name == 'wide' else ''}" for name in rows]
    (tmp_path / "clips.csv").write_text("\n".join(["path,text,unimatch_flow", *lines]) + "\n")
    return tmp_path / "clips.csv"


SKIPPED = {
    "slow.mp4": "source slower than the target fps",
    "short.mp4": "too short",
    "long.mp4": "too long",
    "small.mp4": "smaller than the target size",
    "none.mp4": "missing file",
}


def shards_of(output: Path) -> LatentShards:
    assert concat_record.main(["--output_dir", str(output)]) == 0
    index = json.loads((output / "index.json").read_text())
    assert index["format"] == "lumina-latents"
    return LatentShards([output / entry["file"] for entry in index["shards"]])


def test_videos_become_latents_and_skips(
    clips: Path, tmp_path: Path, vae: Path, latents_command: Command, capsys
) -> None:
    out = tmp_path / "out"
    assert program.main(latents_command(clips, out)) == 0
    said = capsys.readouterr().out
    assert "7 of 7 rows done, 2 clips, 5 skipped (missing file: 1" in said
    assert "1 without motion (python -m pre_tokenize.motion gives a list its scores)" in said
    shards = shards_of(out)
    wide, tall = shards
    assert (wide.caption, wide.source, wide.fps, wide.lead, wide.motion) == ("wide clip", "wide.mp4", 4.0, 0, 5.5)
    assert (wide.seconds, tall.seconds) == (pytest.approx(13 / 4), pytest.approx(5))
    assert wide.latent.shape == (4, 3, 4, 8)  # 64x32 px: of at most 4 patches of 32 px the nearest aspect to 96x64
    assert (tall.latent.shape, tall.motion) == ((4, 5, 8, 8), -1)
    report = json.loads((out / "report.json").read_text())
    assert {item["path"]: item["reason"] for item in report["skipped_items"]} == SKIPPED
    assert report["unknown"] == {"motion": 1}
    folder = CogVideoXVAE.without_weights(vae)
    assert shards.vae is not None
    assert (shards.vae.channels, shards.vae.scale, shards.vae.spatial) == (4, folder.scale, 8)
    assert len(shards.vae.sha256) == 64


def test_latents_are_those_of_the_whole_clip(tmp_path: Path, vae: Path, latents_command: Command) -> None:
    write_clip(tmp_path / "a.mp4", 30, Form(fps=Fraction(8)))
    write_csv(tmp_path / "a.csv", [("a.mp4", "a")])
    product = Latents(TARGET, vae=MeanVAE(), device="cpu")
    pixels = product.read(tmp_path / "a.mp4")
    whole = Latents(
        LatentTarget(modality="video", size=64, fps=8, most_seconds=9),
        vae=MeanVAE(),
        device="cpu",
    ).read(tmp_path / "a.mp4")
    assert whole.frames.shape == (28, 32, 64, 3)
    assert np.array_equal(pixels.frames, whole.frames[:24:2])  # 15 frames at 4 fps: 12 in whole latents
    assert program.main(latents_command(tmp_path / "a.csv", tmp_path / "out")) == 0
    (clip,) = shards_of(tmp_path / "out")
    video = torch.from_numpy(pixels.frames).permute(3, 0, 1, 2)[None].float() / 127.5 - 1
    expected = CogVideoXVAE.from_pretrained(vae).encode(video)[0]
    torch.testing.assert_close(clip.latent.float(), expected, atol=0.02, rtol=0.01)


@pytest.mark.parametrize("choice", ["time", "released"])
def test_frames_are_found_by_time_or_counted(tmp_path: Path, choice: str) -> None:
    write_clip(tmp_path / "a.mp4", 40, Form(fps=Fraction(12)), paint=big)
    target = LatentTarget(modality="video", size=96, fps=8, most_seconds=9, frame_choice=choice)
    product = Latents(target, vae=MeanVAE(), device="cpu")
    found = numbers(product.read(tmp_path / "a.mp4").frames[:, :32, :].repeat(1, axis=1))
    assert found == [round(Fraction(i * 12, 8)) for i in range(24)]


def big(number: int) -> np.ndarray:
    """The picture of `tests.lumos.media.clips` in a square of 96 px, which no crop touches."""
    from tests.lumos.media.clips import picture

    return np.concatenate([picture(number), np.zeros((32, 96, 3), np.uint8)])


def test_images_are_one_latent_without_motion(images, tmp_path: Path, vae: Path, latents_command: Command) -> None:
    arguments = latents_command(images.file, tmp_path, "--target_size", "40", "--batch_size", "2", modality="image")
    assert program.main(arguments) == 0
    shards = shards_of(tmp_path)
    assert [clip.source for clip in shards] == list(images.kept)
    model = CogVideoXVAE.from_pretrained(vae)
    for clip in shards:
        image = read_image(images.file.parent / clip.source)
        pixels = crop_to_bucket(image[None], nearest_size(image.shape[1], image.shape[0], crop_sizes(40)))
        expected = model.encode(torch.from_numpy(pixels).permute(3, 0, 1, 2)[None].float() / 127.5 - 1)[0]
        torch.testing.assert_close(clip.latent.float(), expected, atol=0.02, rtol=0.01)
        assert (clip.is_image, clip.motion, clip.fps, clip.seconds, clip.lead) == (True, 0, 1, 1, 0)


def test_an_image_that_is_too_small_is_skipped(tmp_path: Path, latents_command: Command) -> None:
    write_image(tmp_path / "a.png", np.zeros((60, 67, 3), np.uint8))
    write_csv(tmp_path / "a.csv", [("a.png", "a")])
    assert program.main(latents_command(tmp_path / "a.csv", tmp_path / "out", modality="image")) == 1
    (skip,) = json.loads(next((tmp_path / "out").rglob("report.json")).read_text())["skipped_items"]
    assert skip["reason"] == "smaller than the target size"
    assert "67x60 px, fewer than 64x64" in skip["detail"]


def test_latents_that_are_not_finite_skip_their_row_alone() -> None:
    class Overflowing(MeanVAE):
        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            if bool((pixels > 0.9).any()):
                raise NotFiniteError("latents of the encoder are not finite")
            return super().encode(pixels)

    from pre_tokenize.lists.table import Item

    product = Latents(TARGET, vae=Overflowing(), device="cpu")
    batch = [
        (
            Item(row=row, path=f"{row}.mp4", text="a"),
            Pixels(frames=np.full((8, 16, 24, 3), value, np.uint8), seconds=2.0),
        )
        for row, value in enumerate((0, 255, 128))
    ]
    made = product.made(batch, product.network([pixels for _, pixels in batch]))
    assert [getattr(made[row], "reason", "clip") for row in range(3)] == ["clip", NOT_FINITE, "clip"]
    assert made[0].latent.shape == (3, 2, 2, 3)
    assert made[0].latent.unique().tolist() == [-0.5]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--target_size", "20"], "--target_size is 20; it must be a whole number of at least 32"),
        (["--target_fps", "0"], "--target_fps is 0"),
        (["--most_seconds", "0"], "--most_seconds is 0"),
        (["--vae", "no/such/folder"], "there is no VAE no/such/folder"),
        (["--vae_dtype", "foo"], "--vae_dtype: invalid choice: 'foo'"),
        (["--target_duration", "2"], "--target_duration goes with --to codes, and this is --to latents; leave it out"),
        (["--to", "codes"], "--vae goes with --to latents, and this is --to codes; leave it out, or give --to latents"),
        (["--vae", "lumos-tiny"], "is of Lumos-1, whose clips are codes, and this is --to latents; give --to codes"),
    ],
)
def test_a_wrong_setting_is_one_clear_line(
    clips: Path, tmp_path: Path, latents_command: Command, capsys, more: list[str], message: str
) -> None:
    assert program.main(latents_command(clips, tmp_path / "out", *more)) == 2
    error = capsys.readouterr().err
    assert (message in error, error.count("\n")) == (True, 1), error
    assert not (tmp_path / "out").exists()


def test_a_vae_is_found_by_the_name_of_its_model(vae: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lumos.hub.models.ckpts_root", lambda root=None: vae.parent.parent)
    for name in (vae.parent.name, f"{vae.parent.name}/vae"):
        assert vae_of(name) == vae_of(vae)
    assert vae_of(vae)[0] == vae


def test_a_vae_is_asked_for(clips: Path, tmp_path: Path, capsys) -> None:
    words = ["--input_file", str(clips), "--output_dir", str(tmp_path / "out"), "--modality", "video"]
    assert program.main([*words, "--to", "latents"]) == 2
    assert "--to latents needs --vae" in capsys.readouterr().err
    for name in ("lumina-tiny", "ckpts/lumina-tiny/vae"):
        assert program.main([*words, "--visual_tokenizer", name]) == 2
        said = f"--visual_tokenizer {name} is of Lumina-Video, whose clips are latents, and this is --to codes; give"
        assert f"{said} --to latents --vae {name}\n" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["lumina-tiny", "lumos-tiny"])
def test_a_folder_with_a_tokenizer_and_a_vae_is_of_both_products(
    images, repo: Path, tmp_path: Path, vae: Path, command: Command, latents_command: Command, kind: str
) -> None:
    """Whichever of the two models its config is of, or where it has none."""
    both = tmp_path / "both"
    copytree(repo / "ckpts" / "lumos-tiny" / "visual_tokenizer", both / "visual_tokenizer")
    copytree(vae, both / "vae")
    for name in ("config.json", "generation_config.json"):
        (both / name).write_bytes((repo / "ckpts" / kind / name).read_bytes())
    latents = latents_command(images.file, tmp_path / "latents", "--vae", str(both), modality="image")
    assert program.main(latents) == 0
    text = ["--text_tokenizer", str(repo / "ckpts" / "lumos-tiny" / "text_tokenizer.json")]
    codes = command(images.file, tmp_path / "codes", "--visual_tokenizer", str(both), *text, modality="image")
    assert program.main(codes) == 0


def test_an_output_of_codes_does_not_go_on_with_latents(
    images, tmp_path: Path, command: Command, latents_command: Command, capsys
) -> None:
    assert program.main(command(images.file, tmp_path, modality="image")) == 0
    assert program.main(latents_command(images.file, tmp_path, modality="image")) == 2
    assert "--to is 'latents', was 'codes'" in capsys.readouterr().err


def test_another_vae_does_not_go_on(images, tmp_path: Path, vae: Path, latents_command: Command, capsys) -> None:
    assert program.main(latents_command(images.file, tmp_path / "out", modality="image")) == 0
    other = copytree(vae, tmp_path / "model" / "vae")
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "scaling_factor": 0.5}))
    model = ["--vae", str(other.parent)]  # the folder of a model that has one
    assert program.main(latents_command(images.file, tmp_path / "out", *model, modality="image")) == 2
    assert "--vae is" in capsys.readouterr().err


@pytest.mark.parametrize("value", ["fast", "nan", "1e999", "1e40"])
def test_a_motion_score_that_is_no_number_is_named(
    tmp_path: Path, latents_command: Command, capsys, value: str
) -> None:
    (tmp_path / "a.csv").write_text(f"path,text,unimatch_flow\na.mp4,a,1.5\nb.mp4,b,{value}\n")
    assert program.main(latents_command(tmp_path / "a.csv", tmp_path / "out")) == 2
    assert f"row 1 has unimatch_flow '{value}', which is no number" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_killed_at_any_point_nothing_is_lost_or_doubled(
    videos, tmp_path: Path, latents_command: Command, start: Callable[[list[str]], "subprocess.Popen[str]"]
) -> None:
    straight = latents_command(videos.file, tmp_path / "straight", "--target_size", "32")
    assert program.main(straight) == 0
    output = tmp_path / "killed"
    rng = random.Random(0)
    for attempt in range(60):
        process = start(latents_command(videos.file, output, "--target_size", "32"))
        had = len(list(output.rglob("rows-*.parquet")))
        while process.poll() is None and len(list(output.rglob("rows-*.parquet"))) <= had:
            time.sleep(0.001)
        time.sleep(rng.random() * 0.02)
        if attempt < 3 and process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.communicate()
        if process.returncode == 0:
            break
    assert attempt >= 2
    assert process.returncode == 0
    assert [clip.source for clip in shards_of(output)] == [clip.source for clip in shards_of(tmp_path / "straight")]
    assert contents(output) == contents(tmp_path / "straight")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_run_latents_starts_every_rank_and_writes_the_index(
    images, tmp_path: Path, repo: Path, latents_command: Command, environment: dict[str, str]
) -> None:
    words = latents_command(images.file, tmp_path / "out", "--target_size", "32", "--splits", "2", modality="image")
    words.remove("--to")
    words.remove("latents")
    script = ["bash", str(repo / "pre_tokenize" / "run_latents.sh"), *words]
    run = subprocess.run(script, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    index = json.loads((tmp_path / "out" / "index.json").read_text())
    assert (index["num_clips"], len(index["shards"]), index["vae"]["channels"]) == (len(images.kept), 3, 4)
