"""Which of many things are shown or read."""


def spread_places(num: int, most: int) -> list[int]:
    """At most `most` of `num` places, spread from first to last, none twice.

    >>> spread_places(5, 4), spread_places(2, 3), spread_places(5, 0)
    ([0, 1, 3, 4], [0, 1], [])
    """
    count = min(num, most)
    steps = max(count - 1, 1)
    return [(2 * place * (num - 1) + steps) // (2 * steps) for place in range(count)]
