"""Compilation and checkpointing of activations together: how many graphs are made, and that numbers stay.

In processes of their own: what checks shapes at every call cannot be compiled.
"""

import subprocess
import sys
from pathlib import Path

import pytest

from xllmx.ranks.parallel import ParallelConfig

LUMOS_1 = """
from lumos.lumos1.config import LumosConfig
from lumos.lumos1.model.modeling import LumosForCausalLM
from lumos.lumos1.sequence import sequence_of
from lumos.tokenizer.vocab import Vocab

config = LumosConfig(hidden_size=48, intermediate_size=40, num_hidden_layers=10, num_attention_heads=4)
model = LumosForCausalLM(config)
units = list(model.model.layers)
shapes = [(4, (2, 4, 8), 2), (4, (3, 4, 8), 3), (7, (1, 8, 4), 2), (5, (2, 4, 8), 4), (9, (4, 4, 4), 5)]
batches = [
    sequence_of(torch.arange(9, 9 + n), torch.zeros(grid, dtype=torch.int64), vocab=Vocab(), fps=6, duration=2)
    .expand(rows, -1) for n, grid, rows in shapes
]

def states(ids):
    return model.hidden(ids)
"""

LUMINA_VIDEO = """
from lumos.lumina_video.config import LuminaVideoConfig
from lumos.lumina_video.dit import MultiScaleNextDiT

model = MultiScaleNextDiT(LuminaVideoConfig(dim=48, n_layers=10, n_heads=3, multiple_of=24, in_channels=3,
    cap_feat_dim=28, all_patch_size=(2, 2), all_f_patch_size=(1, 2), qk_norm=True))
model.init_weights(torch.Generator().manual_seed(0))
for parameter in model.parameters():
    torch.nn.init.normal_(parameter, std=0.1)
units = list(model.layers)
batches = []
for sizes, lengths, scale in [
    ([(2, 4, 6)] * 3, (5, 3, 4), "1x2"), ([(4, 6, 6)] * 2, (2, 7), "2x2"), ([(6, 4, 8)] * 4, (3, 9, 1, 2), "1x2"),
    ([(2, 4, 6), (4, 8, 4)], (3, 6), "1x2"), ([(2, 8, 6), (4, 4, 4), (1, 4, 4)], (3, 6, 2), "1x2"),
    ([(6, 8, 6), (4, 4, 4)], (4, 2), "2x2"), ([(4, 4, 4), (2, 6, 8), (8, 4, 4), (2, 8, 8)], (5, 2, 1, 7), "1x2"),
    ([(2, 6, 4), (2, 4, 4)], (9, 1), "1x2"), ([(4, 6, 4), (2, 4, 8), (6, 6, 6)], (4, 4, 2), "1x2"),
    ([(2, 6, 4), (2, 4, 4)], (4, 4), "1x2"), ([(6, 6, 4)] * 5, (3, 9, 1, 2, 5), "1x2"),
]:
    x = [torch.randn(3, *size) for size in sizes]
    mask = torch.arange(9) < torch.tensor(lengths)[:, None]
    batches.append(((x, torch.rand(len(x)), torch.randn(len(x), 9, 28), mask), scale))

def states(batch):
    return torch.cat([one.flatten() for one in model(*batch[0], scale=batch[1])])
"""

SCRIPT = """
from functools import partial
import torch
from torch._dynamo.testing import CompileCounter
from xllmx.ranks.parallel import ParallelConfig, parallelize
MODEL
def step(batch):
    model.zero_grad()
    found = states(batch)
    found.square().mean().backward()
    return found.detach(), [parameter.grad.clone() for parameter in units[7].parameters()]

plain = [step(batch) for batch in batches]
counter = CompileCounter()
torch.compile = partial(torch.compile, backend=counter)
parallelize(model, units, ParallelConfig(compile=True, activation_checkpointing=CHECKPOINTING))
for batch, expected in zip(batches, plain):
    torch.testing.assert_close(step(batch), expected, atol=1e-5, rtol=1e-4)
    print(counter.frame_count)
"""


SHARDED = """
import sys
from functools import partial
from pathlib import Path
import torch
from torch._dynamo.testing import CompileCounter
from xllmx.optimisation.optim import OptimConfig
from xllmx.ranks.parallel import ParallelConfig
from xllmx.run.reporting.metrics import read_metrics
from xllmx.trainer import Trainer, TrainerConfig
sys.path.insert(0, sys.argv[1])
from toy_task import ToyTask

counter = CompileCounter()
torch.compile = partial(torch.compile, backend=counter)
losses = []
for name, parallel in {
    "plain": ParallelConfig(),
    "cut": ParallelConfig(sharding="full", compile=True, activation_checkpointing=True),
}.items():
    folder = Path(sys.argv[2]) / name
    config = TrainerConfig(run_dir=folder, max_steps=5, batch_size={"image": 4}, log_every=1, device="cpu",
        precision="fp32", eval_every=2, eval_batches=1, save_every=2, progress=False)
    Trainer(ToyTask(), config, OptimConfig(lr=1e-2), parallel).fit()
    losses.append([row["loss"] for row in read_metrics(folder)])
torch.testing.assert_close(*map(torch.tensor, losses))
print(counter.frame_count)
"""


def graphs(model: str, *, checkpointing: bool) -> list[int]:
    """How many graphs there are after each batch."""
    script = SCRIPT.replace("MODEL", model).replace("CHECKPOINTING", str(checkpointing))
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [int(number) for number in done.stdout.split()]


@pytest.mark.slow
def test_checkpointed_blocks_of_lumos_1_are_compiled_once_for_one_shape_and_once_for_all() -> None:
    """Ten blocks, more than torch's limit of compilations, share their graphs."""
    first, second, *others = graphs(LUMOS_1, checkpointing=True)
    assert 0 < first < second <= 2 * first
    assert others == [second] * 3
    assert graphs(LUMOS_1, checkpointing=False) == [first, second, *others]


@pytest.mark.slow
def test_checkpointed_blocks_of_lumina_video_are_compiled_for_batches_and_for_packed_rows() -> None:
    """Packed rows split where their items are laid out, and are done after some numbers of items."""
    first, second, third, *packed, batch_again = graphs(LUMINA_VIDEO, checkpointing=True)
    assert 0 < first < second == third < packed[0]
    assert packed[3:] == [packed[3]] * 4
    assert batch_again == packed[-1]


@pytest.mark.slow
def test_units_that_are_cut_over_ranks_compile_and_give_the_same_losses(tmp_path: Path) -> None:
    words = [sys.executable, "-W", "ignore", "-c", SHARDED, str(Path(__file__).parents[1]), str(tmp_path)]
    done = subprocess.run(words, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert 0 < int(done.stdout.split()[-1]) <= 4  # of one size and of any, in training and in evaluation


def test_what_would_compile_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"activation_checkpointing is 'selective'.*set activation_checkpointing=true"):
        ParallelConfig(compile=True, activation_checkpointing="selective")
