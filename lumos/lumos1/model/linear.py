"""Products with a weight: torch's own, and for inference in fp32 on a CPU those of oneDNN.

torch gives fp32 products on a CPU to MKL, which leaves half of an AMD processor unused. Measured on one core of a
Zen 5, [3656, 512] x [512, 1408]: 88 GFLOP/s by MKL, 195 by oneDNN. bf16 goes to oneDNN by itself.
"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

_HAS_ONEDNN = torch.backends.mkldnn.is_available()


def linear(
    x: Float[Tensor, "*B D"], weight: Float[Tensor, "F D"], bias: Float[Tensor, "F"] | None = None
) -> Float[Tensor, "*B F"]:
    """Return x weight^T + bias; where no gradient is wanted, by the faster library."""
    inferring = not torch.is_grad_enabled() and not torch.compiler.is_compiling()
    plain = type(weight) in (Tensor, nn.Parameter)  # not one of torchao's, which bring their own product
    if _HAS_ONEDNN and inferring and plain and x.device.type == "cpu" and x.dtype == torch.float32:
        return torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")
    return F.linear(x, weight, bias)


class Linear(nn.Linear):
    """torch's linear layer, computed by `linear`."""

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B F"]:
        """Return the layer's output."""
        return linear(x, self.weight, self.bias)
