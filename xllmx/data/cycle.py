"""Which streams give a batch to which step: in turns, one at a time, or together."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class StreamCycle:
    """Which streams give a batch to each step: a list of steps, gone through again and again."""

    steps: Sequence[tuple[str, ...]]
    """The streams of each step of one cycle; every step has one at least."""

    @classmethod
    def in_turns(cls, counts: Mapping[str, int]) -> "StreamCycle":
        """Return the cycle in which a step draws from one stream, so many steps from each in turn.

        {"image": 1, "video": 2} is image, video, video, image, video, video, ...

        Raises:
            ValueError: no stream has a count.
        """
        if not any(counts.values()) or min(counts.values()) < 0:
            raise ValueError(f"trainer.schedule is {dict(counts)}; it needs a stream with a count of at least 1")
        return cls([(name,) for name, count in counts.items() for _ in range(count)])

    @classmethod
    def together(cls, ratios: Mapping[str, int]) -> "StreamCycle":
        """Return the cycle in which a step draws from every stream whose ratio is over its place in the cycle.

        {"image": 1, "video": 3} is image and video, video, video, image and video, video, video, ...

        Raises:
            ValueError: a ratio below 1.
        """
        if wrong := [name for name, ratio in ratios.items() if ratio < 1]:
            raise ValueError(
                f"trainer.together.{wrong[0]} is {ratios[wrong[0]]}; give a whole number of at least 1, or leave the "
                "stream out"
            )
        places = range(max(ratios.values()))
        return cls([tuple(name for name, ratio in ratios.items() if place < ratio) for place in places])

    @property
    def names(self) -> list[str]:
        """The streams that are drawn from, in the order of their first step."""
        return list(dict.fromkeys(name for step in self.steps for name in step))

    def at(self, step: int) -> tuple[str, ...]:
        """Return the streams of the step."""
        return self.steps[step % len(self.steps)]

    def draws(self, name: str, step: int) -> int:
        """Return how many of the first `step` steps draw from the stream."""
        cycles, place = divmod(step, len(self.steps))
        return cycles * self._count(self.steps, name) + self._count(self.steps[:place], name)

    def steps_per_draw(self, name: str) -> float:
        """Return the mean number of steps between two that draw from the stream."""
        return len(self.steps) / self._count(self.steps, name)

    @staticmethod
    def _count(steps: Sequence[tuple[str, ...]], name: str) -> int:
        return sum(name in streams for streams in steps)
