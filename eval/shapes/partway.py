"""Where on the way from noise a flow goes wrong: true clips, noised to a time t, and sampled on from there.

What is right from t = 0.35 on and wrong from 0 is lost in the first third (partial noising, as in SDEdit, arXiv
2108.01073, section 3). From t = 0 a clip is the model's own; from t = 1 it is the true one, as the VAE gives it back.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from tqdm import tqdm

from eval.shapes.prompts import Record, make_prompts
from eval.shapes.run import write_json
from eval.shapes.score import Report, score, summarise
from lumos.cli.models.door import find_model, refuse_settings
from lumos.conventions.call import OnStepEnd
from lumos.lumina_video.checkpoint.parts import LuminaVideoFiles
from lumos.lumina_video.flow import noise_for, time_grid
from lumos.lumina_video.pipeline import LuminaVideoPipeline
from lumos.lumina_video.settings import LuminaVideoSettings
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.shapes import describe, render


@dataclass(frozen=True, kw_only=True)
class PartwayPoint:
    """What came out of clips whose states were true up to one time."""

    time: float
    report: Report


def measure_partway(
    model: str,
    times: Sequence[float],
    *,
    num: int,
    kind: str = "held_out",
    seed: int = 0,
    batch_size: int = 32,
    settings: dict[str, Any],
) -> list[PartwayPoint]:
    """Sample clips of `num` prompts on from the true state at each of the times, and score them.

    Clip i has the noise of seed `seed` + i at every time: from t = 0 it is that of `eval.shapes run`.

    Raises:
        ValueError: a model that is no flow, or settings that it does not have.
    """
    found = find_model(model, how={"keep_encoders": True})
    refuse_settings(found, ["preset", *settings])
    chosen = found.settings_for(settings, image=None)
    records, pipeline = make_prompts(kind, num, seed), found.load([])
    assert isinstance(found.files, LuminaVideoFiles)
    assert isinstance(chosen, LuminaVideoSettings)
    assert isinstance(pipeline, LuminaVideoPipeline)
    vae = CogVideoXVAE.from_pretrained(found.files.vae, device=pipeline.device, dtype=pipeline.dtype)
    batches = [records[first : first + batch_size] for first in range(0, num, batch_size)]
    latents = [_true_latents(batch, vae, settings=chosen) for batch in batches]
    points = []
    with tqdm(total=num * len(times), desc="partway", unit="clip") as progress:
        for time in times:
            results = []
            for batch, of_batch in zip(batches, latents, strict=True):
                seeds = [seed + record.id for record in batch]
                true = true_states(of_batch, seeds, settings=chosen, until=time)
                prompts = [record.prompt.text for record in batch]
                clips = pipeline(prompts, seed=seeds, callback_on_step_end=true, **settings).frames
                readings = (describe(np.stack([np.asarray(frame) for frame in clip])) for clip in clips)
                results += [score(record, reading) for record, reading in zip(batch, readings, strict=True)]
                progress.update(len(batch))
            points.append(PartwayPoint(time=time, report=summarise(results)))
    return points


def true_states(
    latents: Float[Tensor, "n C T H W"], seeds: Sequence[int], *, settings: LuminaVideoSettings, until: float
) -> OnStepEnd:
    """Return a `callback_on_step_end` that goes on with (1 - t) noise + t latents while t <= `until`.

    The noise is what the pipeline starts from with these seeds.
    """
    noise = torch.stack([noise_for(one, latents.shape[1:], device=latents.device) for one in seeds])
    times = time_grid(settings.preset.num_points, settings.preset.shift).tolist()

    def on_step_end(pipeline: Any, step: int, timestep: Any, tensors: dict[str, Tensor]) -> dict[str, Tensor] | None:
        t = times[step + 1]
        return {"latents": (1 - t) * noise + t * latents} if t <= until else None

    return on_step_end


def _true_latents(records: Sequence[Record], vae: CogVideoXVAE, *, settings: LuminaVideoSettings) -> Tensor:
    """The latents of the clips that the records describe, fp32 [n, C, T, H, W]."""
    size = {"width": settings.width, "height": settings.height, "num_frames": settings.num_frames, "fps": settings.fps}
    frames = np.stack([render(record.spec, **size) for record in records])
    pixels = torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1
    with torch.inference_mode():
        return vae.encode(pixels).float()


def save_points(points: Sequence[PartwayPoint], folder: Path) -> None:
    """Write `partway.json` into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "partway.json", [asdict(point) for point in points])


def partway_table(points: Sequence[PartwayPoint]) -> str:
    """The points as a table in Markdown: a row a time, a column a motion."""
    motions = list(points[0].report.motions)
    lines = [f"| true up to t | as asked | {' | '.join(motions)} |", "|" + "---|" * (2 + len(motions))]
    for point in points:
        parts = [f"{point.report.motions[name]['accuracy']:.2f}" for name in motions]
        lines.append(f"| {point.time:g} | {point.report.overall:.2f} | {' | '.join(parts)} |")
    return "\n".join(lines)
