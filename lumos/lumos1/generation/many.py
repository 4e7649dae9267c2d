"""Clips of many requests at once, their frames as they are finished.

scheduler = Scheduler()
circle = scheduler.submit(clip_job(pipeline, "a red circle moves to the right", seed=1))
square = scheduler.submit(clip_job(pipeline, "a blue square", num_frames=5, guidance_scale=3))
for event in scheduler.run():                            # lumos.conventions.job
    if isinstance(event, Part) and event.ticket == circle:
        show(event.value)                                # a list of images
"""

from pathlib import Path
from typing import Any

import torch

from lumos.conventions.script import TimedPrompt, scripts_of
from lumos.lumos1.generation.clip_groups import request_of
from lumos.lumos1.generation.frame_stream import LatentImages
from lumos.lumos1.generation.going_on import first_of
from lumos.lumos1.pipeline import LumosPipeline
from lumos.lumos1.sampling.clip_job import ClipJob
from lumos.media.clip_pixels import ClipInput
from lumos.media.inputs import ImageInput, choose_seeds
from xllmx.settings.argument_types import checked_types


@checked_types
@torch.inference_mode()
def clip_job(
    pipeline: LumosPipeline,
    prompt: str | TimedPrompt,
    *,
    image: ImageInput | None = None,
    given: ClipInput | str | Path | None = None,
    negative_prompt: str | None = None,
    seed: int | None = None,
    decode_window: int | None = None,
    **settings: Any,
) -> ClipJob:
    """Return the job of one clip, whose parts are the images of each latent frame: one, and then four.

    They are those of `LumosPipeline.stream` with the same words and seed, whatever else is made meanwhile.

    Args:
        pipeline: whose model and visual tokenizer are on the device together.
        prompt: the text, or `[(0, text), (frame, text), ...]`.
        image: the first frame; its images are a part too.
        given: a clip to go on from; its frames come with the first part.
        negative_prompt: text the guidance leads away from.
        seed: None: from the operating system.
        decode_window: see `VisualTokenizer.stream`.
        **settings: of a call.

    Raises:
        ValueError: as a call, before anything is generated; where the parts take turns on the device.
    """
    if pipeline._in_turn is not None:
        rule = "model and visual tokenizer on the device at once, and enable_model_cpu_offload was called"
        raise ValueError(f"clips made together need {rule}; load the pipeline again without it")
    chosen = choose_seeds(1, seed=seed, generator=None)[0]
    first = first_of(image, given)
    clip = pipeline._clip(0, scripts_of(prompt)[0], first, negative_prompt, seed=chosen, given=settings)
    decode = pipeline.visual.stream(window=decode_window)
    images = LatentImages(decode, num_frames=clip.settings.num_output_frames, own=clip.frames)
    return ClipJob(pipeline.model, request_of([clip]), shown=images)
