"""Photographs from packages: which pictures are kept, how, and what is said where a source cannot be brought."""

import subprocess
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from pre_tokenize import photographs
from pre_tokenize.photographs import DEBIAN, LISTED, SCIKIT_IMAGE, bring, distinct, main, picture_name


def picture(path: Path, *, width: int = 640, height: int = 400, colour: str = "red") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (width, height), colour).save(path)
    return path


def test_of_the_sizes_and_variants_of_a_picture_the_largest_is_kept(tmp_path: Path):
    wallpaper = tmp_path / "wallpapers" / "Hills" / "contents"
    kept = {
        picture(wallpaper / "images" / "1920x1080.png", width=1920, height=1080),
        picture(tmp_path / "Elephants_3840x2160.png", width=900),
        picture(tmp_path / "adwaita-l.png", width=700),
    }
    picture(wallpaper / "images" / "1080x1920.png", width=300, height=500)
    picture(wallpaper / "images_dark" / "1920x1080.png", width=1920, height=1080)
    picture(wallpaper / "screenshot.png")
    picture(tmp_path / "Elephants.png")
    picture(tmp_path / "adwaita-d.png")
    assert set(distinct(tmp_path.rglob("*.png"))) == kept
    assert {picture_name(path) for path in kept} == {"Hills", "Elephants", "adwaita"}


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Stands in for apt-get, dpkg-deb and pip: a package of one picture and its copyright, a wheel of two pictures."""
    calls: list[list[str]] = []

    def run(command: list[str], *, cwd: Path, **_: object) -> subprocess.CompletedProcess:
        calls.append(list(command))
        if command[0] == "apt-get":
            (cwd / f"{command[2]}.deb").write_text(command[2])
        elif command[0] == "dpkg-deb":
            name = Path(command[2]).stem
            picture(cwd / "usr/share/backgrounds" / "view.png", width=2000, height=1000)
            picture(cwd / "usr/share/backgrounds" / "icon.png", width=90, height=90)
            (cwd / "usr/share/doc" / name).mkdir(parents=True)
            (cwd / "usr/share/doc" / name / "copyright").write_text("License: CC0-1.0")
        else:
            wanted, other = (picture(cwd / name, width=300, height=300) for name in ("coffee.png", "text.png"))
            with zipfile.ZipFile(cwd / "images.whl", "w") as wheel:
                for path in (wanted, other):
                    wheel.write(path, f"data/{path.name}")
                    path.unlink()
        return subprocess.CompletedProcess(command, 0, "", "")

    monkeypatch.setattr(photographs.subprocess, "run", run)
    monkeypatch.setattr(photographs.shutil, "which", lambda tool: f"/usr/bin/{tool}")
    return calls


def test_pictures_are_shrunk_and_their_copyright_lies_beside_them(tmp_path: Path, fetched: list[list[str]]):
    found = bring(tmp_path, num_textures=3)
    assert found == {**{source.name: 1 for source in (*DEBIAN, SCIKIT_IMAGE)}, "textures": 3}
    name = DEBIAN[0].name
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == [f"{name}.copyright.txt", "view.jpg"]
    with Image.open(tmp_path / name / "view.jpg") as image:
        assert image.size == (1280, 640)
    assert [path.name for path in (tmp_path / SCIKIT_IMAGE.name).iterdir()] == ["coffee.jpg"]
    listed = (tmp_path / LISTED).read_text()
    assert all(f"| {source.name} | 1 | {source.licence} |" in listed for source in DEBIAN)
    assert not [path for path in tmp_path.rglob("*") if path.suffix in (".deb", ".whl")]


def test_what_is_there_is_not_brought_again(tmp_path: Path, fetched: list[list[str]]):
    bring(tmp_path, num_textures=1)
    fetched.clear()
    bring(tmp_path, num_textures=1)
    assert fetched == []


def test_a_source_that_does_not_come_is_said_and_what_came_stays(
    tmp_path: Path, fetched: list[list[str]], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    works = photographs.subprocess.run

    def run(command: list[str], **options: object) -> subprocess.CompletedProcess:
        if command[:3] == ["apt-get", "download", DEBIAN[1].name]:
            return subprocess.CompletedProcess(command, 100, "", "E: Unable to locate package\n")
        return works(command, **options)

    monkeypatch.setattr(photographs.subprocess, "run", run)
    assert main(["--out", str(tmp_path / "p")]) == 2
    said = capsys.readouterr().err
    assert f"`apt-get download {DEBIAN[1].name}` failed: E: Unable to locate package; give apt-get update" in said
    assert (tmp_path / "p" / DEBIAN[0].name / "view.jpg").is_file()
    assert not (tmp_path / "p" / DEBIAN[1].name).exists()
    assert not (tmp_path / "p" / LISTED).exists()


def test_without_apt_the_remedy_is_a_folder_of_photographs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(photographs.shutil, "which", lambda tool: None)
    assert main(["--out", str(tmp_path)]) == 2
    assert "put photographs into the folder" in capsys.readouterr().err
