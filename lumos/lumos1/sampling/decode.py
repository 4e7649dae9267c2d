"""Prompts to visual codes, frame by frame (paper section 3.3).

The text enters the cache; then each frame is refined from all masked until nothing is, and enters the cache, partly
masked, as history of the next. What of the frames before a frame sees, and which text, `history` says.
"""

import dataclasses
from collections.abc import Generator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.frames.frame_codes import MASKED, FrameCodes
from lumos.lumos1.sampling.frames.history import History
from lumos.lumos1.sampling.guidance import GuidedFrame
from lumos.lumos1.sampling.refine import NoiseSource, refine
from lumos.lumos1.sampling.request import ClipRequest, FinishedFrame, Generated, OnFrame, OnRefinement, OnStep
from lumos.lumos1.sampling.schedule import Step
from xllmx.settings.argument_types import checked_types


@checked_types
def generate_codes(
    model: LumosForCausalLM,
    prompt_ids: Sequence[Int[Tensor, "_"]],
    *,
    grid: tuple[int, int],
    num_latent_frames: int,
    fps: int,
    duration: int,
    sampler: SamplerConfig,
    noise: Sequence[NoiseSource],
    given: Int[Tensor, "B G H W"] | None = None,
    on_frame: OnFrame | None = None,
) -> Int[Tensor, "B T H W"]:
    """Return the visual codes (0..num_codes-1) of one clip a prompt, given frames included; see `generate`.

    Args:
        model: in evaluation mode.
        prompt_ids: this and the next seven are the fields of `ClipRequest`.
        grid: latent rows and columns (H, W).
        num_latent_frames: T.
        fps: frames per second.
        duration: seconds.
        sampler: how frames are drawn.
        noise: one source a prompt.
        given: codes of the first frames.
        on_frame: called with (index, codes [B, H, W]) as soon as a generated frame is finished.

    Raises:
        ValueError: a prompt too long for the model, or arguments that do not fit each other.
    """
    request = ClipRequest(
        prompt_ids=prompt_ids,
        grid=grid,
        num_latent_frames=num_latent_frames,
        fps=fps,
        duration=duration,
        sampler=sampler,
        noise=noise,
        given=given,
    )
    return generate(model, request, on_frame=on_frame).codes


@torch.inference_mode()
def generate(
    model: LumosForCausalLM,
    request: ClipRequest,
    *,
    on_frame: OnFrame | None = None,
    on_step: OnStep | None = None,
    on_refinement: OnRefinement | None = None,
    graphs: bool = False,
) -> Generated:
    """Return the codes of the clips that are asked for, and how many passes of the model they took.

    Stopped by `on_refinement`, they are the frames that were finished, and no more.

    Args:
        model: in evaluation mode.
        request: the clips.
        on_frame: called with (index, codes [B, H, W]) as soon as a generated frame is finished.
        on_step: called after each refinement, with what it may change.
        on_refinement: called after each refinement, together as often as all frames have steps; whether to stop.
        graphs: whether refinements run as CUDA graphs; on a GPU only.

    Raises:
        ValueError: a prompt too long for the model, codes that it does not have.
    """
    finished = []
    for frame in finished_frames(model, request, on_step=on_step, on_refinement=on_refinement, graphs=graphs):
        if not frame.is_whole:
            break
        finished.append(frame.codes)
        if on_frame is not None and not frame.is_given:
            on_frame(frame.index, frame.codes)
    codes = torch.stack(finished, dim=1) if finished else frame.codes[:, None][:, :0]
    return Generated(codes=codes, model_calls=frame.model_calls)


@torch.inference_mode()
def finished_frames(
    model: LumosForCausalLM,
    request: ClipRequest,
    *,
    on_step: OnStep | None = None,
    on_refinement: OnRefinement | None = None,
    graphs: bool = False,
) -> Generator[FinishedFrame]:
    """Yield each latent frame as soon as it is finished, given ones included; see `generate`.

    Stopped within a frame, the last one holds codes that are still masked.
    """
    given, history = given_codes(request, model), History(model, request, graphs=graphs)
    for frame in range(request.num_latent_frames):
        is_given, is_whole, stop = frame < request.num_given, True, False
        codes = given[:, frame] if is_given else torch.full_like(given[:, 0], MASKED)
        if not is_given:
            refined, stop = _refined(
                codes, history.decoder(), request=request, frame=frame, on_step=on_step, on_refinement=on_refinement
            )
            codes, is_whole = refined.codes, not any(refined.num_masked)
        finished, calls = codes.unflatten(-1, request.grid), history.model_calls
        yield FinishedFrame(index=frame, codes=finished, is_given=is_given, is_whole=is_whole, model_calls=calls)
        if stop:
            return
        history.add(codes)


def _refined(
    codes: Tensor,
    decoder: FrameDecoder,
    *,
    request: ClipRequest,
    frame: int,
    on_step: OnStep | None,
    on_refinement: OnRefinement | None,
) -> tuple[FrameCodes, bool]:
    """Return the codes of the next frame, and whether to stop there.

    It is refined from all masked until none is, `num_steps` times at most.
    """
    first, noise, weight = frame == request.num_given, request.noise, decoder.visual_weight
    sampler = dataclasses.replace(request.sampler, num_steps=request.sampler.steps_of(first=first))
    guided = GuidedFrame(decoder, sampler)
    refined = FrameCodes(codes=codes, num_masked=(codes.shape[1],) * len(codes))
    for index in range(sampler.num_steps):
        if not any(refined.num_masked):
            break
        step = Step(frame=frame, index=index, first=first)
        refined = refine(refined, guided.hidden(refined), weight=weight, noise=noise, step=step, sampler=sampler)
        if on_step is not None:
            refined = FrameCodes.of(on_step(step, refined.codes.unflatten(-1, request.grid)).flatten(1))
        done = 1 if any(refined.num_masked) else sampler.num_steps - index
        if on_refinement is not None and on_refinement(done, len(codes)):
            return refined, True
    return refined, False


def given_codes(request: ClipRequest, model: LumosForCausalLM) -> Tensor:
    """Return the codes [B, G, N] of the given frames; where none are, of one frame that is all masked."""
    if request.given is None:
        shape = (len(request.prompt_ids), 1, request.grid[0] * request.grid[1])
        return torch.full(shape, MASKED, device=model.device)
    lowest, highest, num_codes = int(request.given.min()), int(request.given.max()), model.vocab.num_codes
    if not 0 <= lowest <= highest < num_codes:
        raise ValueError(f"given holds codes in {lowest}..{highest}; they must be in 0..{num_codes - 1}")
    return request.given.flatten(2).to(device=model.device, dtype=torch.long)
