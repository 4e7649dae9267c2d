"""The official prompt files of the three benchmarks, read with care: another benchmark's file is refused by name."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
"""Where the drivers look for prompts."""

BENCHMARKS: tuple[str, ...] = ("geneval", "vbench", "vbench_i2v")

IMAGES_PER_PROMPT = 4
VIDEOS_PER_PROMPT = 5
FLICKERING = "temporal_flickering"
FLICKERING_VIDEOS = 25
"""VBench's temporal flickering is scored on the static ones among so many (VBench, prompts/README)."""

OFFICIAL_FILES = {
    "geneval": ("geneval_evaluation_metadata.jsonl", "evaluation_metadata.jsonl", "geneval_metadata.jsonl"),
    "vbench": ("VBench_full_info.json", "vbench_full_info.json"),
    "vbench_i2v": ("vbench2_i2v_full_info.json", "vbench_i2v_full_info.json"),
}
"""Names under which eval/prompts may hold the official file of a benchmark."""


@dataclass(frozen=True, kw_only=True)
class VideoPrompt:
    """A prompt of VBench or VBench-I2V and how many videos are made of it."""

    text: str
    copies: int
    dimensions: tuple[str, ...]
    image: str | None = None
    """VBench-I2V: the file name of the first frame."""

    @property
    def names(self) -> list[str]:
        """The names of its videos, `<prompt>-0.mp4` and on."""
        return [f"{self.text}-{copy}.mp4" for copy in range(self.copies)]


def official_file(benchmark: str, given: Path | None = None) -> Path:
    """The prompt file to check against: the one given, or the one in eval/prompts; `ValueError` if there is none."""
    if given is not None:
        return given
    found = next((FOLDER / name for name in OFFICIAL_FILES[benchmark] if (FOLDER / name).is_file()), None)
    if found is None:
        raise ValueError(
            f"{FOLDER} has no official prompt file of {benchmark}: bring it with `python -m eval.prompts`, "
            f"or give it with --prompts FILE"
        )
    return found


def read_geneval(path: Path) -> list[dict[str, Any]]:
    """The records of a GenEval metadata file, one json object a line, in the order that names their folders."""
    records = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise _foreign(path, f"line {number} is no json object ({error.msg})", "GenEval's metadata") from error
        if not isinstance(record, dict) or not {"tag", "include", "prompt"} <= record.keys():
            raise _foreign(path, f"line {number} lacks tag, include or prompt", "GenEval's metadata")
        records.append(record)
    if not records:
        raise _foreign(path, "it is empty", "GenEval's metadata")
    return records


def read_videos(path: Path, benchmark: str) -> list[VideoPrompt]:
    """The prompts of VBench's (`vbench`) or VBench-I2V's (`vbench_i2v`) full info, each once.

    VBench lists two prompts twice, with different dimensions: they share their videos. Its prompts of temporal
    flickering have 25 videos, all others 5.
    """
    expected = {"vbench": "VBench's full info", "vbench_i2v": "VBench-I2V's full info"}[benchmark]
    dimensions: dict[str, list[str]] = {}
    images: dict[str, str | None] = {}
    for number, record in enumerate(full_info(path, expected)):
        has_image = "image_name" in record
        if has_image != (benchmark == "vbench_i2v"):
            raise _foreign(path, f"record {number} {'has an' if has_image else 'lacks its'} image_name", expected)
        dimensions.setdefault(record["prompt_en"], []).extend(record["dimension"])
        images[record["prompt_en"]] = record.get("image_name")
    return [
        VideoPrompt(
            text=text,
            copies=FLICKERING_VIDEOS if benchmark == "vbench" and FLICKERING in found else VIDEOS_PER_PROMPT,
            dimensions=tuple(dict.fromkeys(found)),
            image=images[text],
        )
        for text, found in dimensions.items()
    ]


def full_info(path: Path, expected: str = "VBench's full info") -> list[dict[str, Any]]:
    """The records of a full info file as they stand there: `prompt_en`, `dimension` and more."""
    try:
        records = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise _foreign(path, f"it is no json ({error.msg}, line {error.lineno})", expected) from error
    if not isinstance(records, list) or not records:
        raise _foreign(path, "it is no list of records", expected)
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not {"prompt_en", "dimension"} <= record.keys():
            raise _foreign(path, f"record {number} lacks prompt_en or dimension", expected)
    return records


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise _foreign(path, "it is no text", "a prompt file") from error
    except OSError as error:
        raise ValueError(f"cannot read the prompt file {path}: {error.strerror}") from error


def _foreign(path: Path, why: str, expected: str) -> ValueError:
    return ValueError(f"{path} is not {expected}: {why}; bring the official one with `python -m eval.prompts`")
