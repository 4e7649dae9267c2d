"""One clip as a job: the loop of `decode.finished_frames`, which stops wherever the model is to be run.

Many clips go through the model together where each of them stops (`advance_together`), whatever their text, seed,
length, size, settings and step; what is drawn and what is kept is decided for each by itself.
"""

from collections import deque
from collections.abc import Callable, Generator, Sequence
from dataclasses import replace
from functools import partial
from itertools import chain
from typing import Any, TypeAlias

import torch
from torch import Tensor

from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.packed import Pass, packed_hidden
from lumos.lumos1.sampling.decode import given_codes
from lumos.lumos1.sampling.frame_decoder import check_length
from lumos.lumos1.sampling.frames.branch import Branch
from lumos.lumos1.sampling.frames.frame_codes import MASKED, FrameCodes
from lumos.lumos1.sampling.frames.frame_tokens import FrameTokens
from lumos.lumos1.sampling.frames.history import branch_texts, masked_content
from lumos.lumos1.sampling.frames.sight import Sight, sights
from lumos.lumos1.sampling.guidance import Guidance
from lumos.lumos1.sampling.refine import refine
from lumos.lumos1.sampling.request import ClipRequest, FinishedFrame
from lumos.lumos1.sampling.schedule import Step
from xllmx.full_memory import said_when_full

Wanted: TypeAlias = list[Pass]
"""What the model is to be run on; it is answered with the hidden states of each."""


class ClipJob:
    """One clip of Lumos-1 on its way (`lumos.conventions.job.Job`); a step is one pass of the model.

    The passes are: the text, each refinement of each frame, each frame as history.
    """

    @torch.inference_mode()
    def __init__(
        self,
        model: LumosForCausalLM,
        request: ClipRequest,
        *,
        shown: Callable[[FinishedFrame], Any] = lambda frame: frame,
    ) -> None:
        """Compute nothing yet.

        Args:
            model: in evaluation mode.
            request: of one clip.
            shown: what is handed out of each finished latent frame: the frame itself, or what is made of it.

        Raises:
            ValueError: several clips, a prompt too long for the model, codes that it does not have.
        """
        if len(request.prompt_ids) != 1:
            raise ValueError(f"prompt_ids has {len(request.prompt_ids)} entries; a job is one clip, give one prompt")
        self.model, self._request, self._shown = model, request, shown
        self._given = given_codes(request, model)
        self._masked = masked_content(request, model.device)
        self._codes: deque[Tensor] = deque(maxlen=request.num_in_sight)
        self._tokens = FrameTokens(model.vocab, request.grid, device=model.device)
        self._num_places = request.num_latent_frames if request.counts_from_clip else request.num_in_sight
        limit = model.config.max_position_embeddings
        for since in (0, *request.changes):
            check_length(self._texts(since), self._num_places * len(self._tokens.masked), limit=limit)
        self._branches: list[Branch] = []
        self._calls = self._refinements = 0
        later, sampler = request.num_latent_frames - request.num_given - 1, request.sampler
        self._most_refinements = sampler.steps_of(first=True) + later * sampler.steps_of(first=False)
        self._parts: list[Any] = []
        self._life = self._passes()
        self._wanted: Wanted | None = next(self._life)

    @property
    def is_done(self) -> bool:
        """Whether there is no step left."""
        return self._wanted is None

    @property
    def progress(self) -> float:
        """The share of the refinements that are done; those that a frame did not need are done with its last."""
        return self._refinements / self._most_refinements

    @property
    def model_calls(self) -> int:
        """Passes of the model so far, each branch of the guidance counted."""
        return self._calls

    @property
    def wanted(self) -> Wanted:
        """The passes of the next step."""
        assert self._wanted is not None, "there is no step left"
        return self._wanted

    @torch.inference_mode()
    def take(self, hidden: Sequence[Tensor]) -> list[Any]:
        """Go on with what came of the passes; return what is handed out of the latent frames that are finished by it.

        Raises:
            ValueError: logits that are not finite.
        """
        try:
            self._wanted = self._life.send(list(hidden))
        except StopIteration:
            self.close()
        parts, self._parts = self._parts, []
        return parts

    def advance(self) -> list[Any]:
        """Go one step alone."""
        return self.take(packed_hidden(self.model, self.wanted))

    def close(self) -> None:
        """Let go of keys and values."""
        self._life.close()
        self._wanted, self._branches = None, []

    def _texts(self, since: int) -> list[Tensor]:
        """Return the text in force since a frame, in each branch."""
        prompts = self._request.changes.get(since, self._request.prompt_ids)
        return [branch[0] for branch in branch_texts(self._request, prompts, self.model.vocab)]

    def _passes(self) -> Generator[Wanted, list[Tensor]]:
        """Yield the passes of each step, from the text to the last frame; the answer is their hidden states."""
        request = self._request
        generated = range(request.num_given, request.num_latent_frames)
        each = sights(generated, window=request.window, changes=request.changes)
        before = next(each)
        yield from self._with_text(before)
        for frame in range(request.num_given):
            self._finish(frame, self._given[:, frame], is_given=True)
        for sight in chain([before], each):
            if sight.since != before.since:
                yield from self._with_text(sight)
            yield from self._written(sight)
            codes = yield from self._refined(sight.frame)
            self._finish(sight.frame, codes, is_given=False)
            before = sight

    def _with_text(self, sight: Sight) -> Generator[Wanted, list[Tensor]]:
        """Begin anew with the text of a frame."""
        begun = partial(
            Branch, tokens=self._tokens, num_latent_frames=self._num_places, num_in_sight=self._request.num_in_sight
        )
        self._branches = [begun(self.model, text) for text in self._texts(sight.since)]
        yield from self._kept([branch.text_pass() for branch in self._branches])

    def _written(self, sight: Sight) -> Generator[Wanted, list[Tensor]]:
        """Write what comes into the sight of a frame, as history (README 10.8)."""
        request = self._request
        if sight.written.start == sight.first:
            for branch in self._branches:
                branch.begin(sight.first if request.counts_from_clip else 0)
        for frame in sight.written:
            masked = self._masked if frame >= request.num_whole else self._masked[:, :0]
            ids = self._tokens.history_ids(self._codes[frame - sight.frame], masked)[0]
            yield from self._kept([branch.frame_pass(ids) for branch in self._branches])
            self._calls += len(self._branches)

    def _kept(self, passes: Wanted) -> Generator[Wanted, list[Tensor]]:
        """Run a pass in each branch, and keep its tokens."""
        yield passes
        for branch, done in zip(self._branches, passes, strict=True):
            branch.keep(done)

    def _refined(self, frame: int) -> Generator[Wanted, list[Tensor], Tensor]:
        """Return the codes [1, N] of the next frame, refined from all masked until none is (paper section 3.3)."""
        request, weight, num_positions = self._request, self.model.visual_weight, self._given.shape[-1]
        first = frame == request.num_given
        sampler = replace(request.sampler, num_steps=request.sampler.steps_of(first=first))
        guidance = Guidance(sampler, 1, num_positions=num_positions, weight=weight)
        codes = FrameCodes(codes=torch.full_like(self._given[:, 0], MASKED), num_masked=(num_positions,))
        for index in range(sampler.num_steps):
            if not any(codes.num_masked):
                break
            sequences = guidance.sequences([True])
            ids = self._tokens.ids(codes.codes)[0]
            only = self._tokens.code_columns[codes.order[0, : codes.num_masked[0]]]
            self._calls += len(sequences)
            states = yield [self._branches[one].frame_pass(ids, only=only) for one in sequences]
            hidden = guidance.guided(torch.stack(states), sequences=sequences, num_masked=codes.num_masked)[0]
            step = Step(frame=frame, index=index, first=first)
            codes = refine(codes, hidden, weight=weight, noise=request.noise, step=step, sampler=sampler)
            self._refinements += 1 if any(codes.num_masked) else sampler.num_steps - index
        return codes.codes

    def _finish(self, frame: int, codes: Tensor, *, is_given: bool) -> None:
        self._codes.append(codes)
        grid, calls = codes.unflatten(-1, self._request.grid), torch.tensor([self._calls])
        self._parts.append(self._shown(FinishedFrame(index=frame, codes=grid, is_given=is_given, model_calls=calls)))


@torch.inference_mode()
def advance_together(jobs: Sequence[ClipJob]) -> list[list[Any] | Exception]:
    """Return what one step of each job of one model finished, or why a job cannot go on; the others do.

    The jobs share one pass of the model. If that fails each is tried alone, to find out which of them it is.
    """
    wanted = [job.wanted for job in jobs]
    try:
        with said_when_full("sampling", "ask for fewer clips at once, or for smaller or shorter ones"):
            hidden = packed_hidden(jobs[0].model, [one for passes in wanted for one in passes])
    except Exception as error:
        if len(jobs) == 1:
            return [error]
        return [outcome for job in jobs for outcome in advance_together([job])]
    outcomes: list[list[Any] | Exception] = []
    for job, passes in zip(jobs, wanted, strict=True):
        own, hidden = hidden[: len(passes)], hidden[len(passes) :]
        try:
            outcomes.append(job.take(own))
        except Exception as error:
            outcomes.append(error)
    return outcomes
