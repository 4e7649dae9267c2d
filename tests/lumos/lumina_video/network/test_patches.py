"""Tokens of latents and back."""

import pytest
import torch

from lumos.lumina_video.network.patches import grid_of, patchify, size_of, unpatchify
from lumos.lumina_video.scale import Scale

SCALES = [Scale(frames=1, pixels=2), Scale(frames=2, pixels=2), Scale(frames=2, pixels=4)]


def test_a_token_runs_along_rows_columns_channels() -> None:
    """Drawn in section 2.3 of the README: two channels, one frame, patches of 2 x 2 pixels."""
    letters = {letter: float(number) for number, letter in enumerate("abcdefghijklmnop")}
    drawn = [["abef", "cdgh"], ["ijmn", "klop"]]
    x = torch.tensor([[[letters[c] for c in row] for row in channel] for channel in drawn])[None, :, None]
    wanted = [[letters[c] for c in token] for token in ("aibjckdl", "emfngohp")]
    assert patchify(x, Scale(frames=1, pixels=2))[0].tolist() == wanted


def test_tokens_run_along_frames_rows_columns() -> None:
    frames, rows, columns = torch.meshgrid(torch.arange(4), torch.arange(6), torch.arange(10), indexing="ij")
    x = torch.stack([frames // 2, rows // 2, columns // 2])[None].float()
    tokens = patchify(x, Scale(frames=2, pixels=2)).unflatten(2, (-1, 3))[0, :, 0].long()
    assert (tokens[:, 0] * 15 + tokens[:, 1] * 5 + tokens[:, 2]).tolist() == list(range(30))


def test_frames_come_before_rows_inside_a_token() -> None:
    x = torch.arange(2.0)[:, None, None].expand(2, 2, 2)[None, None]
    assert patchify(x, Scale(frames=2, pixels=2))[0, 0].tolist() == [0, 0, 0, 0, 1, 1, 1, 1]


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_unpatchify_is_the_inverse(scale: Scale) -> None:
    x = torch.randn(2, 3, 4, 8, 12)
    tokens = patchify(x, scale)
    assert tokens.shape == (2, 4 * 8 * 12 // (scale.frames * scale.pixels**2), scale.token_width(3))
    assert torch.equal(unpatchify(tokens, size_of(x), scale), x)


@pytest.mark.parametrize("scale", SCALES, ids=str)
def test_a_single_frame_fills_the_patch_and_its_first_copy_is_kept(scale: Scale) -> None:
    x = torch.randn(2, 3, 1, 8, 12)
    tokens = patchify(x, scale)
    assert torch.equal(tokens, patchify(x.repeat(1, 1, scale.frames, 1, 1), scale))
    later = tokens.unflatten(2, (scale.frames, -1)).clone()
    later[:, :, 1:] += 1
    assert torch.equal(unpatchify(later.flatten(2), size_of(x), scale), x)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        ((3, 8, 12), r"3 frames, no multiple of 2 as scale 2x4 .*nearest that would do is 4"),
        ((2, 9, 12), r"9 rows, no multiple of 4 .*nearest that would do is 8"),
        ((2, 8, 14), r"14 columns, no multiple of 4 .*nearest that would do is 16"),
        ((2, 1, 12), r"1 rows, no multiple of 4 .*nearest that would do is 4"),
        ((0, 8, 12), r"0 frames"),
    ],
)
def test_sizes_that_patches_do_not_fill_are_refused(size: tuple[int, int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        grid_of(size, Scale(frames=2, pixels=4))


def test_a_grid_counts_patches() -> None:
    assert grid_of((6, 8, 20), Scale(frames=2, pixels=4)) == (3, 2, 5)
    assert grid_of((1, 8, 20), Scale(frames=2, pixels=4)) == (1, 2, 5)


def test_what_comes_back_is_no_view_which_sharded_modules_warn_of() -> None:
    tokens = torch.zeros(1, 6, 8, requires_grad=True)
    assert unpatchify(tokens, (1, 4, 6), Scale(frames=1, pixels=2))._base is None
