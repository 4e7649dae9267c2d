"""WebDataset tars as lists: a row a sample; a tar that is cut is one clear error."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lumos.media.media_error import MISSING, MediaError
from pre_tokenize.lists.table import modality_of, read_table
from xllmx.store import access
from xllmx.store.access import StoreError
from xllmx.store.address import Address


def write_tar(file: Path, members: Mapping[str, bytes]) -> Path:
    with tarfile.open(file, "w") as tar:
        for name, content in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file


def test_a_sample_is_a_row_with_its_medium_and_caption(tmp_path: Path) -> None:
    long = "n" * 150
    members = {
        "./a/x.mp4": b"video x", "./a/x.txt": b" it flies ", "./a/x.json": b'{"unimatch_flow": 2.5}',
        f"./{long}.jpg": b"picture", f"./{long}.mp4": b"video",
        f"./{long}.json": json.dumps({"caption": "näive"}).encode(),
        "b.json": b'{"text": "no medium"}',
        "c.webm": b"video c", "c.txt": b"\xff",
    }  # fmt: skip
    table = read_table(write_tar(tmp_path / "000.tar", members))
    assert [(item.row, item.path, item.text, item.motion) for item in table.items] == [
        (0, "000.tar/./a/x.mp4", "it flies", 2.5),
        (1, f"000.tar/./{long}.mp4", "näive", -1.0),
        (2, "000.tar/b", "no medium", -1.0),
        (3, "000.tar/c.webm", "", -1.0),
    ]
    contents = []
    for row in (0, 1, 3):
        with table.media(table.items[row]) as file:
            contents.append((file.suffix, file.read_bytes()))
    assert contents == [(".mp4", b"video x"), (".mp4", b"video"), (".webm", b"video c")]
    assert not file.exists()
    with pytest.raises(MediaError) as caught, table.media(table.items[2]):
        pass
    assert caught.value.reason == MISSING


def test_folders_and_ranges_are_their_tars_in_order(tmp_path: Path) -> None:
    for number in (1, 0, 2):
        write_tar(tmp_path / f"{number:03d}.tar", {f"{number}.png": b"x", f"{number}.txt": b"t"})
    paths = [f"00{k}.tar/{k}.png" for k in range(3)]
    folder = read_table(tmp_path)
    assert [item.path for item in folder.items] == paths
    assert [item.path for item in read_table(f"{tmp_path}/{{001..002}}.tar").items] == paths[1:]
    assert modality_of(folder) == "image"
    write_tar(tmp_path / "002.tar", {"2.png": b"x", "2.txt": b"u"})
    assert read_table(tmp_path).sha256 != folder.sha256
    with pytest.raises(ValueError, match=r"003.tar is not there; copy it, or give another range"):
        read_table(f"{tmp_path}/{{001..003}}.tar")


@pytest.mark.parametrize("share", [0.2, 0.5, 0.75])
def test_a_cut_tar_is_one_clear_error_wherever_it_is_cut(tmp_path: Path, share: float) -> None:
    whole = write_tar(tmp_path / "a.tar", {"a.mp4": b"m" * 1024, "a.txt": b"t", "b.mp4": b"m" * 512, "b.txt": b"t"})
    content = whole.read_bytes()[: 1536 + 1024 + 1024 + 1024]  # without what says that it ends
    whole.write_bytes(content[: int(share * len(content)) // 512 * 512])
    with pytest.raises(ValueError, match=r"a.tar: .*(cut|not a whole tar).*; copy it again, or leave it out") as caught:
        read_table(whole)
    assert "\n" not in str(caught.value)


def test_what_is_no_tar_of_samples_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"a.tar: there is no sample in it; a sample is a .mp4 or .jpg and a .txt"):
        read_table(write_tar(tmp_path / "a.tar", {"README.md": b"x"}))
    (tmp_path / "b.tar").write_bytes(b"no tar" * 400)
    with pytest.raises(ValueError, match=r"b.tar: not a whole tar"):
        read_table(tmp_path / "b.tar")
    with pytest.raises(ValueError, match=r"c.tar.gz: a compressed tar, .*; unpack it to a .tar"):
        read_table(tmp_path / "c.tar.gz")


def _head(kind: bytes, *, size: int) -> bytes:
    info = tarfile.TarInfo("x")
    info.type, info.size = kind, size
    return info.tobuf(tarfile.GNU_FORMAT)


def _pax(content: bytes, **said: str) -> bytes:
    with io.BytesIO() as made:
        with tarfile.open(fileobj=made, mode="w", format=tarfile.PAX_FORMAT) as tar:
            info = tarfile.TarInfo("a.txt")
            info.size, info.pax_headers = len(content), {f"GNU.sparse.{name}": value for name, value in said.items()}
            tar.addfile(info, io.BytesIO(content))
        return made.getvalue()


HOSTILE = {
    "a name of a terabyte": _head(tarfile.GNUTYPE_LONGNAME, size=2**40) + bytes(512),
    "heads of heads": _head(tarfile.XHDTYPE, size=0) * 5000,
    "a list of extents that is none": _pax(b"1", map="1,x"),
    "extents that are not there": _pax(b"999\n1\n" + bytes(506), major="1", minor="0", realsize="9", name="a.txt"),
}


@pytest.mark.parametrize("first", [b"", tarfile.TarInfo("b.txt").tobuf()], ids=["first", "later"])
@pytest.mark.parametrize("head", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_hostile_head_is_one_clear_error(tmp_path: Path, head: bytes, first: bytes) -> None:
    tar = tmp_path / "a.tar"
    tar.write_bytes(first + head + bytes(1024))
    with pytest.raises(ValueError, match=r"^[^\n]*a.tar: not a whole tar [^\n]*; copy it again, or leave it out$"):
        read_table(tar)


def test_a_pattern_is_the_tars_that_fit_it(tmp_path: Path) -> None:
    for name in ("a-1", "a-0", "b-0"):
        write_tar(tmp_path / f"{name}.tar", {f"{name}.png": b"x", f"{name}.txt": b"t"})
    assert [item.path for item in read_table(f"{tmp_path}/a-*.tar").items] == ["a-0.tar/a-0.png", "a-1.tar/a-1.png"]
    with pytest.raises(ValueError, match=r"c-\*.tar: no tar has such a name"):
        read_table(f"{tmp_path}/c-*.tar")


def sent(bucket: Address, tmp_path: Path) -> Address:
    """Three tars of a store, with media that are longer than what is read at once."""
    for number in range(3):
        members = {f"{number}/x.mp4": bytes([number]) * 400_000, f"{number}/x.txt": b"t", f"{number}/y.png": b"y"}
        (bucket / "set" / f"part-{number:03d}.tar").put(write_tar(tmp_path / f"part-{number:03d}.tar", members))
    return bucket / "set"


def test_tars_of_a_store_are_the_list_that_they_are_here(bucket: Address, tmp_path: Path) -> None:
    stored = sent(bucket, tmp_path)
    here = read_table(tmp_path)
    for named in (stored, stored / "part-{000..002}.tar", stored / "part-*.tar"):
        there = read_table(str(named))
        assert (there.sha256, [item.path for item in there.items]) == (
            here.sha256,
            [item.path for item in here.items],
        )
    with there.media(there.items[4]) as file:
        assert file.read_bytes() == b"\x02" * 400_000
    assert not (tmp_path / "cache").exists()  # nothing is kept
    with pytest.raises(ValueError, match=r"s3://.*/part-003.tar is not there; copy it, or give another range"):
        read_table(str(stored / "part-{001..003}.tar"))
    with pytest.raises(ValueError, match=r"--input_file s3://.*/none.tar: no such object"):
        read_table(str(stored / "none.tar"))


def test_of_a_tar_in_a_store_the_media_are_not_read_for_its_list(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"{k}.{ending}": b"m" * size for k in range(3) for ending, size in (("mp4", 3 * 2**20), ("txt", 3))}
    (bucket / "a.tar").put(write_tar(tmp_path / "a.tar", members))
    asked: list[int] = []
    read_part = Address.read_part

    def noted(self: Address, start: int, stop: int) -> bytes:
        asked.append(stop - start)
        return read_part(self, start, stop)

    monkeypatch.setattr(Address, "read_part", noted)
    assert len(read_table(str(bucket / "a.tar")).items) == 3
    assert sum(asked) < 2 * 2**20 < 9 * 2**20


def test_a_cut_tar_of_a_store_is_the_error_of_one_here(bucket: Address, tmp_path: Path) -> None:
    content = write_tar(tmp_path / "a.tar", {"a.mp4": b"m" * 1024, "a.txt": b"t"}).read_bytes()
    (bucket / "a.tar").write_bytes(content[:1024])
    with pytest.raises(
        ValueError, match=r"^s3://.*/a.tar: is cut \(a.mp4 needs 1536 bytes of it, and it has 1024\); copy"
    ):
        read_table(str(bucket / "a.tar"))


def test_a_store_that_is_busy_is_asked_again_for_a_part_of_a_tar(
    bucket: Address, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = read_table(str(sent(bucket, tmp_path) / "part-001.tar"))
    item, system, errors = table.items[0], access.file_system("s3"), [OSError(16, "busy")] * 2
    cat_file = system.cat_file

    def stumbling(*arguments: object, **more: object) -> bytes:
        if errors:
            raise errors.pop()
        return cat_file(*arguments, **more)

    monkeypatch.setattr(system, "cat_file", stumbling)
    monkeypatch.setattr(access, "WAITS_S", (0.0, 0.0))
    with table.media(item) as file:
        assert file.read_bytes() == b"\x01" * 400_000
    assert not errors
    (bucket / "set" / "part-001.tar").unlink()
    with pytest.raises(StoreError, match=r"part-001.tar is gone; put it back"), table.media(item):
        pass
