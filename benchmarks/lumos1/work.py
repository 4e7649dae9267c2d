"""The sizes of work that the benches share, and models and tokens of these sizes, drawn at random."""

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM


@dataclass(frozen=True, kw_only=True)
class Work:
    """A model's size and the clip it works on."""

    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    inner: int
    grid: tuple[int, int]
    """Latent rows and columns (H, W)."""
    num_latent_frames: int = 7
    """T."""
    num_prompt_ids: int = 120

    @property
    def config(self) -> LumosConfig:
        """The model's settings, with the released vocabulary of 129536 ids."""
        return LumosConfig(
            hidden_size=self.width,
            num_hidden_layers=self.num_layers,
            num_attention_heads=self.num_heads,
            num_key_value_heads=self.num_kv_heads,
            intermediate_size=self.inner,
        )

    @property
    def num_codes(self) -> int:
        """N, codes of a frame."""
        return self.grid[0] * self.grid[1]

    @property
    def frame_length(self) -> int:
        """F, tokens of a frame."""
        return self.grid[0] * (self.grid[1] + 1) + 4

    @property
    def mean_frame(self) -> int:
        """The frame whose steps cost as the mean of all: the middle one."""
        return self.num_latent_frames // 2


_CLASS_1B = {"width": 2048, "num_layers": 16, "num_heads": 32, "num_kv_heads": 8, "inner": 8192}
_CLASS_3B = {"width": 3072, "num_layers": 28, "num_heads": 24, "num_kv_heads": 8, "inner": 8192}
WORKS = {
    "tiny": Work(width=64, num_layers=2, num_heads=4, num_kv_heads=2, inner=96, grid=(8, 12), num_prompt_ids=20),
    "small": Work(width=256, num_layers=4, num_heads=4, num_kv_heads=4, inner=704, grid=(16, 28)),
    "mid": Work(width=512, num_layers=8, num_heads=8, num_kv_heads=8, inner=1408, grid=(32, 56), num_latent_frames=5),
    "1b-class": Work(**_CLASS_1B, grid=(32, 56)),
    "1b-class-384p": Work(**_CLASS_1B, grid=(48, 84)),
    "3b-class": Work(**_CLASS_3B, grid=(32, 56)),
    "3b-class-384p": Work(**_CLASS_3B, grid=(48, 84)),
}
"""By name: `tiny` tries the bench out, `small` is for long curves and `mid` for comparisons on a CPU, the 1B and 3B
classes (448x256 and 672x384) are for a GPU."""


def random_model(
    work: Work, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> LumosForCausalLM:
    """Return a model in evaluation mode with random weights, the same for every dtype but for its rounding."""
    with torch.device(device):
        model = LumosForCausalLM(work.config)
    model.reset_parameters(generator=torch.Generator(device).manual_seed(0))
    return model.to(dtype).eval()  # type: ignore[arg-type]  # transformers' wrapper hides nn.Module.to


def random_prompt(work: Work) -> Int[Tensor, "L"]:
    """Return the ids of a prompt: text tokens, no special ones."""
    return torch.randint(1000, 8000, (work.num_prompt_ids,), generator=torch.Generator().manual_seed(1))


def random_codes(work: Work, num_frames: int) -> Int[Tensor, "T N"]:
    """Return the codes of frames."""
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, work.config.vocabulary.num_codes, (num_frames, work.num_codes), generator=generator)
