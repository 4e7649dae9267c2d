"""The weights a training starts from (README section 2.7): a fresh network returns exactly 0."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

_ZERO = ("adaLN_modulation.", "attention.gate", "cap_embedder.1.", "motion_embedder.mlp.2.", "all_final_layer.")
_NORMAL = ("t_embedder.", "motion_embedder.", "pad_token")
_NORM = ("norm", "cap_embedder.0.")
_DEVIATION = 0.02


def drawn_weights(model: nn.Module, *, generator: torch.Generator) -> Iterator[tuple[nn.Parameter, Tensor]]:
    """Yield each parameter with the new values of the whole of it, one at a time.

    Every tensor is drawn in fp32 on the generator's device, in the order of the names, so that the result depends
    neither on where the model lies, nor on its dtype, nor on how it is sharded.
    """
    for name, parameter in sorted(model.named_parameters()):
        values = torch.empty(parameter.shape, device=generator.device)
        yield parameter, _draw(values, name, generator)


def _draw(values: Tensor, name: str, generator: torch.Generator) -> Tensor:
    if name.endswith("bias") or any(part in name for part in _ZERO):
        return values.zero_()
    if any(part in name for part in _NORM):
        return values.fill_(1.0)
    if any(part in name for part in _NORMAL):
        return values.normal_(0, _DEVIATION, generator=generator)
    return nn.init.xavier_uniform_(values, generator=generator)
