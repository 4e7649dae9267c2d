"""Every way to compute frame-causal attention equals the literal mask."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._dynamo.testing import CompileCounter
from torch.nn.attention.flex_attention import flex_attention

from lumos.lumos1.model import attention
from lumos.lumos1.model.attention import (
    cached_attention,
    flex_length,
    frame_causal_attention,
    frame_causal_mask,
    layout_of,
)
from lumos.lumos1.model.kernels import explicit
from lumos.lumos1.model.kernels.row_plan import Segment, plan_of, samples_of
from lumos.lumos1.sequence import blocks_of
from lumos.tokenizer.vocab import Vocab
from tests import stand_in_flash


class Row(NamedTuple):
    pads: int
    spans: str  # "t" a text token, "f" a frame of 4 tokens, "g" a frame of 6


def blocks_from(*rows: Row) -> torch.Tensor:
    """Return the block numbers of rows that are equally long."""
    batch = []
    for pads, spans in rows:
        sizes = [{"t": 1, "f": 4, "g": 6}[span] for span in spans]
        batch.append([-1] * pads + [block for block, size in enumerate(sizes) for _ in range(size)])
    return torch.tensor(batch)


BATCHES = {
    "text_and_frames": [Row(0, "tttfffttt")],
    "text_only": [Row(0, "ttttt"), Row(0, "ttttt")],
    "frames_only": [Row(0, "gg")],
    "text_between_frames": [Row(0, "fttgtf")],
    "left_padded": [Row(0, "tttttfft"), Row(3, "ttfft"), Row(4, "tfft")],
    "mixed_structures": [Row(0, "ttfftt"), Row(1, "ttgttt"), Row(0, "ttfftt"), Row(2, "fftt"), Row(4, "tttttttt")],
}


def qkv(blocks: torch.Tensor, *, heads=6, kv_heads=3, head_dim=8):
    generator = torch.Generator().manual_seed(1)
    batch, length = blocks.shape
    return [
        torch.randn(batch, n, length, head_dim, generator=generator, requires_grad=True)
        for n in (heads, kv_heads, kv_heads)
    ]


def literal(q, k, v, blocks):
    """Softmax of the scores under the literal rule, the reference of this file."""
    groups = q.shape[1] // k.shape[1]
    k, v = k.repeat_interleave(groups, 1), v.repeat_interleave(groups, 1)
    scores = q @ k.transpose(2, 3) / q.shape[-1] ** 0.5
    visible = (blocks[:, None, :] <= blocks[:, :, None]) & (blocks[:, None, :] >= 0)
    visible |= torch.eye(blocks.shape[1], dtype=torch.bool)
    return scores.masked_fill(~visible[:, None], -torch.inf).softmax(-1) @ v


def test_mask_is_the_drawing():
    lines = [line.split() for line in frame_causal_mask.__doc__.splitlines()]
    blocks = next(line[1:] for line in lines if line[:1] == ["blocks"])
    drawing = [[mark == "x" for mark in line] for line in lines if line and set(line) <= {"x", "."}]
    mask = frame_causal_mask(torch.tensor([[int(block) for block in blocks]]))
    assert mask[0].tolist() == drawing


@pytest.mark.parametrize("name", ["S1", "S2"])
def test_golden_mask(golden, name):
    numbers = np.load(golden / "forward.npz")
    blocks = blocks_of(torch.from_numpy(numbers[f"{name}_full_ids"])[None], Vocab())
    allowed = np.unpackbits(numbers[f"{name}_attn_allowed_packbits"], axis=1)[:, : blocks.shape[1]]
    assert np.array_equal(frame_causal_mask(blocks)[0], allowed.astype(bool))


def test_layout_is_the_drawing():
    blocks = torch.tensor([[-1, -1, 0, 1, 2, 2, 2, 3, 3, 3, 4], [0, 1, 2, 3, 4, 4, 4, 5, 5, 5, 6]])
    segments = (Segment(0, 4, False), Segment(4, 7, True), Segment(7, 10, True), Segment(10, 11, False))
    (group,) = layout_of(blocks).groups
    assert (group.rows, group.segments) == (slice(0, 2), segments)
    rule = frame_causal_mask(blocks)[:, None]
    for (start, stop, *_), part in zip(segments, group.parts, strict=True):
        assert (part.queries, part.keys) == (slice(start, stop), slice(0, stop))
        assert part.mask.expand(2, 1, stop - start, stop).equal(rule[:, :, start:stop, :stop])
    (alone,) = layout_of(blocks[1:]).groups
    assert alone.segments == segments
    assert [part.mask is None for part in alone.parts] == [False, True, True, True]  # text of 4, frames, a lone token


def test_rows_of_other_structure_are_groups_of_their_own():
    layout = layout_of(blocks_from(Row(0, "tttf"), Row(1, "ttf"), Row(0, "fttt")))
    assert [group.rows for group in layout.groups] == [slice(0, 2), slice(2, 3)]
    assert [group.parts[0].mask is None for group in layout.groups] == [False, True]


def equal_length(rows: list[Row]) -> torch.Tensor:
    """Return the rows' blocks, shorter ones padded further on the left."""
    singles = [blocks_from(row)[0] for row in rows]
    length = max(map(len, singles))
    return torch.stack([F.pad(row, (length - len(row), 0), value=-1) for row in singles])


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("backend", ["per_frame", "mask"])
@pytest.mark.parametrize("kv_heads", [3, 6])
def test_output_and_gradients_equal_the_literal_rule(name, backend, kv_heads):
    blocks = equal_length(BATCHES[name])
    tensors = qkv(blocks, kv_heads=kv_heads)
    results = []
    for attend in (lambda *args: frame_causal_attention(*args[:3], layout_of(args[3], backend=backend)), literal):
        output = attend(*tensors, blocks)
        results.append([output, *torch.autograd.grad((output * output.detach().cos()).sum(), tensors)])
    for ours, reference in zip(*results, strict=True):
        torch.testing.assert_close(ours, reference, atol=2e-6, rtol=1e-5)


def refuse(*_, **__):
    raise AssertionError("the fused kernel was called")


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("kept_keys", [100, 3])
def test_bf16_training_on_a_cpu_is_near_the_literal_rule_in_fp32(name, kept_keys, monkeypatch):
    """Plain products instead of the fused kernel, kept or computed again; padded rows included."""
    monkeypatch.setattr(explicit, "_KEPT_KEYS", kept_keys)
    monkeypatch.setattr(explicit, "_QUERIES", 3)
    blocks = equal_length(BATCHES[name])
    exact = [tensor.detach().bfloat16().float().requires_grad_() for tensor in qkv(blocks, kv_heads=6)]
    rounded = [tensor.detach().bfloat16().requires_grad_() for tensor in exact]
    weight = torch.randn(exact[0].shape, generator=torch.Generator().manual_seed(2)).bfloat16()
    expected = literal(*exact, blocks)
    expected = [expected, *torch.autograd.grad((expected * weight).sum(), exact)]
    monkeypatch.setattr(F, "scaled_dot_product_attention", refuse)
    output = frame_causal_attention(*rounded, layout_of(blocks))
    assert output.dtype == torch.bfloat16
    for ours, reference in zip([output, *torch.autograd.grad((output * weight).sum(), rounded)], expected, strict=True):
        assert (ours.float() - reference).norm() < 0.015 * reference.norm()


@pytest.mark.parametrize("case", ["no gradient", "fp32", "grouped heads"])
def test_elsewhere_the_fused_kernel_is_called(case, monkeypatch):
    q, k, v = qkv(torch.zeros(1, 6, dtype=torch.int64), kv_heads=6, head_dim=2)
    if case != "fp32":
        q, k, v = (tensor.detach().bfloat16().requires_grad_(case != "no gradient") for tensor in (q, k, v))
    if case == "grouped heads":
        k, v = k[:, :3], v[:, :3]
    monkeypatch.setattr(F, "scaled_dot_product_attention", refuse)
    with pytest.raises(AssertionError, match="fused kernel"):
        frame_causal_attention(q, k, v, layout_of(torch.zeros(1, q.shape[2], dtype=torch.int64)))


def test_frames_go_to_flash_attention_where_the_engine_takes_it(monkeypatch):
    blocks = blocks_from(Row(0, "tttfffttt"))
    q, k, v = (tensor.detach() for tensor in qkv(blocks))
    calls = stand_in_flash.install(monkeypatch)
    monkeypatch.setattr("xllmx.kernels.attention.resolve_backend", lambda *_, **__: "flash")
    found = frame_causal_attention(q, k, v, layout_of(blocks))
    assert len(calls) == 3  # text has masks
    last = cached_attention(q[:, :, 7:11], k[:, :, :11], v[:, :, :11], layout_of(blocks[:, 7:11]), starts=[0])
    assert len(calls) == 4
    stand_in_flash.uninstall(monkeypatch)
    for output, rule in ((found, slice(None)), (last, slice(7, 11))):
        torch.testing.assert_close(output, literal(q, k, v, blocks)[:, :, rule])


@pytest.mark.parametrize("kv_heads", [3, 6])
@pytest.mark.parametrize("name", [*BATCHES, "packed"])
def test_flash_gives_the_numbers_and_gradients_of_the_mask(name, kv_heads, monkeypatch):
    calls = stand_in_flash.install(monkeypatch)
    packed = torch.cat([packed_row("ttfft", "tgt", pads=1), packed_row("ft", "ttg", "tf", pads=2)], dim=0)
    blocks = packed if name == "packed" else equal_length(BATCHES[name])
    tensors = qkv(blocks, kv_heads=kv_heads)
    results = []
    for backend in ("flash", "mask"):
        output = frame_causal_attention(*tensors, layout_of(blocks, backend=backend))
        output = output * (blocks >= 0)[:, None, :, None]  # what padding gives is nobody's
        results.append([output, *torch.autograd.grad((output * output.detach().cos()).sum(), tensors)])
    assert len(set(calls)) == 1
    for found, wanted in zip(*results, strict=True):
        torch.testing.assert_close(found, wanted, atol=2e-6, rtol=1e-5)
    stand_in_flash.uninstall(monkeypatch)


def test_the_nth_frames_of_all_samples_are_one_call_of_flash(monkeypatch):
    calls = stand_in_flash.install(monkeypatch)
    blocks = torch.cat([packed_row("ttft", "tft", "tfft"), packed_row("tt", "tgf" + 10 * "t")], dim=0)
    q, k, v = qkv(blocks)
    frame_causal_attention(q, k, v, layout_of(blocks, backend="flash"))
    assert calls == ["flash_attn_varlen_func"] * 5  # text, frame, text, the second frame, the text after it
    stand_in_flash.uninstall(monkeypatch)


@pytest.mark.parametrize("name", BATCHES)
def test_cached_attention_by_flash_equals_that_by_sdpa(name, monkeypatch):
    blocks = equal_length(BATCHES[name])
    starts, past = (blocks < 0).sum(1).tolist(), 2
    q, k, v = (tensor.detach() for tensor in qkv(blocks))
    found, wanted = (
        cached_attention(q[:, :, past:], k, v, replace(layout_of(blocks[:, past:]), kernels=kernels), starts=starts)
        for kernels in ("flash", "sdpa")
        if stand_in_flash.install(monkeypatch) == []
    )
    torch.testing.assert_close(found, wanted)
    stand_in_flash.uninstall(monkeypatch)


def test_flash_is_planned_by_itself_where_a_gpu_has_it(monkeypatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    stand_in_flash.install(monkeypatch)
    cases = [(backend, device) for device in (cuda, cpu) for backend in attention.BACKENDS]
    assert [backend for backend, device in cases if attention._takes_flash(backend, device)] == [
        "per_frame", "flash", "flash"
    ]  # fmt: skip
    stand_in_flash.uninstall(monkeypatch)
    assert not attention._takes_flash("per_frame", cuda)


@pytest.mark.parametrize("taken", ["sdpa", "flash"])
def test_planned_calls_of_flash_are_made_only_where_it_computes_in_the_dtype(taken, monkeypatch):
    calls = stand_in_flash.install(monkeypatch)
    monkeypatch.setattr(attention, "_takes_flash", lambda *_: True)
    blocks = equal_length(BATCHES["left_padded"])
    q, k, v = (tensor.detach() for tensor in qkv(blocks))
    monkeypatch.setattr(attention, "backend_of", lambda *_: taken)
    output = frame_causal_attention(q, k, v, layout_of(blocks)) * (blocks >= 0)[:, None, :, None]
    torch.testing.assert_close(output, literal(q, k, v, blocks) * (blocks >= 0)[:, None, :, None])
    assert len(calls) == (0 if taken == "sdpa" else 4)
    stand_in_flash.uninstall(monkeypatch)


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which(os.environ.get("CXX", "g++")) is None, reason="FlexAttention on a CPU needs a C++ compiler"
)
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("name", ["left_padded"])
def test_flex_equals_the_literal_rule(name):
    blocks = equal_length(BATCHES[name])
    q, k, v = (tensor.detach() for tensor in qkv(blocks, head_dim=16))
    output = frame_causal_attention(q, k, v, layout_of(blocks, backend="flex"))
    torch.testing.assert_close(output, literal(q, k, v, blocks), atol=2e-6, rtol=1e-5)


def test_flex_is_given_eight_lengths_an_octave():
    assert [flex_length(n) for n in (1, 128, 130, 1024, 1025, 2049, 13000)] == [128, 128, 256, 1024, 1152, 2304, 13312]
    given = {n: flex_length(n) for n in range(1, 65537)}
    assert len(set(given.values())) == 56
    assert all(n <= length < n + 128 or length <= 1.125 * n for n, length in given.items())


@pytest.fixture
def flex_kernels(monkeypatch: pytest.MonkeyPatch) -> Iterator[CompileCounter]:
    """FlexAttention compiled without a compiler, and how often; what is known of lengths is forgotten."""
    counter = CompileCounter()
    compiled = torch.compile(flex_attention, backend=counter, dynamic=False)
    monkeypatch.setattr(attention, "_compiled_flex", lambda: compiled)
    attention._flex_shapes.cache_clear()
    torch._dynamo.reset()
    yield counter
    attention._flex_shapes.cache_clear()
    torch._dynamo.reset()


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_flex_compiles_once_for_many_lengths_and_never_gives_up(flex_kernels: CompileCounter):
    for length in range(9, 140, 7):  # more than torch's eight compilations
        blocks = blocks_from(Row(length % 3, "tfft" + "t" * length))
        q, k, v = (tensor.detach() for tensor in qkv(blocks, heads=2, kv_heads=1, head_dim=16))
        output = frame_causal_attention(q, k, v, layout_of(blocks, backend="flex"))
        torch.testing.assert_close(output, literal(q, k, v, blocks), atol=2e-6, rtol=1e-5)
    assert flex_kernels.frame_count == 2


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_flex_compiles_for_more_shapes_than_torch_allows_and_refuses_too_many(
    flex_kernels: CompileCounter, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(attention, "_FLEX_KERNELS", 10)

    def attend(rows: int) -> torch.Tensor:
        blocks = blocks_from(*[Row(0, "tfft")] * rows)
        q, k, v = (tensor.detach() for tensor in qkv(blocks, heads=2, kv_heads=1, head_dim=16))
        return frame_causal_attention(q, k, v, layout_of(blocks, backend="flex"))

    for rows in range(2, 12):
        attend(rows)
    assert flex_kernels.frame_count == 10
    with pytest.raises(ValueError, match=r"12 rows of 128 tokens would be the 11th of 10: take per_frame"):
        attend(12)


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_flex_inside_a_compiled_block_is_a_compilation_of_its_own(flex_kernels: CompileCounter):
    outside, flex = CompileCounter(), attention._flex
    for length in (9, 16, 33):
        blocks = blocks_from(Row(0, "tfft" + "t" * length))
        q, k, v = (tensor.detach() for tensor in qkv(blocks, heads=2, kv_heads=1, head_dim=16))
        mask = layout_of(blocks, backend="flex").block_mask
        block = torch.compile(lambda q, k, v, mask: flex(2 * q, k, v, block_mask=mask) / 2, backend=outside)
        torch.testing.assert_close(block(q, k, v, mask), literal(2 * q, k, v, blocks) / 2, atol=2e-6, rtol=1e-5)
    assert flex_kernels.frame_count == 1
    assert outside.frame_count > 0


def test_a_layout_of_a_plan_reads_nothing():
    blocks = equal_length(BATCHES["mixed_structures"])
    plan = plan_of(blocks)
    assert [(row.rows.start, row.rows.stop, row.paddings) for row in plan] == [
        (0, 1, (0,)), (1, 2, (1,)), (2, 4, (0, 2)), (4, 5, (4,))
    ]  # fmt: skip
    layout = layout_of(torch.empty_like(blocks, device="meta"), plan=plan)  # meta has no values
    assert [group.segments for group in layout.groups] == [group.segments for group in layout_of(blocks).groups]


@pytest.mark.parametrize("name", BATCHES)
@pytest.mark.parametrize("past", [0, 2, 5, 9])
def test_cached_attention_equals_the_literal_rule_on_the_last_tokens(name, past):
    # The rule is about real tokens; queries in the padding give 0.
    blocks = equal_length(BATCHES[name])
    past = min(past, blocks.shape[1] - 1)
    past = next(p for p in range(past, -1, -1) if p == 0 or (blocks[:, p] != blocks[:, p - 1]).all())
    starts = (blocks < 0).sum(1).tolist()
    q, k, v = qkv(blocks)
    output = cached_attention(q[:, :, past:], k, v, layout_of(blocks[:, past:]), starts=starts)
    expected = torch.where((blocks >= 0)[:, None, :, None], literal(q, k, v, blocks), 0)[:, :, past:]
    torch.testing.assert_close(output, expected, atol=2e-6, rtol=1e-5)


def test_padding_is_never_read_from_the_cache():
    blocks = torch.tensor([[-1, -1, 0, 1, 1, 1]])
    q, k, v = (tensor.detach() for tensor in qkv(blocks))
    k[:, :, :2], v[:, :, :2] = torch.nan, torch.nan
    output = cached_attention(q[:, :, 3:], k, v, layout_of(blocks[:, 3:]), starts=[2])
    assert output.isfinite().all()


def test_unknown_backend_is_refused():
    with pytest.raises(ValueError, match="per_frame, flash, mask, flex"):
        layout_of(torch.tensor([[0, 1]]), backend="magic")


# --- several samples in one row ---------------------------------------------------------------------------------------


def packed_row(*spans: str, pads: int = 0) -> torch.Tensor:
    """Block numbers [1, L] of samples one after the other, each counted from 0."""
    return torch.cat([blocks_from(Row(pads if index == 0 else 0, one)) for index, one in enumerate(spans)], dim=1)


def test_samples_are_the_drawing():
    lines = [line.split() for line in samples_of.__doc__.splitlines()]
    rows = {line[0]: [int(number) for number in line[1:]] for line in lines if line[:1] in (["blocks"], ["samples"])}
    assert samples_of(torch.tensor([rows["blocks"]])).tolist() == [rows["samples"]]


@pytest.mark.parametrize("backend", ["per_frame", "mask"])
@pytest.mark.parametrize("pads", [0, 3])
def test_a_packed_sample_attends_as_if_alone(backend, pads):
    spans = ("ttfft", "tgt", "tttfftt")
    blocks = packed_row(*spans, pads=pads)
    q, k, v = qkv(blocks)
    packed = frame_causal_attention(q, k, v, layout_of(blocks, backend=backend))
    upstream = torch.randn(packed.shape, generator=torch.Generator().manual_seed(2))
    upstream[:, :, :pads] = 0
    gradients = torch.autograd.grad((packed * upstream).sum(), [q, k, v])
    stop = pads
    for one in spans:
        alone = blocks_from(Row(0, one))
        start, stop = stop, stop + alone.shape[1]
        parts = [part[:, :, start:stop].detach().requires_grad_() for part in (q, k, v)]
        expected = literal(*parts, alone)
        torch.testing.assert_close(packed[:, :, start:stop], expected)
        own = torch.autograd.grad((expected * upstream[:, :, start:stop]).sum(), parts)
        for gradient, wanted in zip(gradients, own, strict=True):
            torch.testing.assert_close(gradient[:, :, start:stop], wanted)


def test_rows_packed_otherwise_are_groups_of_their_own():
    blocks = torch.cat([packed_row("ttft", "tft"), packed_row("tt", "ftftt")], dim=0)
    q, k, v = qkv(blocks)
    torch.testing.assert_close(
        frame_causal_attention(q, k, v, layout_of(blocks)),
        frame_causal_attention(q, k, v, layout_of(blocks, backend="mask")),
    )
    assert len(layout_of(blocks).groups) == 2
