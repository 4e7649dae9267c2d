"""The settings of one generation: what was asked for, filled up from the model's defaults and the released ones."""

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, fields, replace
from typing import Annotated, Any, get_type_hints

from lumos.conventions.words import no_setting
from lumos.lumos1.config import MOST_STEPS, SamplerConfig
from lumos.lumos1.sampling.frames.sight import Window, window_of
from lumos.lumos1.sequence import GRID_PX, TEMPORAL_FACTOR, grid_of, num_frames_of, num_latent_frames
from lumos.media.clip_pixels import ClipInput
from lumos.media.crop import crop_sizes, nearest_size
from lumos.media.first_frames import MOST_FRAMES, FirstFrames, first_frames_of
from lumos.media.inputs import ImageInput
from lumos.tokenizer.vocab import Vocab
from xllmx.settings.number_range import Range, check_number, check_numbers
from xllmx.settings.setting import SettingError, whole_number

RELEASED_DEFAULTS: Mapping[str, Any] = {
    "width": 672,
    "height": 384,
    "image_width": 448,
    "image_height": 256,
    "fps": 12,
    "duration": 2,
    "num_inference_steps": 50,
    "guidance_scale": 15.0,
    "image_guidance_scale": 16.0,
    "mask_history_ratio": 0.7,
}
"""What the release was sampled with; `image_*` is for images (one frame)."""

RELEASED_TARGET_SIZES: Mapping[tuple[int, int], int] = {(448, 256): 352, (672, 384): 528, (768, 480): 656}
"""Released size (width, height) -> target size of the crops trained on beside it."""

FAST: Mapping[str, Any] = {"entropy_bound": 0.02}
"""What `lumos generate --fast` turns on where the model's `generation_config.json` has no entry `fast` of its own.

Measured on the bundled model only: released weights were not to be had."""

SIZE_NAMES = ("width", "height")
MOST_SIDE = 2**16
"""Pixels; a model has number tokens for far less."""
CLIP_NAMES = ("num_frames", "fps", "duration", "seconds")
_SAMPLER_NAMES = {"num_inference_steps": "num_steps"} | {
    item.name: item.name for item in fields(SamplerConfig) if item.name != "num_steps"
}
_FLOATS = {name for name, hint in get_type_hints(SamplerConfig).items() if hint in (float, float | None)}
_FLAGS = {item.name for item in fields(SamplerConfig) if item.type is bool}
TARGET_SIZE = "target_size"
"""Setting that stands for width and height: a released size, or with a first frame one of the crops trained on."""
SETTING_NAMES = (*SIZE_NAMES, TARGET_SIZE, *CLIP_NAMES, *_SAMPLER_NAMES)
"""Every name a caller, a `generation_config.json` or a side-car may set."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """One generation, with nothing left open.

    Raises:
        ValueError: a side that is no multiple of 32, a count that is not whole or below 1.
    """

    width: Annotated[int, Range(1, MOST_SIDE)]
    """Pixels, a multiple of 32."""
    height: Annotated[int, Range(1, MOST_SIDE)]
    """Pixels, a multiple of 32."""
    num_frames: Annotated[int, Range(1, MOST_FRAMES)]
    """Frames that are asked for; the prompt names them, unless `trained_frames` says others."""
    fps: Annotated[int, Range(1, 1000)]
    """Frames per second; 1 for an image."""
    duration: Annotated[int, Range(1, MOST_FRAMES)]
    """Seconds; 1 for an image."""
    exact: bool = True
    """Whether exactly `num_frames` frames come out, or all that were decoded (25 for 24, as released)."""
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    """How each frame is drawn."""
    trained_frames: Annotated[int, Range(2, MOST_FRAMES)] | None = None
    """Frames of the model's own clips, where a window as long as these moves over this longer one: the prompt names so
    many, and `duration` is theirs. None: the clip is made as a whole."""
    given_frames: Annotated[int, Range(0, MOST_FRAMES)] = 0
    """How many of the frames are given: 1 of a picture, all those of a clip to go on from."""
    target_size: Annotated[int, Range(GRID_PX, MOST_SIDE)] | None = field(default=None, compare=False)
    """The setting that width and height were made of; None: they were said themselves."""

    def __post_init__(self) -> None:
        with _said_of_target(self.target_size):
            check_numbers(self)
            grid_of(self.width, self.height)

    @property
    def grid(self) -> tuple[int, int]:
        """Latent rows and columns (H, W)."""
        return grid_of(self.width, self.height)

    @property
    def prompt_frames(self) -> int:
        """The number of frames the prompt names."""
        return self.num_frames if self.trained_frames is None else self.trained_frames

    @property
    def window_frames(self) -> int | None:
        """Latent frames of the window; None: the clip is made as a whole."""
        return None if self.trained_frames is None else num_latent_frames(self.trained_frames)

    @property
    def window(self) -> Window | None:
        """The window that moves over the clip; None: every frame sees all before it."""
        return window_of(self.window_frames, history_frames=self.sampler.history_frames)

    @property
    def num_in_sight(self) -> int:
        """Latent frames that are in sight at once, at most."""
        return min(self.window_frames or self.num_latent_frames, self.num_latent_frames)

    @property
    def num_given(self) -> int:
        """G, latent frames that are given: of a long clip its last ones, as many as are in sight (README 10.8)."""
        known = 1 + (self.given_frames - 1) // TEMPORAL_FACTOR if self.given_frames else 0
        return known if self.window_frames is None else min(known, self.window_frames)

    @property
    def num_latent_frames(self) -> int:
        """T, those given among them."""
        if self.given_frames == 0:
            return num_latent_frames(self.num_frames)
        return self.num_given - (self.given_frames - self.num_frames) // TEMPORAL_FACTOR

    @property
    def num_output_frames(self) -> int:
        """Frames of the finished clip."""
        if self.exact:
            return self.num_frames
        num_made = TEMPORAL_FACTOR * (self.num_latent_frames - self.num_given)
        return self.given_frames + num_made if self.given_frames else num_frames_of(self.num_latent_frames)

    @property
    def num_in_positions(self) -> int:
        """Latent frames that have positions of their own: those of a window, or all."""
        return self.num_latent_frames if self.sampler.history_positions == "clip" else self.num_in_sight

    def to_dict(self) -> dict[str, Any]:
        """Plain values under the names callers use; `resolve_settings` makes the same settings of them again."""
        sampler = {name: getattr(self.sampler, inner) for name, inner in _SAMPLER_NAMES.items()}
        clip = {"num_frames": self.num_frames if self.exact else None, "fps": self.fps, "duration": self.duration}
        return {"width": self.width, "height": self.height, **clip, **sampler}

    def check(self, vocab: Vocab) -> None:
        """Raises ValueError when a number has no token in `vocab`: sides in units of 32 pixels, fps, seconds."""
        units = {"width": GRID_PX, "height": GRID_PX, "fps": 1, "duration": 1}
        for name, unit in units.items():
            value, largest = getattr(self, name), (vocab.num_numbers - 1) * unit
            if value > largest:
                named = f" ({self.prompt_frames} frames at {self.fps} fps)" if name == "duration" else ""
                fault = f"is {value}{named}, more than this model has a token for; it must be at most {largest}"
                with _said_of_target(self.target_size):
                    raise SettingError(name, fault)


@contextmanager
def _said_of_target(target: int | None) -> Iterator[None]:
    """Within it an error about width or height names the target size that they were made of, if any."""
    try:
        yield
    except SettingError as error:
        if target is None or error.name not in SIZE_NAMES:
            raise
        raise SettingError(TARGET_SIZE, f"is {target}, whose {error.name} {error.fault}") from error


def resolve_settings(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> Settings:
    """The settings of a call: `given` (None = not given), else the model's `defaults`, else the released ones.

    One frame, asked for as such or as 1 fps x 1 s, is an image: fps 1, duration 1, `image_*` defaults.
    Raises ValueError that names the setting, its value, the rule and the remedy.
    """
    given = _with_size({name: value for name, value in given.items() if value is not None})
    _check_names(given)
    num_frames, fps, duration, exact = _clip_length(defaults, given)
    prefixes = ("image_", "") if num_frames == 1 else ("",)

    def value_of(name: str) -> Any:
        if name in given:
            return given[name]
        for source in (defaults, RELEASED_DEFAULTS):
            for prefix in prefixes:
                if prefix + name in source:
                    return source[prefix + name]
        return None

    settings = Settings(
        width=whole_number("width", value_of("width")),
        height=whole_number("height", value_of("height")),
        num_frames=num_frames,
        fps=fps,
        duration=duration,
        exact=exact,
        sampler=_sampler(value_of),
        target_size=given.get(TARGET_SIZE),
    )
    return _in_a_window(settings, defaults)


def _sampler(value_of: Callable[[str], Any]) -> SamplerConfig:
    """How frames are drawn, by what is given for each name."""
    sampler = {inner: value_of(name) for name, inner in _SAMPLER_NAMES.items() if value_of(name) is not None}
    sampler["num_steps"] = whole_number("num_inference_steps", sampler["num_steps"], most=MOST_STEPS)
    for name in _FLOATS & sampler.keys():
        sampler[name] = _number(name, sampler[name])
    for name in _FLAGS & sampler.keys():
        if not isinstance(sampler[name], bool):
            raise SettingError(name, f"is {sampler[name]!r}; it must be true or false")
    return SamplerConfig(**sampler)


def _in_a_window(settings: Settings, defaults: Mapping[str, Any]) -> Settings:
    """The settings with a window where `history_frames` asks for one and the clip outgrows it; else without."""
    history = settings.sampler.history_frames
    if history is None or settings.num_frames == 1:
        return replace(settings, sampler=replace(settings.sampler, history_frames=None))
    trained = _clip_length(defaults, {})[0]
    window_frames = num_latent_frames(trained)
    if isinstance(history, int) and history >= window_frames:
        rule = f"clips as this model was trained on have {window_frames} latent frames, one of which must be new"
        remedy = f"give {window_frames - 1} at most" if window_frames > 1 else "leave it out"
        raise SettingError("history_frames", f"is {history}; {rule}: {remedy}")
    if settings.num_latent_frames <= window_frames:
        return replace(settings, sampler=replace(settings.sampler, history_frames=None))
    if history == "all":
        return settings
    _, _, duration, _ = _clip_length(defaults, {"num_frames": trained, "fps": settings.fps})
    return replace(settings, duration=duration, exact=True, trained_frames=trained)


def settings_for(
    defaults: Mapping[str, Any], given: Mapping[str, Any], *, image: ImageInput | ClipInput | FirstFrames | None = None
) -> Settings:
    """The settings of a call that may have first frames: they set the size, the nearest of the model's, unless given.

    Raises ValueError as `resolve_settings` does, for a first frame of an image, and for a clip that cannot be gone on
    from: of another size or rate, or long enough already.
    """
    settings = resolve_settings(defaults, given)
    if image is None:
        return settings
    if settings.num_latent_frames == 1:
        raise SettingError("num_frames", "is 1, but an image is given as first frame; ask for at least 2 frames")
    frames = first_frames_of(image)
    if given.get("width") is None and given.get("height") is None:
        target = given.get(TARGET_SIZE)
        sizes = sizes_for_images(defaults) if target is None else crop_sizes(target)
        width, height = nearest_size(frames.width, frames.height, sizes)
        settings = replace(settings, width=width, height=height)
    if frames.is_clip:
        lengths = ("seconds", "duration", "num_frames")
        asked = next(((name, given[name]) for name in lengths if given.get(name) is not None), None)
        _check_goes_on(settings, frames, asked=asked)
    return replace(settings, given_frames=frames.num_frames)


def _check_goes_on(settings: Settings, frames: FirstFrames, *, asked: tuple[str, Any] | None) -> None:
    """Raises ValueError for a clip of another size or rate than is made, or one that is long enough already."""
    size = f"{settings.width}x{settings.height}"
    if (frames.width, frames.height) != (settings.width, settings.height):
        sides = f"{settings.width}:{settings.height}"
        cut = f"ffmpeg -i CLIP -vf scale={sides}:force_original_aspect_ratio=increase,crop={sides} CUT.mp4"
        raise ValueError(f"{frames.name} is {frames.width}x{frames.height}, and {size} is made; cut it first: {cut}")
    if frames.rate is not None and abs(frames.rate - settings.fps) > settings.fps / 100:
        rule = f"{frames.name} has {float(frames.rate):g} frames a second, and {settings.fps} are made"
        raise ValueError(f"{rule}; bring it to that first: ffmpeg -i CLIP -r {settings.fps} SAME.mp4")
    if settings.num_frames <= frames.num_frames:
        has = f"{frames.num_frames} frames, {frames.num_frames / settings.fps:.2f} s at {settings.fps} a second"
        if asked is None:
            rule = (
                f"{frames.name} has {has}, and {settings.num_frames} frames in all are made unless more are asked for"
            )
            raise ValueError(f"{rule}; say the whole length: --seconds {2 * -(-frames.num_frames // settings.fps)}")
        name, value = asked
        raise SettingError(name, f"is {value}, and {frames.name} has {has}; it is the whole length: ask for more")


def fast_settings(defaults: Mapping[str, Any]) -> dict[str, Any]:
    """The adaptive settings (`SamplerConfig`) of `--fast`: the model's own, else `FAST`.

    Raises ValueError for an entry `fast` that holds no settings.
    """
    settings = defaults.get("fast", FAST)
    if not isinstance(settings, Mapping):
        raise ValueError(f"fast of generation_config.json is {settings!r}; it must be settings, such as {dict(FAST)}")
    return dict(settings)


def sizes_for_images(defaults: Mapping[str, Any]) -> list[tuple[int, int]]:
    """The sizes (width, height) a picture may be cropped to: the model's `sizes`, else the crops of its target size.

    Raises ValueError for sizes that are none.
    """
    if "sizes" in defaults:
        check_number("sizes", list[tuple[int, int]], defaults["sizes"], Range(GRID_PX, MOST_SIDE))
        if not defaults["sizes"]:
            raise SettingError("sizes", "is empty; give it sizes [width, height], or leave it out")
        return [(width, height) for width, height in defaults["sizes"]]
    return crop_sizes(target_for_images(defaults))


def target_for_images(defaults: Mapping[str, Any]) -> int:
    """The target size of a model without `sizes`: its `target_size`, else that of its default size.

    That is the released one, or for another size the smallest whose crops reach it.
    """
    settings = resolve_settings(defaults, {"num_frames": 2})
    num_patches = settings.width * settings.height // GRID_PX**2
    smallest = math.isqrt(num_patches - 1) * GRID_PX + GRID_PX
    released = RELEASED_TARGET_SIZES.get((settings.width, settings.height), smallest)
    target = defaults.get("target_size") or released
    check_number("target_size", int, target, Range(GRID_PX, MOST_SIDE))
    return int(target)


def _clip_length(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> tuple[int, int, int, bool]:
    """(frames named in the prompt, fps, seconds, whether exactly so many frames come out)."""
    model = {**RELEASED_DEFAULTS, **defaults}
    asked = _asked_frames(given, fps=given.get("fps", model["fps"]))
    if asked is None and "fps" not in given and "duration" not in given:
        asked = defaults.get("num_frames")
    fps = whole_number("fps", given.get("fps", model["fps"]))
    if asked is None:
        duration = whole_number("duration", given.get("duration", model["duration"]))
        return fps * duration, fps, duration, fps * duration == 1
    num_frames = whole_number("num_frames", asked)
    if num_frames == 1:
        return 1, 1, 1, True
    duration = whole_number("duration", given.get("duration", max(1, round(num_frames / fps))))
    return num_frames, fps, duration, True


def _asked_frames(given: Mapping[str, Any], *, fps: Any) -> Any:
    """The number of frames that is given, as such or in seconds; None where neither is."""
    if given.get("seconds") is None:
        return given.get("num_frames")
    for name in ("num_frames", "duration"):
        if given.get(name) is not None:
            raise SettingError("seconds", f"says how long the clip is, and so does {name}; give one of them")
    check_number("seconds", float, given["seconds"], Range(0, MOST_FRAMES, above=True))
    return max(1, round(given["seconds"] * whole_number("fps", fps)))


def _with_size(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings with width and height for a target size: the released ones, else its crop nearest to 7:4.

    Raises ValueError for one that is no whole number of pixels, or beside width or height.
    """
    if TARGET_SIZE not in given:
        return dict(given)
    target = given[TARGET_SIZE]
    check_number(TARGET_SIZE, int, target, Range(GRID_PX, MOST_SIDE))
    if "width" in given or "height" in given:
        raise SettingError(TARGET_SIZE, "says width and height; leave these out")
    released = {target: size for size, target in RELEASED_TARGET_SIZES.items()}
    width, height = released.get(target) or nearest_size(7, 4, crop_sizes(target))
    return {"width": width, "height": height, **given}


def _number(name: str, value: Any) -> float:
    """`value` as a float; ValueError if it is no finite number."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise SettingError(name, f"is {value!r}; it must be a number")
    return float(value)


def _check_names(given: Mapping[str, Any]) -> None:
    for name in given:
        if name not in SETTING_NAMES:
            raise no_setting(name, SETTING_NAMES)
