"""`python -m benchmarks.lumos1.attention`: a frame's queries on its history, and a training sequence, each way.

`cached` is one layer of a refinement: the middle frame's tokens of both branches against all keys before them.
`pieces` is what `ours` does for 256 queries of one head: how much of it is not a product.
`sequence` is one layer over a whole training sequence, forward and backward: the dense mask against one unmasked call a
frame.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.lumos1.work import WORKS, Work
from benchmarks.measure import compare, matmul_rate
from benchmarks.report import output_file, write_report
from lumos.lumos1.model.attention import (
    cached_attention,
    frame_causal_attention,
    frame_causal_mask,
    frame_layout,
    layout_of,
)
from lumos.lumos1.sequence import blocks_of, frame_ids, sequence_length
from lumos.tokenizer.vocab import Vocab
from xllmx.run.exit_status import status_of
from xllmx.run.option_parser import OptionParser

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


def cached_paths(
    work: Work, dtype: torch.dtype, device: torch.device
) -> tuple[dict[str, Callable[[], Tensor]], float, Callable[[], Tensor]]:
    """Return the ways to attend from a frame to its history by name, their FLOPs, and the answer in fp32."""
    length, heads, channels = work.frame_length, work.num_heads, work.width // work.num_heads
    num_keys = length * (work.mean_frame + 1) + work.num_prompt_ids + 4
    generator = torch.Generator(device).manual_seed(0)
    q = torch.randn(2, heads, length, channels, device=device, generator=generator).to(dtype)
    kv = torch.randn(2, 2, work.num_kv_heads, num_keys, channels, device=device, generator=generator).to(dtype)
    past, new = kv[..., : num_keys - length, :], kv[..., num_keys - length :, :]
    mask = torch.ones(1, 1, length, num_keys, dtype=torch.bool, device=device)
    grouped = heads != work.num_kv_heads

    def literal() -> Tensor:
        keys, values = (torch.cat([past[i], new[i]], dim=2) for i in range(2))
        return torch.cat(
            [
                F.scaled_dot_product_attention(query, key, value, mask, enable_gqa=grouped)
                for query, key, value in zip(q.split(1), keys.split(1), values.split(1), strict=True)
            ]
        )

    paths = {
        "dense mask, concatenated cache": literal,
        "no mask, fused kernel": lambda: F.scaled_dot_product_attention(q, kv[0], kv[1], enable_gqa=grouped),
        "ours": lambda: cached_attention(q, kv[0], kv[1], frame_layout(2, length), starts=[0, 0]),
    }

    def exact() -> Tensor:
        return F.scaled_dot_product_attention(q.float(), kv[0].float(), kv[1].float(), enable_gqa=grouped)

    return paths, 4.0 * 2 * heads * channels * length * num_keys, exact


def pieces(work: Work, dtype: torch.dtype, device: torch.device) -> dict[str, Callable[[], Tensor]]:
    """Return the parts of attention by name, for 256 queries of one head; `exp` is the least a softmax has to do."""
    num_keys, channels = work.frame_length * (work.mean_frame + 1), work.width // work.num_heads
    queries, keys = (torch.randn(n, channels, device=device, dtype=dtype) for n in (256, num_keys))
    values, scores = torch.randn(channels, num_keys, device=device, dtype=dtype), F.linear(queries, keys)
    shares, out = scores.softmax(dim=-1), torch.empty_like(scores)
    return {
        "all of it": lambda: F.linear(F.linear(queries, keys).softmax(dim=-1), values),
        "products with the keys": lambda: F.linear(queries, keys),
        "softmax": lambda: scores.softmax(dim=-1),
        "exp alone": lambda: torch.exp(scores, out=out),
        "products with the values": lambda: F.linear(shares, values),
    }


def sequence_paths(
    work: Work, num_frames: int, dtype: torch.dtype, device: torch.device, *, flex: bool
) -> tuple[dict[str, Callable[[], Tensor]], float]:
    """Return the ways to attend within a sequence, forward and backward, and the FLOPs the rule needs."""
    vocab, channels = Vocab(), work.width // work.num_heads
    text = torch.full((1, work.num_prompt_ids + 4), 20)
    frames = frame_ids(torch.full((num_frames, *work.grid), vocab.mask), vocab).flatten()[None]
    ids = torch.cat([text, frames], dim=1)
    assert ids.shape[1] == sequence_length(work.num_prompt_ids, (num_frames, *work.grid)) - 2
    blocks = blocks_of(ids, vocab).to(device)
    shapes = [(1, n, ids.shape[1], channels) for n in (work.num_heads, work.num_kv_heads, work.num_kv_heads)]
    q, k, v = inputs = [torch.randn(shape, device=device, dtype=dtype, requires_grad=True) for shape in shapes]

    def path(backend: str) -> Callable[[], Tensor]:
        layout = layout_of(blocks, backend=backend)

        def run() -> Tensor:
            for tensor in inputs:
                tensor.grad = None
            out = frame_causal_attention(q, k, v, layout)
            out.sum().backward()
            return out.detach()

        return run

    names = {"dense mask": "mask", "per frame": "per_frame"} | ({"flex": "flex"} if flex else {})
    pairs = int(frame_causal_mask(blocks).sum())
    return {name: path(backend) for name, backend in names.items()}, 3.5 * 4 * work.num_heads * channels * pairs


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status (`xllmx.run.exit_status`)."""
    return status_of("benchmarks.lumos1.attention", lambda: _main(_parser().parse_args(arguments)), words=arguments)


def _main(args: argparse.Namespace) -> int:
    """Measure, print and write."""
    work, device = WORKS[args.work], torch.device(args.device)
    comparisons, notes = {}, dict[str, Any]()
    for name in args.dtypes:
        paths, flops, exact = cached_paths(work, _DTYPES[name], device)
        with torch.inference_mode():
            truth = exact()
            for path, call in paths.items():
                error = (call().float() - truth).norm() / truth.norm()
                notes[f"cached {name}, {path}: relative error"] = f"{float(error):.1e}"
            counts = dict.fromkeys(paths, flops)
            comparisons[f"cached {name}"] = compare(paths, rounds=args.rounds, flops=counts, device=device)
        with torch.inference_mode():
            comparisons[f"pieces {name}"] = compare(pieces(work, _DTYPES[name], device), rounds=20, device=device)
        for num_frames in args.frames:
            trained, needed = sequence_paths(work, num_frames, _DTYPES[name], device, flex=args.flex)
            comparisons[f"sequence {name}, {num_frames} frames, forward and backward"] = compare(
                trained, rounds=args.rounds, flops=dict.fromkeys(trained, needed), device=device
            )
    rates = {name: matmul_rate(_DTYPES[name], device=device) for name in args.dtypes}
    title = f"Attention, one layer, {args.work} on {args.device}"
    write_report(args.out, title=title, comparisons=comparisons, rates=rates, device=device, notes=notes)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = OptionParser(prog="python -m benchmarks.lumos1.attention", description=__doc__)
    parser.add_argument("--work", choices=WORKS, default="tiny", help="size (benchmarks.lumos1.work)")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtypes", nargs="+", choices=_DTYPES, default=["fp32", "bf16"])
    parser.add_argument("--frames", type=int, nargs="*", default=[2], help="lengths of the training sequence")
    parser.add_argument("--flex", action="store_true", help="FlexAttention too (a GPU: it has no backward on a CPU)")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--out", type=output_file, help="json file")
    return parser


if __name__ == "__main__":
    sys.exit(main())
