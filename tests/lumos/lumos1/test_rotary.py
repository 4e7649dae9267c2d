"""Rotary variants: their tables of channels, what they count positions in, and that sampling is as training."""

import re
from pathlib import Path

import pytest
import torch
import yaml

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.model.rope import mm_rope_angles
from lumos.lumos1.rotary import ROTARIES, axis_of_channel
from lumos.lumos1.sampling.frame_decoder import FrameDecoder
from lumos.lumos1.sampling.frames.branch import Branch
from lumos.lumos1.sampling.frames.frame_tokens import FrameTokens
from lumos.lumos1.sequence import frame_content, positions_of, sequence_of, video_header
from lumos.lumos1.training.items.masked_batch import masked_batch, pad_batch
from lumos.lumos1.training.items.samples import MaskedSample
from lumos.tokenizer.vocab import Vocab
from tests.tiny_data import VOCAB

TEXT = torch.tensor([256, 70, 71])
CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.mark.parametrize("rotary", ["mm_rope", "rope_3d"])
def test_axes_are_those_of_the_drawing(rotary: str) -> None:
    drawing = re.search(rf"{rotary} +(\w+) (\w+)\n", axis_of_channel.__doc__ or "")
    assert drawing is not None
    assert "".join("tyx"[axis] for axis in axis_of_channel(32, rotary=rotary)) == drawing[1] + drawing[2]


@pytest.mark.parametrize("head_dim", [32, 64, 128])
def test_plain_3d_rope_has_as_many_channels_for_each_axis_as_mm_rope_the_fast_ones_for_time(head_dim: int) -> None:
    spread, blocks = (axis_of_channel(head_dim, rotary=name) for name in ("mm_rope", "rope_3d"))
    assert blocks.bincount().equal(spread.bincount())
    assert (blocks[: head_dim // 2].diff() >= 0).all()
    assert blocks[: head_dim // 2].equal(blocks[head_dim // 2 :]), "halves rotate together"


@pytest.mark.parametrize(("rotary", "a_column", "all_columns"), [("mm_rope", 2.191, None), ("rope_3d", 0.0133, 0.0934)])
def test_plain_3d_rope_cannot_tell_the_columns_of_the_ablations_apart(
    rotary: str, a_column: float, all_columns: float | None
) -> None:
    """What the fastest channel of columns turns by, in radians: from one to the next, and over all 8 of them."""
    model = yaml.safe_load((CONFIGS / "ablations/base.yaml").read_text())["task"]["model"]
    head_dim = model["hidden_size"] // model["num_attention_heads"]
    ids = sequence_of(TEXT, torch.zeros(1, 8, 8, dtype=torch.long), vocab=Vocab.from_dict(VOCAB), fps=6, duration=2)
    positions = positions_of(ids[None], Vocab.from_dict(VOCAB), rotary=rotary)
    columns = positions[..., int((ids == VOCAB["frame_start"]).nonzero()[0]) + frame_content(8, 8)[:8]]
    cos, sin = mm_rope_angles(columns, head_dim=head_dim, theta=model["rope_theta"], rotary=rotary)
    of_columns = axis_of_channel(head_dim, rotary=rotary)[: head_dim // 2] == 2
    turned = torch.complex(cos[0], sin[0])[:, of_columns]
    angle = (turned * turned[:1].conj()).angle().abs()[:, 0]  # the first such channel is the fastest
    assert angle[1] == pytest.approx(a_column, rel=1e-2)
    assert all_columns is None or angle[7] == pytest.approx(all_columns, rel=1e-2)


def ids_of(num_frames: int) -> torch.Tensor:
    codes = torch.arange(num_frames * 4 * 8).view(num_frames, 4, 8) % 50
    return sequence_of(TEXT, codes, vocab=Vocab.from_dict(VOCAB), fps=6, duration=2)[None]


def test_variants_count_content_in_pixels_codes_or_tokens() -> None:
    ids, vocab = ids_of(2), Vocab.from_dict(VOCAB)
    pixels, codes, tokens = (positions_of(ids, vocab, rotary=name)[0] for name in ROTARIES)
    length, second = ids.shape[1], int((ids[0] == vocab.frame_start).nonzero()[1]) + 3
    assert tokens.equal(torch.arange(length).expand(3, -1))
    offset = int((ids[0] == vocab.frame_start).nonzero()[0]) + 3
    at = second + 9 * 2 + 5  # frame 1, row 2, column 5; rows have 8 codes and an end
    assert codes[:, at].tolist() == [offset + 1, offset + 2, offset + 5]
    assert pixels[:, at].tolist() == [offset + 4, offset + 16, offset + 40]
    assert pixels[:, :offset].equal(tokens[:, :offset]), "text turns alike under all"


def test_one_dimensional_rope_is_plain_rope_of_the_index() -> None:
    positions = positions_of(ids_of(2), Vocab.from_dict(VOCAB), rotary="rope_1d")
    cos, _ = mm_rope_angles(positions, head_dim=12, theta=100.0, rotary="rope_1d")
    expected = (torch.arange(positions.shape[2])[:, None] * 100.0 ** (-torch.arange(6) / 6)).cos()
    torch.testing.assert_close(cos[0], expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("rotary", ROTARIES)
def test_sampling_sees_the_positions_of_training(tiny_config: LumosConfig, rotary: str) -> None:
    model = LumosForCausalLM(LumosConfig(**{**tiny_config.to_dict(), "rotary": rotary})).eval()
    with torch.no_grad():
        for weight in model.parameters():
            torch.nn.init.normal_(weight, std=0.2)
    vocab, grid = model.vocab, (4, 8)
    codes = torch.arange(64).view(2, 4, 8) % 50
    ids = sequence_of(TEXT, codes, vocab=vocab, fps=6, duration=2)
    masked = torch.zeros(2, 36, dtype=torch.bool)
    batch = masked_batch(pad_batch([MaskedSample(ids=ids, masked=masked)], vocab), vocab=vocab, rotary=rotary)
    text = torch.cat([TEXT, torch.tensor([vocab.separator]), video_header(vocab, fps=6, duration=2)])
    with torch.inference_mode():
        whole = model.hidden(batch.inputs["input_ids"], positions=batch.inputs["positions"])[0]
        start = int((ids == vocab.frame_start).nonzero()[1])
        expected = whole[start + frame_content(*grid)]
        decoder = FrameDecoder(model, [[text]], grid=grid, num_latent_frames=2)
        decoder.read_text()
        decoder.keep_frame(codes[0].view(1, -1), masked_content=torch.empty(1, 0, dtype=torch.long))
        found = decoder.hidden(codes[1].view(1, -1))[0]
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)
    assert model.hidden(ids[None])[0].allclose(whole, atol=1e-5), "derived from the ids they are the same"
    tokens = FrameTokens(vocab, grid, device=torch.device("cpu"))
    branch = Branch(model, text, tokens=tokens, num_latent_frames=2, num_in_sight=2)
    rotation = model.model.rotation_of(batch.inputs["positions"][:, :, : len(text)])
    assert branch.text_pass().rotation.cos.equal(rotation.cos)
    branch.keep(branch.text_pass())
    at = len(text)
    own = branch.frame_pass(tokens.ids(codes[0].view(1, -1))[0]).rotation.cos
    assert own.equal(model.model.rotation_of(batch.inputs["positions"][:, :, at : at + own.shape[1]]).cos)


def test_a_config_names_its_rotary_and_an_unknown_one_is_refused(tmp_path) -> None:
    assert LumosConfig().rotary == "mm_rope"
    LumosConfig(rotary="rope_3d").save_pretrained(tmp_path)
    assert LumosConfig.from_pretrained(tmp_path).rotary == "rope_3d"
    with pytest.raises(ValueError, match="rotary is 'rope'; it must be one of mm_rope, rope_3d, rope_1d"):
        LumosConfig(rotary="rope")
