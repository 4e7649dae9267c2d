"""What the next frame looks back at: the text in force, and the frames before it, all or a window (README 10.8).

When the window moves on, or the text changes, the frames in sight are written into the cache anew: what their keys and
values hold follows from all that stands before them. So a frame is what it is in a clip that begins, under that text,
with the frames in its sight.
"""

from collections import deque
from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.frames.sight import Sight, sights
from lumos.lumos1.sampling.request import ClipRequest
from lumos.lumos1.sequence import video_header
from lumos.tokenizer.vocab import Vocab


class History:
    """The frames of a request so far, and the decoder that has those in sight.

    It keeps the codes of a window, and no more, where there is one.
    """

    def __init__(self, model: LumosForCausalLM, request: ClipRequest, *, graphs: bool = False) -> None:
        """Begin before the first frame; `graphs` as of `FrameDecoder`."""
        self._model, self._request, self._graphs = model, request, graphs
        frames = range(request.num_given, request.num_latent_frames)
        self._sights = sights(frames, window=request.window, changes=request.changes)
        self._masked = masked_content(request, model.device)
        self._codes: deque[Tensor] = deque(maxlen=request.num_in_sight)
        self._decoder: FrameDecoder | None = None
        self._before: Sight | None = None
        self._earlier_calls: Tensor | None = None

    @property
    def model_calls(self) -> Int[Tensor, "B"]:
        """Passes over a frame so far, of each clip, those of its branches together."""
        counts = [] if self._earlier_calls is None else [self._earlier_calls]
        counts += [] if self._decoder is None else [self._decoder.model_calls]
        return torch.stack(counts).sum(dim=0) if counts else torch.zeros(len(self._request.noise), dtype=torch.long)

    def add(self, codes: Int[Tensor, "B N"]) -> None:
        """Take the next frame, finished; it is written for later ones when the first of them is asked for."""
        self._codes.append(codes)

    def decoder(self) -> FrameDecoder:
        """Return the decoder for the next frame that is generated, with its text and the frames in its sight."""
        sight, before = next(self._sights), self._before
        if self._decoder is None or before is None or before.since != sight.since:
            self._earlier_calls = self.model_calls
            self._decoder = self._with_text(sight.since)
        if sight.written.start == sight.first:
            self._decoder.begin(sight.first if self._request.counts_from_clip else 0)
        for frame in sight.written:
            masked = self._masked if frame >= self._request.num_whole else self._masked[:, :0]
            self._decoder.keep_frame(self._codes[frame - sight.frame], masked_content=masked)
        self._before = sight
        return self._decoder

    def _with_text(self, since: int) -> FrameDecoder:
        """Return a decoder that has read the text in force since a frame."""
        request = self._request
        prompts = request.changes.get(since, request.prompt_ids)
        decoder = FrameDecoder(
            self._model,
            branch_texts(request, prompts, self._model.vocab),
            grid=request.grid,
            num_latent_frames=request.num_latent_frames if request.counts_from_clip else request.num_in_sight,
            window_frames=request.num_in_sight,
            graphs=self._graphs,
        )
        decoder.read_text()
        return decoder


def branch_texts(request: ClipRequest, prompts: Sequence[Tensor], vocab: Vocab) -> list[list[Tensor]]:
    """Return everything before the first frame, of each clip, in each branch: with its text, and without (guidance)."""
    header = video_header(vocab, fps=request.fps, duration=request.duration)
    texts = [_text(ids, header, vocab) for ids in prompts]
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


def masked_content(request: ClipRequest, device: torch.device) -> Tensor:
    """Return the content positions [B, n] of a frame that are masked when it becomes history of the next.

    The same in all frames: the periodic pattern, or a random tube.
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
    return masked.to(device)
