"""Arrays of strangers: what they announce is added up before anything is read, and nothing is unpickled."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from xllmx.safe.arrays import read_array


def npy(header: str, body: bytes = b"") -> bytes:
    text = header.encode("latin-1")
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + body


def save(path: Path, content: bytes, name: str = "frames.npy", how: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", how) as archive:
        archive.writestr(name, content)
    return path


@pytest.mark.parametrize("packed", [False, True])
def test_an_array_is_read(tmp_path: Path, packed: bool) -> None:
    frames = np.arange(2 * 3 * 5 * 3, dtype=np.uint8).reshape(2, 3, 5, 3)
    (np.savez_compressed if packed else np.savez)(tmp_path / "a.npz", frames=frames, other=np.zeros(3))
    assert np.array_equal(read_array(tmp_path / "a.npz", "frames", most_bytes=90), frames)
    with pytest.raises(ValueError, match="announces 90 bytes, of which at most 89 are read"):
        read_array(tmp_path / "a.npz", "frames", most_bytes=89)


def pickled() -> bytes:
    file = io.BytesIO()
    np.save(file, np.array([{}, []], dtype=object), allow_pickle=True)
    return file.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (pickled(), "announces objects"),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (10000000000,), }\n"), "announces 10000000000 bytes"),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (-5,), }\n"), "is no .npz"),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (50,), }\n", b"12"), "is no .npz"),
        (npy("{'descr': '|u1', 'fortran_order': False, 'shape': (" + "1," * 20_000 + "), }\n"), "is no .npz"),
        (npy("__import__('os').system('touch ran')\n"), "is no .npz"),
        (b"", "is no .npz"),
        (b"\x93NUMPY\x09\x00", "is no .npz"),
        (bytes(10**8), "is no .npz"),
    ],
)  # fmt: skip
def test_what_is_no_array_within_bounds_is_one_line(content: bytes, message: str, tmp_path: Path) -> None:
    path = save(tmp_path / "a.npz", content)
    with pytest.raises(ValueError, match=message) as caught:
        read_array(path, "frames", most_bytes=1000)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert not Path("ran").exists()


def test_another_file_and_another_name_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no \.npz with an array 'frames'.*write it again with numpy\.savez"):
        read_array(save(tmp_path / "a.npz", pickled(), name="pixels.npy"), "frames", most_bytes=9)
    (tmp_path / "b.npz").write_bytes(b"PK\3\4 nothing")
    with pytest.raises(ValueError, match=r"no \.npz"):
        read_array(tmp_path / "b.npz", "frames", most_bytes=9)
