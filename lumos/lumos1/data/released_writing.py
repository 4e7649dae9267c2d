"""Clips written as the Lumos-1 release stored its samples: a pickle for each, and a record that lists them.

    F.json                  [{"file": "F-files/0.pkl", "len": tokens, "id": 0}, ...], written last
    F-files/0.pkl           {"token": [int], "label": [int], "id": 0}
    F-captions.jsonl        {"file", "caption", "source"}: what a sample does not say, and "psnr_db" of clips that were
                            decoded (`lumos.media.decoded`); the release has no such file

A label is the token from the video start on, and -100 before it.
"""

import json
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch

from lumos.lumos1.data.released import captions_path
from lumos.lumos1.sequence import IGNORED_LABEL, Clip, sequence_of
from lumos.media.files import replacing
from lumos.tokenizer.vocab import Vocab
from xllmx.disk.files import write_text


def sample_of(clip: Clip, vocab: Vocab, *, number: int) -> dict[str, Any]:
    """Return a clip as a released sample, plain ints; ValueError where the vocabulary is not that of its codes."""
    codes = torch.from_numpy(clip.codes.astype("int64"))
    prompt_ids = torch.from_numpy(clip.prompt_ids.astype("int64"))
    tokens = sequence_of(prompt_ids, codes, vocab=vocab, fps=clip.fps, duration=clip.duration).tolist()
    begin = tokens.index(vocab.video_start)
    return {"token": tokens, "label": [IGNORED_LABEL] * begin + tokens[begin:], "id": number}


def write_released(
    record: str | Path, clips: Iterable[Clip], vocab: Vocab, *, psnr_db: Mapping[int, float] | None = None
) -> int:
    """Write clips as a released set whose list is `record`, a .json; return how many.

    A sample is found again by its path as `record` spells it: a relative one counts from the working directory, as in
    the release. The record is written last: a set that has none is unfinished. `psnr_db` is that of the clips, by their
    number, that were decoded.

    Raises:
        ValueError: the disk is full and the like; the clips are not of this vocabulary.
    """
    record = Path(record)
    if ".." in record.parts:  # a record names nothing outside its folder
        record = record.resolve()
    folder = record.with_name(f"{record.stem}-files")
    record.unlink(missing_ok=True)
    rows: list[dict[str, Any]] = []
    captions: list[str] = []
    for number, clip in enumerate(clips):
        sample, path = sample_of(clip, vocab, number=number), folder / f"{number}.pkl"
        with replacing(path) as temporary:
            temporary.write_bytes(pickle.dumps(sample, protocol=4))
        rows.append({"file": str(path), "len": len(sample["token"]), "id": number})
        said: dict[str, Any] = {"file": str(path), "caption": clip.caption, "source": clip.source}
        said |= {"psnr_db": psnr_db[number]} if psnr_db and number in psnr_db else {}
        captions.append(json.dumps(said, ensure_ascii=False) + "\n")
    write_text(captions_path(record), "".join(captions))
    write_text(record, json.dumps(rows))
    return len(rows)
