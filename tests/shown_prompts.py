"""Every prompt that pages, scripts, docstrings and the bundled lists show of the bundled models; generated, and judged.

python -m tests.shown_prompts                       how many of 16 seeds each is right with, and what was seen instead
python -m tests.shown_prompts --model lumina-tiny   the same of the other model
"""

import argparse
import ast
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from eval.custom.jobs import TASKS, list_of
from eval.shapes.parse import claims_of
from eval.shapes.score import Verdict, check
from lumos import load_pipeline
from lumos.cli.commands import parser
from lumos.cli.generation.options import settings_of
from lumos.cli.jobs.prompts import read_prompts
from lumos.hub.bundled import BUNDLED_MODELS
from lumos.hub.models import DEFAULT_MODEL
from lumos.lumos1.sampling.settings import fast_settings
from lumos.shapes import describe
from tests.documented_commands import REPO, documented

_PYTHON = re.compile(r"```python\n(.*?)```", re.DOTALL)
_QUICKSTART = Path("exps/quickstart.sh")
_PAGE = Path("lumos/serve/page/examples.json")
_PLACES = ("README.md", "lumos/__init__.py", "lumos/lumos1/pipeline.py")
"""Pages and modules that show calls in Python of the bundled model."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A prompt as it is shown."""

    place: str
    """File that shows it."""
    prompt: str
    """What the model is asked."""
    seed: int | None
    """None: none is shown, so that a reader gets any."""
    image: Path | None = None
    """First frame."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """What else is asked for."""
    model: str = DEFAULT_MODEL
    """Which of the bundled ones is asked."""

    def __str__(self) -> str:
        picture = f" --image {self.image.name}" if self.image else ""
        words = "".join(f" {name}={value}" for name, value in self.settings.items())
        model = "" if self.model == DEFAULT_MODEL else f"{self.model} "
        return f"{self.place}: {model}{self.prompt!r}{picture}{words}" + (
            "" if self.seed is None else f" seed {self.seed}"
        )


def shown_prompts() -> list[Shown]:
    """Return each once, in the order of the files that show them; the bundled lists with the seeds of `eval.custom`."""
    found = [*_of_commands(), *_of_quickstart(), *_of_calls(), *_of_lists(), *_of_page()]
    once = {(one.model, one.prompt, one.seed, one.image, tuple(one.settings.items())): one for one in reversed(found)}
    return [one for one in found if one in once.values()]


def _of_commands() -> Iterator[Shown]:
    for command in documented():
        words = command.words
        if command.whole and words[:2] == ["lumos", "generate"] and words[2:] and not command.text.endswith("..."):
            yield from _of_options(command.place, parser().parse_args(words[1:]))


def _of_options(place: str, options: argparse.Namespace) -> Iterator[Shown]:
    model = options.model or DEFAULT_MODEL
    if model not in BUNDLED_MODELS or options.from_json or options.prompt_file:
        return  # the bundled lists come by themselves
    settings = {name: value for name, value in settings_of(options).items() if value is not None}
    if options.fast:
        assert model == DEFAULT_MODEL, "the fast settings of the other model stand in its folder"
        settings = {**fast_settings({}), **settings}
    image = REPO / options.image[0] if options.image else None
    for index, text in enumerate(options.prompt or []):
        for copy in range(options.num):
            seed = None if options.seed is None else options.seed + index * options.num + copy
            yield Shown(place=place, prompt=text, seed=seed, image=image, settings=settings, model=model)


def _of_quickstart() -> Iterator[Shown]:
    """Yield the prompts of the script, with the seed of the first clip of each model, and the one it ends with."""
    text = (REPO / _QUICKSTART).read_text(encoding="utf-8")
    prompt, more = re.search(r'^prompt="(.*)"$', text, re.MULTILINE), re.search(r'--prompt \\"(.*?)\\"', text)
    seed = re.search(r'--prompt "\$prompt" --seed (\d+)', text)
    second = re.search(r'^second="(.*?)"', text, re.MULTILINE)
    other = re.search(r'--model (\S+) --prompt "\$second" --seed (\d+)', text)
    assert prompt is not None
    assert more is not None
    assert seed is not None
    yield Shown(place=str(_QUICKSTART), prompt=prompt[1], seed=int(seed[1]))
    yield Shown(place=str(_QUICKSTART), prompt=more[1], seed=None)
    assert second is not None
    assert other is not None
    yield Shown(place=str(_QUICKSTART), prompt=second[1], seed=int(other[2]), model=other[1])


def _of_calls() -> Iterator[Shown]:
    """Yield the prompts of calls in Python: `pipeline("...", seed=1)`."""
    for place in _PLACES:
        text = (REPO / place).read_text(encoding="utf-8")
        if place.endswith(".md"):
            sources = _PYTHON.findall(text)
        else:
            lines = (ast.get_docstring(ast.parse(text)) or "").split("\n")
            sources = [line.strip() for line in lines if re.search(r"pipeline\([^)]*\)?\(?\"", line)]
        for node in (node for source in sources for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
            yield from _of_call(place, node)


def _of_call(place: str, call: ast.Call) -> Iterator[Shown]:
    given = {word.arg: word.value for word in call.keywords}
    if "seed" not in given or not call.args:
        return
    texts, first = ast.literal_eval(call.args[0]), ast.literal_eval(given["seed"])
    for index, text in enumerate([texts] if isinstance(texts, str) else texts):
        yield Shown(place=place, prompt=text, seed=first + index)


def _of_lists() -> Iterator[Shown]:
    for name, task in TASKS.items():
        path = list_of(name)
        settings = {"num_frames": 1} if name == "t2i" else {}
        for index, one in enumerate(read_prompts(path)):
            for copy in range(task.samples):
                place, seed = str(path.relative_to(REPO)), index * task.samples + copy
                yield Shown(place=place, prompt=one.text, seed=seed, image=one.image, settings=settings)


def _of_page() -> Iterator[Shown]:
    """Yield the examples of the server's page."""
    for model, examples in json.loads((REPO / _PAGE).read_text(encoding="utf-8")).items():
        for one in examples:
            yield Shown(place=str(_PAGE), prompt=one["prompt"], seed=one["seed"], model=model)


def make(shown: Sequence[Shown], *, batch_size: int = 8) -> Iterator[tuple[Shown, Verdict]]:
    """Yield each, which must have a seed, with the verdict on what its model makes of it."""
    alike: dict[Any, list[Shown]] = {}
    for one in sorted(shown, key=lambda one: one.model):
        alike.setdefault((one.model, one.image is None, tuple(one.settings.items())), []).append(one)
    pipelines: dict[str, Any] = {}
    for (model, *_), group in alike.items():
        if model not in pipelines:
            pipelines = {model: load_pipeline(model, device="cpu")}
        for batch in (group[first : first + batch_size] for first in range(0, len(group), batch_size)):
            images = {"image": [one.image for one in batch]} if any(one.image for one in batch) else {}
            output = pipelines[model](
                [one.prompt for one in batch], seed=[one.seed or 0 for one in batch], **images, **batch[0].settings
            )
            for one, frames in zip(batch, output.frames, strict=True):
                yield one, check(claims_of(one.prompt), describe(np.stack([np.asarray(frame) for frame in frames])))


def with_seeds(shown: Sequence[Shown], seeds: Sequence[int]) -> list[Shown]:
    """Return each prompt once, whatever its seed, with every one of these."""
    each = {(one.model, one.prompt, one.image, tuple(one.settings.items())): one for one in reversed(shown)}
    return [replace(one, seed=seed) for one in reversed(each.values()) for seed in seeds]


def main(arguments: Sequence[str] | None = None, *, say: Callable[[str], None] = print) -> int:
    """Print how many seeds each prompt is right with."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seeds", type=int, default=16)
    options.add_argument("--prompt", action="append", help="candidates in place of those that are shown")
    options.add_argument("--image", type=Path, help="their first frame")
    options.add_argument("--num-frames", type=int, help="1: images")
    options.add_argument("--model", choices=BUNDLED_MODELS, default=DEFAULT_MODEL)
    asked = options.parse_args(arguments)
    settings = {"num_frames": asked.num_frames} if asked.num_frames else {}
    candidates = [
        Shown(place="candidate", prompt=text, seed=None, image=asked.image, settings=settings, model=asked.model)
        for text in asked.prompt or []
    ]
    wrong: Counter[str] = Counter()
    right: dict[str, list[int]] = {}
    chosen = candidates or [one for one in shown_prompts() if one.model == asked.model]
    for one, verdict in make(with_seeds(chosen, range(asked.seeds)), batch_size=asked.seeds):
        right.setdefault(str(replace(one, seed=None)), [])
        wrong.update(verdict.reasons)
        if verdict.correct:
            right[str(replace(one, seed=None))].append(one.seed or 0)
        if one.seed == asked.seeds - 1:
            name = str(replace(one, seed=None))
            say(f"{len(right[name]):3} of {asked.seeds}  {name}  wrong: {dict(wrong)}, right: {right[name]}")
            wrong.clear()
    return 0


if __name__ == "__main__":
    sys.exit(main())
