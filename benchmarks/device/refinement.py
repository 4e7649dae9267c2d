"""A refinement of Lumos-1: the passes of both branches over a frame, then the head and the draws."""

from functools import partial

import torch

from benchmarks.arithmetic import sampling_bytes
from benchmarks.device.findings import Findings, Row
from benchmarks.device.place import Place
from benchmarks.lumos1.sampling import Fast, Moment, step_flops
from benchmarks.lumos1.work import random_model


def refinement(place: Place) -> Findings:
    """Return the time of a mean refinement by the size of the frame, its parts, and the same as a CUDA graph."""
    found = Findings()
    for size, work in place.sizes.refinements.items():
        moment, model = Moment.of(work), random_model(work, dtype=torch.bfloat16, device=place.device)
        flops = step_flops(work, moment, literal=False)
        moved = sampling_bytes(work, moment, literal=False)
        whole = place.best_ms(sum(flops.values()), moved)
        fast = Fast(model, work, moment)
        states = fast.blocks()
        found.rows += [
            Row(name=f"refinement {size}", value=place.ms(fast.step), unit="ms", best=whole),
            Row(
                name=f"- its blocks, {size}",
                value=place.ms(fast.blocks),
                unit="ms",
                best=place.best_ms(flops["blocks"]),
            ),
            Row(
                name=f"- its head and draws, {size}",
                value=place.ms(partial(fast.head, states)),
                unit="ms",
                best=place.best_ms(flops["head"]),
            ),
        ]
        if place.is_cuda:
            graphed = Fast(model, work, moment, graphs=True)
            found.rows.append(
                Row(name=f"refinement {size}, CUDA graph", value=place.ms(graphed.step), unit="ms", best=whole)
            )
    if not place.is_cuda:
        found.left_out.append("refinements as CUDA graphs: they need a CUDA GPU")
    return found
