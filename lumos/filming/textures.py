"""Pictures by rule: what photographs of landscapes have little of, hard edges, stripes, flat cells, noise."""

import math

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

_KINDS = ("noise", "stripes", "checks", "cells")


def texture(generator: torch.Generator, *, side_px: int = 512) -> UInt8[Tensor, "3 S S"]:
    """Return a square picture drawn from `generator`: noise, bent stripes or checks, or flat cells."""
    kind = _KINDS[int(torch.randint(len(_KINDS), (), generator=generator))]
    low, high = 255 * torch.rand(2, 3, 1, 1, generator=generator)
    if kind == "cells":
        return _cells(generator, side_px)
    share = _noise(generator, side_px) if kind == "noise" else _waves(generator, side_px, crossed=kind == "checks")
    return (low + (high - low) * share).round().to(torch.uint8)


def _noise(generator: torch.Generator, side: int) -> Float[Tensor, "C S S"]:
    """Return noise in [0, 1] whose amplitude falls as frequency^-a, a in [0.8, 1.8]; that of photographs is near 1."""
    steps = torch.fft.fftfreq(side)
    frequency = (steps[:, None] ** 2 + steps[None, :] ** 2).sqrt().clamp_min(1 / side)
    fall = 0.8 + float(torch.rand((), generator=generator))
    channels = 3 if torch.rand((), generator=generator) < 0.5 else 1
    white = torch.randn(channels, side, side, generator=generator)
    smooth = torch.fft.ifft2(torch.fft.fft2(white) * frequency**-fall).real
    return (0.5 + 0.25 * (smooth - smooth.mean()) / smooth.std()).clamp(0, 1)


def _waves(generator: torch.Generator, side: int, *, crossed: bool) -> Float[Tensor, "1 S S"]:
    """Return stripes, or where `crossed` checks, in [0, 1]: at any angle, bent, with edges from hard to soft."""
    angle, phase, bend, period, hardness = torch.rand(5, generator=generator).tolist()
    places = torch.arange(side, dtype=torch.float32)
    x, y = places[None, :], places[:, None]
    cos, sin = math.cos(math.pi * angle), math.sin(math.pi * angle)
    length = 12 + 100 * period**2
    bent = 0.5 * bend * length * torch.sin(2 * math.pi * (x + y) / side)
    along, across = cos * x + sin * y + bent, cos * y - sin * x + bent
    wave = torch.sin(2 * math.pi * (along / length + phase))
    if crossed:
        wave = wave * torch.sin(2 * math.pi * across / length)
    return (0.5 + 0.5 * torch.tanh(wave * (1 + 20 * hardness)))[None]


def _cells(generator: torch.Generator, side: int) -> UInt8[Tensor, "3 S S"]:
    """Return flat cells about 5 to 60 seeds, each of its own colour (Voronoi)."""
    num = int(torch.randint(5, 61, (), generator=generator))
    seeds = torch.rand(num, 2, generator=generator) * side
    colours = torch.randint(256, (num, 3), generator=generator, dtype=torch.uint8)
    places = torch.stack(torch.meshgrid(*[torch.arange(side, dtype=torch.float32)] * 2, indexing="ij"), dim=-1)
    nearest = torch.cdist(places.reshape(-1, 2), seeds).argmin(dim=1)
    return colours[nearest].T.reshape(3, side, side).contiguous()
