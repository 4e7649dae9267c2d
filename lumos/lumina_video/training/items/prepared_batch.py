"""A batch of drawn items as the engine takes it."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.cost import num_tokens, training_flops
from lumos.lumina_video.network.text_states import valid_tokens
from lumos.lumina_video.training.items.samples import Item
from lumos.lumina_video.training.task_config import ScaleTask
from lumos.lumina_video.training.time_bins import bin_of
from xllmx.kernels.attention import spans_of
from xllmx.task import Prepared


def prepare_items(
    items: Sequence[Item],
    task: ScaleTask,
    *,
    text: Float[Tensor, "B S E"],
    text_mask: Bool[Tensor, "B S"],
    model: LuminaVideoConfig,
) -> Prepared:
    """Return what the network is called with, and the ends of the flow that the loss compares with.

    Latents of one size are one tensor [B, C, T, H, W], of several a list. An image that is repeated to fill a patch has
    its loss on the first frame alone.
    """
    valid, lengths = valid_tokens(text, text_mask)
    sizes = [(item.noisy.shape[1], item.noisy.shape[2], item.noisy.shape[3]) for item in items]
    is_repeated = task.media_type == "image" and task.f_patch_size > 1
    return Prepared(
        inputs={
            "noisy": _together([item.noisy for item in items]),
            "t": torch.stack([item.time for item in items]),
            "text": valid,
            "text_spans": spans_of(lengths, device="cpu"),
            "motion": torch.tensor([item.motion for item in items]),
            "scale": str(task.scale),
            "bins": [bin_of(float(item.time)) for item in items],
            "first_frame_only": is_repeated,
        },
        targets={
            "noise": _together([item.noise for item in items]),
            "latents": _together([item.latents for item in items]),
        },
        num_targets=len(items),
        num_tokens=sum(num_tokens(size, task.scale) for size in sizes),
        flops=sum(training_flops(model, size, scale=task.scale, text_tokens=text.shape[1]) for size in sizes),
    )


def _together(latents: list[Tensor]) -> Tensor | list[Tensor]:
    return torch.stack(latents) if len({one.shape for one in latents}) == 1 else latents
