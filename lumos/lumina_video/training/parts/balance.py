"""Latents whose channels weigh alike: a linear map of the channels that the weights of the VAE take up.

Of a small VAE's latents a few directions carry nearly all variance (on the shapes world the ground's colour: two of
sixteen have 90 %), so that a flow's squared error asks for little else. The map makes directions alike; encoder and
decoder are changed so that pictures come out as before.
"""

import torch
from diffusers.models import AutoencoderKLCogVideoX
from jaxtyping import Float
from torch import Tensor


def balance_channels(vae: AutoencoderKLCogVideoX, latents: Float[Tensor, "B C T H W"], *, share: float) -> None:
    """Change the VAE in place so that its unscaled latents are A z where they were z, and the decoder takes A z for z.

    With the covariance S = U diag(s) U' of the channels of `latents`, A = k U diag(s^(-share/2)) U': deviations along
    its directions become s^((1 - share)/2), and k keeps their mean square. Only the posterior's mean is mapped.

    Raises:
        ValueError: the latents do not vary along some direction, from which no inverse follows.
    """
    forth = channel_map(latents, share=share).to(vae.dtype)
    back, num = torch.linalg.inv(forth.double()).to(vae.dtype), len(forth)
    with torch.no_grad():
        last = vae.encoder.conv_out.conv  # means, then log variances
        for values in last.parameters():
            values[:num] = torch.einsum("ij,j...->i...", forth, values[:num])
        for name, module in vae.decoder.named_modules():
            if name == "conv_in.conv" or name.endswith(("conv_y.conv", "conv_b.conv")):  # all that see the latents
                module.weight.copy_(torch.einsum("oj...,ji->oi...", module.weight, back))


def channel_map(latents: Float[Tensor, "B C T H W"], *, share: float) -> Float[Tensor, "C C"]:
    """Return A of `balance_channels`, symmetric, in float64."""
    values = latents.double().movedim(1, -1).flatten(0, -2)
    variances, directions = torch.linalg.eigh(torch.cov(values.T))
    if float(variances[0]) <= 1e-12 * float(variances[-1]):
        raise ValueError(f"a direction of the {len(variances)} channels of the latents does not vary; train on first")
    stretched = variances.pow(-share / 2)
    stretched *= (variances.sum() / (variances * stretched.square()).sum()).sqrt()
    return (directions * stretched) @ directions.T
