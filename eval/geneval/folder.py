"""GenEval's folder: `00012/{samples/00003.png, grid.png, metadata.jsonl}`, a prompt whole or not there."""

import errno
import math
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from eval.driver.folders import records_folder
from lumos.cli.jobs.outputs import move
from lumos.media.reading import read_image
from lumos.media.writing import write_image
from xllmx.disk.files import writing

GRID, METADATA, SAMPLES = "grid.png", "metadata.jsonl", "samples"


class PromptFolders:
    """Images wait in the records until all of a prompt are there; then its folder gets its name by rename.

    Whoever puts the last image in place finishes the folder. If two do at once, one rename succeeds, and both had the
    same content. A folder that is there but lacks something (an image was damaged and made again) is mended in place.
    """

    holds_only_outputs = True

    def __init__(self, out: Path, *, metadata: Mapping[str, str], num_images: int) -> None:
        """Takes the line of metadata of each folder's name, and the number of images of each."""
        self._out, self._records, self._metadata = out, records_folder(out), metadata
        self._images = [f"{index:05d}.png" for index in range(num_images)]

    @property
    def staging(self) -> Path:
        """Among the records."""
        return self._records / ".staging"

    def place(self, name: str) -> Path:
        """In its prompt's folder, among the samples."""
        folder, _, image = name.partition("/")
        return self._out / folder / SAMPLES / image

    def find(self, name: str) -> Path | None:
        """The image of this name, in its prompt's folder or still waiting, or None."""
        # in this order: an image is in its folder before it stops waiting
        return next((path for path in (self._records / name, self.place(name)) if path.is_file()), None)

    def recorded(self, name: str) -> Path:
        """The path beside which the record of an image lies: where it waits."""
        return self._records / name

    def put(self, name: str, made: Path) -> Path:
        """Where the image is now: it waits, or its prompt's folder is there."""
        move(made, self._records / name)
        whole = self._finish(name.partition("/")[0], made.parent)
        return self.place(name) if whole else self._records / name

    def settle(self, names: Sequence[str], staging: Path) -> int:
        """The number of these images whose folder is not whole yet, after finishing those that can be."""
        folders = dict.fromkeys(name.partition("/")[0] for name in names)
        unfinished = {folder for folder in folders if not self._finish(folder, staging)}
        return sum(name.partition("/")[0] in unfinished for name in names)

    def strangers(self) -> list[str]:
        """Folders named by another number, and images of another number: the scorer would count them too."""
        found = []
        for folder in sorted(self._out.iterdir()) if self._out.is_dir() else []:
            if folder.name in self._metadata:
                samples = folder / SAMPLES
                names = sorted(path.name for path in samples.iterdir()) if samples.is_dir() else []
                found += [f"{folder.name}/{SAMPLES}/{name}" for name in names if name not in self._images]
            elif folder.is_dir() and folder.name.isdigit():
                found.append(folder.name)
        return found

    def _finish(self, name: str, staging: Path) -> bool:
        """Whether a prompt's folder is there and whole, after making it so if its images are all at hand."""
        home, waiting = self._out / name, [image for image in self._images if (self._records / name / image).is_file()]
        if not (home.is_dir() and any(home.iterdir())):
            if len(waiting) < len(self._images):
                return False
            if self._publish(name, staging):
                return True
        samples = home / SAMPLES
        for image in waiting:
            _move_if_there(self._records / name / image, samples / image)
        if not all((samples / image).is_file() for image in self._images):
            return False
        metadata = home / METADATA
        line = self._line(name)
        if waiting or not (home / GRID).is_file() or not metadata.is_file() or metadata.read_text("utf-8") != line:
            self._describe(name, samples, staging)
            move(staging / GRID, home / GRID)
            move(staging / METADATA, metadata)
        return True

    def _publish(self, name: str, staging: Path) -> bool:
        """Whether this worker gave the folder its name; False if another one was first."""
        new = staging / name
        shutil.rmtree(new, ignore_errors=True)
        (new / SAMPLES).mkdir(parents=True)
        try:
            for image in self._images:
                _link(self._records / name / image, new / SAMPLES / image)
            self._describe(name, new / SAMPLES, new)
            move(new, self._out / name)
        except FileNotFoundError:  # the images wait no more
            return False
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            return False
        for image in self._images:
            (self._records / name / image).unlink(missing_ok=True)
        return True

    def _describe(self, name: str, samples: Path, folder: Path) -> None:
        """Writes grid and metadata of a prompt into a folder that nobody reads yet."""
        write_image(folder / GRID, grid_of([read_image(samples / image) for image in self._images]))
        with writing(self._out / name), (folder / METADATA).open("w", encoding="utf-8") as file:
            file.write(self._line(name))
            file.flush()
            os.fsync(file.fileno())

    def _line(self, name: str) -> str:
        return self._metadata[name] + "\n"


def grid_of(images: Sequence[np.ndarray]) -> np.ndarray:
    """Images uint8 [H, W, 3] of one size side by side, in about as many rows as columns; black where none is."""
    height, width, _ = images[0].shape
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    grid = np.zeros((rows * height, columns * width, 3), dtype=np.uint8)
    for index, image in enumerate(images):
        top, left = index // columns * height, index % columns * width
        grid[top : top + height, left : left + width] = image
    return grid


def _move_if_there(path: Path, place: Path) -> None:
    try:
        move(path, place)
    except FileNotFoundError:  # another worker has just done so
        return


def _link(path: Path, place: Path) -> None:
    """A second name for a file, or a copy where the file system has no second names."""
    try:
        os.link(path, place)
    except FileNotFoundError:
        raise
    except OSError:
        shutil.copyfile(path, place)
