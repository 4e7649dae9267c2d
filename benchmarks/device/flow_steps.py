"""Lumina-Video: guided steps at every scale, and a whole multi-scale run."""

import torch

from benchmarks.device.findings import Findings, Row
from benchmarks.device.place import Place
from benchmarks.lumina_video import arithmetic, flow
from benchmarks.measure import seconds_of
from lumos.lumina_video.cost import activation_bytes, num_tokens, run_flops, weight_bytes


def flow_steps(place: Place) -> Findings:
    """Return the time of a guided step by scale, of a multi-scale run, and its memory on a GPU."""
    work, device, bf16 = place.sizes.flow, place.device, torch.bfloat16
    bench, found = flow.Bench(work, dtype=bf16, device=device), Findings()
    known = place.gpu if place.sizes.is_released else None
    for scale in work.config.scales:
        best = 1e3 * max(arithmetic.step_seconds(work.latent, scale, branches=2, gpu=known)) if known else None
        name = f"guided step at {scale}, {num_tokens(work.latent, scale)} tokens"
        found.rows.append(Row(name=name, value=place.ms(bench.step(flow.guided(scale))), unit="ms", best=best))
    preset = flow.MULTI.override(num_points=place.sizes.flow_steps + 1)
    if place.is_cuda:
        torch.cuda.reset_peak_memory_stats(device)
    run_s = seconds_of(lambda: bench.run(preset), device=device)
    least = known.seconds(run_flops(work.config, work.latent, preset=preset)) if known else None
    found.rows.append(Row(name=f"multi-scale run, {place.sizes.flow_steps} steps", value=run_s, unit="s", best=least))
    if place.is_cuda:
        reckoned = activation_bytes(work.config, work.latent, preset=preset, dtype=bf16) + weight_bytes(
            work.config, bf16
        )
        peak = torch.cuda.max_memory_allocated(device)
        found.rows.append(Row(name="memory at its peak", value=peak / 2**30, unit="GiB", best=reckoned / 2**30))
    return found
