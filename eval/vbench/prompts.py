"""The full info of VBench and VBench-I2V, and where it and the rewritten prompts come from (all Apache-2.0)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eval.prompts.lists import BRING, PromptLists, foreign, read_list
from eval.prompts.sources import REWRITTEN_IN, Source
from xllmx.safe.json_text import parse_json, unwritable

VIDEOS_PER_PROMPT = 5
FLICKERING = "temporal_flickering"
FLICKERING_VIDEOS = 25
"""VBench's temporal flickering is scored on the static ones among so many (VBench, prompts/README)."""

NUM_PROMPTS = {"vbench": 944, "vbench_i2v": 1118}
NUM_VIDEOS = {"vbench": 6220, "vbench_i2v": 5590}
"""What the scores are made of: (944 - 75) * 5 + 75 * 25, and 1118 * 5."""


_EXPECTED = {"vbench": "VBench's full info", "vbench_i2v": "VBench-I2V's full info"}


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


def read_videos(path: Path, benchmark: str) -> list[VideoPrompt]:
    """The prompts of VBench's (`vbench`) or VBench-I2V's (`vbench_i2v`) full info, each once.

    VBench lists two prompts twice, with different dimensions: they share their videos. Its prompts of temporal
    flickering have 25 videos, all others 5. The released list of long prompts says nothing of dimensions: 5 of each.
    """
    expected = _EXPECTED[benchmark]
    if benchmark == "vbench" and (released := released_long(path, benchmark)):
        return [VideoPrompt(text=text, copies=VIDEOS_PER_PROMPT, dimensions=()) for text in released]
    dimensions: dict[str, list[str]] = {}
    images: dict[str, str | None] = {}
    for number, record in enumerate(full_info(path, expected)):
        has_image = "image_name" in record
        if has_image != (benchmark == "vbench_i2v"):
            raise foreign(path, f"record {number} {'has an' if has_image else 'lacks its'} image_name", expected)
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


def released_long(path: Path, benchmark: str) -> dict[str, str]:
    """Prompt -> long prompt of the released lists, {"PROMPT.mp4": long} or records with `prompt_en_...`."""
    content = parse_json(read_list(path), f"{path} is not {_EXPECTED[benchmark]}: it", remedy=BRING)
    if isinstance(content, dict):
        fits = all(name.endswith(".mp4") and isinstance(long, str) and long.strip() for name, long in content.items())
        return {name.removesuffix(".mp4"): long for name, long in content.items()} if fits else {}
    longs = {}
    for record in content if isinstance(content, list) else []:
        keys = [key for key in record if key.startswith("prompt_en_")] if isinstance(record, dict) else []
        if keys and isinstance(record[keys[0]], str) and isinstance(record.get("prompt_en"), str):
            longs[record["prompt_en"]] = record[keys[0]]
    return longs


def full_info(path: Path, expected: str = "VBench's full info") -> list[dict[str, Any]]:
    """The records of a full info file as they stand there: `prompt_en`, `dimension` and more."""
    records = parse_json(read_list(path), f"{path} is not {expected}: it", remedy=BRING)
    if not isinstance(records, list) or not records:
        raise foreign(path, "it is no list of records", expected)
    for number, record in enumerate(records):
        if not isinstance(record, dict) or not {"prompt_en", "dimension"} <= record.keys():
            raise foreign(path, f"record {number} lacks prompt_en or dimension", expected)
        if fault := _fault(record):
            raise foreign(path, f"record {number}: {fault}", expected)
    return records


def _fault(record: dict[str, Any]) -> str | None:
    """What is wrong with the types of a record, or None."""
    text, dimensions, image = record["prompt_en"], record["dimension"], record.get("image_name", "a.jpg")
    if not isinstance(text, str) or not text.strip() or unwritable(text):
        return f"prompt_en is {text!r:.80}"
    if not isinstance(dimensions, list) or not all(
        isinstance(name, str) and name.isidentifier() for name in dimensions
    ):
        return f"dimension is {dimensions!r:.80}"
    return None if isinstance(image, str) and image else f"image_name is {image!r:.80}"


def _prompts_in(text: str) -> list[str]:
    return [record["prompt_en"] for record in parse_json(text, "the list")]


def _long_in(text: str) -> dict[str, str]:
    return {name.removesuffix(".mp4"): caption for name, caption in parse_json(text, "the rewritten prompts").items()}


def _long_of_i2v_in(text: str) -> dict[str, str]:
    return {record["prompt_en"]: record["prompt_en_qwen32b_vl"] for record in parse_json(text, "the rewritten prompts")}


_VBENCH = {"repository": "Vchitect/VBench", "revision": "45e79ec14e69a2187202c675d2dbce1a71843d53"}

LISTS = {
    "vbench": PromptLists(
        benchmark="vbench",
        official=Source(
            name="VBench_full_info.json",
            sha256="5dd2de80ee43cda750b2b72ea7023657c0b90d3702041c7e4608c65dbe50dccd",
            size=228118,
            path="vbench/VBench_full_info.json",
            **_VBENCH,
        ),
        rewritten=Source(
            name="the rewritten prompts for vbench",
            sha256="93ead376a59086aa275e07e72bdb7e0894cd04e8fb3c612ccdb9376b35ef56ea",
            size=648856,
            repository=REWRITTEN_IN,
            revision="HEAD",
        ),
        names=("VBench_full_info.json", "vbench_full_info.json", "vbench_t2v_all_dimension_longer.json"),
        prompts_in=_prompts_in,
        long_in=_long_in,
    ),
    "vbench_i2v": PromptLists(
        benchmark="vbench_i2v",
        official=Source(
            name="vbench2_i2v_full_info.json",
            sha256="8cf4d34dc11779a336c216a1a71d482927cfa24a1bf736ab5c92425609f129f8",
            size=364832,
            path="vbench2_beta_i2v/vbench2_i2v_full_info.json",
            **_VBENCH,
        ),
        rewritten=Source(
            name="the rewritten prompts for vbench_i2v",
            sha256="1e0017c50dea4d745e138b1621f11881e66e624e90c24bbc3a533a07e4c55a26",
            size=1323224,
            repository=REWRITTEN_IN,
            revision="HEAD",
        ),
        names=("vbench2_i2v_full_info.json", "vbench_i2v_full_info.json", "vbench2_i2v_full_info_qwen32b_vl.json"),
        prompts_in=_prompts_in,
        long_in=_long_of_i2v_in,
    ),
}
"""Benchmark -> its lists."""
