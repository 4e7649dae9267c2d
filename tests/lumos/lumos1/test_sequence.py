"""Layout, positions and block numbers: the docstrings' drawings, the golden numbers, released files."""

import json
import pickle

import numpy as np
import pytest
import torch

from lumos.lumos1.sequence import (
    blocks_of,
    content_index_of,
    content_positions,
    fill_placeholders,
    frame_content,
    frame_ids,
    frame_index_of,
    grid_of,
    labels_of,
    num_frames_of,
    num_latent_frames,
    positions_of,
    sequence_length,
    sequence_of,
    split_sequence,
    video_header,
)
from lumos.tokenizer.vocab import Vocab

VOCAB = Vocab()
SECOND = {"vocab": VOCAB, "fps": 1, "duration": 1}


def make_sample(*, num_prompt_ids=5, grid=(3, 4, 8), fps=12, duration=2):
    """Return the ids of a sample with arbitrary codes."""
    generator = torch.Generator().manual_seed(num_prompt_ids)
    prompt = torch.randint(20000, 30000, (num_prompt_ids,), generator=generator)
    codes = torch.randint(0, VOCAB.num_codes, grid, generator=generator)
    return sequence_of(prompt, codes, vocab=VOCAB, fps=fps, duration=duration), prompt, codes


def left_padded(rows: list[torch.Tensor]) -> torch.Tensor:
    length = max(len(row) for row in rows)
    return torch.stack([torch.cat([torch.full((length - len(row),), VOCAB.pad), row]) for row in rows])


def drawn(function, label: str) -> list[str]:
    """Return the words after `label` on the line of the docstring's drawing that begins with it."""
    return next(line.split()[1:] for line in function.__doc__.splitlines() if line.split()[:1] == [label])


def ids_of_names(names: list[str]) -> torch.Tensor:
    ids = {
        "pad": VOCAB.pad, "<s>": VOCAB.bos, "SEP": VOCAB.separator, "VSTART": VOCAB.video_start, "dur": VOCAB.number(2),
        "fps": VOCAB.number(12), "FSTART": VOCAB.frame_start, "h": VOCAB.number(1), "hgrid": VOCAB.number(1),
        "w": VOCAB.number(1), "wgrid": VOCAB.number(1), "x": VOCAB.mask, "ROWEND": VOCAB.row_end,
        "FEND": VOCAB.frame_end, "VEND": VOCAB.video_end, "a": VOCAB.code_base + 7, "b": VOCAB.code_base + 9,
    }  # fmt: skip
    return torch.tensor([[ids[name] for name in names]])


@pytest.mark.parametrize(("frames", "latent"), [(1, 1), (2, 2), (5, 2), (6, 3), (24, 7), (25, 7), (84, 22)])
def test_latent_frames_of_frames(frames, latent):
    assert num_latent_frames(frames) == latent
    assert num_latent_frames(num_frames_of(latent)) == latent


def test_grid_is_an_eighth_of_the_pixels():
    assert grid_of(448, 256) == (32, 56)


def test_frame_tokens_are_drawn_in_order():
    ids = torch.arange(4 * 8).view(4, 8) + VOCAB.code_base
    frame = frame_ids(ids, VOCAB).tolist()
    row = [*range(VOCAB.code_base, VOCAB.code_base + 8), VOCAB.row_end]
    assert frame[:12] == [VOCAB.frame_start, VOCAB.number(1), VOCAB.number(2), *row]
    assert frame[-2:] == [VOCAB.row_end, VOCAB.frame_end]
    assert len(frame) == 4 * 9 + 4
    assert torch.equal(torch.tensor(frame)[frame_content(4, 8)], ids.flatten())
    assert torch.tensor(frame)[content_positions(4, 8)].tolist() == frame[3:-1]


def test_unpack_is_the_inverse_of_pack():
    ids, prompt, codes = make_sample()
    assert len(ids) == sequence_length(len(prompt), tuple(codes.shape))
    again, codes_again, fps, duration = split_sequence(ids, VOCAB)
    assert torch.equal(again, prompt)
    assert torch.equal(codes_again, codes)
    assert (fps, duration) == (12, 2)


def test_video_header_stands_between_separator_and_frames():
    ids, prompt, _ = make_sample()
    begin = len(prompt) + 1
    assert torch.equal(ids[begin : begin + 3], video_header(VOCAB, fps=12, duration=2))


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda ids: ids[:-1], "does not end"),
        (lambda ids: ids[ids != VOCAB.video_start], "one video start"),
        (lambda ids: torch.cat([ids[:30], ids[31:]]), "whole number of frames"),
        (lambda ids: torch.where(ids == VOCAB.row_end, VOCAB.mask, ids), "does not follow"),
        (lambda ids: torch.where(torch.arange(len(ids)) == 13, VOCAB.mask, ids), "does not follow"),
    ],
)
def test_broken_layout_is_refused(edit, message):
    with pytest.raises(ValueError, match=message):
        split_sequence(edit(make_sample()[0]), VOCAB)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: grid_of(450, 256), "width is 450.*448"),
        (lambda: num_latent_frames(0), "num_frames is 0"),
        (lambda: frame_ids(torch.zeros(4, 6, dtype=torch.long), VOCAB), "latent width is 6"),
        (lambda: make_sample(fps=300), "0..198"),
        (lambda: sequence_of(torch.tensor([9004]), torch.zeros(1, 4, 4).long(), **SECOND), "prompt"),
        (
            lambda: sequence_of(torch.tensor([3]), torch.full((1, 4, 4), 64000), **SECOND),
            "0..63999",
        ),
    ],
)
def test_sizes_the_tokens_cannot_say_are_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_placeholders_become_digits_only_before_the_video_start():
    prompt = torch.tensor([0, 65539, 17000, 65540, VOCAB.video_start, 65539])
    filled = fill_placeholders(prompt, vocab=VOCAB, frames=24, fps=12)
    assert filled.tolist() == [0, 16401, 16403, 17000, 16400, 16401, VOCAB.video_start, 65539]


def test_blocks_are_those_of_the_drawing():
    ids = ids_of_names(drawn(blocks_of, "ids"))
    assert blocks_of(ids, VOCAB)[0].tolist() == [int(block) for block in drawn(blocks_of, "blocks")]


def test_positions_are_those_of_the_drawing():
    head = ids_of_names(["pad", "<s>", "SEP", "VSTART", "dur", "fps", "FSTART", "hgrid", "wgrid"])[0]
    frames = frame_ids(torch.full((2, 4, 4), VOCAB.mask), VOCAB)
    ids = torch.cat([head, frames.flatten()[3:]])[None]
    positions = positions_of(ids, VOCAB)[0]
    assert positions[:, : len(head)].tolist() == [[0, 0, 1, 2, 3, 4, 5, 6, 7]] * 3
    for line in positions_of.__doc__.splitlines():
        words = line.split()
        if len(words) == 7 and words[0].isdigit():
            start = len(head) + int(words[0]) * frames.shape[1] + int(words[1]) * 5
            expected = [[int(axis) for axis in word.split(",")] for word in words[2:]]
            assert positions[:, start : start + 5].T.tolist() == expected
    assert positions_of.__doc__.count("12,8,8") == 1


def test_labels_are_those_of_the_drawing():
    ids = ids_of_names(drawn(labels_of, "ids"))
    masked = torch.tensor([[mark == "x" for mark in drawn(labels_of, "masked")]])
    expected = [VOCAB.code_base + 7 if label == "a" else int(label) for label in drawn(labels_of, "labels")]
    assert labels_of(ids, masked, VOCAB)[0].tolist() == expected


@pytest.mark.parametrize("name", ["S1", "S2"])
@pytest.mark.parametrize("kind", ["full", "input"])
def test_golden_positions_blocks_and_content(golden, name, kind):
    numbers = np.load(golden / "forward.npz")
    ids = torch.from_numpy(numbers[f"{name}_{kind}_ids"])[None]
    for axis, letter in enumerate("thw"):
        assert np.array_equal(positions_of(ids, VOCAB)[0, axis], numbers[f"{name}_pos_{letter}"])
    blocks = blocks_of(ids, VOCAB)[0]
    allowed = np.unpackbits(numbers[f"{name}_attn_allowed_packbits"], axis=1)[:, : len(blocks)].astype(bool)
    assert np.array_equal(blocks[None] <= blocks[:, None], allowed)
    assert np.array_equal(content_index_of(ids, VOCAB)[0] >= 0, numbers[f"{name}_pos_flag"].astype(bool))


def test_golden_masked_codes_are_the_labels(golden):
    numbers, prefix = np.load(golden / "loss.npz"), "b1_2frames_A_tube_"
    ids = torch.from_numpy(numbers["b1_2frames_tokens0"])[None]
    masked = torch.from_numpy(numbers[prefix + "masked_input_ids"]) == VOCAB.mask
    labels = labels_of(ids, masked, VOCAB)
    assert int((labels >= 0).sum()) == len(numbers[prefix + "mar_loss"])
    assert torch.equal(labels[labels >= 0], ids[labels >= 0].long())


def test_a_left_padded_row_has_the_numbers_of_the_row_alone():
    rows = [make_sample(num_prompt_ids=n)[0] for n in (5, 9, 2)]
    batch = left_padded(rows)
    for function in (positions_of, blocks_of, frame_index_of, content_index_of):
        together = function(batch, VOCAB)
        for row, numbers in zip(rows, together, strict=True):
            assert torch.equal(numbers[..., -len(row) :], function(row[None], VOCAB)[0])
    assert (blocks_of(batch, VOCAB)[batch == VOCAB.pad] == -1).all()


def test_rows_of_other_grids_share_a_batch():
    rows = [make_sample(grid=(2, 4, 8))[0], make_sample(grid=(1, 12, 4))[0]]
    together = positions_of(left_padded(rows), VOCAB)
    for row, numbers in zip(rows, together, strict=True):
        assert torch.equal(numbers[:, -len(row) :], positions_of(row[None], VOCAB)[0])


def test_masking_the_content_changes_no_number():
    ids = make_sample()[0][None]
    content = content_index_of(ids, VOCAB) >= 0
    masked = torch.where(content, VOCAB.mask, ids)
    for function in (positions_of, blocks_of, frame_index_of, content_index_of):
        assert torch.equal(function(masked, VOCAB), function(ids, VOCAB))


def test_frame_and_content_indices_count_codes_and_row_ends():
    ids, prompt, codes = make_sample()
    num_frames, per_frame = len(codes), 4 * 9
    frame, content = frame_index_of(ids[None], VOCAB)[0], content_index_of(ids[None], VOCAB)[0]
    inside = content >= 0
    assert content[inside].tolist() == list(range(per_frame)) * num_frames
    assert frame[inside].tolist() == [f for f in range(num_frames) for _ in range(per_frame)]
    assert (frame[~inside] == -1).all()
    assert not inside[: len(prompt) + 4].any()


@pytest.mark.parametrize("name", ["image_0", "image_3", "video_1"])
def test_released_shards_unpack_and_pack_again(shared_data, name):
    with (shared_data / "released_shards" / f"{name}.pkl").open("rb") as file:
        ids = torch.tensor(pickle.load(file)["token"])
    prompt, codes, fps, duration = split_sequence(ids, VOCAB)
    assert tuple(codes.shape[1:]) == (grid_of(672, 384) if name == "video_1" else grid_of(576, 416))
    assert (len(codes), fps, duration) == ((22, 12, 7) if name == "video_1" else (1, 1, 1))
    assert torch.equal(sequence_of(prompt, codes, vocab=VOCAB, fps=fps, duration=duration), ids)


def test_placeholders_of_a_released_shard_are_filled_as_in_the_release(shared_data, golden):
    with (shared_data / "released_shards" / "video_0.pkl").open("rb") as file:
        prompt = split_sequence(torch.tensor(pickle.load(file)["token"]), VOCAB)[0]
    pipeline = json.loads((golden / "data_utils.json").read_text())["train_data_pipeline"]
    expected = pipeline["video_t2v_2s test_video/1-in-1/files/0.pkl"]["1_after_replace"]
    filled = fill_placeholders(prompt, vocab=VOCAB, frames=24, fps=12)
    assert filled[:60].tolist() == expected["ex_head60"]
    assert len(filled) + 1 == expected["vs_ex"]
