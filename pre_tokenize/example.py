"""The example of the release: `csv_files/test_image.csv` and `test_video.csv`, coded as any other CSV is.

The media are ours, twelve pictures and twelve videos of eight seconds of the shapes world. With the released tokenizer
they become clips as the release made them (256p; 84 frames, 12 a second); with the bundled one, of its own size.
"""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from lumos.hub.models import DEFAULT_MODEL, SHARED_NAMES, SHARED_VISUAL_TOKENIZER, ckpts_root
from lumos.tokenizer.files import has_released
from pre_tokenize.__main__ import option_parser

_HERE = Path(__file__).resolve().parent
_RELEASED_SIZE: dict[str, int | str] = {"target_size": 352, "target_fps": 12, "target_duration": 7}
_BUNDLED_SIZE: dict[str, int | str] = {"size": "64x64", "target_fps": 6, "target_duration": 2}


def tokenize(modality: Literal["image", "video"], arguments: Sequence[str] | None = None) -> int:
    """Run `run_tokenization.sh` on the CSV in `arguments`, or on the example where there are none; return its status.

    Raises:
        ValueError: an option is wrong, which is said before a process starts.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    words = ["--modality", modality, *words] if words else example_words(modality)
    option_parser().parse_args(words)
    script = ["bash", str(_HERE / "run_tokenization.sh"), *words]
    return subprocess.run(script, env={**os.environ, "LUMOS_PYTHON": sys.executable}, check=False).returncode


def example_words(modality: Literal["image", "video"]) -> list[str]:
    """The options of the example; says so where the released tokenizer is not at hand."""
    size, tokenizer = _RELEASED_SIZE, SHARED_VISUAL_TOKENIZER.name
    if not has_released():
        size, tokenizer = _BUNDLED_SIZE, DEFAULT_MODEL
        place = f"{ckpts_root() / SHARED_VISUAL_TOKENIZER} is not there (lumos download {SHARED_NAMES[0]} brings it)"
        print(f"{place}: the example is coded with the bundled tokenizer of {DEFAULT_MODEL}", flush=True)
    settings = {
        "modality": modality,
        "input_file": _HERE / "csv_files" / f"test_{modality}.csv",
        "output_dir": _HERE / "data" / f"test_{modality}",
        "visual_tokenizer": tokenizer,
        **size,
    }
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]
