"""A small text tokenizer of our own, with the released token names: byte-level BPE, so any Unicode prompt has ids.

`python -m lumos.tokenizer.text_training --out ckpts/lumos-tiny/text_tokenizer.json --num-codes 4375` learns it from the
captions of the shapes world.
"""

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from lumos.shapes.dataset import training_example
from lumos.tokenizer.text import TOKEN_NAMES, code_name, number_name, prompt_text
from xllmx.disk.files import write_text
from xllmx.disk.place import check_file
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser
from xllmx.settings.number_range import Range, check_number

_MOST = 2**20
"""Of codes, captions, merges and pixels: far beyond any use."""
NUM_NUMBERS = 128
"""Number tokens of a small tokenizer: grids up to 127 x 32 px, fps and seconds up to 127."""


def train_text_tokenizer(texts: Iterable[str], *, num_merges: int, num_codes: int) -> Tokenizer:
    """A byte-level BPE tokenizer with the special, number and visual tokens of lumos1/README.md, section 1.

    Ids: special tokens, number tokens, the 256 bytes, merges, visual codes. None of the special or visual tokens can
    come out of text: they are entries of the vocabulary that no merge leads to.

    Args:
        texts: what the merges are learnt from.
        num_merges: at most so many merged tokens.
        num_codes: size of the visual codebook.
    """
    special = [*TOKEN_NAMES.values(), *(number_name(n) for n in range(NUM_NUMBERS))]
    learner = _byte_level(models.BPE())
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=len(alphabet) + num_merges, initial_alphabet=alphabet, show_progress=False, min_frequency=5
        ),
    )
    learnt = sorted(learner.get_vocab().items(), key=lambda item: item[1])
    names = [*special, *(name for name, _ in learnt), *(code_name(code) for code in range(num_codes))]
    vocab = {name: index for index, name in enumerate(names)}
    return _byte_level(models.BPE(vocab=vocab, merges=_merges(learner)))


def save_text_tokenizer(tokenizer: Tokenizer, path: Path) -> None:
    """Write the file, whole or not at all."""
    write_text(path, tokenizer.to_str())


def _byte_level(model: models.BPE) -> Tokenizer:
    tokenizer = Tokenizer(model)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def _merges(tokenizer: Tokenizer) -> list[tuple[str, str]]:
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    pairs = (pair.split(" ") if isinstance(pair, str) else pair for pair in merges)
    return [(left, right) for left, right in pairs]


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the file; return the exit status (`xllmx.run.exit_status`)."""
    parser = OptionParser(prog="lumos.tokenizer.text_training", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="tokenizer file to write")
    parser.add_argument("--num-codes", type=int, required=True, help="size of the visual codebook")
    parser.add_argument("--num-captions", type=int, default=5000)
    parser.add_argument("--num-merges", type=int, default=512)
    parser.add_argument("--size", type=int, default=64, help="pixels named in the prompts")
    return status_of("lumos.tokenizer.text_training", lambda: _write(parser.parse_args(arguments)), words=arguments)


def _write(options: argparse.Namespace) -> int:
    for name in ("num_codes", "num_captions", "num_merges", "size"):
        check_number(f"--{name.replace('_', '-')}", int, getattr(options, name), Range(1, _MOST))
    check_file(options.out)
    captions = (training_example(i, seed=0, moving=i % 2 == 0)[1] for i in range(options.num_captions))
    texts = (prompt_text(words, width=options.size, height=options.size, num_frames=0, fps=0) for words in captions)
    tokenizer = train_text_tokenizer(texts, num_merges=options.num_merges, num_codes=options.num_codes)
    save_text_tokenizer(tokenizer, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
