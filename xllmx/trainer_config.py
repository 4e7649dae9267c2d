"""The settings of a training run: how long, how much at a time, and where to."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from xllmx.settings.number_range import COUNT, SEED, SHARE, Range, check_numbers
from xllmx.settings.setting import suggestion
from xllmx.store.address import Address, location_of
from xllmx.words import plural


@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """How long, how much at a time, and where to."""

    GLOBAL_BATCH: ClassVar[str] = "trainer.global_batch_size.{stream}"
    """Where people set the samples of a step of a stream."""
    BATCH: ClassVar[str] = "trainer.batch_size.{stream}"
    """Where they set the samples of a batch of it on one rank."""
    FEW_REPEAT: ClassVar[bool] = True
    """Whether samples of a kind, too few for a global batch, fill one again and again, with a warning; else they are
    left out with one, and no kind with enough is an error."""

    run_dir: Path
    """Folder of the run: config.yaml, environment.json, metrics.jsonl, checkpoints/."""
    checkpoints: str | None = None
    """A folder in a store for the checkpoints, s3://bucket/run or gs://, in place of run_dir's; config.yaml goes there
    too. What cannot be sent stays in run_dir/checkpoints, and is sent with the next one."""
    seed: Annotated[int, SEED] = 0
    """Initial weights, order of the data, and with the step all other randomness."""
    max_steps: Annotated[int, COUNT] | None = None
    """Optimiser steps in all; or give `epochs`."""
    epochs: Annotated[float, Range(0, 10**6, above=True)] | None = None
    """Passes over `epoch_stream`."""
    epoch_stream: str | None = None
    """The stream whose passes are epochs; None is the last of the schedule."""
    batch_size: dict[str, Annotated[int, Range(1, 10**6)]] = field(default_factory=dict)
    """Samples of a batch on one rank, for each stream; a stream left out has 1, a held-out stream `a/b` that of `a`."""
    schedule: dict[str, Annotated[int, Range(0, 10**6)]] = field(default_factory=dict)
    """How many steps in turn draw from each stream: {image: 1, video: 2}; empty is 1 for each stream there is."""
    together: dict[str, Annotated[int, Range(1, 10**6)]] = field(default_factory=dict)
    """In place of turns: streams that each give a batch to the same step, their mean losses added, with their ratios.
    {image: 1, video: 4} is video in every step, and image in the first of every four; m = the largest ratio: a stream
    is in step s if s mod m < its ratio."""
    grad_accumulation: Annotated[int, Range(1, 10**6)] = 1
    """Batches of one optimiser step on one rank."""
    global_batch_size: dict[str, Annotated[int, Range(1, 10**6)]] = field(default_factory=dict)
    """Samples of one optimiser step over all ranks, by stream; `grad_accumulation` then follows from the number of
    ranks, so that a run is the same on any number that divides it; where batches of `batch_size` do not, they are
    smaller. Empty: ranks x batch_size x grad_accumulation, which a run that goes on with other ranks keeps."""
    clip_grad_norm: float = 4.0
    """Gradients are scaled down to this norm; 0 leaves them."""
    precision: Literal["auto", "bf16", "fp32", "tf32", "fp16"] = "bf16"
    """What the model computes in; weights, gradients and loss are fp32 in any case. auto: bf16 on GPUs and on CPUs that
    multiply in it, fp32 on others, where bf16 is many times slower. tf32: fp32 whose products on a GPU may round their
    factors to 10 bits; the same as fp32 on a CPU. fp16: with a scale on the loss, so that small gradients do not vanish
    (a step whose gradients overflow is left out, and the scale halved); slow on a CPU."""
    device: str = "auto"
    """auto (a GPU if there is one), cpu or cuda; xpu and mps were never tried."""
    length_clustering: bool = True
    """Whether the samples of a batch are of similar length, so that little is padded; false: they are as the shuffle
    has them, within the sizes that may share a batch."""
    shuffle: Literal["auto", "whole", "shards"] = "auto"
    """whole: any sample of a set may follow any other. shards: an epoch takes its files in a new order, mixes the
    samples of 16 at a time, and holds each once: few files are open, and each is read (or brought from a store) once.
    auto: shards where a set has more than 1,048,576 samples in files of many."""
    deterministic: bool = False
    """Kernels that add in the same order every time where torch has them, a warning where not: on one machine, with the
    same processes, a run then repeats itself. Slower on GPUs; on a CPU nothing changes."""
    num_workers: Annotated[int, Range(0, 1024)] = 0
    """Processes that read data ahead, for each stream."""
    max_broken: Annotated[float, SHARE] = 0.01
    """Samples that cannot be read are replaced and logged; more than this share of those drawn stops the run."""
    max_minutes: float = 0.0
    """Save and stop cleanly after this time; 0 is no limit."""
    save_every: int = 1000
    """Steps between checkpoints; the last step has one in any case. 0 is only the last."""
    async_save: bool = True
    """Train on while a checkpoint is written, from a copy in the host's memory; the last one is waited for."""
    save_interval: Annotated[float, Range(0, 10**6)] = 0.0
    """Epochs between checkpoints, beside those of `save_every`; 0 is none."""
    keep: Annotated[int, COUNT] = 20
    """Checkpoints kept."""
    resume: bool = True
    """Go on from the newest checkpoint in the run folder, or in `checkpoints`, if there is one."""
    resume_path: Path | None = None
    """A checkpoint (RUN/checkpoints/step-NNNNNNNN) of another run, or such a run's folder or address, to go on from
    with its weights, optimiser and step, where this run has no checkpoint of its own yet. For weights alone: the task's
    own start."""
    check_hashes: bool = True
    """Compare a checkpoint with the hashes of its files before it is read (resume, export); one that has changed is
    passed over for the one before. False saves reading it once more."""
    eval_every: int = 0
    """Steps between evaluations on held-out batches; 0 is never, unless `eval_in_epoch` says when."""
    eval_in_epoch: Annotated[float, Range(0, 10**6)] = 0.0
    """Evaluations an epoch, evenly spread, in place of `eval_every`."""
    eval_batches: Annotated[int, COUNT] = 8
    """Held-out batches of each stream on each rank; the same ones each time, whatever the seed."""
    eval_batch_size: dict[str, Annotated[int, Range(1, 10**6)]] = field(default_factory=dict)
    """Samples of a batch of each held-out stream, by name; those not named have the batches of training."""
    ema_decay: Annotated[float, SHARE] = 0.0
    """Average of the weights over training, used for evaluation and export; 0 is none."""
    ema_every: Annotated[int, COUNT] = 1
    """Steps between two updates of the average."""
    ema_warmup: bool = True
    """Whether the decay rises to `ema_decay` over the first updates, so that the initial weights are soon forgotten."""
    log_every: Annotated[int, COUNT] = 10
    """Steps between rows of metrics."""
    progress: bool = True
    """A progress bar on the main rank."""
    trackers: tuple[str, ...] = ()
    """tensorboard, wandb: in addition to metrics.jsonl. One that fails is said once, and the training goes on."""

    def __post_init__(self) -> None:
        check_numbers(self, "trainer.")
        _ = self.store
        if self.max_steps is None and self.epochs is None:
            both = "trainer.max_steps and trainer.epochs are both open"
            raise ValueError(f"{both}; set one, for example trainer.max_steps=1000")
        if self.max_steps is not None and self.epochs is not None:
            both = f"trainer.max_steps is {self.max_steps} and trainer.epochs is {self.epochs}"
            raise ValueError(f"{both}; for one alone: trainer.max_steps={self.max_steps} trainer.epochs=null")
        if self.global_batch_size and self.grad_accumulation != 1:
            raise ValueError("set one of trainer.global_batch_size and trainer.grad_accumulation; leave the other out")
        if self.schedule and self.together:
            raise ValueError("set one of trainer.schedule (turns) and trainer.together; leave the other out")
        if self.eval_every and self.eval_in_epoch:
            raise ValueError("set one of trainer.eval_every and trainer.eval_in_epoch; leave the other 0")

    @property
    def evaluates(self) -> bool:
        """Whether held-out data are opened at all."""
        return bool(self.eval_every or self.eval_in_epoch)

    @property
    def store(self) -> Address | None:
        """Where the checkpoints go, if into a store.

        Raises:
            ValueError: `checkpoints` is no address of a folder that can be written to.
        """
        if self.checkpoints is None:
            return None
        try:
            place = location_of(self.checkpoints)
            if isinstance(place, Address):
                place.check_writable()
                return place
        except ValueError as error:
            raise ValueError(f"trainer.checkpoints: {error}") from error
        rule = "it names a folder in a store, such as s3://bucket/run; on a disk they lie in trainer.run_dir"
        raise ValueError(f"trainer.checkpoints is {self.checkpoints!r:.200}; {rule}")

    def check_streams(self, known: Iterable[str]) -> None:
        """Check that what is set by stream names `known` ones only; of none at all there is more to say than that.

        Raises:
            ValueError: another is named, with the one that was probably meant.
        """
        named = ("batch_size", "global_batch_size", "schedule", "together")
        for name in named:
            _check_known(name, getattr(self, name), known)
        _check_known("epoch_stream", [] if self.epoch_stream is None else [self.epoch_stream], known)

    def check_held_out(self, known: Iterable[str]) -> None:
        """Check that `eval_batch_size` names `known` held-out streams only, `a/b` by its whole name or by `a`.

        Raises:
            ValueError: another is named, with the one that was probably meant.
        """
        names = list(known)
        _check_known("eval_batch_size", self.eval_batch_size, [*names, *(name.partition("/")[0] for name in names)])

    def fitted(self, num_ranks: int) -> "TrainerConfig":
        """Return the same, with smaller batches where those of `batch_size` do not fill the global ones.

        Each is as large as it can be; where streams take turns, all have the same number of batches a step. What so
        many ranks do not divide is left, for `accumulation` to say.
        """
        whole = {name: total // num_ranks for name, total in self.global_batch_size.items() if total % num_ranks == 0}
        most = {name: self.batch_size.get(name, 1) for name in whole}
        exact = {name: each // most[name] for name, each in whole.items() if each % most[name] == 0}
        if len(whole) < len(self.global_batch_size) or not whole:
            return self
        if len(exact) == len(whole) and (self.together or len(set(exact.values())) == 1):
            return self
        groups = [[name] for name in whole] if self.together else [list(whole)]
        found: dict[str, int] = {}
        for names in groups:
            for number in range(1, max(whole[name] for name in names) + 1):
                if all(whole[name] % number == 0 and whole[name] // number <= most[name] for name in names):
                    found |= {name: whole[name] // number for name in names}
                    break
        return replace(self, batch_size={**self.batch_size, **found})

    def accumulation(self, num_ranks: int) -> int:
        """Return the number of batches of one optimiser step on one of `num_ranks` ranks, where streams take turns.

        Raises:
            ValueError: `global_batch_size` does not divide among the ranks, or not alike for all streams.
        """
        found = self._accumulations(num_ranks)
        if len(set(found.values())) > 1:
            steps = ", ".join(f"{name} {number}" for name, number in found.items())
            raise ValueError(
                f"trainer.global_batch_size makes different numbers of batches a step ({steps}); they must agree"
            )
        return next(iter(found.values()), self.grad_accumulation)

    def accumulation_of(self, streams: Iterable[str], num_ranks: int) -> dict[str, int]:
        """Return how many batches a step takes from each stream it draws from, on one of `num_ranks` ranks.

        Raises:
            ValueError: as `accumulation`; where streams go together their numbers need not agree.
        """
        if not self.together:
            return dict.fromkeys(streams, self.accumulation(num_ranks))
        return dict.fromkeys(streams, self.grad_accumulation) | self._accumulations(num_ranks)

    def batch_setting(self, stream: str) -> str:
        """Return the name of the setting that makes the global batch of a stream."""
        return (self.GLOBAL_BATCH if stream in self.global_batch_size else self.BATCH).format(stream=stream)

    def _accumulations(self, num_ranks: int) -> dict[str, int]:
        """Return the batches of a step of each stream that has a global batch."""
        found: dict[str, int] = {}
        for name, total in self.global_batch_size.items():
            at_once = self.batch_size.get(name, 1) * num_ranks
            found[name], rest = divmod(total, at_once)
            if rest or not total:
                processes = f"{plural(num_ranks, 'process')} with batches of {at_once // num_ranks}"
                raise ValueError(
                    f"{self.GLOBAL_BATCH.format(stream=name)} is {total}, which {processes} "
                    f"({self.BATCH.format(stream=name)}) {'does' if num_ranks == 1 else 'do'} not divide; "
                    f"use a multiple of {at_once}"
                )
        return found


def _check_known(setting: str, named: Iterable[str], known: Iterable[str]) -> None:
    streams = list(dict.fromkeys(known))
    if streams and (unknown := sorted(set(named) - set(streams))):
        raise ValueError(
            f"trainer.{setting} names {unknown[0]!r}, and no stream has this name; {suggestion(unknown[0], streams)}"
        )
