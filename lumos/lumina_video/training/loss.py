"""The loss of a predicted velocity: squared error and direction (README section 6)."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from lumos.lumina_video.sampling.schedule import Number

_LEAST_NORM = 1e-8


def interpolate(
    noise: Float[Tensor, "C T H W"], latents: Float[Tensor, "C T H W"], *, t: Float[Tensor, ""]
) -> Float[Tensor, "C T H W"]:
    """Return x_t = t x_1 + (1 - t) x_0, between the noise x_0 and the latents x_1.

    t is rounded to the latents' type first; it is the rounded one that the network must be given.
    """
    t = t.to(latents)
    return t * latents + (1 - t) * noise


def velocity_loss(
    velocity: Float[Tensor, "C T H W"],
    noise: Float[Tensor, "C T H W"],
    latents: Float[Tensor, "C T H W"],
    *,
    cosine_weight: Number,
    first_frame_only: bool = False,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""], Float[Tensor, ""]]:
    """Return (loss, mse, cosine) of one item in fp32.

    With u = x_1 - x_0 and all numbers of the item as one vector: mse = mean (v - u)^2, cosine = 1 - v.u / (|v| |u|),
    loss = mse + cosine_weight * cosine.

    Args:
        velocity: v, as the network predicts it at x_t.
        noise: x_0.
        latents: x_1.
        cosine_weight: of the direction; 1 in the released recipe, 0 leaves the term out of the loss.
        first_frame_only: whether both terms see the first frame alone, as for an image repeated to fill a patch.
    """
    velocity, target = velocity.float(), latents.float() - noise.float()
    if first_frame_only:
        velocity, target = velocity[:, :1], target[:, :1]
    mse = F.mse_loss(velocity, target)
    cosine = 1 - F.cosine_similarity(velocity.flatten(), target.flatten(), dim=0, eps=_LEAST_NORM)
    return mse + cosine_weight * cosine, mse, cosine
