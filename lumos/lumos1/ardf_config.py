"""Settings of AR-DF training; imported without torch."""

from dataclasses import dataclass
from typing import Annotated

from xllmx.settings.number_range import SHARE, check_numbers
from xllmx.settings.setting import SettingError, shown

MASK_TYPES = ("tube", "random", "tube_decay", "diffusion_forcing")
NOISE_TYPES = ("mask", "random_replace")
SCHEDULES = ("cosine", "linear", "pow", "sigmoid")


@dataclass(frozen=True, kw_only=True)
class ARDFConfig:
    """Autoregressive discrete diffusion forcing, the training task (paper section 3.3).

    Raises:
        ValueError: a value outside its range.
    """

    mask_type: str = "tube"
    """`tube` masks the same positions in every frame; `random`, `tube_decay`, `diffusion_forcing` are ablations."""
    schedule: str = "cosine"
    """From the drawn u to the mask ratio: `cosine`, `linear`, `pow`, `sigmoid`."""
    min_mask_ratio: Annotated[float, SHARE] = 0.7
    """The mask ratio is at least this."""
    cfg_drop: Annotated[float, SHARE] = 0.1
    """Probability that a sample loses its text, for guidance."""
    modes: tuple[str, ...] = ("text_to_video",)
    """Drawn from per sample: `text_to_video`, `video_next_frame`, `video_prediction_{r}` (the first int(r*T) given)."""
    text_to_video_prob: Annotated[float, SHARE] | None = None
    """Probability of the mode `text_to_video`; the others share the rest evenly. None: all modes are alike likely. A
    single mode is always drawn."""
    mask_contiguous_region_prob: Annotated[float, SHARE] = 0.0
    """Probability that the masked positions of a frame are one rectangle instead of scattered (`ardf.region_mask`)."""
    noise_type: str = "mask"
    """What stands in the place of a masked code: `mask`, the mask token, or `random_replace`, a random visual code, so
    that the model is not told which codes are wrong; row ends then stay as they are. An ablation: sampling masks."""
    predict_all_tokens: bool = False
    """Whether all codes of the frames that are not given carry loss, or the masked ones alone, as released."""

    def __post_init__(self) -> None:
        check_numbers(self)
        require_one_of("mask_type", self.mask_type, MASK_TYPES)
        require_one_of("schedule", self.schedule, SCHEDULES)
        require_one_of("noise_type", self.noise_type, NOISE_TYPES)
        if self.mask_contiguous_region_prob and self.mask_type == "tube_decay":
            raise SettingError("mask_contiguous_region_prob", "has no part in mask_type=tube_decay; use tube, or set 0")
        _require(len(self.modes) > 0, "modes", self.modes, "at least one mode")
        for mode in self.modes:
            _require(
                _is_mode(mode), "modes", mode, "text_to_video, video_next_frame or video_prediction_{r}, 0 < r < 1"
            )
        if self.text_to_video_prob and "text_to_video" not in self.modes:
            raise SettingError(
                "text_to_video_prob", f"is {self.text_to_video_prob}, but modes has no text_to_video; add it to modes"
            )


def require_one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    """Raise `SettingError`, which names the setting, for a value that is none of the choices."""
    _require(isinstance(value, str) and value in choices, name, value, f"one of {', '.join(choices)}")


def _is_mode(mode: object) -> bool:
    if not isinstance(mode, str) or mode in ("text_to_video", "video_next_frame"):
        return isinstance(mode, str)
    ratio = mode.removeprefix("video_prediction_")
    return ratio != mode and ratio.replace(".", "", 1).isdigit() and 0 < float(ratio) < 1


def _require(holds: bool, name: str, value: object, rule: str) -> None:
    if not holds:
        raise SettingError(name, f"is {shown(value)}; it must be {rule}")
