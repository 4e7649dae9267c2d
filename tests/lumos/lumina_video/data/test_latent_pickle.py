"""Pickled latents are read bit for bit, and whatever else a pickle may hold is refused without running."""

import collections
import io
import os
import pickle
from pathlib import Path

import pytest
import torch

from lumos.lumina_video.data.latent_pickle import read_latent_pickle


def write(path: Path, content: object, *, protocol: int = pickle.DEFAULT_PROTOCOL) -> Path:
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def latent(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).bfloat16()


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_latent_is_read_bit_for_bit(tmp_path: Path, protocol: int) -> None:
    expected = latent(3, 9, 4, 5)
    found = read_latent_pickle(write(tmp_path / "0.pkl", {"latent": expected, "id": 0}, protocol=protocol))
    assert found.equal(expected)
    assert found.dtype is torch.bfloat16


def test_a_part_of_a_larger_tensor_and_another_precision_are_read(tmp_path: Path) -> None:
    whole = latent(3, 9, 4, 6)
    part = whole[1:, 2:5].transpose(2, 3)
    assert read_latent_pickle(write(tmp_path / "0.pkl", {"latent": part, "id": 0})).equal(part)
    for other in (whole.float(), whole.half()):
        assert read_latent_pickle(write(tmp_path / "0.pkl", {"latent": other, "id": 0})).equal(other.bfloat16())


def test_a_long_clip_is_read(tmp_path: Path) -> None:
    """Of 64 MiB and more; but no pickle of very many small values, which take far more memory than the file."""
    expected = torch.zeros(16, 65, 64, 8 * 65).bfloat16()
    assert expected.nbytes > 2**26
    assert read_latent_pickle(write(tmp_path / "0.pkl", {"latent": expected, "id": 0})).equal(expected)
    path = write(tmp_path / "0.pkl", {"latent": latent(3, 9, 4, 5), "id": [[] for _ in range(2**19)]})
    with pytest.raises(ValueError, match="beside its latent it has"):
        read_latent_pickle(path)


class Command:
    """Runs a command in whoever unpickles it."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple:
        return os.system, (self.command,)


@pytest.mark.parametrize("where", ["latent", "id", "whole"])
def test_nothing_is_run(tmp_path: Path, where: str) -> None:
    bomb = Command(f"touch {tmp_path / 'run'}")
    content = bomb if where == "whole" else {"latent": latent(1, 2, 3, 4), "id": 0, where: bomb}
    with pytest.raises(ValueError, match="it asks for"):
        read_latent_pickle(write(tmp_path / "0.pkl", content))
    assert not (tmp_path / "run").exists()


def test_a_storage_runs_nothing_either(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save(latent(1, 2, 3, 4).untyped_storage(), file, _use_new_zipfile_serialization=False)

    class Nested:
        def __reduce__(self) -> tuple:
            return torch.storage._load_from_bytes, (pickle.dumps(Command(f"touch {tmp_path / 'run'}")) * 5,)

    with pytest.raises(ValueError, match="not a latent of the released cache"):
        read_latent_pickle(write(tmp_path / "0.pkl", {"latent": Nested(), "id": 0}))
    assert not (tmp_path / "run").exists()


class Rebuilt:
    """A tensor that says of itself what it likes."""

    def __init__(self, *more: object) -> None:
        self.more = more

    def __reduce__(self) -> tuple:
        storage = latent(2, 3, 4, 5)._typed_storage()
        return torch._utils._rebuild_tensor_v2, (storage, *self.more, False, collections.OrderedDict())


@pytest.mark.parametrize(
    ("offset", "shape", "stride"),
    [
        (0, (2**20, 2**10, 4, 5), (0, 0, 0, 0)),
        (100, (2, 3, 4, 5), (60, 20, 5, 1)),
        (-1, (2, 3, 4, 5), (60, 20, 5, 1)),
        (0, (2, 3, 4, 5), (60, 20, 5, -1)),
        (0, (2, 3, 4, 5), (60, 20, 5)),
        (0, (2, 3, 4, 5), (2**62, 20, 5, 1)),
        (0, "2345", (60, 20, 5, 1)),
        (0, (0, 3, 4, 5), (60, 20, 5, 1)),
        (0, (24, 5), (5, 1)),
    ],
)
def test_a_tensor_stays_within_its_storage(tmp_path: Path, offset: int, shape: tuple, stride: tuple) -> None:
    path = write(tmp_path / "0.pkl", {"latent": Rebuilt(offset, shape, stride), "id": 0})
    with pytest.raises(ValueError, match=r"0\.pkl: not a latent of the released cache"):
        read_latent_pickle(path)


def test_a_tensor_is_not_made_larger_afterwards(tmp_path: Path) -> None:
    """The state of a tensor may be another storage and any size, for which torch takes the memory."""

    class Grown:
        def __reduce__(self) -> tuple:
            call, words = latent(1, 2, 3, 4).__reduce_ex__(2)[:2]  # type: ignore[misc]
            return call, words, (latent(1, 2, 3, 4), 0, (1, 1, 1, 10**5), (1, 1, 1, 1))

    with pytest.raises(ValueError, match="it changes what it has made"):
        read_latent_pickle(write(tmp_path / "0.pkl", {"latent": Grown(), "id": 0}))


@pytest.mark.parametrize(
    "content", [{}, {"latent": 5}, [1], {"latent": [1.0]}, {"latent": torch.zeros(2, 3)}, {"id": latent(1, 2, 3, 4)}]
)
def test_what_holds_no_latent_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(ValueError, match="not a latent of the released cache"):
        read_latent_pickle(write(tmp_path / "0.pkl", content))


def test_a_latent_that_is_not_finite_is_refused(tmp_path: Path) -> None:
    bad = latent(1, 2, 3, 4)
    bad[0, 1, 2, 3] = float("nan")
    with pytest.raises(ValueError, match="not finite"):
        read_latent_pickle(write(tmp_path / "0.pkl", {"latent": bad, "id": 0}))


def test_cut_changed_and_missing_files_are_named(tmp_path: Path) -> None:
    content = write(tmp_path / "0.pkl", {"latent": latent(1, 2, 3, 4), "id": 0}).read_bytes()
    for length in range(0, len(content), 7):
        (tmp_path / "0.pkl").write_bytes(content[:length])
        with pytest.raises(ValueError, match=r"0\.pkl: not a latent"):
            read_latent_pickle(tmp_path / "0.pkl")
    with pytest.raises(ValueError, match=r"none\.pkl: not a latent"):
        read_latent_pickle(tmp_path / "none.pkl")
