"""The network against golden numbers, and what must hold whatever its weights."""

import copy
import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lumos.lumina_video.config import PRESETS, LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT
from lumos.lumina_video.scale import Scale
from tests import stand_in_flash
from tests.lumos.lumina_video import golden as recipe

GOLDEN = Path(__file__).resolve().parents[2] / "golden" / "lumina"
CASES = {
    f"{case['config']}_{case['scale']}": case for case in json.loads((GOLDEN / "forward.json").read_text())["cases"]
}
NAMES = json.loads((GOLDEN / "configs.json").read_text())

GoldenDiT = Callable[[str], MultiScaleNextDiT]


def inputs_of(case: dict[str, Any], config: LuminaVideoConfig) -> dict[str, Any]:
    """The arguments of a golden forward pass."""
    features, mask = recipe.text(
        case["tag"],
        case["text_lengths"],
        padded_to=case["text_padded_to"],
        width=config.cap_feat_dim,
        factor=case["text_factor"],
    )
    return {
        "x": [recipe.noise(f"{case['tag']}/x{i}", (config.in_channels, *size)) for i, size in enumerate(case["sizes"])],
        "t": torch.tensor(case["t"]),
        "text": features,
        "text_mask": mask,
        "motion": torch.tensor(case["motion"]),
        "scale": Scale.parse(case["scale"]),
    }


def batch(*, seed: int = 0, items: int = 2, size: tuple[int, int, int] = (2, 4, 6), width: int = 40) -> dict[str, Any]:
    """Items of one size for the golden model B, with texts of different lengths."""
    tag = f"batch/{seed}"
    features, mask = recipe.text(tag, [5, 3, 4, 1][:items], padded_to=7, width=width)
    return {
        "x": recipe.noise(f"{tag}/x", (items, 3, *size)),
        "t": torch.tensor([0.25, 0.75, 0.5, 0.1][:items]),
        "text": features,
        "text_mask": mask,
        "motion": torch.tensor([6.5, -1.0, 0.0, 2.0][:items]),
    }


def intermediates(model: MultiScaleNextDiT, case: dict[str, Any]) -> tuple[dict[str, Tensor], list[Tensor]]:
    """What the golden numbers have of the inside of a pass, at all packed tokens, and its outputs."""
    kept: dict[str, Tensor] = {}

    def keep(name: str) -> Callable[..., None]:
        return lambda module, inputs, output: kept.update({name: output})

    def keep_input(name: str, position: int) -> Callable[..., None]:
        return lambda module, inputs: kept.update({name: inputs[position]})

    embedder = model.all_x_embedder[case["scale"]]
    hooks = [
        model.layers[0].register_forward_pre_hook(keep_input("c", 1)),
        model.t_embedder.register_forward_hook(keep("t_emb")),
        model.cap_embedder.register_forward_hook(keep("cap_emb")),
        embedder.register_forward_pre_hook(keep_input("patches", 0)),
        embedder.register_forward_hook(keep("tokens")),
        model.layers[0].attention.register_forward_hook(keep("block0_attn")),
        model.layers[0].register_forward_hook(keep("block0")),
        model.layers[-1].register_forward_hook(keep("blocks")),
    ]
    with torch.no_grad():
        outputs = model(**inputs_of(case, model.config))
    for hook in hooks:
        hook.remove()
    return kept, outputs


@pytest.mark.parametrize("name", CASES)
def test_golden_forward(name: str, golden_dit: GoldenDiT, golden_lumina: Path) -> None:
    case, model = CASES[name], golden_dit(CASES[name]["config"])
    kept, outputs = intermediates(model, case)
    with np.load(golden_lumina / "forward.npz") as stored:
        rows = stored[f"{name}_rows"]
        for part in ("c", "t_emb", "cap_emb"):
            np.testing.assert_allclose(kept[part], stored[f"{name}_{part}"], rtol=0, atol=1e-5, err_msg=part)
        for part in ("patches", "tokens", "block0_attn", "block0", "blocks"):
            np.testing.assert_allclose(kept[part][0, rows], stored[f"{name}_{part}"], rtol=0, atol=2e-5, err_msg=part)
        for i, output in enumerate(outputs):
            np.testing.assert_allclose(output, stored[f"{name}_out{i}"], rtol=0, atol=2e-5, err_msg=f"out{i}")


@pytest.mark.parametrize("letter", "ABCWS")
def test_golden_state_dict(letter: str, golden_dit: GoldenDiT) -> None:
    shapes = {name: list(tensor.shape) for name, tensor in golden_dit(letter).state_dict().items()}
    assert shapes == NAMES[letter]["state_dict"]


@pytest.mark.parametrize("name", PRESETS)
def test_golden_state_dict_of_released_architectures_on_meta(name: str) -> None:
    with torch.device("meta"):
        model = MultiScaleNextDiT(LuminaVideoConfig.named(name))
    shapes = {name: list(tensor.shape) for name, tensor in model.state_dict().items()}
    assert all(parameter.is_meta for parameter in model.parameters())
    assert sum(parameter.numel() for parameter in model.parameters()) == NAMES[name]["params"]
    assert len(shapes) == NAMES[name]["entries"]
    if "state_dict" in NAMES[name]:
        assert shapes == NAMES[name]["state_dict"]
    else:
        lines = "\n".join(sorted(f"{key} {shape}" for key, shape in shapes.items()))
        assert hashlib.sha256(lines.encode()).hexdigest() == NAMES[name]["state_dict_sha256"]


# --- items and their containers ---------------------------------------------------------------------------------------


def test_packed_items_are_what_they_are_alone(golden_dit: GoldenDiT) -> None:
    case, model = CASES["B_2-2"], golden_dit("B")
    inputs = inputs_of(case, model.config)
    packed = model(**inputs)
    for i, item in enumerate(inputs["x"]):
        rows = {name: inputs[name][i : i + 1] for name in ("t", "text", "text_mask", "motion")}
        single = model(item[None], **rows, scale=inputs["scale"])
        torch.testing.assert_close(packed[i], single[0], atol=1e-5, rtol=1e-5)


def test_a_list_of_one_size_is_a_batch(golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch()
    output = model(**inputs, scale="2x2")
    listed = model(**{**inputs, "x": list(inputs["x"])}, scale="2x2")
    assert isinstance(listed, list)
    assert output.shape == inputs["x"].shape
    assert torch.equal(torch.stack(listed), output)


def test_a_batch_is_one_call_of_attention_a_layer(golden_dit: GoldenDiT, monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = []
    fused = nn.functional.scaled_dot_product_attention

    def counted(q: Tensor, *rest: Tensor, **options: Any) -> Tensor:
        shapes.append(tuple(q.shape))
        return fused(q, *rest, **options)

    monkeypatch.setattr(nn.functional, "scaled_dot_product_attention", counted)
    golden_dit("B")(**batch(items=4), scale="1x2")
    assert shapes == [(4, 4, 12, 16)] * 6  # three layers: the video, then the text


def test_fewer_tokens_than_numbers_in_a_token_are_no_matter(golden_dit: GoldenDiT) -> None:
    """The release slices the wrong axis of such batches and fails."""
    inputs = batch(size=(2, 4, 4))
    assert golden_dit("B")(**inputs, scale="2x4").shape == (2, 3, 2, 4, 4)  # one token of 96 numbers


def test_a_single_frame_is_the_first_of_its_repetition(golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch(size=(1, 4, 8))
    repeated = model(**{**inputs, "x": inputs["x"].repeat(1, 1, 2, 1, 1)}, scale="2x4")
    assert torch.equal(model(**inputs, scale="2x4"), repeated[:, :, :1])


@pytest.mark.parametrize("axes", [(2, 3), (3, 4), (2, 4)])
def test_no_two_axes_are_alike(axes: tuple[int, int], golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch(size=(4, 4, 4))
    swapped = model(**{**inputs, "x": inputs["x"].transpose(*axes)}, scale="1x2").transpose(*axes)
    assert (swapped - model(**inputs, scale="1x2")).abs().max() > 0.1


# --- conditions -------------------------------------------------------------------------------------------------------


def test_encoded_text_gives_the_same_at_every_scale(golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch(size=(2, 4, 8))
    states = model.encode_text(inputs["text"], inputs["text_mask"])
    for scale in ("1x2", "2x2", "2x4"):
        encoded = model(inputs["x"], inputs["t"], states, motion=inputs["motion"], scale=scale)
        assert torch.equal(encoded, model(**inputs, scale=scale))


def test_padding_of_the_text_does_not_matter(golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch()
    features, mask = inputs["text"], inputs["text_mask"]
    noisy = features + 100 * (~mask[..., None]).float()
    wanted = model(**inputs)
    assert torch.equal(model(**{**inputs, "text": noisy}), wanted)
    left = {**inputs, "text": features.flip(1), "text_mask": mask.flip(1)}  # keys have no positions
    torch.testing.assert_close(model(**left), wanted, atol=1e-5, rtol=1e-5)


def test_no_motion_is_a_negative_score_and_differs_from_none_at_all(golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch()
    del inputs["motion"]
    unspecified = model(**inputs)
    assert torch.equal(unspecified, model(**inputs, motion=torch.tensor([-1.0, -0.25])))
    assert (unspecified - model(**inputs, motion=torch.zeros(2))).abs().max() > 0.01


# --- precision --------------------------------------------------------------------------------------------------------


@pytest.fixture
def half(golden_dit: GoldenDiT) -> MultiScaleNextDiT:
    """The golden model B in bf16."""
    model = golden_dit("B")
    copy = MultiScaleNextDiT(model.config).bfloat16()
    copy.load_state_dict(model.state_dict())
    return copy


def test_bf16_is_near_fp32_and_rounds_t(golden_dit: GoldenDiT, half: MultiScaleNextDiT) -> None:
    exact, inputs = golden_dit("B"), batch()
    output = half(**inputs)
    assert output.dtype == torch.bfloat16
    released = {**inputs, "t": (inputs["t"].bfloat16() * 1000).float() / 1000}  # 750 becomes 752
    assert (output.float() - exact(**released)).abs().mean() < 0.03
    assert (output.float() - exact(**inputs)).abs().mean() > 0.06
    nudged = {**inputs, "t": inputs["t"] + 0.0002}  # 0.25 and 0.75 in bf16, too
    assert torch.equal(half(**nudged), output)
    assert not torch.equal(exact(**nudged), exact(**inputs))


def test_autocast_rounds_t_and_keeps_the_residual_stream_in_fp32(golden_dit: GoldenDiT) -> None:
    model, inputs = golden_dit("B"), batch()
    streams = []
    hook = model.layers[-1].register_forward_hook(lambda module, inputs, output: streams.append(output.dtype))
    with torch.autocast("cpu", torch.bfloat16):
        output = model(**inputs)
        nudged = model(**{**inputs, "t": inputs["t"] + 0.0002})
    hook.remove()
    assert streams == [torch.float32] * 2
    assert torch.equal(output, nudged)
    released = {**inputs, "t": (inputs["t"].bfloat16() * 1000).float() / 1000}
    assert (output.float() - model(**released)).abs().mean() < 0.03


def test_weights_gathered_in_bf16_compute_within_autocast_as_those_of_a_sharded_model(golden_dit: GoldenDiT) -> None:
    whole = golden_dit("B")
    gathered = copy.deepcopy(whole).to(torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        expected, output = whole(**batch()), gathered(**batch())
    assert (output - expected).abs().mean() < 0.03
    output.sum().backward()


def test_every_weight_of_the_scale_is_trained_but_the_unused_pad_token(golden_dit: GoldenDiT) -> None:
    model = golden_dit("B")
    inputs = batch()
    names, parameters = zip(*model.named_parameters(), strict=True)
    loss = model(**{**inputs, "motion": torch.ones(2)}, scale="2x2").square().sum()
    gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
    unused = {name for name, gradient in zip(names, gradients, strict=True) if gradient is None}
    others = {name for name in names if ".2-1." in name or ".4-2." in name}
    assert unused == others | {"pad_token"}
    assert all(gradient.abs().max() > 0 for gradient in gradients if gradient is not None)


def test_flash_gives_the_numbers_of_sdpa(golden_dit: GoldenDiT, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in_flash.install(monkeypatch)
    model, case = golden_dit("B"), CASES["B_2-1"]
    flash = MultiScaleNextDiT(model.config, attention_backend="flash")
    flash.load_state_dict(model.state_dict())
    packed = inputs_of(case, model.config)
    for found, wanted in zip(flash(**packed), model(**packed), strict=True):
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(flash(**batch()), model(**batch()), atol=1e-5, rtol=1e-5)
    assert calls.count("flash_attn_func") == 3
    assert calls.count("flash_attn_varlen_func") == 9


def test_flash_gives_the_gradients_of_sdpa(golden_dit: GoldenDiT, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in_flash.install(monkeypatch)
    model = golden_dit("B")
    packed = inputs_of(CASES["B_2-1"], model.config)
    results = []
    for backend in ("flash", "sdpa"):
        monkeypatch.setattr(model, "attention_backend", backend)
        loss = sum(output.square().sum() for outputs in (model(**packed), model(**batch())) for output in outputs)
        results.append(torch.autograd.grad(loss, list(model.parameters()), allow_unused=True))
    for found, wanted in zip(*results, strict=True):
        assert (found is None) == (wanted is None)
        if found is not None:
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
    assert set(calls) == {"flash_attn_func", "flash_attn_varlen_func"}
    stand_in_flash.uninstall(monkeypatch)


# --- bad input --------------------------------------------------------------------------------------------------------


def test_an_unusable_backend_is_refused_when_the_model_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in_flash.uninstall(monkeypatch)
    config = LuminaVideoConfig.from_dict(NAMES["A"]["config"])
    with pytest.raises(ValueError, match="flash-attn is not usable here"):
        MultiScaleNextDiT(config, attention_backend="flash")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": "4x4"}, "scale is 4x4 .*choose of 1x2, 2x2, 2x4"),
        ({"scale": "2x4"}, "6 columns, no multiple of 4 .*nearest that would do is 8"),
        ({"x": torch.zeros(2, 4, 2, 4, 6)}, "has 4 channels, but in_channels of this model is 3"),
        ({"x": []}, "x holds no latent"),
        ({"text": torch.zeros(2, 7, 41)}, "41 wide, but cap_feat_dim of this model is 40"),
        ({"text_mask": torch.ones(2, 6, dtype=torch.bool)}, r"text_mask is \[2, 6\]; it must be \[2, 7\]"),
        ({"text_mask": torch.zeros(2, 7, dtype=torch.bool)}, "leaves item 0 without a token"),
        ({"t": torch.zeros(3)}, "t has 3 items and x has 2"),
        ({"text": torch.zeros(1, 7, 40), "text_mask": None}, "text has 1 items and x has 2"),
        ({"motion": torch.zeros(1)}, "motion has 1 items and x has 2"),
    ],
)
def test_bad_input_is_refused(changes: dict[str, Any], message: str, golden_dit: GoldenDiT) -> None:
    with pytest.raises(ValueError, match=message):
        golden_dit("B")(**{**batch(), **changes})


# --- compiled ---------------------------------------------------------------------------------------------------------

COMPILED = """
import torch
from torch._dynamo.testing import CompileCounter
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT

model = MultiScaleNextDiT(LuminaVideoConfig(dim=48, n_layers=2, n_heads=3, multiple_of=24, in_channels=3,
    cap_feat_dim=28, all_patch_size=(2, 2), all_f_patch_size=(1, 2), qk_norm=True))
model.init_weights(torch.Generator().manual_seed(0))
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.1)
calls = []
for sizes, lengths, scale in [
    ([(2, 4, 6)] * 3, (5, 3, 4), "1x2"), ([(4, 6, 6)] * 2, (2, 7), "2x2"), ([(6, 4, 8)] * 4, (3, 9, 1, 2), "1x2"),
    ([(2, 4, 6), (4, 8, 4)], (3, 6), "1x2"), ([(2, 8, 6), (4, 4, 4), (1, 4, 4)], (3, 6, 2), "1x2"),
    ([(6, 8, 6), (4, 4, 4)], (4, 2), "2x2"),
]:
    x = [torch.randn(3, *size) for size in sizes]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    calls.append(((x, torch.rand(len(x)), torch.randn(len(x), 9, 28), mask), scale))
plain = [model(*call, scale=scale) for call, scale in calls]
counter = CompileCounter()
for block in model.layers:
    block.compile(backend=counter, dynamic=True)
for (call, scale), expected in zip(calls, plain):
    torch.testing.assert_close(model(*call, scale=scale), expected, atol=1e-5, rtol=1e-5)
    print(counter.frame_count)
"""


@pytest.mark.slow
def test_blocks_compile_once_for_batches_and_once_for_packed_rows() -> None:
    """In a process of its own: what checks shapes at every call cannot be compiled."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", COMPILED], capture_output=True, text=True, check=True)
    batches, packed = [list(map(int, done.stdout.split()))[part] for part in (slice(0, 3), slice(3, 6))]
    assert 0 < batches[0] < packed[0]
    assert batches == [batches[0]] * 3
    assert packed == [packed[0]] * 3
