"""What is shown of many things is spread over all of them."""

from itertools import pairwise

import pytest

from lumos.look.places import spread_places


def test_the_first_and_the_last_are_among_them() -> None:
    assert [spread_places(num, 4) for num in (0, 1, 3, 4, 5, 13)] == [
        [],
        [0],
        [0, 1, 2],
        [0, 1, 2, 3],
        [0, 1, 3, 4],
        [0, 4, 8, 12],
    ]
    assert spread_places(100, 3) == [0, 50, 99]


@pytest.mark.parametrize("num", range(2, 40))
def test_none_is_there_twice_and_all_lie_alike(num: int) -> None:
    for most in range(2, num + 1):
        places = spread_places(num, most)
        steps = [after - before for before, after in pairwise(places)]
        assert (places[0], places[-1], len(places)) == (0, num - 1, most)
        assert min(steps) >= 1
        assert max(steps) - min(steps) <= 1
