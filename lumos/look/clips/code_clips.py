"""A look at clips of codes, what Lumos-1 trains on."""

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
from lumos.look.clips.source import MOST_PIXELS, Source, code_source
from lumos.look.clips.tokenizer_choice import Chosen, TokenizerChoice, choose_tokenizer, tokenizers_here
from lumos.look.places import spread_places
from lumos.look.report import LookRequest, Report
from lumos.look.words import counts_table, line, number, plural, share, spread
from lumos.lumos1.data.clips import ClipDataset
from lumos.lumos1.data.shards import ClipShards
from lumos.lumos1.sequence import SPATIAL_FACTOR, Clip, num_frames_of, num_latent_frames
from lumos.media.frames import to_frames
from lumos.media.inputs import choose_device
from lumos.tokenizer.visual import VisualTokenizer
from lumos.tokenizer.vocab import Vocab

_CODES = 2**16

Clips = ClipDataset | ClipShards


@dataclass(kw_only=True)
class _Seen:
    """What reading some of the clips showed."""

    num: int = 0
    captions: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    """T, H, W, fps, duration of each."""
    uses: np.ndarray = field(default_factory=lambda: np.zeros(_CODES, dtype=np.int64))
    """How often each code stands there."""
    faults: list[str] = field(default_factory=list)
    """Why some could not be read."""


def look_at_code_clips(path: Path, request: LookRequest) -> Report:
    """What is in a set of clips of codes.

    Args:
        path: what `ClipDataset` reads, or the folder of a pre-tokenisation that has no index yet.
        request: how closely.

    Raises:
        ValueError: it cannot be read at all; what is wrong with single clips is counted.
    """
    here = tokenizers_here(request)
    clips = _opened(path, here, is_asked=request.model is not None)
    made = provenance_of(path, media=request.media)
    seen = _read(clips, spread_places(len(clips), request.read))
    most_code = int(np.flatnonzero(seen.uses)[-1]) if seen.uses.any() else 0
    recorded = made.text("visual_tokenizer")
    chosen = choose_tokenizer(here, request=request, recorded=recorded, most_code=most_code)
    pairs = _pairs(clips, spread_places(len(clips), request.num), chosen.tokenizer, made, request)
    whole = ClipSet(path=path, num=len(clips), holds="codes", model="Lumos-1", decoder="tokenizer", made=made)
    return whole.report(_lines(clips, seen, chosen) if len(clips) else [], pairs, said=chosen.said)


def _opened(path: Path, here: Sequence[TokenizerChoice], *, is_asked: bool) -> Clips:
    """The clips, read with the ids of the first tokenizer that fits; only released pickles hold such ids."""
    if shards := unfinished_shards(path):
        return ClipShards(shards)
    first: Clips | None = None
    fault: ValueError | None = None
    for vocab in [*([] if is_asked else [Vocab()]), *(one.vocab for one in here)]:
        try:
            clips = ClipDataset(path, vocab=vocab)
            first = first or clips
            if len(clips):
                clips[0]
            return clips
        except ValueError as error:
            fault = fault or error
    if first is None:
        assert fault is not None
        raise fault
    return first


def _read(clips: Clips, places: Sequence[int]) -> _Seen:
    seen = _Seen()
    for place in tqdm(places, desc="reading", unit="clip", disable=None, leave=False):
        try:
            clip = _checked(clips[place])
        except ValueError as error:
            seen.faults.append(str(error))
            continue
        seen.num += 1
        seen.captions.append(clip.caption)
        seen.shapes.append((*clip.codes.shape, clip.fps, clip.duration))
        seen.uses += np.bincount(clip.codes.ravel(), minlength=_CODES)
    return seen


def _checked(clip: Clip) -> Clip:
    """The clip; ValueError where its record lacks something or holds what cannot be."""
    texts, counts = (clip.caption, clip.source), (clip.fps, clip.duration)
    sound = all(isinstance(text, str) for text in texts) and all(type(n) is int and n > 0 for n in counts)
    if not sound or clip.codes.ndim != 3 or 0 in clip.codes.shape:
        raise ValueError(f"{clip.source!r:.80}: a clip without codes, rate, duration or texts")
    return clip


def _lines(clips: Clips, seen: _Seen, chosen: Chosen) -> list[str]:
    known = clips.shapes[:, 1:] if (clips.shapes[:, 1] > 0).all() else np.array(seen.shapes).reshape(-1, 5)
    lines = _size_lines([tuple(row) for row in known.tolist()])
    if len(known) < len(clips):
        lines.insert(-1, line("", f"of the {plural(len(known), 'clip')} read: a released record says lengths alone"))
    lines += read_line(len(clips), seen.num + len(seen.faults))
    lengths = np.asarray(clips.lengths)
    lines.append(line("tokens", f"{spread(lengths, 'a clip')}; {int(lengths.sum()):,} in all"))
    lines += caption_lines(seen.captions)
    return [*lines, *_code_lines(seen.uses, chosen.tokenizer), *damaged_lines(seen.faults)]


def _size_lines(shapes: Sequence[tuple[int, ...]]) -> list[str]:
    """A table of the sizes, the commonest first."""
    rows = []
    for (T, H, W, fps, duration), count in Counter(shapes).most_common():
        size = f"{W * SPATIAL_FACTOR}x{H * SPATIAL_FACTOR}"
        rows.append((size, _num_frames(T, fps, duration), fps, duration, count))
    return [*counts_table(("size", "frames", "fps", "seconds", "clips"), rows), ""]


def _num_frames(T: int, fps: int, duration: int) -> int:
    """Frames of the source that T latent frames stand for; decoded they are some more, which repeat the last."""
    asked = fps * duration
    return asked if asked > 0 and num_latent_frames(asked) == T else num_frames_of(T)


def _code_lines(uses: np.ndarray, tokenizer: TokenizerChoice | None) -> list[str]:
    """How many of the codes are used, and how evenly: the perplexity is how many there would be, all used alike."""
    total, used = int(uses.sum()), int((uses > 0).sum())
    if not total:
        return []
    shares = uses[uses > 0] / total
    perplexity = float(np.exp(-(shares * np.log(shares)).sum()))
    of = f" of {tokenizer.vocab.num_codes:,} ({used / tokenizer.vocab.num_codes:.0%})" if tokenizer else ""
    common = f"the commonest ({int(uses.argmax())}) is {share(shares.max())} of all"
    return [line("codes", f"{used:,}{of} used, perplexity {number(round(perplexity))}; {common}")]


def _pairs(
    clips: Clips, places: Sequence[int], tokenizer: TokenizerChoice | None, made: Provenance, request: LookRequest
) -> list[Pair]:
    """The clips at some places, each beside its source."""
    visual = None
    if tokenizer is not None and places:
        visual = VisualTokenizer.from_pretrained(tokenizer.visual, device=choose_device(request.device))
    pairs = []
    for place in tqdm(places, desc="decoding", unit="clip", disable=None, leave=False):
        try:
            clip = _checked(clips[place])
        except ValueError as error:
            pairs.append(Pair(caption="", facts="", source_name=f"clip {place}", fault=f"damaged: {error}"))
            continue
        pairs.append(_pair(clip, visual, code_source(clip, made)))
    return pairs


def _pair(clip: Clip, visual: VisualTokenizer | None, source: Source) -> Pair:
    T, H, W = clip.codes.shape
    frames, decoded, fault = _num_frames(T, clip.fps, clip.duration), None, source.fault
    if num_frames_of(T) * H * W * SPATIAL_FACTOR**2 > MOST_PIXELS:
        fault = "too large to be decoded here"
    elif visual is not None:
        try:
            decoded = to_frames(visual.decode(torch.from_numpy(clip.codes.astype(np.int64))[None])[0])[:frames]
        except ValueError as error:
            fault = f"not decoded: {error}"
    size = f"{W * SPATIAL_FACTOR}x{H * SPATIAL_FACTOR}"
    facts = f"{size} · {plural(frames, 'frame')}" + (f" · {clip.fps} fps" if frames > 1 else "")
    return Pair(
        caption=clip.caption,
        facts=facts,
        source_name=clip.source,
        source=source.frames,
        decoded=decoded,
        fault=fault,
    )
