"""What the clients ask for: a list that a seed makes, two thirds of it good, a third bad or given up midway."""

import random
from dataclasses import dataclass

GOOD = ("video", "image", "extension", "remix")
_SHARES = (5, 2, 2, 2)
"""Of the good ones."""
REFUSED = {"malformed JSON": 400, "wrong field": 400, "unknown model": 404, "too large": 413}
"""Bad ones, and the status of their answer."""
GIVEN_UP = ("upload cut off", "stream dropped", "image dropped", "deleted")
"""Those whose client goes midway, or deletes its video while it is waiting or made."""
_PROMPTS = (
    "a red circle moves to the right",
    "a blue square moves up",
    "two green stars on a black background",
    "a yellow ring moves down",
)
_SEEDS = 4
"""Few, so that the same clip is made many times, in other company, and must be the same."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One request."""

    number: int
    kind: str
    """One of `GOOD`, `REFUSED`, `GIVEN_UP`."""
    prompt: str
    seed: int
    key: str
    """Its Idempotency-Key, under which it is sent again where no answer came."""

    @property
    def is_good(self) -> bool:
        """Whether something is to come of it."""
        return self.kind in GOOD


def asks_of(num: int, *, seed: int) -> list[Ask]:
    """So many requests; every third is bad or given up, and each of those kinds comes in turn."""
    drawn, bad = random.Random(seed), (*REFUSED, *GIVEN_UP)
    asks = []
    for number in range(num):
        is_bad = number % 3 == 2
        choice = drawn.randrange(len(_PROMPTS))
        asks.append(
            Ask(
                number=number,
                kind=bad[number // 3 % len(bad)] if is_bad else drawn.choices(GOOD, _SHARES)[0],
                prompt=_PROMPTS[choice],
                seed=drawn.randrange(_SEEDS),
                key=f"{seed}-{number}",
            )
        )
    drawn.shuffle(asks)
    return asks
