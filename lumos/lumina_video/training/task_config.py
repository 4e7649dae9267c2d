"""The settings of Lumina-Video's training: a list of tasks, one a scale as a rule, and what they share (README 7)."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

from lumos.lumina_video.scale import Scale
from lumos.lumina_video.schedule import shift_time
from lumos.lumina_video.training.times import draw_times
from xllmx.rng import generator_for

PIXEL_MULTIPLE = 4
"""Rows and columns of a latent are cut to a multiple of it, the coarsest patch of the released model, at any scale."""


@dataclass(frozen=True, kw_only=True)
class ScaleTask:
    """One task: what it reads, at which scale it trains, and how its times are drawn; under the released names.

    Raises:
        ValueError: a value outside its range.
    """

    data: str = ""
    """Latents: a folder of shards, a record, or a data YAML; of images also a list of {path, prompt}."""
    media_type: Literal["image", "video"] = "video"
    """An image's motion is 0 or not said, and its only frame is repeated where a patch takes several."""
    micro_bsz: int = 1
    """Items of a batch on one process."""
    global_bsz: int | None = None
    """Items of a step over all processes, in as many batches as it takes; None: one batch on each process."""
    image_size: int | None = None
    """Side in pixels of the square with as many pixels as a picture; images that are no latents yet are cropped to it,
    larger latents are an error. None: any latents."""
    max_frames: int | None = None
    """Frames of an item at most: a random window of a longer one is taken. None: whole clips."""
    target_fps: float | None = None
    """Frames a second that the clips must have been encoded at; None: any."""
    snr_type: str = "uniform"
    """Distribution of the times before the shift: uniform, uniform_A_B or lognorm."""
    time_shift: float | None = None
    """Shift of the times; coarser scales take a larger one. None: none."""
    task_ratio: int = 1
    """In how many of as many steps as the largest ratio the task gives a batch: the first ones."""
    patch_size: int = 2
    """Latent pixels of the scale's patch."""
    f_patch_size: int = 1
    """Latent frames of it."""
    num_workers: int = 0
    """Processes that read ahead; every task gets the largest number asked for."""
    sp_size: int = 1
    """Processes that share the tokens of an item in the release; here attention is not cut, and it must be 1."""

    def __post_init__(self) -> None:
        for name in ("micro_bsz", "task_ratio", "patch_size", "f_patch_size"):
            _require(getattr(self, name) >= 1, name, getattr(self, name), "give a whole number of at least 1")
        for name in ("global_bsz", "image_size", "max_frames", "target_fps"):
            value = getattr(self, name)
            _require(value is None or value > 0, name, value, "give a number above 0, or leave it out")
        remedy = "sequence parallelism is not there: set 1, and parallel.activation_checkpointing=true to save memory"
        _require(self.sp_size == 1, "sp_size", self.sp_size, remedy)
        _require(self.num_workers >= 0, "num_workers", self.num_workers, "give 0 or more")
        shift_time(draw_times(1, self.snr_type, shift=None, generator=generator_for(0)), self.time_shift)

    @property
    def scale(self) -> Scale:
        """The scale, whose names in the release are two."""
        return Scale(frames=self.f_patch_size, pixels=self.patch_size)

    @property
    def side_multiple(self) -> int:
        """What rows and columns of a latent are cut to a multiple of."""
        return math.lcm(PIXEL_MULTIPLE, self.patch_size)


@dataclass(frozen=True, kw_only=True)
class LuminaVideoTaskConfig:
    """What is trained, on what, and with which loss.

    Raises:
        ValueError: a value outside its range.
    """

    tasks: dict[str, ScaleTask] = field(default_factory=dict)
    """Name -> task; all that are active give a batch to each step."""
    eval_tasks: dict[str, ScaleTask] = field(default_factory=dict)
    """The same of held-out data, whose text and motion are never dropped; empty = no evaluation."""
    architecture: str | None = None
    """A released architecture by name, for example MultiScaleNextDiT_2B_GQA."""
    model: dict[str, Any] = field(default_factory=dict)
    """Fields of LuminaVideoConfig given here; they win over the architecture's and the checkpoint's."""
    init_from: str | None = None
    """Folder of the checkpoint to start from, ours or a released one. Weights that are not in it, or of another shape,
    start afresh: how a scale is added. None starts from fresh weights."""
    text_encoder: str | None = None
    """Folder of the frozen text encoder, its tokenizer.json in it; None: that of `init_from`, or the released one."""
    text_kept: int = 65536
    """Captions whose features are kept in memory; the released encoder's take 1.2 MB each, a small one's some KB."""
    system_prompt: str | None = None
    """Stands before every caption, and alone where the caption is dropped; may be empty. None: that of `init_from`, or
    the released one."""
    vae: str | None = None
    """Folder of the VAE that the latents were made with: they are checked against it, and images that are no latents
    yet are encoded by it. None: that of `init_from`, where it has one; else latents only."""
    text_drop: float = 0.2
    """Chance that the caption of an item is left out."""
    motion_drop: float = 0.3
    """Chance that the motion score of a video is not said."""
    image_motion: float = 0.4
    """Chance that an image is said to have motion 0; otherwise it is not said."""
    cosine_weight: float = 1.0
    """Weight of the direction of the velocity in the loss; 0 leaves it out."""
    attention: str = "auto"
    """Backend of attention: auto, sdpa or flash."""

    def __post_init__(self) -> None:
        for name in ("text_drop", "motion_drop", "image_motion"):
            _require(0 <= getattr(self, name) <= 1, name, getattr(self, name), "give a chance from 0 to 1")
        _require(self.cosine_weight >= 0, "cosine_weight", self.cosine_weight, "give 0 or more")
        _require(self.text_kept >= 0, "text_kept", self.text_kept, "give 0 or more")

    def check_data(self) -> None:
        """Check that there are tasks, and that each names its data.

        Raises:
            ValueError: it does not.
        """
        if not self.tasks:
            raise ValueError("task.tasks is empty; name one, for example task.tasks.videos.data=data/latents")
        for name, task in {**self.tasks, **self.eval_tasks}.items():
            if not task.data:
                raise ValueError(
                    f"task.tasks.{name} names no data; give for example task.tasks.{name}.data=data/latents"
                )


def _require(holds: bool, name: str, value: object, remedy: str) -> None:
    if not holds:
        raise ValueError(f"{name} of a training task is {value}; {remedy}")
