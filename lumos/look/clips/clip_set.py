"""A set of clips of either model, as a look at it begins and ends."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lumos.look.clips.pair import Pair, decoded_lines
from lumos.look.clips.provenance import Provenance, unfinished_shards
from lumos.look.clips.set_lines import head_lines, made_lines
from lumos.look.report import Report
from lumos.look.words import plural


@dataclass(frozen=True, kw_only=True)
class ClipSet:
    """What is known of a set before it is looked at closely."""

    path: Path
    num: int
    """Clips."""
    holds: str
    """codes, or latents."""
    model: str
    """Who trains on it."""
    decoder: str
    """What decodes it, for people."""
    made: Provenance
    """What was recorded as it was made."""

    def report(self, own: Sequence[str], pairs: Sequence[Pair], *, said: str) -> Report:
        """The look: first what it is, then `own`, the lines of its model, last what was decoded, and `said` of that."""
        is_unfinished = bool(unfinished_shards(self.path))
        lines = head_lines(self.path, self.num, what=f"{self.holds}, for {self.model}", is_unfinished=is_unfinished)
        lines += [*own, *made_lines(self.made), *decoded_lines(pairs, decoder=self.decoder, said=said)]
        title = f"{self.path}: {plural(self.num, 'clip')} of {self.holds}"
        return Report(lines=lines, cards=[pair.card() for pair in pairs], title=title)
