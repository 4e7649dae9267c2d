"""Sequences of different lengths in one row: each as if it were alone."""

import torch

from lumos.lumos1.model.attention import AttentionLayout, frame_layout, layout_of
from lumos.lumos1.model.cache import KVCache
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.packed import Pass, packed_hidden
from lumos.lumos1.sequence import blocks_of, frame_ids, positions_of, video_header
from tests.tiny_data import VOCAB

GRIDS = [(4, 8), (8, 4), (4, 4)]


def text_of(model: LumosForCausalLM, length: int) -> torch.Tensor:
    return torch.cat([torch.arange(256, 256 + length), video_header(model.vocab, fps=6, duration=2)])


def passes_of(model: LumosForCausalLM, cache: KVCache, ids: torch.Tensor, layout: AttentionLayout, only: list) -> Pass:
    start = cache.length
    rotation = model.model.rotation_of(positions_of(ids[None], model.vocab)[:, :, start:])
    return Pass(ids=ids[start:], rotation=rotation, layout=layout, cache=cache, only=torch.tensor(only).long())


@torch.inference_mode()
def test_frames_and_texts_share_a_pass_and_see_themselves_alone(tiny_model: LumosForCausalLM) -> None:
    """Against a forward of each whole sequence; one of them is a text still while the others are frames."""
    assert VOCAB["size"] == tiny_model.config.vocab_size
    wanted, sequences, caches = [[5, 7, 3], [9], []], [], []
    for index, grid in enumerate(GRIDS):
        frame = frame_ids(torch.arange(grid[0] * grid[1]).reshape(1, *grid) % 30, tiny_model.vocab)[0]
        text = text_of(tiny_model, 3 + 2 * index)
        sequences.append(torch.cat([text, frame]) if index < 2 else text)
        caches.append(KVCache(tiny_model.config, batch_size=1, capacity=len(sequences[-1])))
    for index in range(2):  # the texts of two are read
        text = sequences[index][: 6 + 2 * index]
        layout = layout_of(blocks_of(text[None], tiny_model.vocab))
        read = passes_of(tiny_model, caches[index], text, layout, [])
        assert [hidden.shape for hidden in packed_hidden(tiny_model, [read])] == [(0, 48)]
        caches[index].advance(len(text))
    layouts = [frame_layout(1, len(sequences[index]) - caches[index].length) for index in range(2)]
    layouts.append(layout_of(blocks_of(sequences[2][None], tiny_model.vocab)))
    passes = [passes_of(tiny_model, *one) for one in zip(caches, sequences, layouts, wanted, strict=True)]
    hidden = packed_hidden(tiny_model, passes)
    for index, ids in enumerate(sequences):
        whole = tiny_model.hidden(ids[None])[0, caches[index].length :]
        torch.testing.assert_close(hidden[index], whole[torch.tensor(wanted[index]).long()], atol=1e-5, rtol=0)
    assert [len(one) for one in hidden] == [3, 1, 0]
