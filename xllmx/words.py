"""Counts in messages to people."""


def plural(count: int, word: str) -> str:
    """Return a count and what is counted.

    >>> [plural(count, "clip") for count in (0, 1, 1200)]
    ['0 clips', '1 clip', '1,200 clips']
    >>> plural(2, "process")
    '2 processes'
    """
    return f"{count:,} {word}{'' if count == 1 else 'es' if word.endswith('s') else 's'}"
