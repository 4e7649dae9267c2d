"""Prompts to visual codes, frame by frame: prefill -> per frame refine -> history (paper section 3.3, SPEC §10)."""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.ardf import history_pattern
from lumos.config import SamplerConfig
from lumos.model.attention import plan_of
from lumos.model.cache import KVCache
from lumos.model.modeling import LumosForCausalLM
from lumos.sampler import MASKED, NoiseSource, Step, guide, refine
from lumos.sequence import blocks_of, content_positions, frame_content, frame_ids, positions_of, video_header
from lumos.vocab import Vocab

OnFrame = Callable[[int, Tensor], None]


@torch.inference_mode()
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
    negative_ids: Sequence[Int[Tensor, "_"]] | None = None,
    on_frame: OnFrame | None = None,
) -> Int[Tensor, "B T H W"]:
    """Returns the visual codes (0..num_codes-1) of one clip a prompt, given frames included.

    Both branches of the guidance run in one batch over one cache. A frame is refined `sampler.num_steps` times from all
    masked; then it enters the cache once more, partly masked, as history of the next (SPEC §10.4).

    Args:
        model: in evaluation mode.
        prompt_ids: from `<s>` on, up to the separator, with it or without; lengths may differ.
        grid: latent rows and columns (H, W), multiples of 4.
        num_latent_frames: T.
        fps: frames per second, for the header.
        duration: seconds, for the header.
        sampler: how frames are drawn; guidance_scale 1 runs the conditional branch alone.
        noise: one source a prompt.
        given: codes of the first G < T frames (image-to-video), kept as they are.
        negative_ids: a prompt for the unconditional branch of each sample; None leaves it without text, as released.
        on_frame: called with (index, codes [B, H, W]) as soon as a generated frame is finished.

    Raises:
        ValueError: a prompt too long for the model, or arguments that do not fit each other.
    """
    vocab, guided = model.vocab, sampler.guidance_scale != 1
    header = video_header(vocab, fps=fps, duration=duration)
    _check_batch(len(prompt_ids), num_latent_frames, noise=noise, negative_ids=negative_ids)
    texts = [_text(ids, header, vocab) for ids in prompt_ids]
    if guided:
        texts += [header] * len(texts) if negative_ids is None else [_text(ids, header, vocab) for ids in negative_ids]
    decoder = FrameDecoder(model, texts, grid=grid, num_latent_frames=num_latent_frames)
    codes = torch.full((len(prompt_ids), num_latent_frames, grid[0] * grid[1]), MASKED, device=model.device)
    num_given = _place_given(codes, given, grid=grid, num_codes=vocab.num_codes)
    pattern = _pattern(sampler, noise, num_positions=grid[0] * (grid[1] + 1)).to(model.device)
    weight = model.visual_weight

    decoder.read_text()
    for frame in range(num_given):
        masked = pattern if sampler.mask_given_frames else pattern[:, :0]
        decoder.keep_frame(codes[:, frame], frame=frame, masked_positions=masked)
    for frame in range(num_given, num_latent_frames):
        for index in range(sampler.num_steps):
            hidden = decoder.hidden(codes[:, frame], frame=frame)
            if guided:
                hidden = guide(*hidden.chunk(2), scale=sampler.guidance_scale)
            step = Step(frame=frame, index=index, first=frame == num_given)
            codes[:, frame] = refine(codes[:, frame], hidden, weight=weight, noise=noise, step=step, sampler=sampler)
        if on_frame is not None:
            on_frame(frame, codes[:, frame].unflatten(-1, grid))
        if frame + 1 < num_latent_frames:
            decoder.keep_frame(codes[:, frame], frame=frame, masked_positions=pattern)
    return codes.unflatten(-1, grid)


class FrameDecoder:
    """Texts of several rows, and frames after them, through the model over one cache.

    Row b + kB has the frames of sample b, for the k-th branch; only the texts differ. Texts stand flush right, so every
    frame has the same columns in every row; its positions still count from each row's own start.
    """

    def __init__(
        self, model: LumosForCausalLM, texts: Sequence[Tensor], *, grid: tuple[int, int], num_latent_frames: int
    ) -> None:
        vocab, device = model.vocab, model.device
        self._model, self._grid = model, grid
        self._code_places = frame_content(*grid).to(device)
        self._content_places = content_positions(*grid).to(device)
        masked = frame_ids(torch.full((num_latent_frames, *grid), vocab.mask), vocab)
        self._frame_length = masked.shape[-1]
        _check_length(texts, masked.numel(), limit=model.config.max_position_embeddings)
        self._texts = pad_sequence(list(texts), batch_first=True, padding_value=vocab.pad, padding_side="left")
        whole = torch.cat([self._texts, masked.flatten().expand(len(texts), -1)], dim=1)
        self._text_plan, self._positions = plan_of(blocks_of(self._texts, vocab)), positions_of(whole, vocab).to(device)
        self._frame_plan = plan_of(torch.zeros(len(texts), self._frame_length, dtype=torch.long))
        self._cache = KVCache(
            model.config,
            batch_size=len(texts),
            capacity=whole.shape[1],
            starts=[self._texts.shape[1] - len(text) for text in texts],
            device=device,
            dtype=model.dtype,
        )

    def read_text(self) -> None:
        """Returns nothing; the texts are in the cache."""
        width = self._texts.shape[1]
        ids, positions = self._texts.to(self._model.device), self._positions[..., :width]
        self._model.hidden(ids, positions=positions, blocks=self._text_plan, cache=self._cache)
        self._cache.advance(width)

    def hidden(self, codes: Int[Tensor, "B N"], *, frame: int) -> Float[Tensor, "R N D"]:
        """Returns the hidden states at a frame's codes (-1 = masked) in every row; the cache keeps nothing of them."""
        return self._run(self._frame(codes), frame)[:, self._code_places]

    def keep_frame(self, codes: Int[Tensor, "B N"], *, frame: int, masked_positions: Int[Tensor, "B n"]) -> None:
        """Returns nothing; the frame is in the cache, masked at `masked_positions` (0..P-1) of its content."""
        ids = self._frame(codes)
        ids.scatter_(1, self._content_places[masked_positions], self._model.vocab.mask)
        self._run(ids, frame)
        self._cache.advance(self._frame_length)

    def _frame(self, codes: Tensor) -> Tensor:
        vocab = self._model.vocab
        ids = torch.where(codes == MASKED, vocab.mask, vocab.code_ids(codes.clamp(min=0)))
        return frame_ids(ids.unflatten(-1, self._grid), vocab)

    def _run(self, ids: Tensor, frame: int) -> Tensor:
        start = self._texts.shape[1] + frame * self._frame_length
        assert self._cache.length == start
        ids = ids.repeat(len(self._texts) // len(ids), 1)
        positions = self._positions[..., start : start + self._frame_length]
        return self._model.hidden(ids, positions=positions, blocks=self._frame_plan, cache=self._cache)


def _text(prompt_ids: Tensor, header: Tensor, vocab: Vocab) -> Tensor:
    """Returns the prompt, one separator and the header: everything before the first frame."""
    ids = prompt_ids.tolist()
    while ids and ids[-1] == vocab.separator:
        ids.pop()
    return torch.cat([torch.tensor([*ids, vocab.separator]), header])


def _pattern(sampler: SamplerConfig, noise: Sequence[NoiseSource], *, num_positions: int) -> Tensor:
    """Returns the content positions [B, n] that are masked in the history: the periodic ones, or a random tube."""
    pattern = history_pattern(num_positions, sampler.mask_history_ratio)
    if not sampler.random_history:
        return pattern.expand(len(noise), -1)
    uniforms = [
        source.uniform(frame=0, step=sampler.num_steps, num_positions=num_positions).cpu() for source in noise
    ]  # the step after the last: a number that no refinement uses
    return torch.stack([u.argsort(stable=True)[: len(pattern)] for u in uniforms])


def _place_given(codes: Tensor, given: Tensor | None, *, grid: tuple[int, int], num_codes: int) -> int:
    """Returns G, after writing the given frames into `codes` [B, T, N]."""
    if given is None:
        return 0
    batch, num_frames, _ = codes.shape
    shape = tuple(given.shape)
    if len(shape) != 4 or (shape[0], *shape[2:]) != (batch, *grid) or not 0 < shape[1] < num_frames:
        raise ValueError(
            f"given has shape {shape}; it must be ({batch}, G, {grid[0]}, {grid[1]}) with 0 < G < {num_frames}, the "
            "number of latent frames: code the image at the size of the clip, and ask for a longer clip than is given"
        )
    if not 0 <= int(given.min()) <= int(given.max()) < num_codes:
        raise ValueError(
            f"given holds codes in {int(given.min())}..{int(given.max())}; they must be in 0..{num_codes - 1}"
        )
    codes[:, : shape[1]] = given.flatten(2).to(codes)
    return shape[1]


def _check_batch(
    batch: int, num_latent_frames: int, *, noise: Sequence[NoiseSource], negative_ids: Sequence[Tensor] | None
) -> None:
    if batch == 0:
        raise ValueError("prompt_ids is empty; give at least one prompt")
    if num_latent_frames < 1:
        raise ValueError(f"num_latent_frames is {num_latent_frames}; a clip has at least 1, which is an image")
    for name, items in (("noise", noise), ("negative_ids", negative_ids)):
        if items is not None and len(items) != batch:
            raise ValueError(f"{name} has {len(items)} entries for {batch} prompts; give one for each")


def _check_length(texts: Sequence[Tensor], num_frame_tokens: int, *, limit: int) -> None:
    longest = max(len(text) for text in texts)
    if longest + num_frame_tokens > limit:
        room = limit - num_frame_tokens
        remedy = f"shorten the prompt to {room} tokens" if room > 0 else "ask for fewer frames or a smaller size"
        raise ValueError(
            f"the prompt has {longest} tokens with its header and the clip {num_frame_tokens}, together over "
            f"max_position_embeddings={limit} of the model: {remedy}"
        )
