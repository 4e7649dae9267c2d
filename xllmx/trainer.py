"""The training loop: `fit` says what a run does, `train_step` what a step does; everything else has its own file."""

import json
import logging
import math
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from xllmx.checkpoint import CheckpointManager, step_of
from xllmx.config import save_config, to_plain
from xllmx.data.broken import FaultCount
from xllmx.data.loader import CyclicLoader
from xllmx.data.streams import Streams
from xllmx.ema import WeightAverage
from xllmx.files import atomic_folder, write_text
from xllmx.loss import LossOutput
from xllmx.optim import OptimConfig, learning_rate
from xllmx.precision import multiplies_bf16, resolve_precision
from xllmx.ranks.distributed import barrier, init_distributed, is_main, num_ranks, rank, sum_over_ranks
from xllmx.ranks.engine import build_engine
from xllmx.ranks.parallel import ParallelConfig
from xllmx.rng import generator_at, seed_for
from xllmx.run.environment import environment
from xllmx.run.finite import FiniteWatch
from xllmx.run.logs import logging_to
from xllmx.run.metrics import MetricLogger, Sums, peak_memory_bytes, throughput
from xllmx.run.stopping import LapClock, StopWatch
from xllmx.task import ExportingTask, Prepared, Sampler, TrainTask, move
from xllmx.trainer_config import TrainerConfig

__all__ = ["FitResult", "Trainer", "TrainerConfig"]

_LOG = logging.getLogger(__name__)


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
        sampler: Sampler | None = None,
    ) -> None:
        """`record` is the whole resolved configuration, a dataclass, for the run folder; None is `config`."""
        self.task, self.config, self._sampler = task, config, sampler
        self.optim, self.parallel = optim or OptimConfig(), parallel or ParallelConfig()
        self._record = config if record is None else record
        self._watch = StopWatch(config.max_minutes)
        alone = self.parallel.is_sharded(1) or self.parallel.engine == "deepspeed"
        self.device = init_distributed(config.device, alone=alone)
        self.config = replace(config, precision=resolve_precision(config.precision, self.device))
        with logging_to(config.run_dir):
            self._make_ready()

    def _make_ready(self) -> None:
        config = self.config
        self.streams = self._streams("train")
        for name, sizes in (("batch_size", config.batch_size), ("global_batch_size", config.global_batch_size)):
            if unknown := sorted(set(sizes) - set(self.streams.datasets)):
                names = ", ".join(self.streams.datasets)
                raise ValueError(f"trainer.{name} names {unknown[0]!r}; the task's streams are {names}")
        self.steps_per_epoch = self.streams.steps_per_epoch(config.epoch_stream)
        self.max_steps = config.max_steps or math.ceil((config.epochs or 0) * self.steps_per_epoch)
        self.eval_every = config.eval_every
        if config.eval_in_epoch:
            self.eval_every = max(1, round(self.steps_per_epoch / config.eval_in_epoch))
        self.engine = build_engine(self.task, config, optim=self.optim, parallel=self.parallel, device=self.device)
        self.model, self.optimizer = self.engine.model, self.engine.optimizer
        self.average = WeightAverage(self.model, config.ema_decay) if config.ema_decay else None
        self.checkpoints = CheckpointManager(config.run_dir / "checkpoints", config.keep)
        self.step = self._saved_step = self._logged_step = 0
        self._finite = FiniteWatch(self.device)
        self._sums, self._clock = Sums(self.device), LapClock()
        self._logger: MetricLogger | None = None
        self._restore()

    # ---------------------------------------------------------------- a run

    def fit(self) -> FitResult:
        """Returns how the run ended; trains from the newest checkpoint to the last step, or until told to stop.

        Raises:
            ValueError: the loss is not finite (nothing is saved from then on), or a checkpoint cannot be written.
        """
        self._open_run_folder()
        batches, self._clock = self._batches(), LapClock()
        stopped, row = None, {}
        with (
            logging_to(self.config.run_dir),
            self._watch as watch,
            self._progress_bar() as bar,
            self._nothing_half_written(),
        ):
            self._say_begun()
            while self.step < self.max_steps and not (stopped := watch.reason()):
                with self._clock.waiting():
                    stream, micro_batches = next(batches)
                self.train_step(stream, micro_batches)
                bar.update()
                if self._is_due(self.config.log_every) or self.step == self.max_steps:
                    row = self._log(bar)
                with self._clock.stopped():
                    if self._is_due(self.eval_every):
                        self.evaluate()
                    if self._sampler and self._is_due(self._sampler.every):
                        self.sample(self._sampler)
                    if self._is_due(self.config.save_every):
                        self.save(wait=not self.config.async_save)
            if self.step > self._saved_step:
                self.save()
            self.checkpoints.wait()
            _note(f"ended at step {self.step}: {f'stopped by {stopped}' if stopped else 'done'}")
        return FitResult(step=self.step, stopped=stopped, metrics=row)

    def _say_begun(self) -> None:
        precision, begun = self.config.precision, f"goes on from step {self.step}" if self.step else "begins"
        _note(f"{begun}, to step {self.max_steps}, on {num_ranks()} process(es) in {precision}")
        if precision == "bf16" and not multiplies_bf16(self.device) and is_main():
            _LOG.warning("this CPU has no bf16 products and computes them slowly; trainer.precision=auto uses fp32")

    def train_step(self, stream: str, micro_batches: list[Any]) -> None:
        """Returns nothing; one optimiser step on this rank's batches of the stream.

        loss = sum over the targets of all ranks and micro-batches / their number, however they are cut.
        """
        torch.manual_seed(seed_for(self.config.seed, self.step, rank=rank(), stream="model"))  # dropout and the like
        self.model.train()
        prepared = [self._prepare(stream, micro, batch) for micro, batch in enumerate(micro_batches)]
        num_targets = max(sum_over_ranks(sum(batch.num_targets for batch in prepared)), 1)
        total = torch.zeros((), device=self.device)
        for micro, batch in enumerate(prepared, 1):
            output = self.engine.loss(batch)
            self.engine.backward(output.sum / num_targets, last=micro == len(prepared))
            total += output.sum.detach() / num_targets
            _add_metrics(self._sums, stream, output)
        lr = learning_rate(self.optim, self.step, max_steps=self.max_steps, steps_per_epoch=self.steps_per_epoch)
        grad_norm = self.engine.step(lr, clip=self.config.clip_grad_norm)
        if self.average:
            self.average.update(self.model, self.step)
        self.step += 1
        self._finite.add(self.step, total, grad_norm)
        if self.device.type == "cpu":  # where looking costs nothing
            self._raise_if_not_finite()
        self._sums.add("loss", total, 1 / num_ranks())
        self._sums.add("grad_norm", grad_norm)
        self._sums.add("flops", sum(batch.flops for batch in prepared), 1)
        self._sums.add("tokens", sum(batch.num_tokens or batch.num_targets for batch in prepared), 1 / num_ranks())

    @torch.no_grad()
    def evaluate(self) -> dict[str, float]:
        """Returns the mean metrics of each held-out stream, with the averaged weights where there are any.

        The batches and their randomness are the same every time and do not touch the training's.
        """
        sums = Sums(self.device)
        self.model.eval()
        with self._averaged():
            for name, sampler in self._held_out.samplers.items():
                drawn = self._held_out.first_batches(name, self.config.eval_batches, collate=self.task.collate)
                for number, one in enumerate(drawn):
                    batch = self._held_out_faults.note(name, one)
                    generator = generator_at(self.config.seed, number, slot=sampler.slot(0), stream=f"eval/{name}")
                    prepared = self._placed(self.task.prepare(batch, generator))
                    _add_metrics(sums, name, self.engine.loss(prepared))
            self.engine.settle()
        values = sums.means()
        if self._logger:
            self._logger.write("eval", self.step, values)
        return values

    def sample(self, sampler: Sampler) -> None:
        """Returns nothing; the main rank makes clips with the weights as evaluation uses them, and shows them."""
        with self._averaged():
            model = self.engine.whole_model()
            if model is not None:
                clips = sampler(model.to(self.device), self.step)
                if self._logger:
                    self._logger.show(self.step, clips)
            barrier()

    def save(self, *, wait: bool = True) -> None:
        """Returns nothing; writes the checkpoint of this step, or without `wait` begins to.

        Raises:
            ValueError: the loss was not finite at some step since the last look, or the disk is full.
        """
        self._raise_if_not_finite()
        write = self.checkpoints.save if wait else self.checkpoints.start
        write(self.step, self._state(), record={"config": to_plain(self._record)})
        self._saved_step = self.step
        _note(f"checkpoint of step {self.step} {'written' if wait else 'is being written'}")

    def export(self, folder: Path) -> None:
        """Returns nothing; the task writes the model (averaged, where there is an average) as `folder`, whole or not.

        Raises:
            ValueError: a task that does not export.
        """
        if not isinstance(self.task, ExportingTask):
            raise ValueError(f"task {type(self.task).__name__} has no export(model, folder)")
        with self._averaged():
            model = self.engine.whole_model()
            if model is not None:
                with atomic_folder(folder) as temporary:
                    self.task.export(model, temporary)
            barrier()

    def ema_state(self) -> dict[str, Tensor]:
        """Returns the averaged parameters by name, fp32; empty without `ema_decay`."""
        return self.average.state if self.average else {}

    # ---------------------------------------------------------------- a step's parts

    def _prepare(self, stream: str, micro: int, batch: Any) -> Prepared:
        slot = self.streams.samplers[stream].slot(micro)
        return self._placed(self.task.prepare(batch, generator_at(self.config.seed, self.step, slot=slot)))

    def _placed(self, prepared: Prepared) -> Prepared:
        inputs, targets = move(prepared.inputs, self.device), move(prepared.targets, self.device)
        return replace(prepared, inputs=inputs, targets=targets)

    def _raise_if_not_finite(self) -> None:
        if bad_step := self._finite.bad_step:
            path = self.config.run_dir / f"not-finite-step-{bad_step:08d}.json"
            self._finite.write(path, self.streams)
            stream = self.streams.cycle.at(bad_step - 1)
            raise ValueError(
                f"loss or gradient is not finite at step {bad_step} (stream {stream}), whose samples are listed in "
                f"{path}; the last checkpoint, of step {self._saved_step}, is kept: lower optim.lr or look at these "
                "samples, and start again to resume"
            )

    def _log(self, bar: tqdm) -> dict[str, float]:
        self._raise_if_not_finite()
        self.checkpoints.look()
        means = self._sums.means()
        elapsed_s, wait_share = self._clock.lap()
        step_s = elapsed_s / (self.step - self._logged_step)
        self._logged_step = self.step
        row = {
            **{name: value for name, value in means.items() if name != "flops"},
            "lr": self.optimizer.param_groups[0]["lr"],
            "epoch": self.step / self.steps_per_epoch,
            "tokens_per_s": means.pop("tokens") / step_s,
            "step_time_s": step_s,
            **throughput(means.pop("flops"), step_s, self.device),
            "data_wait_share": wait_share,
            "peak_memory_bytes": peak_memory_bytes(self.device),
            "elapsed_s": self._watch.elapsed_s,
        }
        assert self._logger is not None
        self._logger.write("train", self.step, row)
        bar.set_postfix(loss=f"{row['loss']:.4f}", lr=f"{row['lr']:.1e}", refresh=False)
        return row

    # ---------------------------------------------------------------- making ready

    def _restore(self) -> None:
        newest, damaged = self.checkpoints.latest(), self.checkpoints.damaged()
        if damaged and newest is None:
            raise ValueError(
                f"checkpoint {damaged[-1]} is damaged and there is no other; bring it back, or remove it to begin anew"
            )
        if newest is None:
            return
        if damaged and is_main():
            _LOG.warning("checkpoint %s is damaged: the run goes on from %s", damaged[-1], newest)
        if not self.config.resume:
            raise ValueError(f"{self.checkpoints.folder} holds checkpoints; use trainer.resume=true or another run_dir")
        self.engine.load(self.checkpoints.load(newest, self._state()))
        self.step = self._saved_step = self._logged_step = step_of(newest)

    def _state(self) -> dict[str, Any]:
        average = {"average": self.average.state} if self.average else {}
        return {**self.engine.state(), **average}

    def _streams(self, split: Literal["train", "eval"]) -> Streams:
        train = split == "train"
        return Streams(
            self.task.build_dataset(split),
            batch_size=self.config.batch_size,
            schedule=self.config.schedule if train else None,
            accumulation=self.config.accumulation(num_ranks()) if train else 1,
            seed=self.config.seed,
        )

    def _batches(self) -> CyclicLoader:
        workers, share = self.config.num_workers, self.config.max_broken
        return self.streams.loader(step=self.step, collate=self.task.collate, num_workers=workers, max_broken=share)

    def _open_run_folder(self) -> None:
        if self.eval_every:
            _ = self._held_out  # made now, so that missing data is found now
        self._logger = MetricLogger(self.config.run_dir, step=self.step, trackers=self.config.trackers)
        if is_main():
            save_config(self._record, self.config.run_dir / "config.yaml")
            write_text(
                self.config.run_dir / "environment.json",
                json.dumps(environment() | {"precision": self.config.precision}, indent=1),
            )

    def _progress_bar(self) -> tqdm:
        shown = self.config.progress and is_main()
        return tqdm(total=self.max_steps, initial=self.step, desc="train", disable=not shown, dynamic_ncols=True)

    @contextmanager
    def _nothing_half_written(self) -> Iterator[None]:
        """Returns a context in which an error lets the checkpoint that is being written be finished first."""
        try:
            yield
        except BaseException:
            self.checkpoints.drain()
            raise

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _averaged(self) -> AbstractContextManager[None]:
        return self.average.applied(self.model) if self.average else nullcontext()

    @cached_property
    def _held_out(self) -> Streams:
        return self._streams("eval")

    @cached_property
    def _held_out_faults(self) -> FaultCount:
        sizes = {name: len(data) for name, data in self._held_out.datasets.items()}
        return FaultCount(sizes, self.config.max_broken)


def _add_metrics(sums: Sums, stream: str, output: LossOutput) -> None:
    sums.add(f"{stream}/loss", output.sum, output.count)
    for name, (total, count) in output.metrics.items():
        sums.add(f"{stream}/{name}", total, count)


def _note(text: str) -> None:
    """Says it in the log of the run, once."""
    if is_main():
        _LOG.info(text)
