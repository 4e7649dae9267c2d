"""What was downloaded is compared with what lies there when it is loaded."""

import json
from pathlib import Path

import pytest

from lumos.hub.download import download
from lumos.hub.hashes import HASHES, check_folder, check_hash, keep_hash
from lumos.tokenizer.visual import VisualTokenizer
from tests.lumos.hub.hub_server import NAME, Hub


def test_a_file_of_which_nothing_is_kept_passes(tmp_path: Path) -> None:
    (tmp_path / "own.bin").write_bytes(b"mine")
    check_hash(tmp_path / "own.bin")
    keep_hash(tmp_path / "own.bin")
    (tmp_path / "other.bin").write_bytes(b"too")
    check_hash(tmp_path / "other.bin")
    assert check_folder(tmp_path) == 1


@pytest.mark.parametrize(("content", "fault"), [(b"theirs", "it has 6 bytes and had 4"), (b"mIne", "its SHA-256 is")])
def test_a_changed_file_is_named_with_its_remedy(content: bytes, fault: str, tmp_path: Path) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(b"mine")
    keep_hash(path)
    path.write_bytes(content)
    with pytest.raises(
        ValueError, match=f"weights.pth is not the file that was downloaded .{fault}.*download it again, or"
    ):
        check_hash(path)
    with pytest.raises(ValueError, match="is not the file"):
        check_folder(tmp_path)


@pytest.mark.parametrize("entry", [7, [], {"size": True}, {"size": "4", "sha256": ""}, {"size": 4, "sha256": None}])
def test_a_damaged_list_is_said(entry: object, tmp_path: Path) -> None:
    (tmp_path / "weights.pth").write_bytes(b"mine")
    (tmp_path / HASHES).write_text(json.dumps({"weights.pth": entry}))
    with pytest.raises(ValueError, match=r"hashes.json says nothing of use about weights.pth; delete it"):
        check_hash(tmp_path / "weights.pth")


def test_a_visual_tokenizer_that_changed_since_it_was_downloaded_does_not_run(server: Hub, tmp_path: Path) -> None:
    download("cosmos", tmp_path, endpoint=server.url)
    pair = tmp_path / "cosmos/Cosmos-Tokenizer-DV4x8x8"
    (pair / "encoder.jit").write_bytes(b"F" * 999)
    with pytest.raises(ValueError, match=r"encoder.jit is not the file that was downloaded \(its SHA-256 is another\)"):
        VisualTokenizer.from_pretrained(pair)


def test_downloading_again_mends_a_list_that_is_wrong_or_damaged(server: Hub, tmp_path: Path) -> None:
    folder = download(NAME, tmp_path, endpoint=server.url)
    honest = (folder / HASHES).read_text()
    for wrong in ("[", '{"config.json": {"size": 1, "sha256": "0"}}', ""):
        (folder / HASHES).write_text(wrong)
        download(NAME, tmp_path, endpoint=server.url)
        assert (folder / HASHES).read_text() == honest
