"""`encoder.jit` and `decoder.jit` of a trained network."""

from pathlib import Path

import torch
from torch import Tensor, nn

from lumos.tokenizer.network import CausalVideoTokenizer
from lumos.tokenizer.visual import DECODER, ENCODER
from xllmx.disk.files import atomic_path
from xllmx.finite import check_weights


class EncoderHalf(nn.Module):
    """Video in [-1, 1] -> (codes, quantised values in [-1, 1])."""

    temporal_reach: int

    def __init__(self, net: CausalVideoTokenizer) -> None:
        super().__init__()
        self.encoder, self.fsq = net.encoder, net.fsq
        self.temporal_reach = net.encoder_reach

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        codes = self.fsq.codes(self.encoder(video))
        return codes.int(), self.fsq.values(codes)


class DecoderHalf(nn.Module):
    """Codes -> video."""

    temporal_reach: int

    def __init__(self, net: CausalVideoTokenizer) -> None:
        super().__init__()
        self.decoder, self.fsq = net.decoder, net.fsq
        self.temporal_reach = net.decoder_reach

    def forward(self, codes: Tensor) -> Tensor:
        return self.decoder(self.fsq.values(codes).to(self.decoder.project.weight.dtype))


def export_pair(net: CausalVideoTokenizer, folder: Path, *, dtype: torch.dtype = torch.float32) -> None:
    """Write the TorchScript pair of a network, weights in `dtype`; each file is whole or not there."""
    net = net.to(dtype).eval()
    check_weights(net.state_dict(), "the network to be exported", remedy="export it in a wider type (export_dtype)")
    folder.mkdir(parents=True, exist_ok=True)
    for name, half in ((ENCODER, EncoderHalf(net)), (DECODER, DecoderHalf(net))):
        with atomic_path(folder / name) as temporary:
            torch.jit.script(half.eval()).save(str(temporary))
