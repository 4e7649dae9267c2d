"""The clips of one call through the model: those of the same size together, one group after the other."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from lumos.conventions.call import StepEnd
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.decode import generate
from lumos.lumos1.sampling.frames.frame_codes import MASKED
from lumos.lumos1.sampling.noise import GeneratorNoise
from lumos.lumos1.sampling.request import ClipRequest, OnFrame
from lumos.lumos1.sampling.schedule import Step
from lumos.lumos1.sampling.settings import Settings


@dataclass(frozen=True, kw_only=True)
class ClipAsked:
    """One clip on its way."""

    index: int
    """Its place among the clips of the call."""
    prompt_ids: Tensor
    """From `<s>` up to the separator."""
    negative_ids: Tensor | None
    """Of the text that guidance leads away from."""
    given: Tensor | None
    """Codes [G, H, W] of the first frames."""
    seed: int
    """What draws its noise."""
    settings: Settings
    """How it is made."""
    changes: Mapping[int, Tensor] = field(default_factory=dict)
    """Latent frame -> the prompt's ids from there on, where it changes."""
    frames: np.ndarray | None = None
    """The frames [F, Hpx, Wpx, 3] of a clip that is gone on from; None of a picture, which comes back decoded."""

    @property
    def group(self) -> tuple[Settings, bool, bool]:
        """What clips must share to go through the model together."""
        return self.settings, self.given is not None, self.negative_ids is not None


def generate_groups(
    model: LumosForCausalLM,
    clips: Sequence[ClipAsked],
    *,
    on_frame: OnFrame | None,
    on_refinement: Callable[[int, int], object] | None,
    step_end: StepEnd,
    graphs: bool,
) -> tuple[list[Tensor], list[int]]:
    """Return the codes [T, H, W] and the model calls of every clip; fewer frames where the call was interrupted.

    Args:
        model: in evaluation mode.
        clips: of the call.
        on_frame: called with each finished latent frame of a group.
        on_refinement: called after each refinement as `OnRefinement` is, for who shows how far it is.
        step_end: called after each refinement.
        graphs: whether refinements run as CUDA graphs.

    Raises:
        ValueError: a caller changes codes to what is none.
    """

    def told(number: int, num_clips: int) -> bool:
        if on_refinement is not None:
            on_refinement(number, num_clips)
        return step_end.interrupted

    codes: dict[int, Tensor] = {}
    none = torch.zeros(0, dtype=torch.long, device=model.device)
    calls: dict[int, int] = {}
    for group in _groups(clips):
        if step_end.interrupted:
            codes |= {clip.index: none.new_zeros(0, *clip.settings.grid) for clip in group}
            calls |= {clip.index: 0 for clip in group}
            continue
        made = generate(
            model,
            request_of(group),
            on_frame=on_frame,
            on_step=partial(_changed, step_end, num_codes=model.vocab.num_codes) if step_end.is_wanted else None,
            on_refinement=told,
            graphs=graphs,
        )
        for clip, own_codes, own_calls in zip(group, made.codes, made.model_calls.tolist(), strict=True):
            codes[clip.index], calls[clip.index] = own_codes, own_calls
    return [codes[index] for index in range(len(clips))], [calls[index] for index in range(len(clips))]


def num_steps(clips: Sequence[ClipAsked]) -> int:
    """Return how many refinements the groups of a call take, frame after frame; adaptively it may be fewer."""
    total = 0
    for group in _groups(clips):
        settings = group[0].settings
        sampler, later = settings.sampler, settings.num_latent_frames - settings.num_given - 1
        total += sampler.steps_of(first=True) + later * sampler.steps_of(first=False)
    return total


def _groups(clips: Sequence[ClipAsked]) -> list[list[ClipAsked]]:
    groups: dict[tuple[Settings, bool, bool], list[ClipAsked]] = {}
    for clip in clips:
        groups.setdefault(clip.group, []).append(clip)
    return list(groups.values())


def request_of(group: Sequence[ClipAsked]) -> ClipRequest:
    """Return what is asked of the sampling for clips of one group."""
    settings = group[0].settings
    given = [clip.given for clip in group if clip.given is not None]
    return ClipRequest(
        prompt_ids=[clip.prompt_ids for clip in group],
        negative_ids=[clip.negative_ids for clip in group if clip.negative_ids is not None] or None,
        grid=settings.grid,
        num_latent_frames=settings.num_latent_frames,
        fps=settings.fps,
        duration=settings.duration,
        sampler=settings.sampler,
        noise=[GeneratorNoise(clip.seed) for clip in group],
        given=torch.stack(given) if given else None,
        window_frames=settings.window_frames,
        changes=_changes_of(group),
    )


def _changes_of(group: Sequence[ClipAsked]) -> dict[int, list[Tensor]]:
    """Return latent frame -> the prompt of every clip from there on, where that of one changes."""
    in_force = [clip.prompt_ids for clip in group]
    changes = {}
    for frame in sorted({frame for clip in group for frame in clip.changes}):
        in_force = [clip.changes.get(frame, ids) for clip, ids in zip(group, in_force, strict=True)]
        changes[frame] = in_force
    return changes


def _changed(step_end: StepEnd, step: Step, codes: Int[Tensor, "B H W"], *, num_codes: int) -> Int[Tensor, "B H W"]:
    """Return the codes to go on with after a refinement, which a caller may change; ValueError for what is no code."""
    before = codes.clone()
    changed = step_end(step.frame, codes)
    if not MASKED <= int(changed.min()) <= int(changed.max()) < num_codes:
        rule = f"they must be in 0..{num_codes - 1}, or {MASKED} where a code is masked still"
        raise ValueError(f"callback_on_step_end changed latents to what are no codes; {rule}")
    if ((changed == MASKED) & (before != MASKED)).any():
        raise ValueError("callback_on_step_end masked a code that was decided; leave it, or change it to another code")
    return changed
