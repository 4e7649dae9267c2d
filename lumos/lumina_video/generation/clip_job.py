"""One clip of Lumina-Video as a job among others: a step is one Euler step."""

from collections.abc import Generator
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from lumos.lumina_video.flow import noise_for, states_of
from lumos.lumina_video.pipeline import LuminaVideoPipeline
from lumos.lumina_video.sampling.guided_field import GuidedField
from lumos.lumina_video.settings import LuminaVideoSettings
from lumos.media.inputs import choose_seeds
from xllmx.full_memory import said_when_full
from xllmx.settings.argument_types import checked_types


class LuminaVideoJob:
    """A clip on its way (`lumos.conventions.job.Job`).

    Its steps: the texts are read, every Euler step, and the images are decoded, which are its only part.
    """

    def __init__(
        self, pipeline: LuminaVideoPipeline, prompt: str, *, negative: str, settings: LuminaVideoSettings, seed: int
    ) -> None:
        """Compute nothing yet."""
        self.settings, self.seed = settings, seed
        self._pipeline, self._texts = pipeline, (prompt, negative)
        self._left = self._num_steps = settings.preset.num_steps + 2
        self.model_calls = 0
        """Passes of the network so far, each branch of the guidance counted."""
        self._life = self._steps()

    @property
    def is_done(self) -> bool:
        """Whether there is no step left."""
        return self._left == 0

    @property
    def progress(self) -> float:
        """The share of the steps that are done."""
        return 1 - self._left / self._num_steps

    @torch.inference_mode()
    def advance(self) -> list[list[Image.Image]]:
        """Go one step.

        Raises:
            ValueError: numbers that are not finite, memory that does not suffice.
        """
        parts = next(self._life)
        self._left -= 1
        return parts

    def close(self) -> None:
        """Let go of the state and the features."""
        self._life.close()
        self._left = 0

    def _steps(self) -> Generator[list[list[Image.Image]]]:
        pipeline, (prompt, negative) = self._pipeline, self._texts
        prompts, *negatives = pipeline._texts([prompt], [negative], self.settings)
        yield []
        shape = (pipeline.model.config.in_channels, *self.settings.latent_shape)
        noise = noise_for(self.seed, shape, device=pipeline.device)[None]
        states: Generator[Tensor] | None = None
        for moment in self.settings.preset.moments(pipeline.dtype):
            with said_when_full("sampling", "ask for fewer clips at once, or for smaller or shorter ones"):

                def step(model: Any) -> Tensor:
                    nonlocal states
                    if states is None:
                        preset = self.settings.preset
                        field = GuidedField(model, preset, prompts=prompts, negatives=negatives, noise=noise)
                        states = states_of(field, noise, preset=preset)
                    return next(states)

                latents = pipeline._parts.network.use(step)
            self.model_calls += 1 + len(moment.guided_by)
            yield []
        yield pipeline.decode(latents, num_frames=self.settings.num_output_frames)


@checked_types
def clip_job(
    pipeline: LuminaVideoPipeline,
    prompt: str,
    *,
    image: Any = None,
    negative_prompt: str | None = "",
    seed: int | None = None,
    **settings: Any,
) -> LuminaVideoJob:
    """Return the job of one clip, whose images are those of a call with the same words and seed.

    Raises:
        ValueError: as a call, before anything is computed.
    """
    chosen = pipeline.settings_for(settings, image=image)
    pipeline.check(prompt, chosen)
    own = choose_seeds(1, seed=seed, generator=None)[0]
    return LuminaVideoJob(pipeline, prompt, negative=negative_prompt or "", settings=chosen, seed=own)
