"""The settings of training Lumina-Video: a list of tasks, one a scale as a rule, and the rest (README section 6)."""

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from lumos.lumina_video.sampling.time_shift import check_shift
from lumos.lumina_video.scale import Scale
from lumos.lumina_video.training.time_distribution import check_distribution
from lumos.media.crop import PATCH_PX
from lumos.media.sets.listed_path import in_home
from xllmx.settings.number_range import SHARE, Range, check_numbers

PIXEL_MULTIPLE = 4
"""Rows and columns of a latent are cut to a multiple of it, the coarsest patch of the released model, at any scale."""


@dataclass(frozen=True, kw_only=True)
class ScaleTask:
    """One task: what it reads, at which scale it trains, and how its times are drawn; under the released names.

    Raises:
        ValueError: a value outside its range.
    """

    data: str = ""
    """Latents: a folder of shards, a record, or a data YAML; or files: a list of {path, prompt}, or a YAML of such."""
    media_type: Literal["image", "video"] = "video"
    """An image's motion is 0 or not said, and its only frame is repeated where a patch takes several."""
    micro_bsz: Annotated[int, Range(1, 10**6)] = 1
    """Items of a batch on one process."""
    global_bsz: Annotated[int, Range(1, 10**7)] | None = None
    """Items of a step over all processes, in as many batches as it takes; None: one batch on each process."""
    image_size: Annotated[int, Range(PATCH_PX, 2**16)] | None = None
    """Side in pixels of the square with as many pixels as a picture; files that are no latents yet are cropped to it,
    larger latents are an error. None: any latents."""
    max_frames: Annotated[int, Range(1, 10**6)] | None = None
    """Frames of an item at most: a random window of a longer one is taken. None: whole clips, of latents alone."""
    target_fps: Annotated[float, Range(0, 1000, above=True)] | None = None
    """Frames a second that the clips must have been encoded at, and at which videos that are no latents yet are read.
    None: any, of latents alone."""
    snr_type: str = "uniform"
    """Distribution of the times before the shift: uniform, uniform_A_B or lognorm."""
    time_shift: Annotated[float, Range(0, 10**6, above=True)] | None = None
    """Shift of the times; coarser scales take a larger one. None: none."""
    task_ratio: Annotated[int, Range(1, 10**6)] = 1
    """In how many of as many steps as the largest ratio the task gives a batch: the first ones."""
    patch_size: Annotated[int, Range(1, 64)] = 2
    """Latent pixels of the scale's patch."""
    f_patch_size: Annotated[int, Range(1, 64)] = 1
    """Latent frames of it."""
    num_workers: Annotated[int, Range(0, 1024)] = 0
    """Processes that read ahead; every task gets the largest number asked for."""
    sp_size: int = 1
    """Processes that share the tokens of an item in the release; here attention is not cut, and it must be 1."""

    def __post_init__(self) -> None:
        check_numbers(self)
        object.__setattr__(self, "data", in_home(self.data, Path()))
        remedy = "sequence parallelism is not there: set 1, and parallel.activation_checkpointing=true to save memory"
        if self.sp_size != 1:
            raise ValueError(f"sp_size of a training task is {self.sp_size}; {remedy}")
        check_distribution(self.snr_type)
        check_shift(self.time_shift)

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
    """Model to start from, ours or a released one: a folder, or a name as `--model` takes it. Weights that are not in
    it, or of another shape, start afresh: how a scale is added. None starts from fresh weights."""
    text_encoder: str | None = None
    """Folder, or name, of the frozen text encoder, its tokenizer.json in it, or of a model that has it; None: that of
    `init_from`, or the released one."""
    text_kept: Annotated[int, Range(0, 10**9)] = 65536
    """Captions whose features are kept in memory; the released encoder's take 1.2 MB each, a small one's some KB."""
    system_prompt: str | None = None
    """Stands before every caption, and alone where the caption is dropped; may be empty. None: that of `init_from`, or
    the released one."""
    vae: str | None = None
    """Folder, or name, of the VAE that the latents were made with, or of a model that has it: they are checked against
    it, and images and videos that are no latents yet are encoded by it. None: that of `init_from`, where it has one;
    else latents only."""
    text_drop: Annotated[float, SHARE] = 0.2
    """Chance that the caption of an item is left out."""
    motion_drop: Annotated[float, SHARE] = 0.3
    """Chance that the motion score of a video is not said."""
    image_motion: Annotated[float, SHARE] = 0.4
    """Chance that an image is said to have motion 0; otherwise it is not said."""
    cosine_weight: Annotated[float, Range(0, 10**6)] = 1.0
    """Weight of the direction of the velocity in the loss; 0 leaves it out."""
    attention: str = "auto"
    """Backend of attention: auto, sdpa, cudnn or flash."""

    def __post_init__(self) -> None:
        check_numbers(self, "task.")

    def check_data(self) -> None:
        """Check that there are tasks, and that each names its data.

        Raises:
            ValueError: it does not.
        """
        if not self.tasks:
            raise ValueError("task.tasks is empty; name one, for example task.tasks.videos.data=data/latents")
        for group, tasks in (("tasks", self.tasks), ("eval_tasks", self.eval_tasks)):
            for name, task in tasks.items():
                if not task.data:
                    key = f"task.{group}.{name}"
                    raise ValueError(f"{key} names no data; give for example {key}.data=data/latents")
