"""The network behind the visual tokenizer: Haar patches, the quantiser, causality and its reach."""

import copy
import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from lumos.tokenizer.fsq import FSQ
from lumos.tokenizer.haar import band_gains, haar_patch, haar_unpatch
from lumos.tokenizer.network import CausalVideoTokenizer, NetworkConfig

Make = Callable[..., Tensor]
RELEASED_LEVELS = (8, 8, 8, 5, 5, 5)


# --- Haar patches -----------------------------------------------------------------------------------------------------


def test_haar_patches_are_undone_exactly() -> None:
    video = torch.rand(2, 3, 8, 12, 16, dtype=torch.float64)
    bands = haar_patch(video)
    assert bands.shape == (2, 192, 2, 3, 4)
    torch.testing.assert_close(haar_unpatch(bands), video, atol=1e-14, rtol=0)


def test_haar_patching_is_orthogonal_up_to_its_scale() -> None:
    """Each of the 64 basis videos of a patch has the same energy, 1/64 of its pixels', and they do not overlap."""
    basis = haar_patch(torch.eye(64, dtype=torch.float64).view(64, 1, 4, 4, 4)).flatten(1)
    torch.testing.assert_close(basis.T @ basis, torch.eye(64, dtype=torch.float64) / 64)


def test_the_first_bands_are_the_mean_of_a_patch_in_each_colour() -> None:
    video = torch.rand(1, 3, 4, 8, 4)
    means = video.unflatten(3, (2, 4)).mean((2, 4, 5))
    torch.testing.assert_close(haar_patch(video)[0, :3, 0, :, 0], means[0])


def test_gains_are_larger_for_bands_of_differences() -> None:
    flat = torch.ones(1, 3, 4, 4, 4)
    edge = flat.clone()
    edge[..., 2:] = -1
    for video, gain in ((flat, 1.0), (edge, 4.0)):
        seen = haar_patch(video)[0, :, 0, 0, 0] != 0
        assert set(band_gains().flatten()[seen].tolist()) == {gain}


# --- the quantiser ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("levels", [RELEASED_LEVELS, (4, 3, 5), (7, 5, 5, 5, 5)])
def test_every_code_comes_back_from_its_values(levels: tuple[int, ...]) -> None:
    fsq = FSQ(levels)
    codes = torch.arange(math.prod(levels))
    values = fsq.values(codes)
    assert values.min() == -1
    assert values.max() <= 1
    assert len(values.unique(dim=0)) == len(codes)
    # The middle of each quantisation cell, seen through the inverse of the bounding function.
    z = torch.atanh((values * (fsq.levels // 2) + fsq.offset) / fsq.half_width) - fsq.shift
    assert fsq.codes(z).equal(codes)


def test_the_first_dimension_counts_fastest() -> None:
    assert FSQ((4, 3)).values(torch.tensor([0, 1, 4])).tolist() == [[-1, -1], [-0.5, -1], [-1, 0]]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_no_value_is_out_of_the_codebook(dtype: torch.dtype) -> None:
    """Also after the quantiser's constants were rounded to bf16 with the weights."""
    fsq = FSQ(RELEASED_LEVELS).to(dtype)
    z = torch.tensor([-1e4, -3.0, 0.0, 3.0, 1e4], dtype=dtype)[:, None].expand(-1, 6)
    codes = fsq.codes(z)
    assert (codes[0], codes[-1]) == (0, 63999)
    assert codes.tolist() == sorted(codes.tolist())


def test_zero_is_the_middle_level() -> None:
    assert FSQ((7, 5)).values(FSQ((7, 5)).codes(torch.zeros(1, 2))).tolist() == [[0, 0]]


def test_gradients_pass_the_rounding_as_if_it_were_not_there() -> None:
    fsq = FSQ((4, 3, 5))
    z = torch.randn(7, 3, requires_grad=True)
    weight = torch.randn(7, 3)
    (gradient,) = torch.autograd.grad((fsq.quantise(z) * weight).sum(), z)
    slope = (1 - torch.tanh(z + fsq.shift).square()) * fsq.half_width
    torch.testing.assert_close(gradient, weight * slope)


# --- the whole network ------------------------------------------------------------------------------------------------


def test_training_and_coding_see_the_same_codes_and_video(network: CausalVideoTokenizer, make_video: Make) -> None:
    video = make_video(9)
    with torch.no_grad():
        out = network(video)
        codes = network.codes(video)
        assert codes.shape == (2, 3, 2, 3)
        assert out.codes.equal(codes)
        assert out.video.shape == video.shape
        torch.testing.assert_close(out.video, network.video_of(codes))
    assert codes.unique().numel() > 9


def test_every_weight_gets_a_gradient(network: CausalVideoTokenizer, make_video: Make) -> None:
    net = copy.deepcopy(network)
    net(make_video(9)).video.square().sum().backward()
    assert [name for name, weight in net.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_a_fresh_network_paints_the_middle_gray(make_video: Make) -> None:
    net = CausalVideoTokenizer(NetworkConfig(channels=4, multipliers=(1, 2), num_res_blocks=1, levels=(4, 3)))
    with torch.no_grad():
        assert not net(make_video(5)).video.any()


def test_values_before_quantisation_depend_on_the_latent_frames_in_reach_and_no_other(
    network: CausalVideoTokenizer, make_video: Make
) -> None:
    """float64, so that the oldest frame in reach shows."""
    reach = network.encoder_reach
    assert reach == 2 * 8  # two convolutions in each of three blocks, and two around them; two frames each
    encoder = copy.deepcopy(network.encoder).double()
    video = make_video(1 + 4 * (reach + 5), batch=1).double()
    changed = video.clone()
    changed[:, :, 5:9] = 0  # the frames of latent frame 2
    with torch.no_grad():
        differs = (encoder(video) != encoder(changed)).any(-1).any(-1).any(-1)[0]
    assert differs.nonzero().flatten().tolist() == list(range(2, 2 + reach + 1))


def test_decoded_frames_depend_on_the_latent_frames_in_reach_and_no_other(
    network: CausalVideoTokenizer, make_codes: Make
) -> None:
    reach = network.decoder_reach
    assert reach == 2 * 8
    net = copy.deepcopy(network).double()
    codes = make_codes(reach + 6, batch=1)
    changed = codes.clone()
    changed[:, 2] = (changed[:, 2] + 7) % network.config.num_codes
    with torch.no_grad():
        differs = (net.video_of(codes) != net.video_of(changed)).any(-1).any(-1).any(1)[0]
    assert differs.nonzero().flatten().tolist() == list(range(5, 5 + 4 * (reach + 1)))


def test_an_encoder_of_kernel_one_codes_each_block_by_itself(
    network: CausalVideoTokenizer, make_network: Callable[..., CausalVideoTokenizer], make_video: Make
) -> None:
    net = make_network(replace(network.config, encoder_kernel=1, encoder_channels=7))
    assert (net.encoder_reach, net.decoder_reach) == (0, network.decoder_reach)
    video = make_video(17, batch=1)
    changed = video.clone()
    changed[:, :, 5:9, 8:16, 8:16] *= -1
    with torch.no_grad():
        assert (net.encoder(video) != net.encoder(changed)).any(-1).nonzero().tolist() == [[0, 2, 1, 1]]
        assert net.codes(torch.full((1, 3, 17, 16, 24), 0.3)).unique().numel() == 1


# --- settings ---------------------------------------------------------------------------------------------------------


def test_the_released_network_on_meta() -> None:
    config = NetworkConfig()
    assert (config.levels, config.num_codes, config.halvings) == (RELEASED_LEVELS, 64000, 1)
    with torch.device("meta"):
        net = CausalVideoTokenizer(config)
    counts = {name: sum(p.numel() for p in half.parameters()) for name, half in net.named_children()}
    assert counts == {"encoder": 33_186_822, "fsq": 0, "decoder": 37_027_328}
    assert (net.encoder_reach, net.decoder_reach) == (32, 32)


@pytest.mark.parametrize("factor", [2, 12, 32])
def test_an_impossible_spatial_factor_is_refused(factor: int) -> None:
    with pytest.raises(ValueError, match=f"spatial_factor={factor}"):
        NetworkConfig(spatial_factor=factor, multipliers=(1, 2))
