"""Frame-by-frame decoding with the cache: golden numbers, and equal to no cache at all."""

import numpy as np
import pytest
import torch

from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.sequence import content_positions, frame_content, frame_ids, positions_of, video_header
from lumos.tokenizer.vocab import Vocab


@torch.no_grad()
def test_golden_cached_decoding(released, golden, left_padded):
    """Two branches in one batch, the unconditional one left-padded; 3 frames, 2 refinements, tokens prescribed."""
    numbers, vocab = np.load(golden / "cached_decode.npz"), Vocab()
    height, width, tokens = 8, 12, 108
    prompt = torch.from_numpy(numbers["prompt_ids_t2v_text"]).long()
    header = video_header(vocab, fps=9, duration=1)
    context = left_padded([torch.cat([prompt, header]), header])
    frames = frame_ids(torch.full((3, height, width), vocab.mask), vocab).flatten()
    positions = positions_of(torch.cat([context, frames.expand(2, -1)], 1), vocab)
    for row, branch in enumerate(["cond", "uncond"]):
        for axis, letter in enumerate("thw"):
            assert np.array_equal(positions[row, axis, -tokens:], numbers[f"A_t2v_pos_f2_{branch}_{letter}"])

    start = context.shape[1]
    cache = KVCache(released.config, batch_size=2, capacity=start + 3 * tokens, starts=[0, len(prompt)])
    released.hidden(context, cache=cache)
    cache.advance(start)
    content, vocab_ids = frame_content(height, width), torch.from_numpy(numbers["vocab_ids"]).long()
    history = content_positions(height, width)[torch.from_numpy(numbers["history_pattern_0.7_L104"]).long()]
    for frame in range(3):
        here = positions[:, :, cache.length : cache.length + tokens]
        for step in range(2):
            name = f"A_t2v_f{frame}_s{step}_"
            ids = frame_ids(torch.from_numpy(numbers[name + "cur_tokens"]).long().view(height, width), vocab)
            hidden = released.hidden(ids.expand(2, -1), positions=here, cache=cache)[:, content]
            chosen = torch.from_numpy(numbers[name + "positions"]).long()
            logits = released.lm_head(hidden)
            cond, uncond = logits[:, chosen][:, :, vocab_ids].numpy()
            np.testing.assert_allclose(cond, numbers[name + "cond"], atol=1e-4, rtol=0)
            np.testing.assert_allclose(uncond, numbers[name + "uncond"], atol=1e-4, rtol=0)
            for scale in ("7.5", "15"):
                guided = logits[1] + float(scale) * (logits[0] - logits[1])
                expected = numbers[f"{name}cfg{scale}"]
                np.testing.assert_allclose(guided[chosen][:, vocab_ids], expected, atol=1e-4, rtol=0)
                # Guiding hidden states before the head is the same.
                visual = released.visual_logits(hidden[1] + float(scale) * (hidden[0] - hidden[1]))
                argmax = visual.argmax(-1) + vocab.code_base
                assert np.array_equal(argmax, numbers[f"{name}cfg{scale}_argmax_all"])
                np.testing.assert_allclose(
                    visual.logsumexp(-1), numbers[f"{name}cfg{scale}_lse_all"], atol=1e-4, rtol=0
                )
        done = frame_ids(torch.from_numpy(numbers["frames"][frame]).long().view(height, width), vocab)
        done[history] = vocab.mask
        released.hidden(done.expand(2, -1), positions=here, cache=cache)
        cache.advance(tokens)


@torch.no_grad()
@pytest.mark.parametrize("prompt_lengths", [[5], [3, 3, 3], [6, 2, 2, 0], [1, 4, 2]])
def test_cached_equals_uncached_row_by_row(make_model, vocab, prompt_lengths, left_padded):
    model, header = make_model(), video_header(vocab, fps=6, duration=2)
    generator = torch.Generator().manual_seed(3)
    frames = frame_ids(torch.randint(70, 97, (3, 4, 8), generator=generator), vocab)
    prompts = [torch.randint(24, 70, (n,), generator=generator) for n in prompt_lengths]
    context = left_padded([torch.cat([prompt, header]) for prompt in prompts])
    batch, start = context.shape
    ids = torch.cat([context, frames.flatten().expand(batch, -1)], 1)
    positions = positions_of(ids, vocab)
    starts = [max(prompt_lengths) - n for n in prompt_lengths]
    cache = KVCache(model.config, batch_size=batch, capacity=ids.shape[1], starts=starts)
    parts, column = [], 0
    for size in (start, *[frames.shape[1]] * 3):
        new = slice(column, column + size)
        # A step of other tokens first: scratch that the next step overwrites.
        scratch = torch.full_like(ids[:, new], vocab.mask)
        model.hidden(scratch, positions=positions[:, :, new], cache=cache)
        parts.append(model.hidden(ids[:, new], positions=positions[:, :, new], cache=cache))
        cache.advance(size)
        column += size
    cached = torch.cat(parts, 1)
    for row, (prompt, begin) in enumerate(zip(prompts, starts, strict=True)):
        alone = torch.cat([prompt, header, frames.flatten()])[None]
        torch.testing.assert_close(cached[row, begin:], model.hidden(alone)[0], atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_rewind_forgets(make_model):
    model = make_model()
    ids = torch.randint(24, 70, (2, 7))
    cache = KVCache(model.config, batch_size=2, capacity=9)
    first = model.hidden(ids, cache=cache)
    cache.advance(7)
    cache.rewind(0)
    torch.testing.assert_close(model.hidden(ids, cache=cache), first)


def test_a_full_cache_and_missing_positions_are_refused(make_model):
    model = make_model()
    cache = KVCache(model.config, batch_size=1, capacity=3)
    with pytest.raises(ValueError, match="holds 3 tokens and 4 are needed"):
        model.hidden(torch.full((1, 4), 30), cache=cache)
    model.hidden(torch.full((1, 3), 30), cache=cache)
    cache.advance(3)
    with pytest.raises(ValueError, match="positions are needed"):
        model.hidden(torch.full((1, 1), 30), cache=cache)


def test_starts_are_one_a_row(make_config):
    with pytest.raises(ValueError, match="2 entries for 3 rows"):
        KVCache(make_config(), batch_size=3, capacity=4, starts=[0, 1])
