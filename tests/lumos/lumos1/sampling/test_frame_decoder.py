"""Frames through the model over the cache: the released numbers, parts of the batch, texts read once."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lumos.lumos1.ardf import history_pattern
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.guidance import guide
from lumos.lumos1.sampling.refine import MASKED, FrameCodes
from lumos.lumos1.sequence import video_header

GRID = (8, 4)
PROMPTS = [torch.tensor(ids) for ids in ([256, 70, 71], [256, 80, 81, 82, 83, 84], [256, 70, 71])]


def test_golden_logits_of_cached_decoding(golden: Path, golden_model: LumosForCausalLM) -> None:
    stored, vocab = np.load(golden / "cached_decode.npz"), golden_model.vocab
    header = video_header(vocab, fps=9, duration=1)
    texts = [torch.cat([torch.from_numpy(stored["prompt_ids_t2v_text"]).long(), header]), header]
    decoder = FrameDecoder(golden_model, [[text] for text in texts], grid=(8, 12), num_latent_frames=3)
    pattern = history_pattern(104, 0.7)[None]
    chosen = torch.from_numpy(stored["vocab_ids"]).long() - vocab.code_base
    with torch.inference_mode():
        decoder.read_text()
        for frame in range(3):
            for step in range(2):
                name = f"A_t2v_f{frame}_s{step}_"
                tokens = torch.from_numpy(stored[name + "cur_tokens"]).long()
                codes = torch.where(tokens == vocab.mask, MASKED, tokens - vocab.code_base)[None]
                cond, uncond = decoder.hidden(codes)
                at = torch.from_numpy(stored[name + "positions"]).long()
                for branch, hidden in {
                    "cond": cond,
                    "uncond": uncond,
                    "cfg7.5": guide(cond, uncond, scale=7.5),
                    "cfg15": guide(cond, uncond, scale=15),
                }.items():
                    logits = golden_model.visual_logits(hidden[at])[:, chosen]
                    torch.testing.assert_close(logits, torch.from_numpy(stored[name + branch]), atol=1e-4, rtol=0)
            final = torch.from_numpy(stored["frames"])[frame].long() - vocab.code_base
            decoder.keep_frame(final[None], masked_content=pattern)


def test_wanted_positions_and_sequences_are_those_of_the_whole(tiny_model: LumosForCausalLM) -> None:
    header = video_header(tiny_model.vocab, fps=6, duration=2)
    branches = [PROMPTS, [header, header, header]]
    codes = torch.where(torch.rand(3, 32) < 0.6, MASKED, torch.randint(0, 50, (3, 32)))
    frame = FrameCodes.of(codes)
    positions = frame.order[:, : max(frame.num_masked)]
    with torch.inference_mode():
        decoder = FrameDecoder(tiny_model, branches, grid=GRID, num_latent_frames=2)
        decoder.read_text()
        whole = decoder.hidden(codes)
        some = decoder.hidden(codes, positions=positions)
        first = decoder.hidden(codes, positions=positions, sequences=[0, 1, 2])
        picked = decoder.hidden(codes, positions=positions, sequences=[1, 2, 4])
        narrowed = decoder.narrowed([1, 2, 4])
        assert decoder.narrowed([0, 1, 2, 4]) is decoder  # more than half: not worth a copy
        assert decoder.narrowed([0, 2]) is decoder
        again = narrowed.hidden(codes, positions=positions, sequences=[1, 2, 4])
        last = narrowed.hidden(codes, positions=positions, sequences=[2])
        twice = narrowed.narrowed([4])
        assert twice is not narrowed
        most = twice.hidden(codes, positions=positions, sequences=[4])
    index = positions.repeat(2, 1)[..., None].expand(-1, -1, whole.shape[-1])
    torch.testing.assert_close(some, whole.gather(1, index))
    torch.testing.assert_close(first, some[:3])
    for found in (picked, again):
        torch.testing.assert_close(found, some[[1, 2, 4]])
    torch.testing.assert_close(last, some[[2]])
    torch.testing.assert_close(most, some[[4]])


def test_equal_texts_are_read_once(tiny_model: LumosForCausalLM, monkeypatch: pytest.MonkeyPatch) -> None:
    rows, hidden = [], tiny_model.hidden
    monkeypatch.setattr(tiny_model, "hidden", lambda ids, **k: rows.append(len(ids)) or hidden(ids, **k))
    header = video_header(tiny_model.vocab, fps=6, duration=2)
    with torch.inference_mode():
        decoder = FrameDecoder(tiny_model, [PROMPTS, [header, header, header]], grid=GRID, num_latent_frames=2)
        decoder.read_text()
        decoder.hidden(torch.full((3, 32), MASKED))
    assert rows[0] == 3  # two prompts of three differ, and the header of the other branch
    assert rows[1] == 6


def test_passes_that_are_asked_for_are_counted_of_each_clip(tiny_model: LumosForCausalLM) -> None:
    header, codes = video_header(tiny_model.vocab, fps=6, duration=2), torch.full((3, 32), MASKED)
    with torch.inference_mode():
        decoder = FrameDecoder(tiny_model, [PROMPTS, [header, header, header]], grid=GRID, num_latent_frames=2)
        decoder.read_text()
        assert decoder.model_calls.tolist() == [0, 0, 0]
        decoder.hidden(codes, sequences=[0, 1, 3])
        decoder.narrowed([4]).hidden(codes, sequences=[4])
        assert decoder.model_calls.tolist() == [2, 2, 0]
        decoder.keep_frame(codes, masked_content=torch.zeros(3, 1, dtype=torch.long))
    assert decoder.model_calls.tolist() == [4, 4, 2]
