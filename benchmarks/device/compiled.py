"""Compiled code against plain: blocks of a refinement, FlexAttention of a training sequence."""

import torch

from benchmarks.arithmetic import sampling_bytes
from benchmarks.device.findings import Check, Findings, Row, relative_error
from benchmarks.device.place import Place
from benchmarks.lumos1.attention import sequence_paths
from benchmarks.lumos1.sampling import Fast, Moment, step_flops
from benchmarks.lumos1.work import random_model

_BF16_MOST = 0.1


def compiled(place: Place) -> Findings:
    """Return times of both and whether they give what plain code gives; nothing where there is no CUDA GPU."""
    if not place.is_cuda:
        return Findings(left_out=["compiled blocks and FlexAttention: they are for CUDA GPUs"])
    found, (size, work) = Findings(), next(iter(place.sizes.refinements.items()))
    moment, model = Moment.of(work), random_model(work, dtype=torch.bfloat16, device=place.device)
    fast = Fast(model, work, moment)
    expected = fast.blocks()
    for block in model.model.layers:
        block.compile()
    error = relative_error(fast.blocks(), expected)
    best = place.best_ms(
        sum(step_flops(work, moment, literal=False).values()), sampling_bytes(work, moment, literal=False)
    )
    found.rows.append(Row(name=f"refinement {size}, compiled", value=place.ms(fast.step), unit="ms", best=best))
    found.checks.append(Check(name="compiled blocks equal plain ones", found=error, most=_BF16_MOST))
    paths, flops = sequence_paths(work, work.num_latent_frames, torch.bfloat16, place.device, flex=True)
    plain, flex = paths["per frame"], paths["flex"]
    error = relative_error(flex(), plain())
    found.checks.append(Check(name="FlexAttention equals a call per frame", found=error, most=_BF16_MOST))
    found.rows += [
        Row(name=f"training attention of a layer, {name}", value=place.ms(path), unit="ms", best=place.best_ms(flops))
        for name, path in (("a call per frame", plain), ("FlexAttention", flex))
    ]
    return found
