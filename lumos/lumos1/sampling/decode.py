"""Prompts to visual codes, frame by frame: prefill -> per frame refine -> history (paper section 3.3, README 10)."""

import dataclasses
from collections.abc import Callable, Sequence
from copy import copy

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.config import SamplerConfig
from lumos.lumos1.model.attention import frame_plan, plan_of
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.graphs import captured
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.transformer import columns
from lumos.lumos1.sampling.guidance import Guidance
from lumos.lumos1.sampling.refine import MASKED, NoiseSource, Step, refine, undecided_places
from lumos.lumos1.sequence import blocks_of, content_positions, frame_content, frame_ids, positions_of, video_header
from lumos.tokenizer.vocab import Vocab

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
    calls: Int[Tensor, "B"] | None = None,
    graphs: bool = False,
) -> Int[Tensor, "B T H W"]:
    """Returns the visual codes (0..num_codes-1) of one clip a prompt, given frames included.

    Both branches of the guidance run in one batch over one cache. A frame is refined from all masked, at most
    `sampler.num_steps` times; then it enters the cache once more, partly masked, as history of the next (README 10.4).

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
        calls: on the CPU; each sample's passes of the model over a frame are added to it, one for each branch that its
            codes depended on, the passes that write the history included.
        graphs: whether refinements run as CUDA graphs; on a GPU only.

    Raises:
        ValueError: a prompt too long for the model, or arguments that do not fit each other.
    """
    vocab, guided = model.vocab, sampler.guidance_scale != 1
    header = video_header(vocab, fps=fps, duration=duration)
    _check_batch(len(prompt_ids), num_latent_frames, noise=noise, negative_ids=negative_ids)
    texts = [_text(ids, header, vocab) for ids in prompt_ids]
    if guided:
        texts += [header] * len(texts) if negative_ids is None else [_text(ids, header, vocab) for ids in negative_ids]
    decoder = FrameDecoder(model, texts, grid=grid, num_latent_frames=num_latent_frames, graphs=graphs)
    codes = torch.full((len(prompt_ids), num_latent_frames, grid[0] * grid[1]), MASKED, device=model.device)
    num_given = _place_given(codes, given, grid=grid, num_codes=vocab.num_codes)
    pattern = _pattern(sampler, noise, num_positions=grid[0] * (grid[1] + 1)).to(model.device)
    calls = torch.zeros(len(codes), dtype=torch.long) if calls is None else calls

    decoder.read_text()
    for frame in range(num_given):
        masked = pattern if sampler.mask_given_frames else pattern[:, :0]
        calls += decoder.keep_frame(codes[:, frame], frame=frame, masked_positions=masked)
    for frame in range(num_given, num_latent_frames):
        codes[:, frame], made = _sampled(
            decoder, codes[:, frame], noise=noise, sampler=sampler, start=Step(frame=frame, first=frame == num_given)
        )
        calls += made
        if on_frame is not None:
            on_frame(frame, codes[:, frame].unflatten(-1, grid))
        if frame + 1 < num_latent_frames:
            calls += decoder.keep_frame(codes[:, frame], frame=frame, masked_positions=pattern)
    return codes.unflatten(-1, grid)


def _sampled(
    decoder: "FrameDecoder", codes: Tensor, *, noise: Sequence[NoiseSource], sampler: SamplerConfig, start: Step
) -> tuple[Tensor, Tensor]:
    """Returns the codes [B, N] of a frame, refined until none is masked, and the model's passes [B] over it."""
    num_samples, num_steps = len(codes), sampler.steps_of(first=start.first)
    sampler = dataclasses.replace(sampler, num_steps=num_steps)
    guidance = Guidance(sampler, num_samples, num_positions=codes.shape[1], weight=decoder.head)
    calls = torch.zeros(num_samples, dtype=torch.long)
    for index in range(num_steps):
        rows = guidance.rows((codes == MASKED).any(dim=1).cpu())
        if not rows:
            break
        calls += torch.bincount(torch.tensor(rows) % num_samples, minlength=num_samples)
        decoder = decoder.narrowed(rows, num_samples=num_samples)
        places, undecided = undecided_places(codes)
        hidden = decoder.hidden(codes, frame=start.frame, places=places, rows=rows)
        hidden = guidance.guided(hidden, rows=rows, undecided=undecided)[undecided]
        step = dataclasses.replace(start, index=index)
        codes = refine(codes, hidden, weight=decoder.head, noise=noise, step=step, sampler=sampler)
    return codes, calls


class FrameDecoder:
    """Texts of several rows, and frames after them, through the model over one cache.

    Row b + kB has the frames of sample b, for the k-th branch; only the texts differ. Texts stand flush right, so every
    frame has the same columns in every row; its positions still count from each row's own start.
    """

    def __init__(
        self,
        model: LumosForCausalLM,
        texts: Sequence[Tensor],
        *,
        grid: tuple[int, int],
        num_latent_frames: int,
        graphs: bool = False,
    ) -> None:
        vocab, device = model.vocab, model.device
        self.head = model.visual_weight
        self._model, self._grid = model, grid
        self._code_places = frame_content(*grid).to(device)
        self._content_places = content_positions(*grid).to(device)
        masked = frame_ids(torch.full((num_latent_frames, *grid), vocab.mask), vocab)
        self._frame_length = masked.shape[-1]
        _check_length(texts, masked.numel(), limit=model.config.max_position_embeddings)
        self._texts, self._rows = list(texts), list(range(len(texts)))
        padded = _padded(texts, vocab)
        whole = torch.cat([padded, masked.flatten().expand(len(texts), -1)], dim=1)
        self._text_length, self._positions = padded.shape[1], positions_of(whole, vocab).to(device)
        self._cache = self._new_cache(self._texts, capacity=whole.shape[1])
        self._graphs: dict[tuple[int, int], Callable[[Tensor], Tensor]] | None = {} if graphs else None

    def read_text(self) -> None:
        """Returns nothing; the texts are in the cache. Equal texts go through the model once."""
        distinct = {tuple(text.tolist()): text for text in self._texts}
        rows = {key: row for row, key in enumerate(distinct)}
        texts = list(distinct.values())
        ids = _padded(texts, self._model.vocab)
        read = self._new_cache(texts, capacity=self._text_length)
        nothing = torch.empty(len(texts), 0, dtype=torch.long, device=self._model.device)
        plan = plan_of(blocks_of(ids, self._model.vocab))
        self._model.hidden(ids.to(self._model.device), blocks=plan, cache=read, only=nothing)
        read.advance(self._text_length)
        self._cache.copy_rows(read, [rows[tuple(text.tolist())] for text in self._texts])

    def hidden(
        self,
        codes: Int[Tensor, "B N"],
        *,
        frame: int,
        places: Int[Tensor, "B M"] | None = None,
        rows: Sequence[int] | None = None,
    ) -> Float[Tensor, "R M D"]:
        """Returns the hidden states at a frame's codes (-1 = masked); the cache keeps nothing of them.

        Args:
            codes: of the whole frame.
            frame: which one, the next after those kept.
            places: the codes (0..N-1) that are wanted; None: all.
            rows: those that are wanted, rising; None: all.
        """
        rows = self._rows if rows is None else rows
        run = self._run_for(rows, len(codes))
        assert set(rows) <= set(run)
        samples = [row % len(codes) for row in run]
        ids = self._frame(codes)[samples]
        wanted = self._code_places.expand(len(codes), -1) if places is None else self._code_places[places]
        hidden = self._wanted(ids, frame, only=wanted[samples])
        if len(run) == len(rows):
            return hidden
        kept = set(rows)
        return hidden[[index for index, row in enumerate(run) if row in kept]]

    def keep_frame(self, codes: Int[Tensor, "B N"], *, frame: int, masked_positions: Int[Tensor, "B n"]) -> int:
        """Returns the number of branches, in whose cache the frame is, masked at `masked_positions` (0..P-1)."""
        ids = self._frame(codes)
        ids.scatter_(1, self._content_places[masked_positions], self._model.vocab.mask)
        num_branches = len(self._texts) // len(codes)
        nothing = torch.empty(len(self._texts), 0, dtype=torch.long, device=ids.device)
        self._run(ids.repeat(num_branches, 1), frame, only=nothing)
        self._cache.advance(self._frame_length)
        return num_branches

    def narrowed(self, rows: Sequence[int], *, num_samples: int) -> "FrameDecoder":
        """Returns a decoder of these rows for the next frame alone if that halves what is run for them, or else itself.

        What is kept of them is copied. CUDA graphs keep to the memory they were captured on: never then.
        """
        if self._graphs is not None or 2 * len(rows) > len(self._run_for(rows, num_samples)):
            return self
        held = [self._rows.index(row) for row in rows]
        chosen = copy(self)
        chosen._texts, chosen._rows = [self._texts[index] for index in held], list(rows)
        chosen._positions = self._positions[held]
        chosen._cache = self._new_cache(chosen._texts, capacity=self._cache.length + self._frame_length)
        chosen._cache.copy_rows(self._cache, held)
        return chosen

    def _run_for(self, rows: Sequence[int], num_samples: int) -> list[int]:
        """Returns the rows that are run where these are wanted: all here, or those of the first branch."""
        return self._rows if rows[-1] >= num_samples else [row for row in self._rows if row < num_samples]

    def _wanted(self, ids: Tensor, frame: int, *, only: Tensor) -> Tensor:
        if self._graphs is None:
            return self._run(ids, frame, only=only)
        # A graph has fixed shapes: the whole frame, its own for every length of the history.
        key = (frame, len(ids))
        if key not in self._graphs:
            self._graphs = {other: graph for other, graph in self._graphs.items() if other[0] == frame}
            self._graphs[key] = captured(lambda ids: self._run(ids, frame), ids)
        return columns(self._graphs[key](ids), only)

    def _frame(self, codes: Tensor) -> Tensor:
        vocab = self._model.vocab
        ids = torch.where(codes == MASKED, vocab.mask, vocab.code_ids(codes.clamp(min=0)))
        return frame_ids(ids.unflatten(-1, self._grid), vocab)

    def _run(self, ids: Tensor, frame: int, *, only: Tensor | None = None) -> Tensor:
        start, num_rows = self._text_length + frame * self._frame_length, len(ids)
        assert self._cache.length == start
        return self._model.hidden(
            ids,
            positions=self._positions[:num_rows, :, start : start + self._frame_length],
            blocks=frame_plan(num_rows, self._frame_length),
            cache=self._cache if num_rows == len(self._texts) else self._cache.first_rows(num_rows),
            only=only,
        )

    def _new_cache(self, texts: Sequence[Tensor], *, capacity: int) -> KVCache:
        return KVCache(
            self._model.config,
            batch_size=len(texts),
            capacity=capacity,
            starts=[self._text_length - len(text) for text in texts],
            device=self._model.device,
            dtype=self._model.dtype,
        )


def _padded(texts: Sequence[Tensor], vocab: Vocab) -> Tensor:
    return pad_sequence(list(texts), batch_first=True, padding_value=vocab.pad, padding_side="left")


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
