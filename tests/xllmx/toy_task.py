"""A task small enough to follow: rows of numbers, a two-layer network with dropout, classes drawn in `prepare`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from xllmx.loss import LossOutput, chunked_cross_entropy
from xllmx.ranks.sharding import fill_rows
from xllmx.rng import generator_for, sample_generator
from xllmx.task import Prepared

WIDTH, CLASSES = 6, 5


class ToyData:
    def __init__(self, size: int, seed: int) -> None:
        self.rows = torch.randn(size, WIDTH, generator=generator_for(seed))
        self.lengths = [3 + index % 4 for index in range(size)]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        return self.rows[index]


class ToyModel(nn.Module):
    def __init__(self, dropout: float) -> None:
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(WIDTH, 8), nn.Tanh(), nn.Dropout(dropout))
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, CLASSES, bias=False)

    def forward(self, rows: Tensor) -> Tensor:
        return self.norm(self.inner(rows))


class ToyTask:
    """Each row gives a drawn number of targets, so that batches differ in how many they have."""

    def __init__(
        self, *, dropout: float = 0.0, streams: Sequence[str] = ("image",), bad_step: int | None = None
    ) -> None:
        self.dropout = dropout
        self.streams = streams
        self.bad_step = bad_step
        self.num_losses = 0

    def build_model(self) -> nn.Module:
        with torch.device("meta"):
            return ToyModel(self.dropout)

    def init_weights(self, model: nn.Module, *, device: torch.device, seed: int) -> None:
        model.to_empty(device=device)
        generator = generator_for(seed, stream="init")
        for parameter in model.parameters():
            drawn = torch.empty(parameter.shape).normal_(0, 0.5, generator=generator)
            fill_rows(parameter, drawn.__getitem__)

    def shard_units(self, model: nn.Module) -> Sequence[nn.Module]:
        return [model.inner]

    def build_dataset(self, split: str) -> Mapping[str, ToyData]:
        return {name: ToyData(29 + 8 * i, seed=i + (split == "eval")) for i, name in enumerate(self.streams)}

    def collate(self, samples: list[Any]) -> Tensor:
        return torch.stack(samples)

    def prepare(self, batch: Tensor, generator: torch.Generator) -> Prepared:
        rows, targets = [], []
        for index, row in enumerate(batch):
            random = sample_generator(generator, index)
            count = int(torch.randint(1, 4, (), generator=random))
            rows.append(row.expand(count, -1))
            noise = int(torch.randint(0, 2, (), generator=random))
            targets.append((row.argmax() % CLASSES + noise).clamp(max=CLASSES - 1).expand(count))
        return Prepared(inputs={"rows": torch.cat(rows)}, targets=torch.cat(targets), num_targets=sum(map(len, rows)))

    def loss(self, model: nn.Module, prepared: Prepared) -> LossOutput:
        self.num_losses += 1
        hidden = model(prepared.inputs["rows"])
        if self.num_losses == self.bad_step:
            hidden = hidden * float("nan")
        return chunked_cross_entropy(hidden, model.head.weight, prepared.targets, chunk=4)

    def export(self, model: nn.Module, folder: Path) -> None:
        torch.save(model.state_dict(), folder / "model.pt")
