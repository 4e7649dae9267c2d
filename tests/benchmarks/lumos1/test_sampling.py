"""The benches compare paths that do the same work, and count its FLOPs as torch does."""

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.lumos1.attention import cached_paths, pieces, sequence_paths
from benchmarks.lumos1.head import head_paths
from benchmarks.lumos1.sampling import SAMPLER, Fast, Moment, literal_step, step_flops
from benchmarks.lumos1.work import WORKS, random_model
from lumos.lumos1.model import linear
from lumos.lumos1.sampling.refine import MASKED

TINY, CPU = WORKS["tiny"], torch.device("cpu")


def test_the_moment_is_the_mean_one() -> None:
    moment = Moment.of(WORKS["mid"])
    assert int((moment.codes == MASKED).sum()) / 1792 == pytest.approx(0.64, abs=0.02)
    assert len(moment.history) == 2


def test_both_paths_do_one_refinement_of_the_same_frame() -> None:
    model, moment = random_model(TINY), Moment.of(TINY)
    literal, fast = literal_step(model, TINY, moment)(), Fast(model, TINY, moment).step()[0]
    assert int((literal == MASKED).sum()) == int((fast == MASKED).sum()) < int((moment.codes == MASKED).sum())
    decided = moment.codes != MASKED
    assert literal[decided].equal(fast[decided])


def test_flops_of_a_refinement_are_those_that_torch_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(linear, "_HAS_ONEDNN", False)  # whose products torch does not count
    model, moment = random_model(TINY), Moment.of(TINY)
    step, needed = literal_step(model, TINY, moment), step_flops(TINY, moment, literal=True)
    with FlopCounterMode(display=False) as counter:
        step()
    counts = counter.get_flop_counts()["Global"]
    linears = sum(count for op, count in counts.items() if "attention" not in str(op))
    assert linears > 0
    config, keys = model.config, 2 * TINY.frame_length * (TINY.mean_frame + 1) + TINY.num_prompt_ids + 7
    attention = 4 * config.num_hidden_layers * config.hidden_size * keys * TINY.frame_length
    assert linears == sum(needed.values()) - attention
    ours = step_flops(TINY, moment, literal=False)
    assert ours["blocks"] < needed["blocks"]
    assert needed["head"] / ours["head"] == pytest.approx(
        2 * TINY.frame_length * 129536 / (int((moment.codes == MASKED).sum()) * 64000)
    )
    assert SAMPLER.num_steps == 50


def test_attention_paths_agree() -> None:
    paths, _, exact = cached_paths(TINY, torch.float32, CPU)
    with torch.inference_mode():
        for path in paths.values():
            torch.testing.assert_close(path(), exact(), atol=1e-5, rtol=1e-5)
    whole, _ = sequence_paths(TINY, 2, torch.float32, CPU, flex=False)
    dense, per_frame = (path() for path in whole.values())
    torch.testing.assert_close(dense, per_frame, atol=1e-5, rtol=1e-5)


def test_the_pieces_of_attention_add_up_to_it() -> None:
    whole, keys, softmax, _, values = (path() for path in pieces(TINY, torch.float32, CPU).values())
    assert keys.shape == softmax.shape == (256, TINY.frame_length * (TINY.mean_frame + 1))
    torch.testing.assert_close(keys.softmax(dim=-1), softmax)
    torch.testing.assert_close(values, whole)


def test_head_paths_draw_the_same_codes() -> None:
    paths, _ = head_paths(TINY, Moment.of(TINY), torch.float32, CPU)
    codes = Moment.of(TINY).codes
    undecided = codes == MASKED
    with torch.inference_mode():
        whole, visual, guided, masked, log_probs, ours = [path() for path in paths.values()]
    torch.testing.assert_close(whole, visual, atol=1e-3, rtol=0)
    torch.testing.assert_close(whole, guided, atol=1e-3, rtol=0)
    torch.testing.assert_close(whole[undecided], masked, atol=1e-3, rtol=0)
    assert log_probs.shape == masked.shape
    assert ours[0, ~undecided].equal(codes[~undecided])
    assert 0 < int((ours == MASKED).sum()) < int(undecided.sum())
