"""How long a run takes on machines of a kind, by arithmetic: a step, an epoch, all of it; and which replicas are best.

A step takes as long as its products or as what is exchanged beneath them, whichever is longer.
"""

from lumos.cli.training.estimate.sharded_run import CONTEXT_BYTES, ShardedRun
from xllmx.ranks.accounting import COMPUTE_BYTES, MASTER_BYTES
from xllmx.ranks.machines import LINK_SHARE, Machines
from xllmx.words import plural

_GIB = 2**30


def step_seconds(run: ShardedRun, machines: Machines) -> float:
    """Return the seconds of a mean step."""
    return max(machines.product_seconds(run.mean_flops), machines.exchange_seconds(run.traffic))


def steps_per_epoch(run: ShardedRun, *, num_clips: int | None = None) -> float | None:
    """Return the mean number of steps of an epoch (`trainer.epoch_stream`); None where its data is not there.

    `num_clips` stands for data that is not there, of one size.

    Raises:
        ValueError: a stream that no step draws from.
    """
    name = epoch_stream(run)
    turn = run.turns[name]
    batches = turn.num_batches
    if batches is None:
        if num_clips is None:
            return None
        batches = max(num_clips // (turn.batch_size * turn.accumulation * run.num_gpus), 1)
    return batches / run.share_of_steps(name)


def epoch_stream(run: ShardedRun) -> str:
    """Return the stream whose passes are epochs; ValueError if no step draws from it."""
    names = run.cycle.names
    name = run.trainer.epoch_stream or names[-1]
    if name not in names:
        raise ValueError(f"trainer.epoch_stream is {name!r}; the schedule has {', '.join(names)}")
    return name


def best_replicas(run: ShardedRun, machines: Machines) -> int | None:
    """Return the number of copies of the state that fits the GPUs and exchanges fastest; None where none fits.

    Of equals it is that with the fewest copies, which takes the least memory.
    """
    fitting = [
        replicas
        for replicas in range(1, run.num_gpus + 1)
        if run.num_gpus % replicas == 0 and fits(run.in_copies(replicas), machines)
    ]
    return min(
        fitting, key=lambda number: round(machines.exchange_seconds(run.in_copies(number).traffic), 6), default=None
    )


def fits(run: ShardedRun, machines: Machines) -> bool:
    """Whether the peak of a step, and what is not counted, is less than a GPU's memory."""
    return run.configured_peak + CONTEXT_BYTES <= machines.memory_bytes


def time_lines(run: ShardedRun, machines: Machines, *, num_clips: int | None = None) -> list[str]:
    """Return memory, step, network and length of a run on these machines, for people."""
    lines = [_fit_line(run, machines), *_network_lines(run, machines)]
    if COMPUTE_BYTES[run.precision] == MASTER_BYTES:
        return [
            *lines,
            f"time          not said: the peak of the {machines.gpu} is known for bf16; this is {run.precision}",
        ]
    products, exchange = machines.product_seconds(run.mean_flops), machines.exchange_seconds(run.traffic)
    together = f"{_seconds(products + exchange)} if none of it hides beneath the products"
    network = f"; network {_seconds(exchange)} ({together})" if exchange else ""
    made = f"products {_seconds(products)}, at {machines.assumed()}"
    lines.append(f"mean step     {_seconds(max(products, exchange))}: {made}{network}")
    return [*lines, *_length_lines(run, machines, num_clips)]


def _fit_line(run: ShardedRun, machines: Machines) -> str:
    peak, memory = run.configured_peak / _GIB, machines.memory_bytes / _GIB
    if fits(run, machines):
        return f"memory        {peak:.1f} GiB of the {memory:.1f} of one {machines.gpu}, which is enough"
    return f"memory        {peak:.1f} GiB, and 2 besides, do not fit the {memory:.1f} of one {machines.gpu}"


def _network_lines(run: ShardedRun, machines: Machines) -> list[str]:
    if run.num_gpus == 1:
        return []
    traffic = run.traffic
    count = f"{machines.num_machines} machine{'s' if machines.num_machines > 1 else ''} of {machines.gpus_together}"
    links = f"{LINK_SHARE:.0%} of {machines.link / LINK_SHARE / 1e9:g} GB/s between the GPUs of one"
    between = f", of {machines.network / LINK_SHARE / 1e9:g} GB/s from one to the others"
    return [
        f"network       {traffic.total / 1e9:.2f} GB sent by a GPU in a mean step: weights gathered "
        f"{traffic.gathered / 1e9:.2f}, gradients summed {traffic.reduced / 1e9:.2f}, to other copies "
        f"{traffic.between / 1e9:.2f}",
        f"              {count}; {links}{between if machines.num_machines > 1 else ''}",
        *(_replica_lines(run, machines) if run.parallel.is_sharded(run.num_gpus) else []),
    ]


def _replica_lines(run: ShardedRun, machines: Machines) -> list[str]:
    best = best_replicas(run, machines)
    if best is None:
        return ["replicas      no number of them fits; take more GPUs, or see what fills the memory above"]
    if best == run.replicas:
        set_so = f"parallel.replicas={best}, as configured," if run.parallel.replicas else f"{best}, as sharding makes,"
        return [f"replicas      {set_so} fits and has the least time of network"]
    other = run.in_copies(best)
    times = [_seconds(machines.exchange_seconds(one.traffic)) for one in (other, run)]
    return [
        f"replicas      parallel.replicas={best} would do: {times[0]} of network in place of {times[1]}, with "
        f"{other.configured_peak / _GIB:.1f} GiB a GPU"
    ]


def _length_lines(run: ShardedRun, machines: Machines, num_clips: int | None) -> list[str]:
    sizes = {name: turn.batch_size * turn.accumulation * run.num_gpus for name, turn in run.turns.items()}
    lines = [f"global batch  {', '.join(f'{name} {number:,}' for name, number in sizes.items())}"]
    for name, turn in run.turns.items():
        if turn.num_batches == 0:
            alike = f"{plural(turn.num_clips or 0, 'clip')}, and too few of one size for a batch"
            lines.append(
                f"too few       {name} has {alike}: training will not begin without a smaller one, or more clips"
            )
    epoch, name, trainer = steps_per_epoch(run, num_clips=num_clips), epoch_stream(run), run.trainer
    if epoch == 0:
        lines.append(f"epoch         none: too few clips of {name}")
        epoch = None
    elif epoch is None:
        lines.append(f"epoch         not said: the data of {name} is not there; say how many clips: --clips N")
    else:
        lines.append(f"epoch         {plural(round(epoch), 'step')}, a pass over {name}")
    steps = trainer.max_steps or (None if epoch is None else (trainer.epochs or 0) * epoch)
    each = step_seconds(run, machines)
    if steps is None:
        return [*lines, f"run           {_gpu_hours(1000 * each, run.num_gpus)} for every 1,000 steps"]
    return [
        *lines,
        f"run           {plural(round(steps), 'step')}: {_hours(steps * each)}, "
        f"{_gpu_hours(steps * each, run.num_gpus)}",
    ]


def _seconds(seconds: float) -> str:
    return "under 1 ms" if seconds < 1e-3 else f"{seconds:.3g} s"


def _hours(seconds: float) -> str:
    if seconds < 60:
        return "under a minute"
    return f"{seconds / 86400:.1f} days" if seconds > 3 * 86400 else f"{seconds / 3600:.3g} h"


def _gpu_hours(seconds: float, num_gpus: int) -> str:
    hours = seconds * num_gpus / 3600
    if hours < 0.01:
        return "under 0.01 GPU-hours"
    return f"{hours:,.0f} GPU-hours" if hours >= 100 else f"{hours:.3g} GPU-hours"
