"""What one run of the sampler does when: grid, patch scale, guidance and motion scores as step functions of t.

The four released presets are in `PRESETS`; a file of one's own, JSON or YAML, has the same seven keys::

    {"P": ["2x4", [0.03, "2x2"], [0.125, "1x2"]], "step": 70, "ts": 24.0, "renorm": 2,
     "cfg": [20, [0.2, 0]], "motion": 6.0, "negMotion": [2.0, [0.05, 6.0]]}
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch

from lumos.lumina_video.sampling.schedule import (
    Number,
    Schedule,
    Value,
    check_shift,
    parse_schedule,
    time_grid,
    value_at,
    values_reached,
)
from lumos.lumina_video.scale import Scale
from xllmx.safe.yaml_text import read_yaml
from xllmx.settings.argument_types import checked_types
from xllmx.settings.setting import shown, suggestion

MAX_POINTS = 10_000
"""Most points of a time grid; beyond it a step is smaller than fp32 tells apart near t = 1."""
_MOST = 10_000
"""Of guidance and of a motion score, in either direction; released: 20 and 6."""

_FIELD_OF = {
    "P": "scale",
    "step": "num_points",
    "ts": "shift",
    "renorm": "renorm",
    "cfg": "guidance",
    "motion": "motion",
    "negMotion": "negative_motion",
}
"""Released key -> field of `FlowPreset`."""


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What holds at one time of a run."""

    scale: str
    """Patch scale, "FxP": latent frames x latent pixels of a side."""
    guidance: tuple[float, ...]
    """Guidance s of each negative branch; one with s <= 0 is not computed."""
    motion: float
    """Motion score of the positive branch; negative: unspecified."""
    negative_motion: float
    """Motion score of the negative branches; negative: unspecified."""

    @property
    def guided_by(self) -> tuple[int, ...]:
        """The negative branches that are computed, counted from 0."""
        return tuple(branch for branch, scale in enumerate(self.guidance) if scale > 0)


@dataclass(frozen=True, kw_only=True)
class Passes:
    """How often the network runs at one scale in a whole run."""

    steps: int
    """Euler steps."""
    guided: int
    """Those of them with at least one negative branch."""
    passes: int
    """Passes of the network, the negative branches counted each."""


@dataclass(frozen=True, kw_only=True)
class FlowPreset:
    """The settings of a run; every schedule is one value or (v0, (t1, v1), ...), lists and tuples alike.

    Raises:
        ValueError: a schedule that is none, a text that is no scale, a number that is not finite or out of its range.
    """

    scale: Schedule
    """Patch scale over t, "FxP" with frames first: "1x2", or ("2x4", (0.03, "2x2"), (0.125, "1x2"))."""
    num_points: int
    """Points of the time grid, 2 or more, as released: 70 points are 69 steps."""
    shift: Number | None
    """Shift of the time; 0 and None: none."""
    renorm: Number
    """Largest ratio of the norm of the guided velocity to that of the positive one; 0 or less: no limit."""
    guidance: Schedule
    """Guidance s over t (the usual guidance weight is s + 1); s <= 0: none.

    For several negative branches a sequence of schedules, each written as a sequence: ((20, (0.2, 0)), (3,))."""
    motion: Schedule | None
    """Motion score of the positive branch over t; negative or None: unspecified."""
    negative_motion: Schedule | None
    """Motion score of the negative branches over t; negative or None: unspecified."""

    def __post_init__(self) -> None:
        for name, value in _checked({field: getattr(self, field) for field in _FIELD_OF.values()}).items():
            object.__setattr__(self, name, value)

    @classmethod
    @checked_types
    def named(cls, name: str) -> "FlowPreset":
        """Return a released preset.

        Raises:
            ValueError: there is none of that name.
        """
        if name not in PRESETS:
            raise ValueError(f"there is no preset {shown(name)}; {suggestion(name, PRESETS)}")
        return cls.from_dict(PRESETS[name])

    @classmethod
    @checked_types
    def from_dict(cls, values: Mapping[str, Any]) -> "FlowPreset":
        """Return the preset of these values under the released keys (module docstring), all seven of them.

        Raises:
            ValueError: a key left out or unknown, or a value as the class refuses it.
        """
        for key in values:
            if key not in _FIELD_OF:
                raise ValueError(f"a preset has no key {shown(key)}; {suggestion(str(key), _FIELD_OF)}")
        missing = [key for key in _FIELD_OF if key not in values]
        if missing:
            raise ValueError(f"the preset lacks {', '.join(missing)}; give it all of {', '.join(_FIELD_OF)}")
        return cls(**_checked({field: values[key] for key, field in _FIELD_OF.items()}))

    @classmethod
    @checked_types
    def from_file(cls, path: Path | str) -> "FlowPreset":
        """Return the preset of a JSON or YAML file with the released keys.

        Raises:
            ValueError: not a file, neither JSON nor YAML, or values as `from_dict` refuses them; names the file.
        """
        if not Path(path).is_file():
            raise ValueError(
                f"there is no preset file {path}; give a JSON or YAML file, or one of {', '.join(PRESETS)}"
            )
        try:
            values = read_yaml(path)
        except ValueError as error:
            raise ValueError(f"preset file {path} is neither JSON nor YAML: {error}") from error
        if not isinstance(values, dict):
            raise ValueError(f"preset file {path} holds no keys; write {', '.join(_FIELD_OF)}")
        try:
            return cls.from_dict(cast(dict[str, Any], values))
        except ValueError as error:
            raise ValueError(f"preset file {path}: {error}") from error

    def to_dict(self) -> dict[str, Any]:
        """Return the values under the released keys, lists for tuples; `from_dict` makes an equal preset of them."""
        return {key: _plain(getattr(self, field)) for key, field in _FIELD_OF.items()}

    def override(
        self,
        *,
        num_points: int | None = None,
        guidance: Schedule | None = None,
        motion: Schedule | None = None,
        shift: Number | None = None,
    ) -> "FlowPreset":
        """Return the preset with what is not None put in place of its own.

        A number is a constant: guidance=7 guides at every step, where 7 in place of 20 is guidance=(7, (0.2, 0)).
        """
        given: dict[str, Any] = {"num_points": num_points, "guidance": guidance, "motion": motion, "shift": shift}
        return dataclasses.replace(self, **{name: value for name, value in given.items() if value is not None})

    def still(self) -> "FlowPreset":
        """Return the preset for a picture, with the motion scores of its training: 0, and -1 of negative branches."""
        return dataclasses.replace(self, motion=0, negative_motion=-1)

    @property
    def num_steps(self) -> int:
        """Euler steps, one less than points of the grid."""
        return self.num_points - 1

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales that the run can reach, in the order of time."""
        return tuple(Scale.parse(str(name)) for name in values_reached(self.scale))

    @property
    def branches(self) -> tuple[Schedule, ...]:
        """The guidance of each negative branch over t."""
        return _branches(self.guidance)

    def at(self, t: float) -> Moment:
        """Return what holds at the time t."""
        return Moment(
            scale=str(value_at(self.scale, t)),
            guidance=tuple(float(value_at(schedule, t)) for schedule in self.branches),
            motion=float(value_at(self.motion, t)),
            negative_motion=float(value_at(self.negative_motion, t)),
        )

    def moments(self, dtype: torch.dtype) -> list[Moment]:
        """Return what holds at each step of a run in `dtype`, to which the times are rounded first."""
        times = time_grid(self.num_points, self.shift)[:-1].to(dtype)
        return [self.at(t) for t in times.tolist()]

    def passes(self, dtype: torch.dtype) -> dict[str, Passes]:
        """Return how often the network runs at each scale, in the order of time, in a run in `dtype`."""
        moments = self.moments(dtype)
        counts = {}
        for scale in dict.fromkeys(moment.scale for moment in moments):
            branches = [len(moment.guided_by) for moment in moments if moment.scale == scale]
            steps, guided = len(branches), sum(count > 0 for count in branches)
            counts[scale] = Passes(steps=steps, guided=guided, passes=steps + sum(branches))
        return counts


_SINGLE: Mapping[str, Any] = {"P": "1x2", "step": 70, "motion": 6.0, "negMotion": (2.0, (0.05, 6.0))}
_F24: Mapping[str, Any] = {**_SINGLE, "ts": 24.0, "renorm": 2, "cfg": (20, (0.2, 0))}
_F16: Mapping[str, Any] = {**_SINGLE, "ts": 8.0, "renorm": -1, "cfg": (12, (0.4, 0))}
PRESETS: Mapping[str, Mapping[str, Any]] = {
    "f24F96R960": _F24,
    "f24F96R960-MultiScale": {**_F24, "P": ("2x4", (0.03, "2x2"), (0.125, "1x2"))},
    "f16F64R512": _F16,
    "f16F64R512-MultiScale": {**_F16, "P": ("2x4", (0.075, "2x2"), (0.3, "1x2"))},
}
"""The released presets: fps, frames and image size they were made for; `MultiScale` begins with coarse patches."""


def _checked(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a preset, each checked, its schedules tidied."""
    if fields["shift"] is not None:
        check_shift(_number("ts", fields["shift"]))
    return {
        "scale": _schedule("P", fields["scale"], _scale),
        "num_points": _points("step", fields["num_points"]),
        "shift": fields["shift"],
        "renorm": _number("renorm", fields["renorm"]),
        "guidance": _guidance("cfg", fields["guidance"]),
        "motion": _schedule("motion", _score(fields["motion"]), _number),
        "negative_motion": _schedule("negMotion", _score(fields["negative_motion"]), _number),
    }


def _schedule(key: str, schedule: Any, value_of: Callable[[str, Any], Value]) -> Schedule:
    """Return the schedule in tuples, a constant as its value, every value as `value_of` makes and accepts it."""
    try:
        first, *changes = parse_schedule(schedule)
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error
    for begin, _ in changes:
        if isinstance(begin, bool):
            raise ValueError(f"{key} changes at t = {begin}; write a number, t runs from 0 (noise) to 1 (data)")
    value = value_of(key, first)
    return (value, *((begin, value_of(key, later)) for begin, later in changes)) if changes else value


def _guidance(key: str, schedule: Any) -> Schedule:
    """Return the guidance checked: one schedule, or a tuple of several, each a tuple."""
    branches = [_schedule(key, branch, _number) for branch in _branches(schedule)]
    return branches[0] if len(branches) == 1 else tuple(map(parse_schedule, branches))


def _branches(guidance: Any) -> tuple[Schedule, ...]:
    """Return the schedules of the negative branches: a sequence that begins with a sequence holds several."""
    several = isinstance(guidance, list | tuple) and guidance and isinstance(guidance[0], list | tuple)
    return tuple(guidance) if several else (guidance,)


def _score(schedule: Any) -> Any:
    """Return the schedule of a motion score, None as -1: both say that it is unspecified."""
    return -1.0 if schedule is None else schedule


def _number(key: str, value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= _MOST:  # nor NaN
        raise ValueError(f"{key} is {shown(value)}; it must be a finite number, at most {_MOST:g}")
    return value


def _scale(key: str, value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{key} is {shown(value)}; it must be a scale, frames x pixels, for example 2x4")
    try:
        return str(Scale.parse(value))
    except ValueError as error:
        raise ValueError(f"{key}: {error}") from error


def _points(key: str, value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 2 <= value <= MAX_POINTS:
        raise ValueError(
            f"{key} is {shown(value)}; it counts the points of the time grid, one more than the steps of the run: "
            f"write a whole number from 2 to {MAX_POINTS} (released: 70)"
        )
    return value


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
