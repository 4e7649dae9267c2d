"""Decoding latent frame by latent frame: the frames of the whole clip, whichever way the pair allows."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lumos.media.frames import to_frames
from lumos.tokenizer.export import DecoderHalf
from lumos.tokenizer.network import CausalVideoTokenizer
from lumos.tokenizer.streaming import CarriedDecoding, RepeatedDecoding, carries_state
from lumos.tokenizer.visual import VisualTokenizer
from tests.conftest import REPO

Make = Callable[..., Tensor]


@pytest.fixture(scope="module")
def visual(pair: Path) -> VisualTokenizer:
    return VisualTokenizer.from_pretrained(pair)


def assert_close(one: Tensor, other: Tensor) -> None:
    """Equal up to the order of sums, which follows the size of what is convolved."""
    torch.testing.assert_close(one, other, atol=1e-4, rtol=0)


def streamed(visual: VisualTokenizer, codes: Tensor, *, at_once: int = 1, window: int | None = None) -> Tensor:
    decode = visual.stream(window=window)
    return torch.cat([decode(part) for part in codes.split(at_once, dim=1)], dim=2)


class Wrapped(torch.nn.Module):
    """A half of which nothing is known but what it answers."""

    def __init__(self, half: torch.nn.Module) -> None:
        super().__init__()
        self.inner = half

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@pytest.fixture(scope="module")
def foreign(network: CausalVideoTokenizer) -> VisualTokenizer:
    """The pair's decoder, as if nothing of it were known."""
    decoder = torch.jit.script(Wrapped(DecoderHalf(network)).eval())
    return VisualTokenizer(decoder, decoder)


@pytest.mark.parametrize("at_once", [1, 2, 5])
def test_carried_state_gives_the_frames_of_the_whole_clip(
    visual: VisualTokenizer, make_codes: Make, at_once: int
) -> None:
    assert visual.carries_state
    codes = make_codes(23)  # longer than the decoder looks back
    assert_close(streamed(visual, codes, at_once=at_once), visual.decode(codes))


def test_the_bundled_pair_streams_pixel_for_pixel() -> None:
    visual = VisualTokenizer.from_pretrained(REPO / "ckpts/lumos-tiny/visual_tokenizer")
    assert visual.carries_state
    codes = torch.randint(0, 8000, (1, 6, 8, 8), generator=torch.Generator().manual_seed(1))
    whole, parts = visual.decode(codes), streamed(visual, codes)
    assert (to_frames(whole[0]) == to_frames(parts[0])).all()


def test_the_first_latent_frame_gives_one_frame_and_each_later_one_four(
    visual: VisualTokenizer, make_codes: Make
) -> None:
    decode = visual.stream()
    assert [decode(part).shape[2] for part in make_codes(3).split(1, dim=1)] == [1, 4, 4]


def test_what_is_carried_does_not_grow_with_the_clip(visual: VisualTokenizer, make_codes: Make) -> None:
    decode = visual.stream()
    assert isinstance(decode, CarriedDecoding)
    held = []
    for part in make_codes(6).split(1, dim=1):
        decode(part)
        held.append(sum(past.untyped_storage().nbytes() for past in decode._past.values()))
    assert len(set(held)) == 1
    assert held[0] > 0


def test_two_clips_do_not_meet(visual: VisualTokenizer, make_codes: Make) -> None:
    one, other = make_codes(4).split(1)
    first, second = visual.stream(), visual.stream()
    pieces = [(first(a), second(b)) for a, b in zip(one.split(1, 1), other.split(1, 1), strict=True)]
    assert_close(torch.cat([a for a, _ in pieces], 2), visual.decode(one))
    assert_close(torch.cat([b for _, b in pieces], 2), visual.decode(other))


def test_an_unknown_pair_decodes_all_before_again_and_is_exact(foreign: VisualTokenizer, make_codes: Make) -> None:
    assert not foreign.carries_state
    codes = make_codes(7)
    assert_close(streamed(foreign, codes), foreign.decode(codes))


def test_a_window_bounds_what_an_unknown_pair_decodes_again(
    foreign: VisualTokenizer, visual: VisualTokenizer, make_codes: Make
) -> None:
    codes = make_codes(7)
    decode = foreign.stream(window=2)
    assert isinstance(decode, RepeatedDecoding)
    parts = [decode(part) for part in codes.split(1, dim=1)]
    assert decode._before is not None
    assert decode._before.shape[1] == 2
    assert_close(torch.cat(parts[:3], dim=2), foreign.decode(codes[:, :3]))  # all of it within the window
    assert not torch.cat(parts, dim=2).allclose(foreign.decode(codes), atol=1e-3)
    assert_close(streamed(visual, codes, window=2), visual.decode(codes))  # not needed there


def test_a_pair_that_says_how_far_it_looks_back_decodes_no_more_than_that(make_codes: Make, pair: Path) -> None:
    halves = [torch.jit.load(str(pair / name)) for name in ("encoder.jit", "decoder.jit")]
    visual = VisualTokenizer(halves[0], halves[1])
    visual._carries_state = False
    decode = visual.stream()
    assert isinstance(decode, RepeatedDecoding)
    assert decode._history == halves[1].temporal_reach


def test_a_decoder_of_our_modules_in_another_order_is_not_carried(
    make_network: Callable[..., CausalVideoTokenizer],
) -> None:
    class DecoderHalf(torch.nn.Module):
        temporal_reach: int

        def __init__(self, net: CausalVideoTokenizer) -> None:
            super().__init__()
            self.decoder, self.fsq, self.temporal_reach = net.decoder, net.fsq, 1

        def forward(self, codes: Tensor) -> Tensor:
            return -self.decoder(self.fsq.values(codes))

    assert not carries_state(torch.jit.script(DecoderHalf(make_network())))


def test_a_decoder_of_our_names_and_other_parts_is_not_carried() -> None:
    class DecoderHalf(torch.nn.Module):
        temporal_reach: int

        def __init__(self) -> None:
            super().__init__()
            self.decoder, self.fsq, self.temporal_reach = torch.nn.Conv3d(1, 2, 1), torch.nn.ReLU(), 1

        def forward(self, codes: Tensor) -> Tensor:
            return self.decoder(self.fsq(codes))

    assert not carries_state(torch.jit.script(DecoderHalf()))


def test_a_decoder_that_looks_back_at_nothing_gives_all_frames_in_windows_and_streams(make_codes: Make) -> None:
    class Unaware(torch.nn.Module):
        temporal_reach: int

        def __init__(self) -> None:
            super().__init__()
            self.temporal_reach = 0

        def forward(self, codes: Tensor) -> Tensor:
            frames = (codes.float() / 60).repeat_interleave(4, 1).repeat_interleave(8, 2).repeat_interleave(8, 3)
            return frames[:, None, 3:].expand(-1, 3, -1, -1, -1)

    decoder = torch.jit.script(Unaware())
    visual, codes = VisualTokenizer(decoder, decoder, window=2), make_codes(5)
    assert visual.decode(codes).equal(decoder(codes))
    assert streamed(visual, codes).equal(decoder(codes))


def test_a_window_of_nothing_is_refused(visual: VisualTokenizer) -> None:
    with pytest.raises(ValueError, match="decode_window is 0; it must be at least 1 latent frame"):
        visual.stream(window=0)
