"""High dynamic range (PQ, HLG) -> ordinary pixels, by the formulas of ITU-R BT.2100, BT.2390 and BT.2087."""

from functools import cache

import numpy as np
import torch
from jaxtyping import Float, UInt8, UInt16

PQ, HLG = 16, 18
"""Transfer characteristics as files number them (ITU-T H.273, table 3)."""
BT2020 = {2, 9}
"""Primaries that HDR is taken to have, by their numbers there (table 2): unsaid, and BT.2020."""
_WHITE, _PEAK = 203.0, 1000.0
"""Nits of ordinary white (BT.2408), and of the brightest that is told from it."""
_LAST = 0xFFFF
"""Of a table."""
_BAND_PIXELS = 1 << 20
"""That are mapped at once: each takes fifty bytes on the way."""
_TO_BT709 = torch.tensor([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
"""Linear BT.2020 -> linear BT.709 primaries (BT.2087)."""
_BT2020_LUMA = torch.tensor([0.2627, 0.6780, 0.0593])


def tone_mapped(signal: UInt16[np.ndarray, "H W 3"], transfer: int) -> UInt8[np.ndarray, "H W 3"]:
    """Pixels of ordinary range of an HDR frame: full-range R'G'B' of BT.2020, coded by `transfer` (`PQ` or `HLG`).

    Light up to about 90 nits is kept as it is; brighter light is bent, by the largest of the three colours so that hues
    stay, so that 1,000 nits are white. The gamma of the result is 2.4 (BT.1886).
    """
    num_rows = max(1, _BAND_PIXELS // signal.shape[1])
    bands = [signal[row : row + num_rows] for row in range(0, len(signal), num_rows)]
    return np.concatenate([_mapped(band, transfer) for band in bands])


def _mapped(signal: UInt16[np.ndarray, "H W 3"], transfer: int) -> UInt8[np.ndarray, "H W 3"]:
    light = torch.from_numpy(_light(transfer)[signal])  # nits; PyTorch, whose powers are many times faster
    if transfer == HLG:  # the scene's light -> the display's, by its luminance: the gamma of a screen of 1,000 nits
        light *= _PEAK * (light @ _BT2020_LUMA).clamp(min=1e-6)[..., None] ** 0.2
    brightest = light.amax(dim=-1, keepdim=True).div_(_PEAK).clamp_(1e-7, 1)
    light *= torch.from_numpy(_gains())[brightest.sqrt_().mul_(_LAST).round_().long()] / _WHITE
    display = (light @ _TO_BT709.T).clamp_(0, 1).pow_(1 / 2.4)
    return display.mul_(255).round_().byte().numpy()


@cache
def _light(transfer: int) -> Float[np.ndarray, "65536"]:
    """Linear light of every 16-bit signal: nits for PQ, the scene's share of its peak for HLG."""
    signal = np.linspace(0, 1, _LAST + 1)
    if transfer == PQ:
        return pq_to_nits(signal).astype(np.float32)
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12).astype(np.float32)


@cache
def _gains() -> Float[np.ndarray, "65536"]:
    """What light of (k / 65535)^2 of the peak is multiplied with: the curve of BT.2390, which bends in steps of PQ."""
    nits = _PEAK * np.linspace(0, 1, _LAST + 1) ** 2
    top = nits_to_pq(np.array(_PEAK))
    signal, most = nits_to_pq(nits) / top, nits_to_pq(np.array(_WHITE)) / top
    knee = 1.5 * most - 0.5
    t = np.maximum(signal - knee, 0) / (1 - knee)
    bent = (2 * t**3 - 3 * t**2 + 1) * knee + (t**3 - 2 * t**2 + t) * (1 - knee) + (3 * t**2 - 2 * t**3) * most
    mapped = np.where(signal < knee, nits, pq_to_nits(bent * top))
    return np.divide(mapped, nits, out=np.ones_like(nits), where=nits > 0).astype(np.float32)


_M1, _M2 = 2610 / 16384, 2523 / 32
_C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128


def pq_to_nits(signal: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Light in nits of PQ signals in [0, 1] (BT.2100, table 4)."""
    root = signal ** (1 / _M2)
    return np.asarray(10_000 * (np.maximum(root - _C1, 0) / (_C2 - _C3 * root)) ** (1 / _M1))


def nits_to_pq(nits: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """The inverse of `pq_to_nits`."""
    power = (nits / 10_000) ** _M1
    return np.asarray(((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2)
