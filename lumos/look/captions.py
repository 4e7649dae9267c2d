"""What is said of the captions of a set, or the prompts of outputs."""

from collections.abc import Sequence

from lumos.look.words import line, spread


def caption_lines(captions: Sequence[str], *, name: str = "captions") -> list[str]:
    """How long they are, in letters and words, how many differ, and how many are empty."""
    said = [caption for caption in captions if caption.strip()]
    empty = len(captions) - len(said)
    if not said:
        return [line(name, "none" if not captions else "all empty: nothing says what the clips show")]
    different = len(set(said))
    rest = (
        "all different" if different == len(said) else "all the same" if different == 1 else f"{different:,} different"
    )
    rest = f"; {rest}" if len(said) > 1 else ""
    words = spread([len(caption.split()) for caption in said], "words")
    without = f"; {empty:,} of {len(captions):,} empty" if empty else ""
    return [line(name, f"{spread([len(caption) for caption in said], 'letters')} ({words}){rest}{without}")]
