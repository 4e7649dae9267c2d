"""Rows in columns come back as they were."""

from pathlib import Path

import numpy as np
import pytest

from lumos.lumina_video.training.items.listed_rows import UNSAID, JoinedFiles, ListedFile, ListedFiles
from lumos.media.decoding.video_facts import VideoFacts


def test_rows_of_lists_come_back_one_behind_the_other() -> None:
    first = ListedFiles(Path("a"), [("b.mp4", "one", 2.5, (1.5, 24.0, 64.0, 96.0)), ("/c.mp4", "two", -1.0, UNSAID)])
    rows = JoinedFiles([first, ListedFiles(Path(), []), ListedFiles(Path("d"), [("e.mp4", "three", -1.0, UNSAID)])])
    said = VideoFacts(seconds=1.5, fps=24.0, width=64, height=96)
    assert list(rows) == rows[:] == [
        ListedFile(path=Path("a/b.mp4"), caption="one", motion=2.5, said=said),
        ListedFile(path=Path("/c.mp4"), caption="two"),
        ListedFile(path=Path("d/e.mp4"), caption="three"),
    ]  # fmt: skip
    assert (rows[-1], len(rows)) == (rows[2], 3)
    assert np.array_equal(rows.said, [[1.5, 24.0, 64.0, 96.0], UNSAID, UNSAID], equal_nan=True)
    with pytest.raises(IndexError):
        rows[3]
    assert (len(JoinedFiles([])), JoinedFiles([]).said.shape) == (0, (0, 4))
