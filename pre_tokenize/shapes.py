"""Shards of clips of the shapes world: rendered, captioned and coded in one go, without files in between.

`python -m pre_tokenize.shapes --out data/tiny/video --num 30000 --tokenizer lumos-tiny`

With `--to latents --vae FOLDER` the shards are of latents, by `pre_tokenize.shapes_latents`.
"""

import sys
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from lumos.hub.models import DEFAULT_MODEL, named_folder
from lumos.lumos1.data.shards import CLIPS
from lumos.lumos1.data.writing import ClipWriter
from lumos.lumos1.sequence import Clip
from lumos.media.decoded import low_psnr, psnr
from lumos.media.shards.parquet_rows import INDEX_NAME
from lumos.shapes.dataset import Format, add_options, example, format_of, frames_of
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.visual import VisualTokenizer
from pre_tokenize.bookkeeping.ledger import FORMS
from pre_tokenize.products.decoded_again import decoded_of
from pre_tokenize.shapes_latents import add_latent_options, write_from
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.words import plural


def write_clips(out: Path, *, num: int, seed: int, form: Format, tokenizer: Path, batch_size: int = 32) -> int:
    """Render, code and write `num` clips as shards with an index; return how many."""
    text = TextTokenizer.from_file(tokenizer / "text_tokenizer.json")
    visual = VisualTokenizer.from_pretrained(tokenizer / "visual_tokenizer")
    examples = (example(index, seed=seed, form=form) for index in range(num))
    chosen = decoded_of(num)
    with ClipWriter(out) as writer:
        batches = _batches(tqdm(examples, total=num, desc=str(out)), batch_size)
        for start, batch in zip(range(0, num, batch_size), batches, strict=True):
            frames = np.stack([frames_of(spec, form) for spec, _ in batch])
            codes = visual.encode(torch.from_numpy(frames).permute(0, 4, 1, 2, 3).float() / 127.5 - 1)
            for place, (_, words) in enumerate(batch):
                clip, of_clip = frames[place], codes[place]
                psnr_db = next(psnr(clip[None], visual.decode(of_clip[None]))) if start + place in chosen else None
                writer.add(_clip(text, words, of_clip.numpy(), form), psnr_db=psnr_db)
    if said := low_psnr(writer.decoded, remedy=CLIPS.remedy):
        print(f"pre_tokenize.shapes: warning: {said}", file=sys.stderr)
    return num


def _clip(text: TextTokenizer, words: str, codes: np.ndarray, form: Format) -> Clip:
    prompt_ids = text.prompt_ids(words, width=form.size_px, height=form.size_px)
    return Clip(
        prompt_ids=np.asarray(prompt_ids, dtype=np.int32),
        caption=words,
        codes=codes.astype(np.uint16),
        fps=form.fps,
        duration=form.duration_s,
        source="shapes",
    )


def _batches(examples: Iterable, size: int) -> Iterator[list]:
    iterator = iter(examples)
    while batch := list(islice(iterator, size)):
        yield batch


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="pre_tokenize.shapes", description=__doc__)
    add_options(parser)
    parser.add_argument("--to", choices=list(FORMS), default="codes", help="codes of Lumos-1, latents of Lumina-Video")
    add_latent_options(parser)
    parser.add_argument(
        "--tokenizer", default=DEFAULT_MODEL, help="codes: a model with both tokenizers, name or folder"
    )

    def write() -> int:
        options = parser.parse_args(arguments)
        if options.to == "latents":
            num = write_from(options)
        else:
            form, tokenizer = format_of(options), named_folder(options.tokenizer)
            num = write_clips(options.out, num=options.num, seed=options.seed, form=form, tokenizer=tokenizer)
        print(f"{options.out / INDEX_NAME}: {plural(num, 'clip')}")
        return 0

    return status_of("pre_tokenize.shapes", write, words=arguments)


if __name__ == "__main__":
    sys.exit(main())
