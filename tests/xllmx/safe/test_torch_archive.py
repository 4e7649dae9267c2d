"""Files of torch of a stranger: one listing, nothing packed, pickles that ask for tensors alone."""

import io
import os
import struct
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from xllmx.safe.torch_archive import check_torch_file, load_tensors, open_archive

WEIGHTS: dict[str, Any] = {
    "plain": {"a": torch.randn(3, 5), "b": torch.randn(2).bfloat16(), "empty": torch.zeros(0)},
    "ordered, turned and of parameters": OrderedDict(a=torch.randn(3, 5).T, b=nn.Parameter(torch.ones(2))),
    "of other types": {"a": torch.zeros(4).to(torch.float8_e4m3fn), "b": torch.zeros(3, dtype=torch.uint16), "n": 3},
}


class Asks:
    """Pickled as a call of anything."""

    def __init__(self, call: Callable, *words: Any) -> None:
        self.call = call, words

    def __reduce__(self) -> Any:
        return self.call


def saved(content: Any, **how: Any) -> bytes:
    stream = io.BytesIO()
    torch.save(content, stream, **how)
    return stream.getvalue()


def repacked(content: bytes, change: Callable[[dict[str, bytes]], None], *, packing: int = zipfile.ZIP_STORED) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    change(parts)
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", packing) as archive:
        for name, part in parts.items():
            archive.writestr(name, part)
    return stream.getvalue()


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("kind", WEIGHTS)
def test_weights_of_all_kinds_pass(tmp_path: Path, kind: str, zipped: bool) -> None:
    if kind == "of other types" and not zipped:
        pytest.skip("torch itself cannot read these from its old format")
    file = tmp_path / "a.pth"
    file.write_bytes(saved(WEIGHTS[kind], _use_new_zipfile_serialization=zipped))
    check_torch_file(file)
    tensors = {name: value for name, value in WEIGHTS[kind].items() if name != "n"}
    if len(tensors) == len(WEIGHTS[kind]):
        assert load_tensors(file).keys() == tensors.keys()
    else:
        with pytest.raises(ValueError, match="does not map names to tensors"):
            load_tensors(file)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("call", [(os.system, "true"), (bytearray, 2**40), (complex, 1)])
def test_what_asks_for_more_than_tensors_is_refused(tmp_path: Path, call: tuple[Any, ...], zipped: bool) -> None:
    file = tmp_path / "a.pth"
    file.write_bytes(saved({"a": torch.ones(2), "b": Asks(*call)}, _use_new_zipfile_serialization=zipped))
    with pytest.raises(ValueError, match=rf"it asks for '\w+\.{call[0].__name__}', which tensors do not need"):
        check_torch_file(file)


@pytest.mark.parametrize("zipped", [True, False])
def test_keys_that_take_for_ever_to_hash_are_refused(tmp_path: Path, zipped: bool) -> None:
    key: tuple[Any, ...] = ()
    for _ in range(10):
        key = (key, key)
    file = tmp_path / "a.pth"
    file.write_bytes(saved({"a": torch.ones(2), key: torch.ones(1)}, _use_new_zipfile_serialization=zipped))
    with pytest.raises(ValueError, match="a key of its dicts is a tuple"):
        check_torch_file(file)


def two_listings(content: bytes) -> bytes:
    """A file in which readers that count from the end find another listing than those that go where it says."""
    end = len(content) - 22
    start, length = struct.unpack_from("<LL", content, end + 12)[::-1]
    return content[:end] + content[start : start + length] + content[end:]


def changed_locator(content: bytes) -> bytes:
    return content[:-26] + b"\x07" + content[-25:]


STRANGE: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "packed": (lambda c: repacked(c, lambda p: None, packing=zipfile.ZIP_DEFLATED), "packed or locked"),
    "two listings": (two_listings, "its listing"),
    "something behind it": (lambda c: c + b"\0", "its listing does not end it"),
    "a comment": (lambda c: c[:-2] + b"\x03\0abc", "its listing does not end it"),
    "half of it": (lambda c: c[: len(c) // 2], "its listing does not end it"),
    "only its beginning": (lambda c: c[:10], "damaged archive"),
    "another place of the listing": (lambda c: c[:-6] + b"\x01" + c[-5:], "two listings differ|not where it says"),
    "a part outside": (lambda c: repacked(c, lambda p: p.update({"../evil": b""})), "a part is called"),
    "a part above": (lambda c: repacked(c, lambda p: p.update({"archive/../evil": b""})), "a part is called"),
    "another root": (lambda c: repacked(c, lambda p: p.update({"other/data.pkl": b""})), "a part is called"),
    "no pickle": (lambda c: repacked(c, lambda p: p.pop("archive/data.pkl") and None), "it has no data.pkl"),
    "a program": (lambda c: repacked(c, lambda p: p.update({"archive/constants.pkl": b""})), "TorchScript program"),
}


@pytest.mark.parametrize("case", STRANGE)
def test_strange_archives_are_refused(case: str) -> None:
    change, reason = STRANGE[case]
    whole = saved(WEIGHTS["plain"])
    check_torch_file(io.BytesIO(whole))
    with pytest.raises(ValueError, match=reason) as caught:
        check_torch_file(io.BytesIO(change(whole)))
    assert "\n" not in str(caught.value)


def test_a_part_listed_twice_is_refused() -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"N.")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("archive/data.pkl", b"N.")
    with pytest.raises(ValueError, match="two of one name"):
        check_torch_file(stream)


def test_parts_that_overlap_are_refused() -> None:
    """Small files that spell large ones: every part of the listing is the same stretch of the file."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("archive/data.pkl", b"N" * 1000)
        for number in range(20):
            part = zipfile.ZipInfo(f"archive/data/{number}")
            part.header_offset, part.compress_size, part.file_size, part.CRC = 0, 1000, 1000, 0
            archive.filelist.append(part)
    with pytest.raises(ValueError, match="its parts are larger than the file"), open_archive(stream):
        pass


def test_names_that_are_put_together_are_refused() -> None:
    with pytest.raises(ValueError, match="puts the names it asks for together"):
        check_torch_file(io.BytesIO(saved(WEIGHTS["plain"], pickle_protocol=4)))
