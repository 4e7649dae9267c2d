"""The training loop: `fit` says what a run does, `train_step` what a step does; everything else has its own file."""

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from xllmx.checkpoints.checkpoint import CheckpointManager
from xllmx.checkpoints.folder import checkpoint_at, step_of
from xllmx.checkpoints.stored import to_begin_from
from xllmx.data.loader import CyclicLoader, Draw
from xllmx.data.streams import Streams
from xllmx.disk.files import WriteError, atomic_folder
from xllmx.optimisation.ema import WeightAverage
from xllmx.optimisation.optim import OptimConfig, learning_rate
from xllmx.optimisation.precision import computing_copy, resolve_precision, set_fp32_products
from xllmx.ranks.distributed import init_distributed, is_main, num_ranks, patience, rank, sum_over_ranks
from xllmx.ranks.engine import build_engine
from xllmx.ranks.parallel import ParallelConfig
from xllmx.rng import seed_for
from xllmx.run.deterministic import use_deterministic_kernels
from xllmx.run.finite import FiniteWatch
from xllmx.run.global_batch import kept, recorded
from xllmx.run.provenance.changed_data import KEY, data_now
from xllmx.run.reporting.held_out import HeldOut
from xllmx.run.reporting.logs import logging_to
from xllmx.run.reporting.meter import StepMeter
from xllmx.run.reporting.report import RunReport
from xllmx.run.stopping import StopWatch
from xllmx.settings.config import to_plain
from xllmx.store.address import Address, location_of
from xllmx.task import GENERATION, ExportingTask, GenerativeTask, Prepared, Preview, TrainTask
from xllmx.trainer_config import TrainerConfig

__all__ = ["FitResult", "Trainer", "TrainerConfig"]


@dataclass(frozen=True, kw_only=True)
class FitResult:
    """How a run ended."""

    step: int
    """Steps done."""
    stopped: str | None
    """None: the last step was reached. Otherwise the signal's name, or `time`."""
    metrics: dict[str, float]
    """The last row of training metrics; empty if there was none."""


class Trainer:
    """A task in training; made ready (model, data, newest checkpoint) when constructed."""

    def __init__(
        self,
        task: TrainTask,
        config: TrainerConfig,
        optim: OptimConfig | None = None,
        parallel: ParallelConfig | None = None,
        *,
        record: Any = None,
        preview: Preview | None = None,
    ) -> None:
        """`record` is the whole resolved configuration, a dataclass, for the run folder; None is `config`."""
        self.task, self._preview = task, preview
        self.optim, self.parallel = optim or OptimConfig(), parallel or ParallelConfig()
        self._record = config if record is None else record
        self._watch = StopWatch(config.max_minutes)
        if config.deterministic:
            use_deterministic_kernels()
        alone = self.parallel.is_sharded(1) or self.parallel.engine == "deepspeed"
        self.device = init_distributed(config.device, alone=alone)
        self.config = replace(config, precision=resolve_precision(config.precision, self.device))
        set_fp32_products(self.device, tf32=config.precision == "tf32")
        self._report = RunReport(self.config, self._record)
        with logging_to(config.run_dir):
            self._make_ready()

    def fit(self) -> FitResult:
        """Train from the newest checkpoint to the last step, or until told to stop; return how the run ended.

        Raises:
            ValueError: the loss is not finite (nothing is saved from then on), or a checkpoint cannot be written.
        """
        if self.eval_every:
            _ = self._held_out  # made now, so that missing data is found now
        _ = self._generation  # and not when the first checkpoint is written
        self._report.open(self.step)
        batches, stopped, row = self._batches(), None, {}
        self._meter.start(self.step)
        with (
            logging_to(self.config.run_dir),
            self._watch as watch,
            self._report.bar(self.step, max_steps=self.max_steps) as bar,
            self._finishing_the_checkpoint(),
        ):
            self._report.begun(self.step, max_steps=self.max_steps, device=self.device)
            while self.step < self.max_steps and not (stopped := watch.reason()):
                with self._meter.waiting():
                    draws = next(batches)
                self.train_step(draws)
                bar.update()
                if self._is_due(self.config.log_every) or self.step == self.max_steps:
                    row = self._log(bar)
                with self._meter.stopped():
                    if self._is_due(self.eval_every):
                        self.evaluate()
                    if self._preview and self._is_due(self._preview.every):
                        self.show(self._preview)
                    if self._is_due(self.config.save_every) or self._ends_epochs(self.config.save_interval):
                        self.save(wait=not self.config.async_save)
            if self.step > self._saved_step:
                self.save()
            self.checkpoints.finish()
            self._report.note(f"ended at step {self.step}: {f'stopped by {stopped}' if stopped else 'done'}")
        return FitResult(step=self.step, stopped=stopped, metrics=row)

    def train_step(self, draws: Sequence[Draw]) -> None:
        """Do one optimiser step on this rank's batches of each stream.

        loss = the sum over streams of: sum over the targets of all ranks and micro-batches / their number, however they
        are cut.
        """
        torch.manual_seed(seed_for(self.config.seed, self.step, rank=rank(), stream="model"))  # dropout and the like
        self.model.train()
        prepared = [part for stream, micro_batches in draws for part in self._prepare(stream, micro_batches)]
        total = torch.zeros((), device=self.device)
        for number, (stream, batch, num_targets) in enumerate(prepared, 1):
            output = self.engine.loss(batch)
            self.engine.backward(output.sum / num_targets, last=number == len(prepared))
            total += output.sum.detach() / num_targets
            self._meter.add_loss(stream, output)
        lr = learning_rate(self.optim, self.step, max_steps=self.max_steps, steps_per_epoch=self.steps_per_epoch)
        grad_norm = self.engine.step(lr, clip=self.config.clip_grad_norm)
        if self.average:
            self.average.update(self.model, self.step)
        self.step += 1
        self._finite.add(self.step, total, grad_norm)
        if self.device.type == "cpu":  # where looking costs nothing
            self._raise_if_not_finite()
        self._meter.add_step(total, grad_norm, [batch for _, batch, _ in prepared])

    def evaluate(self) -> dict[str, float]:
        """Return the mean metrics of each held-out stream, with the averaged weights where there are any.

        The batches and their randomness are the same every time and do not touch the training's.
        """
        with self._averaged():
            values = self._held_out.means(self.engine)
        self._report.row("eval", self.step, values)
        return values

    def show(self, preview: Preview) -> None:
        """Make and show the clips of `preview` on the main rank, with the weights as evaluation uses them.

        They are made in the precision that the model computes in: of bf16 by a copy.
        """
        with self._whole_model() as model:
            if model is not None:
                precision, device = self.config.precision, self.device
                copy = computing_copy(model, self.task.build_model, precision=precision, device=device)
                self._report.clips(self.step, preview(copy, self.step))

    def save(self, *, wait: bool = True) -> None:
        """Write the checkpoint of this step, or without `wait` begin to.

        Raises:
            ValueError: the loss was not finite at some step since the last look, or the disk is full.
        """
        self._raise_if_not_finite()
        write = self.checkpoints.save if wait else self.checkpoints.start
        record = {
            "config": to_plain(self._record),
            KEY: self._data,
            GENERATION: self._generation,
            **recorded(self._asked, self._sizes),
        }
        write(self.step, self._state(), record=record)
        self._saved_step = self.step
        self._report.note(f"checkpoint of step {self.step} {'written' if wait else 'is being written'}")

    def export(self, folder: Path) -> None:
        """Have the task write the model (averaged, where there is an average) as `folder`, whole or not at all.

        Raises:
            ValueError: a task that does not export.
        """
        if not isinstance(self.task, ExportingTask):
            raise ValueError(f"task {type(self.task).__name__} has no export(model, folder)")
        with self._whole_model() as model:
            if model is not None:
                with atomic_folder(folder) as temporary:
                    self.task.export(model, temporary)

    def ema_state(self) -> dict[str, Tensor]:
        """Return the averaged parameters by name, fp32; empty without `ema_decay`."""
        return self.average.state if self.average else {}

    # ---------------------------------------------------------------- making ready

    def _make_ready(self) -> None:
        datasets = self.task.build_dataset("train")
        self.config.check_streams(datasets)
        self._asked, newest = self.config, self._newest()
        self.config = config = self._fitted(datasets, newest)
        self.streams = Streams(
            datasets,
            batch_size=config.batch_size,
            schedule=config.schedule,
            together=config.together,
            accumulation=config.accumulation_of(datasets, num_ranks()),
            seed=config.seed,
            shuffle=config.shuffle,
        )
        for order in self.streams.orders.values():
            order.by_length, order.repeats = config.length_clustering, config.FEW_REPEAT
        self.streams.check_counts(config.batch_setting)
        self._data = data_now(self.task, datasets) if is_main() else {}
        self.steps_per_epoch = self.streams.steps_per_epoch(config.epoch_stream)
        self.max_steps = config.max_steps or math.ceil((config.epochs or 0) * self.steps_per_epoch)
        self.eval_every = config.eval_every
        if config.eval_in_epoch:
            self.eval_every = max(1, round(self.steps_per_epoch / config.eval_in_epoch))
        self.engine = build_engine(self.task, config, optim=self.optim, parallel=self.parallel, device=self.device)
        self.model, self.optimizer = self.engine.model, self.engine.optimizer
        self._finite, self._meter = FiniteWatch(self.device), StepMeter(self.device)
        self.step: int = 0
        self.average: WeightAverage | None = None
        if newest is None or self.checkpoints.holds(newest, "average"):
            self.average = self._new_average()
        if newest:
            self.engine.load(self.checkpoints.load(newest, self._state()))
            self.step = step_of(newest)
            self.average = self.average or self._new_average()
            self._report.resumed(newest, own=self._goes_on, sizes=self._sizes)
            if self._goes_on:
                self._report.resumed_data(newest, self._data)
        self._saved_step = self.step

    def _new_average(self) -> WeightAverage | None:
        """The average of the weights, begun with those of now; None where none is asked for."""
        config = self.config
        if not config.ema_decay:
            return None
        return WeightAverage(self.model, config.ema_decay, every=config.ema_every, warmup=config.ema_warmup)

    def _newest(self) -> Path | None:
        """The checkpoint to go on from, this run's or one to begin from."""
        config = self.config
        self.checkpoints = CheckpointManager(config.run_dir / "checkpoints", config.keep, store=config.store)
        newest = self.checkpoints.to_resume(allowed=config.resume, check_hashes=config.check_hashes)
        self._goes_on = newest is not None
        if newest is None and config.resume_path is not None:
            start = location_of(config.resume_path)
            if isinstance(start, Address):
                return to_begin_from(start, check_hashes=config.check_hashes)
            return checkpoint_at(start, check_hashes=config.check_hashes)
        return newest

    def _fitted(self, streams: Iterable[str], newest: Path | None) -> TrainerConfig:
        """The settings with batches that these processes fill, of the global batches that a checkpoint has."""
        config, ranks = self.config.fitted(num_ranks()), num_ranks()
        accumulation = config.accumulation_of(streams, ranks)
        sizes = {name: config.batch_size.get(name, 1) * ranks * number for name, number in accumulation.items()}
        if newest is None:
            return config
        config, said = kept(self._asked, newest, sizes, num_ranks=ranks)
        if said:
            self._report.note(said)
        return config if said else self.config.fitted(ranks)

    @property
    def _sizes(self) -> dict[str, int]:
        """The global batch of each stream."""
        return {name: order.global_batch_size for name, order in self.streams.orders.items()}

    def _batches(self) -> CyclicLoader:
        workers, share = self.config.num_workers, self.config.max_broken
        return self.streams.loader(step=self.step, collate=self.task.collate, num_workers=workers, max_broken=share)

    @cached_property
    def _generation(self) -> dict[str, Any]:
        """What a checkpoint keeps of the samples that were trained on."""
        task = self.task
        return task.generation_defaults(self.streams.datasets) if isinstance(task, GenerativeTask) else {}

    @cached_property
    def _held_out(self) -> HeldOut:
        return HeldOut(self.task, self.config, device=self.device)

    # ---------------------------------------------------------------- a step's parts

    def _prepare(self, stream: str, micro_batches: Sequence[Any]) -> list[tuple[str, Prepared, int]]:
        """Return (stream, batch, number of targets of the stream in this step over all ranks) of each micro-batch."""
        prepared = []
        for micro, batch in enumerate(micro_batches):
            generator = self.streams.generator(stream, micro, seed=self.config.seed, step=self.step)
            prepared.append(self.task.prepare(batch, generator).to(self.device))
        num_targets = max(sum_over_ranks(sum(batch.num_targets for batch in prepared)), 1)
        return [(stream, batch, num_targets) for batch in prepared]

    def _state(self) -> dict[str, Any]:
        average = {"average": self.average.state} if self.average else {}
        return {**self.engine.state(), **average}

    def _averaged(self) -> AbstractContextManager[None]:
        return self.average.applied(self.model) if self.average else nullcontext()

    @contextmanager
    def _whole_model(self) -> Iterator[nn.Module | None]:
        """The model with whole weights as evaluation uses them, on the main rank; None on the others, which wait."""
        with self._averaged(), patience():
            yield self.engine.whole_model()

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _ends_epochs(self, number: float) -> bool:
        """Whether the step just done is the first to end another so many epochs."""
        steps = number * self.steps_per_epoch
        return number > 0 and self.step // steps > (self.step - 1) // steps

    def _raise_if_not_finite(self) -> None:
        self._finite.raise_if_bad(self.config.run_dir, self.streams, saved_step=self._kept_step)

    def _kept_step(self) -> int | None:
        """The step of this run's newest checkpoint, once what is being written is written; None where there is none."""
        self.checkpoints.drain()
        newest = self.checkpoints.newest()
        return None if newest is None else step_of(newest)

    def _log(self, bar: tqdm) -> dict[str, float]:
        self._raise_if_not_finite()
        self.checkpoints.look()
        lr, epoch = self.optimizer.param_groups[0]["lr"], self.step / self.steps_per_epoch
        row = self._meter.row(self.step, lr=lr, epoch=epoch, elapsed_s=self._watch.elapsed_s)
        self._report.row("train", self.step, row)
        bar.set_postfix(loss=f"{row['loss']:.4f}", lr=f"{row['lr']:.1e}", refresh=False)
        return row

    @contextmanager
    def _finishing_the_checkpoint(self) -> Iterator[None]:
        """A context in which an error lets the checkpoint that is being written be finished first.

        A full disk says which checkpoint is kept.
        """
        try:
            yield
        except WriteError as error:
            self.checkpoints.drain()
            newest = self.checkpoints.newest()
            kept = (
                f"the checkpoint {newest} is kept, and the same command goes on" if newest else "no checkpoint was due"
            )
            raise WriteError(f"{error}; {kept}") from error
        except BaseException:
            self.checkpoints.drain()
            raise
