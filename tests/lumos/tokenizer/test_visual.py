"""The exported pair: causal, equal to the network, and a long clip in windows equal to the whole clip."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumos.tokenizer.export import export_pair
from lumos.tokenizer.network import CausalVideoTokenizer
from lumos.tokenizer.visual import VisualTokenizer

Make = Callable[..., Tensor]


@pytest.fixture(scope="module")
def visual(pair: Path) -> VisualTokenizer:
    return VisualTokenizer.from_pretrained(pair)


def in_windows(pair: Path, window: int, *, reach: int | None = None) -> VisualTokenizer:
    """The pair in windows of so many latent frames; `reach` replaces what the files say."""
    halves = [torch.jit.load(str(pair / name)) for name in ("encoder.jit", "decoder.jit")]
    for half in halves:
        half.temporal_reach = half.temporal_reach if reach is None else reach
    return VisualTokenizer(halves[0], halves[1], window=window)


# --- causality --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kept", [1, 2, 4])
def test_codes_do_not_depend_on_later_frames(visual: VisualTokenizer, make_video: Make, kept: int) -> None:
    one, other = make_video(17), make_video(17, seed=1)
    num_frames = 1 + 4 * (kept - 1)
    other[:, :, :num_frames] = one[:, :, :num_frames]
    assert visual.encode(one)[:, :kept].equal(visual.encode(other)[:, :kept])
    assert not visual.encode(one)[:, kept].equal(visual.encode(other)[:, kept])


@pytest.mark.parametrize("kept", [1, 2, 4])
def test_decoded_frames_do_not_depend_on_later_codes(visual: VisualTokenizer, make_codes: Make, kept: int) -> None:
    one = make_codes(5)
    other = one.clone()
    other[:, kept:] = (other[:, kept:] + 11) % 60
    num_frames = 1 + 4 * (kept - 1)
    videos = visual.decode(one), visual.decode(other)
    assert videos[0][:, :, :num_frames].equal(videos[1][:, :, :num_frames])
    assert (videos[0][:, :, num_frames:] != videos[1][:, :, num_frames:]).any((1, 3, 4)).all()


def test_the_first_frame_is_coded_and_decoded_alone(visual: VisualTokenizer, make_video: Make) -> None:
    video = make_video(13)
    alone = visual.encode(video[:, :, :1])
    assert alone.shape == (2, 1, 2, 3)
    codes = visual.encode(video)
    assert alone.equal(codes[:, :1])
    torch.testing.assert_close(visual.decode(alone), visual.decode(codes)[:, :, :1])


# --- the pair and the network -----------------------------------------------------------------------------------------


def test_the_pair_gives_what_the_network_gives(
    visual: VisualTokenizer, network: CausalVideoTokenizer, make_video: Make
) -> None:
    video = make_video(13)
    codes = visual.encode(video)
    assert codes.dtype == torch.int64
    with torch.no_grad():
        assert codes.equal(network.codes(video))
        torch.testing.assert_close(visual.decode(codes), network.video_of(codes))


def test_samples_of_a_batch_do_not_meet(visual: VisualTokenizer, make_video: Make) -> None:
    video = make_video(9)
    assert visual.encode(video)[1:].equal(visual.encode(video[1:]))


@pytest.mark.parametrize("num_frames", [2, 3, 4, 6, 12])
def test_frames_that_do_not_fill_a_latent_frame_are_filled_with_the_last(
    visual: VisualTokenizer, make_video: Make, num_frames: int
) -> None:
    video = make_video(num_frames)
    filled = torch.cat([video, *[video[:, :, -1:]] * (-(num_frames - 1) % 4)], dim=2)
    codes = visual.encode(video)
    assert codes.shape[1] == -(-(num_frames - 1) // 4) + 1
    assert codes.equal(visual.encode(filled))


def test_computes_in_the_dtype_asked_for(pair: Path, visual: VisualTokenizer, make_video: Make) -> None:
    video = make_video(5)
    halved = VisualTokenizer.from_pretrained(pair, dtype=torch.bfloat16)
    codes, exact = halved.encode(video), visual.encode(video)
    decoded, expected = halved.decode(exact), visual.decode(exact)
    assert (decoded.dtype, codes.dtype) == (torch.float32, torch.int64)
    assert not decoded.equal(expected)
    assert (decoded - expected).norm() < 0.05 * expected.norm()
    assert (codes == exact).float().mean() > 0.5


# --- long clips in windows --------------------------------------------------------------------------------------------

LONG = 23
"""Latent frames of a clip that is longer than the reach of 16 by more than any window here."""


@pytest.mark.parametrize("window", [1, 2, 5, 22])
def test_windows_of_a_long_clip_give_the_codes_of_the_whole_clip(pair: Path, make_video: Make, window: int) -> None:
    video = make_video(1 + 4 * (LONG - 1), batch=1)
    whole = in_windows(pair, LONG).encode(video)
    assert whole.shape == (1, LONG, 2, 3)
    assert in_windows(pair, window).encode(video).equal(whole)


@pytest.mark.parametrize("window", [1, 2, 5, 22])
def test_windows_of_a_long_clip_give_the_video_of_the_whole_clip(pair: Path, make_codes: Make, window: int) -> None:
    codes = make_codes(LONG, batch=1)
    whole = in_windows(pair, LONG).decode(codes)
    assert whole.shape == (1, 3, 1 + 4 * (LONG - 1), 16, 24)
    torch.testing.assert_close(in_windows(pair, window).decode(codes), whole, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("window", [1, 3])
def test_windows_of_an_encoder_without_reach_are_exact(
    tmp_path: Path, network: CausalVideoTokenizer, make_network: Callable[..., CausalVideoTokenizer], window: int
) -> None:
    net = make_network(replace(network.config, encoder_kernel=1))
    export_pair(net, tmp_path)
    video = torch.rand(1, 3, 29, 16, 24) * 2 - 1
    with torch.no_grad():
        assert in_windows(tmp_path, window).encode(video).equal(net.codes(video))


@pytest.mark.parametrize("reach", [0, 8, 15])
def test_a_smaller_overlap_would_not_be_exact(pair: Path, make_video: Make, make_codes: Make, reach: int) -> None:
    """So the two tests above can fail, and the overlap is no larger than it must be."""
    whole, windows = in_windows(pair, LONG), in_windows(pair, 1, reach=reach)
    video = make_video(1 + 4 * (LONG - 1), batch=1)
    codes = make_codes(LONG, batch=1)
    assert not windows.encode(video).equal(whole.encode(video))
    if reach:  # without any overlap a decoder's window of one latent frame has but one frame to give
        assert (windows.decode(codes) - whole.decode(codes)).abs().max() > 1e-3


class Watched(nn.Module):
    """Half of a pair that remembers the longest input it was given."""

    temporal_reach: int
    longest: int

    def __init__(self, half: torch.jit.ScriptModule, dim: int) -> None:
        super().__init__()
        self.inner, self.dim = half, dim
        self.temporal_reach, self.longest = int(half.temporal_reach), 0

    def forward(self, x: Tensor) -> Tensor:
        self.longest = max(self.longest, x.size(self.dim))
        out = self.inner(x)
        return out[0] if isinstance(out, tuple) else out


def test_memory_does_not_grow_with_the_clip(pair: Path, make_video: Make) -> None:
    longest = []
    for num_latent in (25, 40):
        halves = [torch.jit.load(str(pair / name)) for name in ("encoder.jit", "decoder.jit")]
        watched = [torch.jit.script(Watched(half, dim)) for half, dim in zip(halves, (2, 1), strict=True)]
        tokenizer = VisualTokenizer(watched[0], watched[1], window=3)
        codes = tokenizer.encode(make_video(1 + 4 * (num_latent - 1), batch=1))
        assert tokenizer.decode(codes).shape[2] == 1 + 4 * (num_latent - 1)
        longest.append([half.longest for half in watched])
    assert longest[0] == longest[1] == [1 + 4 * (16 + 3), 16 + 3]


def test_a_pair_that_does_not_tell_its_reach_gets_whole_clips() -> None:
    """As the released pair."""

    class WithoutReach(nn.Module):
        longest: int

        def __init__(self) -> None:
            super().__init__()
            self.weight, self.longest = nn.Parameter(torch.ones(1)), 0

        def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
            self.longest = max(self.longest, video.size(2))
            values = video[:, 0, ::4, ::8, ::8] * self.weight
            return values.int(), values

    half = torch.jit.script(WithoutReach())
    assert VisualTokenizer(half, half, window=2).encode(torch.zeros(1, 3, 29, 8, 16)).shape == (1, 8, 1, 2)
    assert half.longest == 29


def test_a_pair_without_weights_and_with_a_list_of_outputs_runs() -> None:
    class Frozen(nn.Module):
        def forward(self, video: Tensor) -> list[Tensor]:
            return [video[:, 0, ::4, ::8, ::8].int(), video]

    half = torch.jit.script(Frozen())
    codes = VisualTokenizer(half, half).encode(torch.ones(1, 3, 5, 8, 16, dtype=torch.float64))
    assert torch.equal(codes, torch.ones(1, 2, 1, 2, dtype=torch.long))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [(12, 16), (16, 20)])
def test_sides_that_are_no_multiple_of_eight_are_refused(visual: VisualTokenizer, size: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match=f"{size[1]}x{size[0]} px: both sides must be multiples of 8"):
        visual.encode(torch.zeros(1, 3, 1, *size))


@pytest.mark.parametrize("name", ["encoder.jit", "decoder.jit"])
def test_a_missing_file_is_named_with_the_remedy(pair: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(pair, tmp_path / "copy")
    (tmp_path / "copy" / name).unlink()
    with pytest.raises(ValueError, match=rf"{name} is missing: `lumos download"):
        VisualTokenizer.from_pretrained(tmp_path / "copy")


@pytest.mark.parametrize("content", ["text", "nothing", "half"])
def test_a_file_that_is_no_torchscript_is_named(pair: Path, tmp_path: Path, content: str) -> None:
    shutil.copytree(pair, tmp_path / "copy")
    broken = tmp_path / "copy" / "decoder.jit"
    whole = broken.read_bytes()
    broken.write_bytes({"text": b"no such thing", "nothing": b"", "half": whole[: len(whole) // 2]}[content])
    with pytest.raises(ValueError, match=r"decoder\.jit is not a TorchScript file of a tokenizer: "):
        VisualTokenizer.from_pretrained(tmp_path / "copy")


def test_a_window_of_nothing_is_refused(pair: Path) -> None:
    with pytest.raises(ValueError, match="window=0"):
        in_windows(pair, 0)
