"""The arithmetic of the first run, recomputed by hand, and the page that shows it."""

from pathlib import Path

import pytest

from benchmarks.arithmetic import clip_bytes, first_run, generation, reckoned_run
from benchmarks.lumos1.work import WORKS

WORK = WORKS["1b-class"]


def test_memory_of_clips_is_weights_caches_and_one_pass() -> None:
    """1B class: 16 layers, 8 KV heads of 64; 2 x (3 + 4) ... tokens; logits of 1792 codes in three copies at most."""
    one, two = clip_bytes(WORK), clip_bytes(WORK, batch_size=2)
    longest = 120 + 1 + 3 + 7 * (32 * 57 + 4)
    cache = 2 * longest * 16 * 2 * 8 * 64 * 2
    largest = [max(n * 2 * 1828 * 3 * (2048 + 8192) * 2, 3 * min(2**29, n * 1792 * 64000 * 4)) for n in (1, 2)]
    assert two - one == cache + largest[1] - largest[0]
    weights = 2 * 129536 * 2048 + 16 * (2 * 2048 * 2048 + 2 * 2048 * 512 + 3 * 2048 * 8192)
    assert one - cache - largest[0] == pytest.approx(2 * weights, rel=1e-3)  # and the norms


def test_a_clip_of_one_frame_has_no_history() -> None:
    assert generation(WORK, frames=1).num_passes == 100
    assert generation(WORK, frames=7).num_passes == 2 * (350 + 6)


def test_eight_cards_share_the_state() -> None:
    alone, eight = (reckoned_run(WORK, size=(448, 256), checkpointing=True, num_gpus=n) for n in (1, 8))
    assert alone.state.weights == 8 * eight.state.weights
    assert alone.step_flops("video") == eight.step_flops("video")


@pytest.mark.slow
def test_the_page_shows_what_the_command_prints(repo: Path) -> None:
    page = (repo / "benchmarks" / "FIRST_RUN.md").read_text(encoding="utf-8").splitlines()
    printed = [line for line in first_run().splitlines() if line]
    assert len(printed) > 30
    assert [line for line in printed if line not in page] == []
