"""`model_args.pth`: read as settings, and as nothing else."""

import argparse
import pickle
import struct
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.checkpoint.model_args import read_model_args, read_released_config
from lumos.lumina_video.config import PRESETS

RECIPE = {
    "model": "MultiScaleNextDiT_2B_GQA",
    "patch_sizes": [2, 2, 4],
    "f_patch_sizes": [1, 2, 2],
    "qk_norm": True,
    "rope_theta": 256.0,
    "t_scale": 1000.0,
    "motion_scale": 20.0,
    "lr": 2e-4,
    "results_dir": "results",
    "resume": None,
    "no_wandb": False,
}


def save(file: Path, *without: str, **changed: object) -> Path:
    arguments = {name: value for name, value in (RECIPE | changed).items() if name not in without}
    torch.save(argparse.Namespace(**arguments), file)
    return file


@pytest.mark.parametrize("name", PRESETS)
def test_the_arguments_of_the_recipe_are_the_released_architectures(tmp_path: Path, name: str) -> None:
    assert read_released_config(save(tmp_path / "model_args.pth", model=name)) == PRESETS[name]


def test_what_is_left_out_has_the_defaults_of_the_code_not_of_the_recipe(tmp_path: Path) -> None:
    absent = ("patch_sizes", "f_patch_sizes", "rope_theta", "t_scale", "motion_scale")
    config = read_released_config(save(tmp_path / "model_args.pth", *absent, qk_norm=False))
    assert (config.all_patch_size, config.all_f_patch_size, config.qk_norm) == ((2,), (2,), False)
    assert (config.rope_theta, config.t_scale, config.motion_scale) == (10000.0, 1.0, 1.0)
    assert (config.dim, config.n_kv_heads, config.in_channels, config.cap_feat_dim) == (2304, 8, 16, 2304)


def test_whole_numbers_are_taken_for_factors(tmp_path: Path) -> None:
    file = save(tmp_path / "model_args.pth", rope_theta=256, t_scale=1000, motion_scale=20, patch_sizes=(2, 2, 4))
    assert read_released_config(file) == PRESETS["MultiScaleNextDiT_2B_GQA"]


def test_all_arguments_are_returned(tmp_path: Path) -> None:
    nested = {"a": [1, (2.5, "x"), {"b": None}]}
    assert read_model_args(save(tmp_path / "model_args.pth", extra=nested)) == {**RECIPE, "extra": nested}


@pytest.mark.parametrize(
    ("without", "changed", "message"),
    [
        (("model",), {}, "does not say model: it is not of a Lumina-Video model"),
        (("model", "qk_norm"), {}, "does not say model and qk_norm"),
        ((), {"model": "MultiScaleNextDiT_2B_GQQ"}, "did you mean MultiScaleNextDiT_2B_GQA"),
        ((), {"model": 7}, "model is 7, not a name"),
        ((), {"patch_sizes": [2, 2]}, "all_patch_size has 2 entries and all_f_patch_size 3"),
        ((), {"patch_sizes": "wide"}, "all_patch_size"),
        ((), {"rope_theta": -1.0}, r"rope_theta is -1\.0"),
        ((), {"qk_norm": "maybe"}, "qk_norm"),
        ((), {"t_scale": None}, "t_scale"),
    ],
)
def test_arguments_that_no_model_has_are_explained(
    tmp_path: Path, without: tuple[str, ...], changed: dict[str, object], message: str
) -> None:
    file = save(tmp_path / "model_args.pth", *without, **changed)
    with pytest.raises(ValueError, match=message) as caught:
        read_released_config(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


# --- hostile files ----------------------------------------------------------------------------------------------------


class Evil:
    """What a pickle can do: creates a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.marker), "w")


WRAPPED: dict[str, Callable[[Evil], object]] = {
    "alone": lambda evil: evil,
    "as an argument": lambda evil: argparse.Namespace(**RECIPE, evil=evil),
    "in a list": lambda evil: argparse.Namespace(**RECIPE, evil=[[evil]]),
}


@pytest.mark.parametrize("how", WRAPPED)
@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_the_file_is_not_run(tmp_path: Path, how: str, zipped: bool) -> None:
    file, marker = tmp_path / "model_args.pth", tmp_path / "marker"
    torch.save(WRAPPED[how](Evil(marker)), file, _use_new_zipfile_serialization=zipped)
    expected = r"is no file of plain settings \(it asks for '\w+\.open', .*from whom you trust"
    with pytest.raises(ValueError, match=expected) as caught:
        read_model_args(file)
    assert not marker.exists()
    assert "\n" not in str(caught.value)


def test_a_small_file_that_asks_for_gigabytes_is_refused(tmp_path: Path) -> None:
    class Asks:
        def __reduce__(self) -> tuple[object, tuple[int]]:
            return bytearray, (2**40,)

    torch.save(argparse.Namespace(**RECIPE, room=Asks()), tmp_path / "model_args.pth")
    with pytest.raises(ValueError, match=r"it asks for '\w+\.bytearray'"):
        read_model_args(tmp_path / "model_args.pth")


def test_code_in_a_bare_pickle_is_not_run(tmp_path: Path) -> None:
    file, marker = tmp_path / "model_args.pth", tmp_path / "marker"
    file.write_bytes(pickle.dumps(argparse.Namespace(**RECIPE, evil=Evil(marker))))
    with pytest.raises(ValueError, match="is no file of plain settings"):
        read_model_args(file)
    assert not marker.exists()
    pickle.loads(file.read_bytes()).evil.close()
    assert marker.exists()  # the trap works


def test_a_namespace_is_trusted_nowhere_else(tmp_path: Path) -> None:
    file = save(tmp_path / "model_args.pth")
    read_model_args(file)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(file, weights_only=True)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (RECIPE, "holds a dict, not the arguments of a command"),
        (torch.ones(2), "holds a Tensor, not the arguments"),
        (argparse.Namespace(**RECIPE, weights=torch.ones(2)), "holds a Tensor among its settings"),
        (argparse.Namespace(**RECIPE, kind=[torch.float32]), "holds a dtype among its settings"),
        (argparse.Namespace(**RECIPE, names={1j: 2}), "holds a complex among|is no file of plain settings"),
        (argparse.Namespace(**RECIPE, inner=argparse.Namespace(a=1)), "holds a Namespace among its settings"),
        (argparse.Namespace(**RECIPE, rows=list(range(10_000))), "holds more than 10000 settings"),
    ],
)
def test_anything_but_plain_settings_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "model_args.pth")
    with pytest.raises(ValueError, match=message):
        read_model_args(tmp_path / "model_args.pth")


def test_lists_that_name_each_other_end(tmp_path: Path) -> None:
    doubled: list[object] = [1]
    for _ in range(60):
        doubled = [doubled, doubled]
    endless: list[object] = []
    endless.append(endless)
    for value in (doubled, endless):
        torch.save(argparse.Namespace(**RECIPE, value=value), tmp_path / "model_args.pth")
        assert (tmp_path / "model_args.pth").stat().st_size < 5000
        with pytest.raises(ValueError, match="holds more than 10000 settings"):
            read_model_args(tmp_path / "model_args.pth")


def test_a_file_far_too_large_is_not_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model_args.pth"
    file.write_bytes(bytes(2**20 + 1))
    packed = tmp_path / "packed.pth"
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as parts:
        parts.writestr("archive/data.pkl", bytes(2**20 + 1))
    assert packed.stat().st_size < 5000
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("it was opened"))
    with pytest.raises(ValueError, match="holds 1048577 bytes where settings need at most 1048576"):
        read_model_args(file)
    with pytest.raises(ValueError, match=r"data\.pkl is packed or locked"):
        read_model_args(packed)


def test_a_git_lfs_pointer_is_named(tmp_path: Path) -> None:
    (tmp_path / "model_args.pth").write_bytes(b"version https:" + b"//git-lfs")
    with pytest.raises(ValueError, match=r"model_args.pth is a git LFS pointer, .*run `git lfs pull` there"):
        read_model_args(tmp_path / "model_args.pth")


NO_LISTING = b"PK\x03\x04" + bytes(96) + struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, 1, 1, 50, 50, 0)
"""An archive whose listing is none, though it is where its end says."""


@pytest.mark.parametrize("content", [b"", b"PK\x05\x06" + bytes(18), b"\x80\x02}.", NO_LISTING])
def test_a_broken_file_is_explained_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "model_args.pth").write_bytes(content)
    with pytest.raises(ValueError, match="copy or download it again from whom you trust") as caught:
        read_model_args(tmp_path / "model_args.pth")
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"model_args\.pth is missing"):
        read_model_args(tmp_path / "model_args.pth")
