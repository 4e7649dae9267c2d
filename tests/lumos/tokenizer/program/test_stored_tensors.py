"""A program's tensors are no larger than what its archive has for them: torch would read what lies behind in memory."""

import struct
import zipfile
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumos.tokenizer.program.loading import load_program
from lumos.tokenizer.program.stored_tensors import check_stored_tensors
from tests.lumos.tokenizer.program.test_loading import save

NUM = 300
"""Of the values of a weight: a number that stands nowhere else in its pickle."""


class Weighs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(NUM))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.weight.sum()


def enlarged(path: Path, *places: int) -> Path:
    """Write a program that says a million where it said how many values its weight has: 0 of the storage, 1 of it."""
    save(Weighs(), path)
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    (name,) = (name for name in parts if name.endswith("/data.pkl"))
    pieces = parts[name].split(b"M" + struct.pack("<H", NUM))
    assert len(pieces) == 3
    numbers = [b"J" + struct.pack("<i", 10**6 if place in places else NUM) for place in range(2)]
    parts[name] = pieces[0] + numbers[0] + pieces[1] + numbers[1] + pieces[2]
    with zipfile.ZipFile(path, "w") as archive:
        for part, content in parts.items():
            archive.writestr(part, content)
    return path


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ((0, 1), "it says of a storage that it has 1000000 values, and it has not as many"),
        ((0,), "it says of a storage that it has 1000000 values, and it has not as many"),
        ((1,), "it says of a tensor that it reaches beyond its storage"),
    ],
)
def test_a_tensor_that_is_not_there_is_refused(tmp_path: Path, places: tuple[int, ...], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        load_program(enlarged(tmp_path / "a.jit", *places), torch.device("cpu"))


_TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
_STORAGE = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpu"
HOSTILE = {
    "a number of values that is spelt without end": (_STORAGE + b")" + b"2\x86" * 60 + b"tQ", "values that is none"),
    "a tensor by NEWOBJ and BUILD": (_TENSOR + b")\x81)b", "no class of its own"),
    "a tensor changed afterwards": (_TENSOR + b")R)b", "of a tensor what there cannot be"),
    "a storage that is called": (b"ctorch\nCharStorage\n)R", "it calls 'torch.CharStorage'"),
    "a dict that is changed": (b"ccollections\nOrderedDict\n)R)b", "no object of its own"),
}


@pytest.mark.parametrize(("instructions", "reason"), HOSTILE.values(), ids=list(HOSTILE))
def test_what_torch_does_not_write_is_refused(instructions: bytes, reason: str) -> None:
    """torch's reader takes some instructions otherwise than Python's, and a value may be one that has no end."""
    with pytest.raises(ValueError, match=reason):
        check_stored_tensors(b"\x80\x02" + instructions + b".", {"0": 4})


def test_one_that_is_there_is_read(tmp_path: Path) -> None:
    program = load_program(enlarged(tmp_path / "a.jit"), torch.device("cpu"))
    assert program(torch.zeros(1)).item() == NUM
