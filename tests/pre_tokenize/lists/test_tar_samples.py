"""WebDataset tars as lists: a row a sample; a tar that is cut is one clear error."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lumos.media.frames import MISSING, MediaError
from pre_tokenize.lists.table import modality_of, read_table


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
