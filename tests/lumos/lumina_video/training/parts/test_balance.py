"""Balanced channels: other latents, the same pictures, directions as alike as asked for."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from lumos.lumina_video.training.parts.balance import balance_channels, channel_map
from lumos.lumina_video.training.parts.vae_task import VAETask, VAETaskConfig
from tests.lumos.lumina_video.training.parts.test_vae_task import TINY, clip_of, fresh


def latents_of(model: torch.nn.Module, clip: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return model.encode(clip).latent_dist.mode()  # type: ignore[operator]


def test_latents_are_mapped_and_pixels_stay() -> None:
    model, clip = fresh(VAETask(TINY)), clip_of(16, num_clips=2)
    for module in model.modules():  # weights that do something, in place of a quiet start
        if isinstance(module, torch.nn.Conv3d):
            torch.nn.init.normal_(module.weight, std=0.2)
            torch.nn.init.normal_(module.bias, std=0.2)
    model.eval()
    before = latents_of(model, clip)
    forth = channel_map(before, share=0.7).float()
    with torch.no_grad():
        pixels = model.decode(before).sample
        balance_channels(model, before, share=0.7)
        after = latents_of(model, clip)
        torch.testing.assert_close(after, torch.einsum("ij,bj...->bi...", forth, before), rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(model.decode(after).sample, pixels, rtol=1e-3, atol=1e-3)
    assert not torch.allclose(after, before, atol=0.05)


@pytest.mark.parametrize(("share", "expected"), [(0.0, [1, 4, 100]), (1.0, [35, 35, 35]), (0.5, [1, 2, 10])])
def test_directions_become_alike_by_the_share_and_their_mean_square_stays(share: float, expected: list[float]) -> None:
    generator = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    values = torch.randn(3, 5000, generator=generator, dtype=torch.float64)
    values -= values.mean(1, keepdim=True)
    values = torch.linalg.inv(torch.linalg.cholesky(torch.cov(values))) @ values  # of unit covariance
    z = turn @ (values * torch.tensor([1.0, 2.0, 10.0], dtype=torch.float64)[:, None])
    mapped = channel_map(z.view(1, 3, 2, 50, 50), share=share) @ z
    found = torch.linalg.eigvalsh(torch.cov(mapped))
    wanted = torch.tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(found, wanted * 105 / wanted.sum(), rtol=1e-6, atol=1e-6)


def test_a_channel_that_says_nothing_is_refused() -> None:
    z = torch.randn(1, 3, 2, 4, 5)
    z[:, 2] = z[:, 0]
    with pytest.raises(ValueError, match="of the 3 channels of the latents does not vary"):
        channel_map(z, share=0.5)


def test_a_start_is_balanced_once_and_needs_weights_to_start_from(tmp_path: Path) -> None:
    model = fresh(VAETask(TINY), seed=4)
    save_file(model.state_dict(), tmp_path / "network.safetensors")
    begun = fresh(VAETask(replace(TINY, init_from=tmp_path / "network.safetensors", balance=1.0)))
    z = VAETask(TINY)._some_latents(begun)
    variances = torch.linalg.eigvalsh(torch.cov(z.movedim(1, -1).flatten(0, -2).T))
    torch.testing.assert_close(variances, variances.mean().expand(5), rtol=0.02, atol=0)
    with pytest.raises(ValueError, match=r"task\.balance is of latents that mean something; give task\.init_from"):
        VAETaskConfig(balance=0.5)
