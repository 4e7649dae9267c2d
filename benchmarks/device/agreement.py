"""Whether the device computes what the CPU does, and a CUDA graph what the same pass does without one."""

from collections.abc import Callable, Sequence
from copy import deepcopy

import torch
from torch import Tensor

from benchmarks.device.findings import Check, Findings, relative_error
from benchmarks.device.flash import flash
from benchmarks.device.place import Place
from benchmarks.lumina_video import flow
from benchmarks.lumos1.sampling import Fast, Moment
from benchmarks.lumos1.work import WORKS, random_codes, random_model
from lumos.hub.models import DEFAULT_MODEL, resolve
from lumos.lumos1.sampling.refine import MASKED
from lumos.tokenizer.visual import VisualTokenizer

_FP32_MOST = 1e-3
"""Of the states' norm: sums in another order, over some layers, times the guidance."""
_TF32_MOST = 2e-2
"""Convolutions of a GPU multiply in TF32 unless told otherwise."""
_BF16_MOST = 0.2
"""Rounded to 8 bits in every layer of both branches, whose difference counts 15 times: 0.08 on a CPU."""
_GRAPH_MOST = {torch.float32: 1e-4, torch.bfloat16: 0.05}
"""The same pass; but a graph's last block works on the whole frame, and products of other sizes may round otherwise."""
_CODES = 4375
"""Of the bundled model."""

States = Callable[[Tensor], Tensor]
"""Codes of a frame [1, N] -> hidden states."""


def agreement(place: Place) -> Findings:
    """Return the checks of Lumos-1, of its visual tokenizer, of Lumina-Video, on small networks, and of flash-attn."""
    found = _lumos1(place)
    found.checks += [*_visual(place), *_lumina_video(place)]
    by_flash = flash(place)
    return Findings(
        rows=by_flash.rows,
        checks=[*found.checks, *by_flash.checks],
        left_out=[*found.left_out, *by_flash.left_out],
    )


def graph_checks(eager: States, graphed: States, frames: Sequence[Tensor], *, most: float, what: str) -> list[Check]:
    """Return whether a graph's hidden states are those of the pass itself, for each of several frames in turn.

    The first is asked for again at the end: a graph that keeps what it was recorded with, or answers in memory that a
    later pass writes, is found.
    """
    asked = [*frames, frames[0]]
    answers = [graphed(codes).clone() for codes in asked]
    return [
        Check(
            name=f"CUDA graph equals the pass, {what}, {index}", found=relative_error(answer, eager(codes)), most=most
        )
        for index, (codes, answer) in enumerate(zip(asked, answers, strict=True), start=1)
    ]


def _lumos1(place: Place) -> Findings:
    work = WORKS["tiny"]
    moment, other = Moment.of(work), random_codes(work, work.mean_frame + 2)[-1]
    frames = [moment.codes, torch.where(moment.codes == MASKED, MASKED, other)]
    on_cpu = random_model(work)
    expected = [Fast(on_cpu, work, moment).hidden(codes[None]) for codes in frames]
    model = deepcopy(on_cpu).to(place.device)  # type: ignore[arg-type]  # transformers' wrapper hides nn.Module.to
    there = [codes[None].to(place.device) for codes in frames]
    found = Findings()
    for dtype, name, most in ((torch.float32, "fp32", _FP32_MOST), (torch.bfloat16, "bf16", _BF16_MOST)):
        model = model.to(dtype)
        fast = Fast(model, work, moment)
        error = max(relative_error(fast.hidden(codes), right) for codes, right in zip(there, expected, strict=True))
        found.checks.append(Check(name=f"Lumos-1 in {name} equals fp32 on the CPU", found=error, most=most))
        if place.is_cuda:
            graphed = Fast(model, work, moment, graphs=True)
            found.checks += graph_checks(fast.hidden, graphed.hidden, there, most=_GRAPH_MOST[dtype], what=name)
    if not place.is_cuda:
        found.left_out.append("CUDA graphs against the pass itself: they need a CUDA GPU")
    return found


def _visual(place: Place) -> list[Check]:
    folder = resolve(DEFAULT_MODEL).visual_tokenizer
    pairs = [VisualTokenizer.from_pretrained(folder, device=device) for device in ("cpu", place.device)]
    codes = torch.randint(0, _CODES, (2, 3, 4, 5), generator=torch.Generator().manual_seed(1))
    expected, first, again = pairs[0].decode(codes), pairs[1].decode(codes), pairs[1].decode(codes)
    return [
        Check(name="visual tokenizer's pixels equal the CPU's", found=relative_error(first, expected), most=_TF32_MOST),
        Check(name="and so they do the second time", found=relative_error(again, expected), most=_TF32_MOST),
    ]


def _lumina_video(place: Place) -> list[Check]:
    work, checks = flow.WORKS["tiny"], []
    on_cpu = flow.Bench(work, dtype=torch.float32, device=torch.device("cpu"))
    for dtype, name, most in ((torch.float32, "fp32", _FP32_MOST), (torch.bfloat16, "bf16", _BF16_MOST)):
        there = flow.Bench(work, dtype=dtype, device=place.device)
        there.model.load_state_dict(on_cpu.model.state_dict())
        there.noise = on_cpu.noise.to(place.device)
        for scale in work.config.scales:
            expected, found = (bench.step(flow.guided(scale))() for bench in (on_cpu, there))
            text = f"Lumina-Video at {scale} in {name} equals fp32 on the CPU"
            checks.append(Check(name=text, found=relative_error(found, expected), most=most))
    return checks
