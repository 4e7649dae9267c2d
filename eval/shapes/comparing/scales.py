"""A preset that begins at a coarse scale against its twin of one scale: the same clips, their scores and their cost.

Only Lumina-Video has scales. The twin differs in nothing but P, which is the scale that the preset ends with; its clips
have the same prompts and seeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from eval.shapes.comparing.cost import planned_clip
from eval.shapes.prompts import make_prompts
from eval.shapes.run import RunConfig, run, write_json
from lumos.cli.models.door import find_model, refuse_settings
from lumos.cli.models.kind import Model
from lumos.lumina_video.preset import FlowPreset
from lumos.lumina_video.sampling.schedule import Schedule, parse_schedule
from lumos.lumina_video.settings import LuminaVideoSettings
from lumos.media.inputs import choose_device, choose_dtype
from xllmx.settings.setting import SettingError


@dataclass(frozen=True, kw_only=True)
class ScalesRow:
    """One preset."""

    scale: str
    """P, in words."""
    passes: int
    """Of the network a clip."""
    flops: int
    """A clip."""
    scores: Mapping[str, float]
    """Kind of prompts -> mean of tags."""
    motion: float | None
    """Share of the videos from text under the tag motion that are right; None: not asked."""


def measure_scales(
    model: str, *, run_as: RunConfig, at: Sequence[float] | None = None, settings: Mapping[str, Any]
) -> list[ScalesRow]:
    """Evaluate the twin and the model's own fast preset, or that with the finest scale from each of the times `at`.

    Every one has a folder in `run_as.out`, and what is there stays.

    Raises:
        ValueError: a model without scales, or settings that it does not have.
    """
    found = find_model(model)
    refuse_settings(found, settings)
    made = found.settings_for({**found.kind.fast_settings(found.files.defaults), **settings}, image=None)
    if not isinstance(made, LuminaVideoSettings):
        raise ValueError(f"{model} is {found.kind.title}, which has no scales; give a --model of Lumina-Video")
    presets = _presets(made.preset, at)
    run_as.out.mkdir(parents=True, exist_ok=True)
    rows: list[ScalesRow] = []
    for preset in presets:
        chosen = {**made.to_dict(), "preset": preset.to_dict()}
        reports = run(replace(run_as, model=model, out=run_as.out / _folder(preset.scale), settings=chosen))
        motion = reports["t2v"].tags.get("motion") if "t2v" in reports else None
        passes, flops = _cost(found, chosen)
        rows.append(
            ScalesRow(
                scale=_in_words(preset.scale),
                passes=passes,
                flops=flops,
                scores={kind: report.overall for kind, report in reports.items()},
                motion=None if motion is None else motion["accuracy"],
            )
        )
        save_scales(rows, run_as.out)
    return rows


def scales_table(rows: Sequence[ScalesRow]) -> str:
    """A table in Markdown: the twin, then every preset with its share of the twin's FLOPs and what it loses."""
    twin, kinds = rows[0], list(rows[0].scores)
    head = [
        "patches over t",
        "passes",
        "GFLOP",
        "of the twin's",
        *kinds,
        *(f"loss, {kind}" for kind in kinds),
        "motion",
    ]
    lines = [head, ["---"] * len(head)]
    for row in rows:
        lost = [f"{twin.scores[kind] - row.scores[kind]:+.3f}" for kind in kinds]
        lines.append(
            [
                row.scale,
                f"{row.passes}",
                f"{row.flops / 1e9:.1f}",
                f"{row.flops / twin.flops:.3f}",
                *(f"{row.scores[kind]:.3f}" for kind in kinds),
                *lost,
                "-" if row.motion is None else f"{row.motion:.3f}",
            ]
        )
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def save_scales(rows: Sequence[ScalesRow], folder: Path) -> None:
    """Write `scales.json`, the twin first."""
    write_json(folder / "scales.json", [{**asdict(row), "of_twin": row.flops / rows[0].flops} for row in rows])


def _presets(preset: FlowPreset, at: Sequence[float] | None) -> list[FlowPreset]:
    """The twin, and what is compared with it."""
    coarse, fine = str(preset.scales[0]), str(preset.scales[-1])
    if coarse == fine:
        raise SettingError("preset", f"has one scale, {fine}; give one whose P begins with a coarser one: preset=FILE")
    if any(not 0 <= t <= 1 for t in at or ()):
        raise ValueError(
            f"--at {' '.join(map(str, at or ()))}: t runs from 0 (noise) to 1 (data); give times between them"
        )
    others = [preset] if at is None else [replace(preset, scale=(coarse, (float(t), fine))) for t in at]
    return [replace(preset, scale=fine), *others]


def _cost(model: Model, settings: Mapping[str, Any]) -> tuple[int, int]:
    """Passes and FLOPs of a clip of the first prompt, on the device and in the dtype that it would be made with."""
    costs = model.kind.costs(model, choose_dtype(model.dtype, choose_device(model.device)))
    cost = costs.of_clip(planned_clip(model, make_prompts("t2v", 1)[0], settings))
    return cost.passes, cost.flops


def _in_words(schedule: Schedule) -> str:
    first, *later = parse_schedule(schedule)
    return " ".join([f"{first}", *(f"to t = {begin:g}, then {value}" for begin, value in later)])


def _folder(schedule: Schedule) -> str:
    first, *later = parse_schedule(schedule)
    return "-".join([str(first), *(f"{begin:g}-{value}" for begin, value in later)])
