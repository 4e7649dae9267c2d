"""Which visual tokenizer made a set of codes: the one that is asked for, the one recorded, or the likeliest."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lumos.hub.bundled import BUNDLED_TOKENIZERS
from lumos.hub.hashes import sha256_of
from lumos.hub.models import DEFAULT_MODEL, SHARED_VISUAL_TOKENIZER, VISUAL_PAIR, ckpts_root
from lumos.look.report import LookRequest
from lumos.tokenizer.files import tokenizer_files
from lumos.tokenizer.text import TextTokenizer
from lumos.tokenizer.vocab import Vocab

_PLACES = ("*", "*/*", "*/*/*")
_DIGITS = 12


@dataclass(frozen=True, kw_only=True)
class TokenizerChoice:
    """A pair of tokenizers, not loaded."""

    name: str
    visual: Path
    """The folder of the visual one."""
    vocab: Vocab
    """Ids and number of codes, by the text tokenizer."""


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """The tokenizer of a set, if there is one, and how that is known."""

    tokenizer: TokenizerChoice | None
    said: str
    """For a person."""


def tokenizers_here(request: LookRequest) -> list[TokenizerChoice]:
    """The tokenizer that is asked for, or else all there are, the bundled model's first.

    Raises:
        ValueError: the one that is asked for is not here.
    """
    if request.model is not None:
        return [_choice(request.model, request.ckpts)]
    found = []
    for name in dict.fromkeys(_names(ckpts_root(request.ckpts))):
        try:
            found.append(_choice(name, request.ckpts))
        except ValueError:  # half a model: whoever generates with it is told
            continue
    return found


def choose_tokenizer(
    here: list[TokenizerChoice], *, request: LookRequest, recorded: str | None, most_code: int
) -> Chosen:
    """The tokenizer that gives a set of codes back.

    Args:
        here: `tokenizers_here`.
        request: whether one is asked for.
        recorded: SHA-256 of the encoder that made the codes, where it is written down.
        most_code: the largest code that was seen.
    """
    if request.model is not None:
        return Chosen(tokenizer=here[0], said=f"{here[0].name}, as asked")
    if recorded is not None:
        for one in here:
            if sha256_of(one.visual / VISUAL_PAIR[0]) == recorded:
                return Chosen(tokenizer=one, said=f"{one.name}, which made the codes")
        remedy = "give its folder, or its model, with --model"
        return Chosen(tokenizer=None, said=f"another one made the codes (sha256 {recorded[:_DIGITS]}...); {remedy}")
    # tiny-visual has as many codes as the released one: of codes without a record it is not the likeliest
    fitting = [one for one in here if most_code < one.vocab.num_codes and one.name not in BUNDLED_TOKENIZERS]
    if not fitting:
        remedy = "lumos download cosmos brings the released one, --model takes another"
        return Chosen(tokenizer=None, said=f"none that is here has code {most_code}; {remedy}")
    named = "no record says which made the codes; --model takes another"
    return Chosen(tokenizer=fitting[0], said=f"taken for {fitting[0].name}'s: {named}")


def _names(root: Path) -> Iterator[str]:
    """Models and folders of checkpoints with a visual tokenizer."""
    yield DEFAULT_MODEL
    yield SHARED_VISUAL_TOKENIZER.name
    yield from BUNDLED_TOKENIZERS
    for pattern in _PLACES:
        for file in sorted(root.glob(f"{pattern}/{VISUAL_PAIR[0]}")):
            folder = file.parent.parent if file.parent.name == "visual_tokenizer" else file.parent
            if folder != root / SHARED_VISUAL_TOKENIZER:
                yield str(folder.relative_to(root))


def _choice(name: str, ckpts: Path | None) -> TokenizerChoice:
    visual, text = tokenizer_files(name, root=ckpts)
    return TokenizerChoice(name=name, visual=visual, vocab=TextTokenizer.from_file(text).vocab)
