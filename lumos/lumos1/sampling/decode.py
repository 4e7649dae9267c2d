"""Prompts to visual codes, frame by frame (paper section 3.3).

The text enters the cache; then each frame is refined from all masked until nothing is, and enters the cache, partly
masked, as history of the next.
"""

import dataclasses
from collections.abc import Generator, Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.frame_codes import MASKED, FrameCodes
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.guidance import GuidedFrame
from lumos.lumos1.sampling.refine import NoiseSource, refine
from lumos.lumos1.sampling.request import ClipRequest, FinishedFrame, Generated, OnFrame, OnRefinement, OnStep
from lumos.lumos1.sampling.schedule import Step
from lumos.lumos1.sequence import video_header
from lumos.tokenizer.vocab import Vocab
from xllmx.argument_types import checked_types


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
    codes, history = masked_but_given(request, model), masked_history(request, model.device)
    decoder = FrameDecoder(
        model, branch_texts(request, model.vocab), grid=request.grid, num_latent_frames=codes.shape[1], graphs=graphs
    )
    decoder.read_text()
    for frame in range(request.num_latent_frames):
        is_given, is_whole, stop = frame < request.num_given, True, False
        if not is_given:
            refined, stop = _refined(
                codes[:, frame], decoder, request=request, frame=frame, on_step=on_step, on_refinement=on_refinement
            )
            codes[:, frame], is_whole = refined.codes, not any(refined.num_masked)
        finished = codes[:, frame].unflatten(-1, request.grid)
        calls = decoder.model_calls
        yield FinishedFrame(index=frame, codes=finished, is_given=is_given, is_whole=is_whole, model_calls=calls)
        if stop:
            return
        if frame + 1 < request.num_latent_frames:
            decoder.keep_frame(codes[:, frame], masked_content=history[frame])


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


def masked_but_given(request: ClipRequest, model: LumosForCausalLM) -> Tensor:
    """Return the codes [B, T, N] to begin with: all masked (-1) but the given frames."""
    num_positions, num_codes = request.grid[0] * request.grid[1], model.vocab.num_codes
    shape = (len(request.prompt_ids), request.num_latent_frames, num_positions)
    codes = torch.full(shape, MASKED, device=model.device)
    if request.given is not None:
        lowest, highest = int(request.given.min()), int(request.given.max())
        if not 0 <= lowest <= highest < num_codes:
            raise ValueError(f"given holds codes in {lowest}..{highest}; they must be in 0..{num_codes - 1}")
        codes[:, : request.num_given] = request.given.flatten(2).to(codes)
    return codes


def branch_texts(request: ClipRequest, vocab: Vocab) -> list[list[Tensor]]:
    """Return everything before the first frame, of each clip, in each branch: with its text, and without (guidance)."""
    header = video_header(vocab, fps=request.fps, duration=request.duration)
    texts = [_text(ids, header, vocab) for ids in request.prompt_ids]
    if request.sampler.guidance_scale == 1:
        return [texts]
    if request.negative_ids is None:
        return [texts, [header] * len(texts)]
    return [texts, [_text(ids, header, vocab) for ids in request.negative_ids]]


def _text(prompt_ids: Tensor, header: Tensor, vocab: Vocab) -> Tensor:
    """Return the prompt, one separator and the header."""
    ids = prompt_ids.tolist()
    while ids and ids[-1] == vocab.separator:
        ids.pop()
    return torch.cat([torch.tensor([*ids, vocab.separator]), header])


def masked_history(request: ClipRequest, device: torch.device) -> list[Tensor]:
    """Return the content positions [B, n] of each frame that are masked when it becomes history of the next.

    The same in all frames: the periodic pattern, or a random tube. Given frames are kept whole unless they are to be
    masked too.
    """
    num_positions, sampler = request.grid[0] * (request.grid[1] + 1), request.sampler
    pattern = history_pattern(num_positions, sampler.mask_history_ratio)
    masked = pattern.expand(len(request.noise), -1)
    if sampler.random_history:
        uniforms = [
            source.uniform(frame=0, step=sampler.num_steps, num_positions=num_positions).cpu()
            for source in request.noise
        ]  # the step after the last: a number that no refinement uses
        masked = torch.stack([u.argsort(stable=True)[: len(pattern)] for u in uniforms])
    masked = masked.to(device)
    num_whole = 0 if sampler.mask_given_frames else request.num_given
    return [masked[:, :0] if frame < num_whole else masked for frame in range(request.num_latent_frames)]
