"""The settings of one clip: what was asked for, filled up from the model's defaults and the released ones.

    preset                     made for
    f16F64R512[-MultiScale]    672x384, 64 frames, 16 fps      what is taken when nothing is said, whatever the preset
    f24F96R960[-MultiScale]    1248x704, 96 frames, 24 fps

Nothing here needs a network, so that all of it can be checked before one is loaded.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from lumos.conventions.words import no_setting
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.encoding.protocols import SYSTEM_PROMPT
from lumos.lumina_video.preset import MAX_POINTS, PRESETS, FlowPreset
from lumos.lumina_video.sizes import RELEASED, Compression, check_sizes, latent_shape
from xllmx.settings.number_range import Range, check_numbers
from xllmx.settings.setting import SettingError, shown, suggestion, whole_number

RELEASED_PRESET = "f16F64R512"
"""The preset of a model that names none."""

_F16: Mapping[str, int] = {"width": 672, "height": 384, "num_frames": 64, "fps": 16}
_F24: Mapping[str, int] = {"width": 1248, "height": 704, "num_frames": 96, "fps": 24}
MADE_FOR: Mapping[str, Mapping[str, int]] = {name: _F24 if name.startswith("f24") else _F16 for name in PRESETS}
"""Released preset -> the clip it was made for, which is to be asked for: the release's default is one for all."""

CLIP_NAMES = ("width", "height", "num_frames", "fps")
OVERRIDES = ("num_inference_steps", "guidance_scale", "motion")
"""Settings put in place of those of the preset."""
SETTING_NAMES = (*CLIP_NAMES, "duration", "preset", *OVERRIDES, "system_prompt")
"""Every name a caller, a `generation_config.json` or a side-car may set."""

LUMOS1_NAMES = (
    "mask_history_ratio",
    "mask_given_frames",
    "confidence_temperature",
    "temperature",
    "top_k",
    "random_history",
    "entropy_bound",
    "guidance_tolerance",
    "later_steps",
    "target_size",
    "history_frames",
    "history_positions",
    "seconds",
)
"""Settings of the other model, which have no counterpart here."""

_PRESET_FILES = (".json", ".yaml", ".yml")

_MOST_LATENTS = 2**24
_MOST_SECONDS = 10_000
MOST_SIDE = 2**16
"""T * H * W of a clip; one of 1248x704 and 96 frames, as large as was trained on, has 329,472."""


@dataclass(frozen=True, kw_only=True)
class LuminaVideoSettings:
    """One clip, with nothing left open.

    Raises:
        SettingError: sizes that the patches of a scale do not fill; a preset of several negative branches.
        ValueError: a clip so large that no machine has the memory.
    """

    width: Annotated[int, Range(1, MOST_SIDE)]
    """Pixels, a multiple of 16; of 32 where a scale of 4 pixels is reached."""
    height: Annotated[int, Range(1, MOST_SIDE)]
    """Pixels, a multiple of 16; of 32 where a scale of 4 pixels is reached."""
    num_frames: Annotated[int, Range(1, 100_000)]
    """Frames of the finished clip, a multiple of 4; of 8 where a scale of 2 frames is reached. 1: a picture."""
    fps: Annotated[int, Range(1, 1000)]
    """Frames per second that the file is written with; the network is not told."""
    preset: FlowPreset
    """What the sampler does when."""
    system_prompt: str = SYSTEM_PROMPT
    """Stands before every prompt, also the negative one, as in training."""
    vae: Compression = RELEASED
    """What a latent stands for."""

    def __post_init__(self) -> None:
        check_numbers(self)
        check_sizes(self.width, self.height, frames=self.num_frames, preset=self.preset, vae=self.vae)
        if (num_latents := math.prod(self.latent_shape)) > _MOST_LATENTS:
            raise ValueError(
                f"{self.num_frames} frames of {self.width}x{self.height} are {num_latents} latents, of which there can "
                f"be {_MOST_LATENTS}; ask for a smaller or shorter clip"
            )
        if (num_branches := len(self.preset.branches)) > 1:
            raise SettingError(
                "preset",
                f"has a cfg of {num_branches} negative branches, and a clip has one negative prompt; give one schedule "
                "as cfg (for several there is lumos.lumina_video.flow.sample_latents)",
            )

    @property
    def latent_shape(self) -> tuple[int, int, int]:
        """(T, H, W): latent frames, rows and columns."""
        return latent_shape(self.width, self.height, self.num_frames, vae=self.vae)

    @property
    def num_output_frames(self) -> int:
        """Frames of the finished clip, exactly those asked for."""
        return self.num_frames

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the names callers use; `resolve_settings` makes the same settings of them again."""
        clip = {name: getattr(self, name) for name in CLIP_NAMES}
        return {**clip, "preset": self.preset.to_dict(), "system_prompt": self.system_prompt}

    def check(self, config: LuminaVideoConfig) -> None:
        """Check that the model has every scale that the preset reaches.

        Raises:
            SettingError: it has not.
        """
        for scale in self.preset.scales:
            if scale not in config.scales:
                known = ", ".join(map(str, config.scales))
                fault = f"runs at scale {scale} (frames x pixels), which this model does not have"
                raise SettingError("preset", f"{fault}; take one whose P keeps to {known}")


def resolve_settings(
    defaults: Mapping[str, Any], given: Mapping[str, Any], *, vae: Compression = RELEASED
) -> LuminaVideoSettings:
    """The settings of a call: `given` (None = not given), else the model's `defaults`, else the released ones.

    Size, length and fps that neither says are the release's, 672x384, 64 frames and 16 fps, whatever the preset is. A
    preset that is given is taken whole: steps, guidance and motion of the model's defaults belong to the model's own
    preset. One that is not given has, for a picture, the motion scores that pictures are trained with: 0, and of the
    negative branch none. In place of the preset of the model's own `fast` a picture has that of the model: of one
    latent frame patches of two save nothing.

    Raises:
        SettingError: a value outside its rule, with what to write instead.
        ValueError: an unknown name.
    """
    given, defaults = (
        {name: value for name, value in source.items() if value is not None} for source in (given, defaults)
    )
    _check_names(given)
    if given.get("num_frames") == 1 and _is_own_fast_preset(given.get("preset"), defaults):
        del given["preset"]
    chosen = given if "preset" in given else {**defaults, **given}
    _refuse_file(defaults.get("preset") if "preset" not in given else None)
    base = preset_of(chosen.get("preset", RELEASED_PRESET))
    clip = {**MADE_FOR[RELEASED_PRESET], **defaults, **given}
    clip = {name: whole_number(name, clip[name]) for name in CLIP_NAMES}
    if "duration" in given:
        clip["num_frames"] = _num_frames(given["duration"], fps=clip["fps"], asked=given.get("num_frames"))
    overrides = {name: chosen[name] for name in OVERRIDES if name in chosen}
    if clip["num_frames"] == 1 and "preset" not in given:
        base, overrides = base.still(), {**overrides, "motion": given.get("motion", 0)}
    return LuminaVideoSettings(
        **clip,
        preset=_overridden(base, overrides),
        system_prompt=_text("system_prompt", {**defaults, **given}.get("system_prompt", SYSTEM_PROMPT)),
        vae=vae,
    )


def settings_for(
    defaults: Mapping[str, Any],
    given: Mapping[str, Any],
    *,
    config: LuminaVideoConfig,
    vae: Compression = RELEASED,
    image: Any = None,
) -> LuminaVideoSettings:
    """The settings of a call of the model with this config, which refuses a picture.

    Raises:
        ValueError: as `resolve_settings`, or the model has not the scales.
    """
    if image is not None:
        raise SettingError("image", "is given, but Lumina-Video makes videos from text alone; leave it out")
    settings = resolve_settings(defaults, given, vae=vae)
    settings.check(config)
    return settings


def fast_settings(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of `--fast`, early steps at coarser scales: the model's own, else its preset's multi-scale twin.

    Raises:
        ValueError: an entry `fast` of generation_config.json that holds no settings; neither is there.
    """
    preset = defaults.get("preset", RELEASED_PRESET)
    twin = {"preset": f"{preset}-MultiScale"} if isinstance(preset, str) and f"{preset}-MultiScale" in PRESETS else None
    settings = defaults.get("fast", twin)
    if settings is None:
        raise ValueError("--fast: this model says no multi-scale preset; give one with --preset FILE, or fewer --steps")
    if not isinstance(settings, Mapping):
        example = {"preset": f"{RELEASED_PRESET}-MultiScale"}
        raise ValueError(f"fast of generation_config.json is {shown(settings)}; it must be settings, such as {example}")
    _refuse_file(settings.get("preset"))
    return dict(settings)


def _refuse_file(preset: Any) -> None:
    """Raises SettingError where a model's own preset is a file: its maker would choose what is opened here."""
    if _is_file(preset):
        fault = f"of generation_config.json is the file {str(preset)[:200]!r}; its keys belong there, or give"
        raise SettingError("preset", f"{fault} it yourself, --preset FILE")


def _is_file(preset: Any) -> bool:
    return isinstance(preset, Path) or (isinstance(preset, str) and preset.lower().endswith(_PRESET_FILES))


def _is_own_fast_preset(preset: Any, defaults: Mapping[str, Any]) -> bool:
    fast = defaults.get("fast")
    return preset is not None and isinstance(fast, Mapping) and fast.get("preset") == preset


def preset_of(value: Any) -> FlowPreset:
    """The preset that a name, the path of a JSON or YAML file, a mapping of the released keys or a preset stands for.

    Raises:
        SettingError: there is none of that name, or its values are refused; with the reason.
    """
    if isinstance(value, FlowPreset):
        return value
    if not isinstance(value, str | Path | Mapping):
        raise SettingError("preset", f"is {value!r}; give a name ({', '.join(PRESETS)}), a file, or its keys")
    is_file = _is_file(value)
    if isinstance(value, str) and not is_file and value not in PRESETS:
        raise SettingError("preset", f"is {value!r}; {suggestion(value, PRESETS)}; or give a JSON or YAML file")
    try:
        if isinstance(value, Mapping):
            return FlowPreset.from_dict(value)
        return FlowPreset.from_file(value) if is_file else FlowPreset.named(str(value))
    except ValueError as error:
        raise SettingError("preset", f"cannot be used: {error}") from error


def _overridden(preset: FlowPreset, values: Mapping[str, Any]) -> FlowPreset:
    """The preset with the `OVERRIDES` among the values in place of its own."""
    if "num_inference_steps" in values:
        steps = whole_number("num_inference_steps", values["num_inference_steps"])
        if steps >= MAX_POINTS:
            raise SettingError("num_inference_steps", f"is {steps}; it must be at most {MAX_POINTS - 1}")
        preset = preset.override(num_points=steps + 1)
    for name, field in (("guidance_scale", "guidance"), ("motion", "motion")):
        if name in values:
            try:
                preset = preset.override(**{field: values[name]})
            except ValueError as error:
                rule = "it must be a number, or a number for each part of the run, such as (7, (0.2, 0))"
                raise SettingError(name, f"is {values[name]!r}; {rule}") from error
    return preset


def _num_frames(duration: Any, *, fps: int, asked: int | None) -> int:
    """The frames of so many seconds; of `asked`, where they are given too, they must be as many."""
    if isinstance(duration, bool) or not isinstance(duration, int | float) or not abs(duration) <= _MOST_SECONDS:
        raise SettingError("duration", f"is {shown(duration)}; it must be a number of seconds, at most {_MOST_SECONDS}")
    num_frames = duration * fps
    if num_frames < 1 or num_frames != round(num_frames):
        raise SettingError(
            "duration", f"is {duration} s, {num_frames:g} frames at {fps} fps; give num_frames, a whole number"
        )
    if asked not in (None, num_frames):
        raise SettingError(
            "duration", f"is {duration} s, {num_frames:g} frames at {fps} fps, but num_frames is {asked}; give one"
        )
    return round(num_frames)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise SettingError(name, f"is {value!r}; it must be a text, which may be empty")
    return value


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name in LUMOS1_NAMES:
            raise SettingError(name, "is a setting of Lumos-1, and Lumina-Video has no such thing; leave it out")
        if name not in SETTING_NAMES:
            raise no_setting(name, SETTING_NAMES)
