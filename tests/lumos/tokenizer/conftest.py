"""A visual tokenizer of a few thousand random weights that looks as far back as its layers can."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from lumos.tokenizer.export import export_pair
from lumos.tokenizer.layers import CausalConv, FrameNorm
from lumos.tokenizer.network import CausalVideoTokenizer, NetworkConfig

SMALL = NetworkConfig(channels=6, multipliers=(1, 2), num_res_blocks=1, z_channels=5, levels=(4, 3, 5))
"""Two levels and no two sizes equal: 60 codes; encoder and decoder reach back 16 latent frames each."""


def random_network(config: NetworkConfig = SMALL) -> CausalVideoTokenizer:
    """All weights drawn; the tap furthest back weighs most, so that the oldest frame in reach shows in the output."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(3)
        net = CausalVideoTokenizer(config)
        for parameter in net.parameters():
            fan_in = parameter[0].numel()
            nn.init.normal_(parameter, std=fan_in**-0.5 if parameter.dim() > 1 else 0.02)
        for module in net.modules():
            if isinstance(module, FrameNorm):
                nn.init.uniform_(module.weight, 0.3, 1.5)
            if isinstance(module, CausalConv) and module.history:
                module.time.weight.data *= torch.tensor([3.0, 0.3, 1.0]).view(3, 1, 1)
        net.encoder.project.weight.data /= 3  # values before quantisation of about 1
    return net.eval()


@pytest.fixture
def make_network() -> Callable[..., CausalVideoTokenizer]:
    return random_network


@pytest.fixture(scope="session")
def network() -> CausalVideoTokenizer:
    """Leave it unchanged."""
    return random_network()


@pytest.fixture(scope="session")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the network's exported encoder.jit and decoder.jit."""
    folder = tmp_path_factory.mktemp("visual_tokenizer")
    export_pair(random_network(), folder)
    return folder


@pytest.fixture
def make_video() -> Callable[..., Tensor]:
    """Noise in [-1, 1], [2, 3, frames, 16, 24]."""

    def make(num_frames: int, *, batch: int = 2, seed: int = 0) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        return torch.rand(batch, 3, num_frames, 16, 24, generator=generator) * 2 - 1

    return make


@pytest.fixture
def make_codes(network: CausalVideoTokenizer) -> Callable[..., Tensor]:
    """Random codes, [2, T, 2, 3]."""

    def make(num_latent: int, *, batch: int = 2) -> Tensor:
        generator = torch.Generator().manual_seed(num_latent)
        return torch.randint(0, network.config.num_codes, (batch, num_latent, 2, 3), generator=generator)

    return make
