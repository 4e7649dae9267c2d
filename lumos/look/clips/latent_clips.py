"""A look at clips of latents, what Lumina-Video trains on."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lumos.look.captions import caption_lines
from lumos.look.clips.clip_set import ClipSet
from lumos.look.clips.pair import Pair
from lumos.look.clips.provenance import Provenance, provenance_of, unfinished_shards
from lumos.look.clips.set_lines import damaged_lines, read_line
from lumos.look.clips.source import MOST_PIXELS, latent_source
from lumos.look.clips.vae_choice import ChosenVAE, choose_vae
from lumos.look.places import spread_places
from lumos.look.report import LookRequest, Report
from lumos.look.words import counts_table, line, plural, spread
from lumos.lumina_video.data.latent_set import LatentSet
from lumos.lumina_video.data.latents import LatentClip
from lumos.lumina_video.data.shards import LatentShards
from lumos.lumina_video.vae import CogVideoXVAE
from lumos.media.frames import to_frames
from lumos.media.inputs import choose_device

Clips = LatentSet | LatentShards
_UNSCORED = "python -m pre_tokenize.motion gives a list its scores; then make the latents again"
"""What to do where motion scores are missing."""


@dataclass(kw_only=True)
class _Seen:
    """What reading some of the clips showed."""

    num: int = 0
    captions: list[str] = field(default_factory=list)
    rates: list[float] = field(default_factory=list)
    """Frames a second of those that say it."""
    seconds: list[float] = field(default_factory=list)
    motion: list[float] = field(default_factory=list)
    """Scores of the videos that have one."""
    num_videos: int = 0
    sums: list[np.ndarray] = field(default_factory=list)
    """For each clip and channel: values, their sum, the sum of their squares."""
    largest: float = 0.0
    """The largest magnitude."""
    faults: list[str] = field(default_factory=list)
    """Why some could not be read."""


def look_at_latent_clips(path: Path, request: LookRequest) -> Report:
    """What is in a set of clips of latents.

    Args:
        path: what `LatentSet` reads, or the folder of a pre-tokenisation that has no index yet.
        request: how closely.

    Raises:
        ValueError: it cannot be read at all; what is wrong with single clips is counted.
    """
    shards = unfinished_shards(path)
    clips: Clips = LatentShards(shards) if shards else LatentSet(path)
    made = provenance_of(path, media=request.media)
    seen = _read(clips, spread_places(len(clips), request.read))
    chosen = choose_vae(request, clips.vae, channels=int(clips.shapes[0, 0]) if len(clips) else 0)
    pairs = _pairs(clips, spread_places(len(clips), request.num), chosen, made, request)
    whole = ClipSet(path=path, num=len(clips), holds="latents", model="Lumina-Video", decoder="VAE", made=made)
    return whole.report(_lines(clips, seen, chosen) if len(clips) else [], pairs, said=chosen.said)


def _read(clips: Clips, places: Sequence[int]) -> _Seen:
    seen = _Seen()
    for place in tqdm(places, desc="reading", unit="clip", disable=None, leave=False):
        try:
            clip = clips[place]
            values = clip.latent.float()
        except (ValueError, TypeError) as error:  # a text or number that is missing in a stranger's row
            seen.faults.append(str(error))
            continue
        seen.num += 1
        seen.captions.append(clip.caption or "")
        seen.rates += [clip.fps] if clip.fps is not None else []
        seen.seconds += [clip.seconds] if clip.seconds is not None else []
        seen.num_videos += not clip.is_image
        seen.motion += [clip.motion] if not clip.is_image and clip.motion >= 0 else []
        per_channel = values.flatten(1).double()
        count = torch.full((len(values),), float(per_channel.shape[1]), dtype=torch.float64)
        seen.sums.append(torch.stack([count, per_channel.sum(1), per_channel.square().sum(1)]).numpy())
        seen.largest = max(seen.largest, float(values.abs().max()))
    return seen


def _lines(clips: Clips, seen: _Seen, chosen: ChosenVAE) -> list[str]:
    spatial = chosen.identity.spatial if chosen.identity else None
    temporal = chosen.identity.temporal if chosen.identity else None
    rows = []
    for (C, T, H, W, lead), count in Counter(map(tuple, clips.shapes.tolist())).most_common():
        size = f"{W * spatial}x{H * spatial}" if spatial else "?"
        frames = "?" if temporal is None or lead else 1 if T == 1 else T * temporal
        rows.append((size, frames, f"{C}x{T}x{H}x{W}", lead, count))
    lines = counts_table(("size", "frames", "latent", "lead", "clips"), rows)
    lines += ["", *read_line(len(clips), seen.num + len(seen.faults))]
    lines.append(line("fps", spread(seen.rates) if seen.rates else "not recorded"))
    lines.append(line("seconds", f"{spread(seen.seconds)}, of the sources"))
    lines += caption_lines(seen.captions)
    if seen.num_videos:
        known = f"{len(seen.motion):,} of {plural(seen.num_videos, 'video')}"
        said = f"{spread(seen.motion)}; known of {known}" if seen.motion else f"known of {known}"
        lines.append(line("motion", said + ("" if len(seen.motion) == seen.num_videos else f": {_UNSCORED}")))
    return [*lines, *_latent_lines(seen), *damaged_lines(seen.faults)]


def _latent_lines(seen: _Seen) -> list[str]:
    """Mean and deviation over all values, deviations of the channels; a VAE's scale is there to make them 0 and 1."""
    if len({len(sums[0]) for sums in seen.sums}) != 1:
        return [] if not seen.sums else [line("latents", "of different numbers of channels")]
    count, total, squares = np.sum(seen.sums, axis=0)
    mean, deviation = total.sum() / count.sum(), _deviation(count.sum(), total.sum(), squares.sum())
    channels = [_deviation(*of_channel) for of_channel in zip(count, total, squares, strict=True)]
    spread_of = f"of its {len(channels)} channels {min(channels):.2f} to {max(channels):.2f}"
    text = f"mean {mean:.3f}, deviation {deviation:.2f} ({spread_of}); largest magnitude {seen.largest:.1f}"
    return [line("latents", text)]


def _deviation(count: float, total: float, squares: float) -> float:
    return max(0.0, squares / count - (total / count) ** 2) ** 0.5


def _pairs(
    clips: Clips, places: Sequence[int], chosen: ChosenVAE, made: Provenance, request: LookRequest
) -> list[Pair]:
    """The clips at some places, each beside its source."""
    vae = None
    if chosen.folder is not None and places:
        device = choose_device(request.device)
        vae = CogVideoXVAE.from_pretrained(chosen.folder, device=device, dtype=torch.float32)
    pairs = []
    for place in tqdm(places, desc="decoding", unit="clip", disable=None, leave=False):
        try:
            clip = clips[place]
            pairs.append(_pair(clip, vae, chosen, made))
        except (ValueError, TypeError) as error:
            pairs.append(Pair(caption="", facts="", source_name=f"clip {place}", fault=f"damaged: {error}"))
    return pairs


def _pair(clip: LatentClip, vae: CogVideoXVAE | None, chosen: ChosenVAE, made: Provenance) -> Pair:
    source = latent_source(clip, made, chosen.identity)
    decoded, fault = None, source.fault
    _, T, H, W = clip.kept.shape
    facts = f"latent {'x'.join(map(str, clip.latent.shape))}"
    if chosen.identity is not None:
        frames = 1 if clip.is_image else T * chosen.identity.temporal
        side = chosen.identity.spatial
        facts = f"{W * side}x{H * side} · {plural(frames, 'frame')}"
        if frames * H * W * side**2 > MOST_PIXELS:
            fault = "too large to be decoded here"
        elif vae is not None:
            try:
                decoded = to_frames(vae.decode(clip.kept[None].float(), frames)[0])
            except ValueError as error:
                fault = f"not decoded: {error}"
    facts += f" · {clip.fps:g} fps" if clip.fps and not clip.is_image else ""
    facts += f" · motion {clip.motion:.1f}" if clip.motion >= 0 and not clip.is_image else ""
    return Pair(
        caption=clip.caption or "",
        facts=facts,
        source_name=clip.source,
        source=source.frames,
        decoded=decoded,
        fault=fault,
    )
