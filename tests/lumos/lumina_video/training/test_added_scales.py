"""A scale that a checkpoint lacks does to a latent what the nearest scale does to the latent resized."""

import pytest
import torch
from torch import Tensor

from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.scale import Scale
from lumos.lumina_video.training.added_scales import nearest_scale, resized, sources_of
from tests.lumos.lumina_video.tiny import CONFIG, tiny_dit

SIZE = (4, 16, 16)


def network(scale: Scale) -> MultiScaleNextDiT:
    """The tiny network with one scale, its weights drawn."""
    fields = {**CONFIG.to_dict(), "all_patch_size": [scale.pixels], "all_f_patch_size": [scale.frames]}
    model = MultiScaleNextDiT(LuminaVideoConfig.from_dict(fields)).eval()
    generator = torch.Generator().manual_seed(3)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.1, generator=generator)
    return model


def resize(x: Tensor, factors: tuple[float, float, float]) -> Tensor:
    """Repeat (factor > 1) or average (factor < 1) along frames, rows and columns."""
    for axis, factor in enumerate(factors, start=2):
        if factor > 1:
            x = x.repeat_interleave(int(factor), dim=axis)
        else:
            x = x.unflatten(axis, (-1, round(1 / factor))).mean(axis + 1)
    return x


@pytest.mark.parametrize(
    ("old", "new"), [("1x2", "1x1"), ("1x2", "2x2"), ("2x4", "1x2"), ("2x2", "1x4"), ("1x1", "4x2")]
)
@torch.no_grad()
def test_the_added_scale_does_what_the_nearest_does_to_the_latent_resized(old: str, new: str) -> None:
    before, after = Scale.parse(old), Scale.parse(new)
    known, grown = network(before), network(after)
    stored, wanted = known.state_dict(), grown.state_dict()
    missing = [name for name in wanted if name not in stored]
    sources = sources_of(missing, {name: tuple(value.shape) for name, value in stored.items()})
    assert set(sources) == set(missing)
    made = {name: resized(stored[source], source, name) for name, source in sources.items()}
    grown.load_state_dict({**{name: stored[name] for name in wanted if name in stored}, **made})

    generator = torch.Generator().manual_seed(4)
    channels = CONFIG.in_channels
    x = torch.randn((2, channels, *SIZE), generator=generator)
    rest = torch.tensor([0.2, 0.7]), torch.randn((2, 5, CONFIG.cap_feat_dim), generator=generator)
    frames, pixels = before.frames / after.frames, before.pixels / after.pixels
    expected = known(resize(x, (frames, pixels, pixels)), *rest, scale=old)
    found = grown(x, *rest, scale=new)
    torch.testing.assert_close(found, resize(expected, (1 / frames, 1 / pixels, 1 / pixels)))
    assert float(found.std()) > 0.01


def test_the_nearest_scale_is_the_one_whose_patch_differs_least_and_divides() -> None:
    have = [Scale.parse(text) for text in ("1x2", "2x2", "2x4")]
    assert str(nearest_scale(Scale.parse("1x1"), have)) == "1x2"
    assert str(nearest_scale(Scale.parse("2x8"), have)) == "2x4"
    assert nearest_scale(Scale.parse("1x3"), have) is None
    assert nearest_scale(Scale.parse("1x1"), []) is None


def test_only_scales_that_are_not_there_at_all_are_made_of_others() -> None:
    stored = {name: tuple(value.shape) for name, value in tiny_dit().state_dict().items()}
    part = "all_x_embedder.1-1.bias"
    missing = ["all_x_embedder.1-1.weight", "layers.0.attention.wq.weight", "all_x_embedder.3-1.weight"]
    assert set(sources_of(missing, stored)) == {"all_x_embedder.1-1.weight"}
    assert sources_of(missing, stored | {part: (96,)}) == {}


def test_what_is_no_layer_of_a_scale_is_refused() -> None:
    with pytest.raises(ValueError, match="are no layers of a scale"):
        resized(torch.zeros(2), "pad_token", "pad_token")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("name", ["all_x_embedder.1-1.weight", "all_final_layer.1-1.linear.weight"])
def test_weights_stored_in_half_precision_are_resized_in_fp32(name: str, dtype: torch.dtype) -> None:
    source = name.replace("1-1", "2-2")
    generator = torch.Generator().manual_seed(5)
    shape = tiny_dit().state_dict()[source].shape
    stored = torch.randn(shape, generator=generator).to(dtype)
    made = resized(stored, source, name)
    torch.testing.assert_close(made, resized(stored.float(), source, name), rtol=0, atol=0)
    assert not torch.equal(made, made.to(dtype).float())  # more digits than it was stored with
