"""What is asked of the sampling and what comes back."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.sampling.frames.sight import Window, window_of
from lumos.lumos1.sampling.noise import NoiseSource
from lumos.lumos1.sampling.schedule import Step
from xllmx.settings.number_range import COUNT, Range, check_numbers
from xllmx.settings.setting import SettingError

OnFrame = Callable[[int, Tensor], None]
"""Called with the index of a finished latent frame and its codes [B, H, W]."""
OnRefinement = Callable[[int, int], bool | None]
"""Called after each refinement with the number of its frame's that are done, 1 or, where nothing is left to refine, all
that were left, and the number of clips B; true stops the sampling there."""

OnStep = Callable[[Step, Tensor], Tensor]
"""Called after each refinement with the frame's codes [B, H, W], -1 where masked; returns those to go on with, which
may be the same, changed."""


@dataclass(frozen=True, kw_only=True, eq=False)
class ClipRequest:
    """Clips of one size that are generated together, one a prompt.

    Raises:
        ValueError: parts that do not fit each other.
    """

    prompt_ids: Sequence[Int[Tensor, "_"]]
    """From `<s>` on, up to the separator, with it or without; lengths may differ."""
    grid: Annotated[tuple[int, int], Range(1, 2**16)]
    """Latent rows and columns (H, W), multiples of 4."""
    num_latent_frames: Annotated[int, COUNT]
    """T."""
    fps: Annotated[int, COUNT]
    """Frames per second, for the header."""
    duration: Annotated[int, COUNT]
    """Seconds, for the header."""
    sampler: SamplerConfig
    """How frames are drawn; guidance_scale 1 runs the conditional branch alone."""
    noise: Sequence[NoiseSource]
    """One source a prompt."""
    given: Int[Tensor, "B G H W"] | None = None
    """Codes of the first G < T frames (image-to-video), kept as they are."""
    negative_ids: Sequence[Int[Tensor, "_"]] | None = None
    """A prompt for the unconditional branch of each clip; None leaves it without text, as released."""
    window_frames: Annotated[int, COUNT] | None = None
    """Latent frames that go through the model together where the sampler has `history_frames`, which is how many of
    them are kept when the window moves on. None: all frames of the clip, as released."""
    changes: Mapping[int, Sequence[Int[Tensor, "_"]]] = field(default_factory=dict)
    """Latent frame, 1..T-1 -> the prompt ids of every clip from that frame on."""

    @property
    def num_given(self) -> int:
        """G."""
        return 0 if self.given is None else self.given.shape[1]

    @property
    def num_whole(self) -> int:
        """How many of the first frames are kept whole in the history: those given, unless they are to be masked too."""
        return 0 if self.sampler.mask_given_frames else self.num_given

    @property
    def window(self) -> Window | None:
        """The window that moves over the clip; None: every frame sees all before it."""
        return window_of(self.window_frames, history_frames=self.sampler.history_frames)

    @property
    def num_in_sight(self) -> int:
        """How many frames are in sight at once, at most."""
        return self.num_latent_frames if self.window is None else min(self.window.num_frames, self.num_latent_frames)

    @property
    def counts_from_clip(self) -> bool:
        """Whether positions count from the beginning of the clip wherever the window is."""
        return self.sampler.history_positions == "clip"

    def __post_init__(self) -> None:
        check_numbers(self)
        batch = len(self.prompt_ids)
        if batch == 0:
            raise ValueError("prompt_ids is empty; give at least one prompt")
        for name, items in (("noise", self.noise), ("negative_ids", self.negative_ids)):
            if items is not None and len(items) != batch:
                raise ValueError(f"{name} has {len(items)} entries for {batch} prompts; give one for each")
        is_windowed = isinstance(self.sampler.history_frames, int)
        if self.window is None and (is_windowed or self.window_frames is not None):
            fault = f"is {self.sampler.history_frames}, and window_frames {self.window_frames}; give both, or neither"
            raise SettingError("history_frames", fault)
        for frame, prompts in self.changes.items():
            if not 0 < frame < self.num_latent_frames or len(prompts) != batch:
                rule = f"give one for each of {batch} clips, at latent frames 1..{self.num_latent_frames - 1}"
                raise ValueError(f"changes has {len(prompts)} prompts at latent frame {frame}; {rule}")
        if self.given is not None:
            self._check_given(tuple(self.given.shape))

    def _check_given(self, shape: tuple[int, ...]) -> None:
        batch, num_frames, (height, width) = len(self.prompt_ids), self.num_latent_frames, self.grid
        if len(shape) != 4 or (shape[0], *shape[2:]) != (batch, height, width) or not 0 < shape[1] < num_frames:
            raise ValueError(
                f"given has shape {shape}; it must be ({batch}, G, {height}, {width}) with 0 < G < {num_frames}, the "
                "number of latent frames: code the image at the size of the clip, and ask for a longer clip than is "
                "given"
            )


@dataclass(frozen=True, kw_only=True, eq=False)
class Generated:
    """What came of a request."""

    codes: Int[Tensor, "B T H W"]
    """Visual codes 0..num_codes-1, given frames included."""
    model_calls: Int[Tensor, "B"]
    """Passes of the model over a frame that each clip took, on the CPU: one for each branch that its codes depended on,
    the passes that write the history included."""


@dataclass(frozen=True, kw_only=True, eq=False)
class FinishedFrame:
    """One latent frame of the clips of a request."""

    index: int
    """From 0, given ones included."""
    codes: Int[Tensor, "B H W"]
    """Its visual codes."""
    is_given: bool
    """Whether it was not generated."""
    is_whole: bool = True
    """Whether no code is masked (-1) any more: False of a frame within which the sampling was stopped."""
    model_calls: Int[Tensor, "B"]
    """Passes of the model that each clip took so far."""
