"""Motion scores that are no numbers are left out with a reason."""

import numpy as np
import torch

from lumos.lumina_video.data.flow_estimators import DISFlow
from pre_tokenize.bookkeeping.ledger import Skip
from pre_tokenize.lists.table import Item
from pre_tokenize.products.motion_scores import NOT_FINITE, Score, Scores
from pre_tokenize.products.pixels import Pixels


def test_a_score_that_is_not_finite_is_a_skip_with_its_reason() -> None:
    items = [Item(row=row, path=f"{row}.mp4", text="") for row in range(3)]
    batch = [(item, Pixels(frames=np.zeros((2, 8, 8, 3), np.float32))) for item in items]
    made = Scores(DISFlow()).made(batch, torch.tensor([1.5, float("nan"), float("inf")], dtype=torch.float64))
    assert made[0] == Score(row=0, motion=1.5)
    for row in (1, 2):
        skipped = made[row]
        assert isinstance(skipped, Skip)
        assert (skipped.row, skipped.path, skipped.reason) == (row, f"{row}.mp4", NOT_FINITE)
