"""encoder.jit and decoder.jit stand for themselves: their constants, their precision, whole or not there."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from lumos.tokenizer import export
from lumos.tokenizer.export import export_pair
from lumos.tokenizer.network import CausalVideoTokenizer
from lumos.tokenizer.visual import VisualTokenizer


def test_the_pair_carries_its_reach(pair: Path, network: CausalVideoTokenizer) -> None:
    encoder, decoder = (torch.jit.load(str(pair / name)) for name in ("encoder.jit", "decoder.jit"))
    assert (encoder.temporal_reach, decoder.temporal_reach) == (network.encoder_reach, network.decoder_reach)


def test_the_encoder_gives_codes_first_and_then_their_values(
    pair: Path, network: CausalVideoTokenizer, make_video: Callable[..., Tensor]
) -> None:
    """As the released encoder.jit (lumos/lumos1/README.md, section 4)."""
    codes, values = torch.jit.load(str(pair / "encoder.jit"))(make_video(5))
    assert codes.dtype == torch.int32
    torch.testing.assert_close(values, network.fsq.values(codes.long()))


def test_weights_are_kept_in_the_precision_asked_for(
    tmp_path: Path, pair: Path, make_network: Callable[..., CausalVideoTokenizer]
) -> None:
    export_pair(make_network(), tmp_path, dtype=torch.bfloat16)
    for name in ("encoder.jit", "decoder.jit"):
        dtypes = {weight.dtype for weight in torch.jit.load(str(tmp_path / name)).parameters()}
        assert dtypes == {torch.bfloat16}
        assert (tmp_path / name).stat().st_size < (pair / name).stat().st_size
    tokenizer = VisualTokenizer.from_pretrained(tmp_path)
    video = torch.zeros(1, 3, 5, 16, 24)
    assert tokenizer.decode(tokenizer.encode(video)).dtype == torch.float32


def test_a_failed_export_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_network: Callable[..., CausalVideoTokenizer]
) -> None:
    (tmp_path / "encoder.jit").write_text("old")

    def fail(_: torch.nn.Module) -> None:
        raise OSError("full")

    monkeypatch.setattr(export.torch.jit, "script", fail)
    with pytest.raises(OSError, match="full"):
        export_pair(make_network(), tmp_path)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {"encoder.jit": "old"}
