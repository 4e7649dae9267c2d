"""What a run tells people: its settings, rows of metrics, a progress bar, lines in the log."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from xllmx.disk.files import write_text
from xllmx.optimisation.precision import slow_precision
from xllmx.ranks.distributed import is_main, num_ranks
from xllmx.run.global_batch import of_same_batches
from xllmx.run.provenance.changed_data import changed_data
from xllmx.run.provenance.changed_settings import changed_settings, of_steps
from xllmx.run.provenance.environment import environment
from xllmx.run.provenance.made_here import STATE, state_of
from xllmx.run.reporting.metrics import MetricLogger
from xllmx.settings.config import save_config
from xllmx.trainer_config import TrainerConfig
from xllmx.words import plural

CONFIG_FILE, ENVIRONMENT_FILE = "config.yaml", "environment.json"
"""Settings and environment of a run, in its folder."""
_SHOWN = 5
"""Changed settings that are listed at the terminal."""
_LOG = logging.getLogger(__name__)


class RunReport:
    """The reports of one run, written on the main rank; before `open` there are no rows."""

    def __init__(self, config: TrainerConfig, record: Any) -> None:
        """`record` is the whole resolved configuration, a dataclass, for the run folder."""
        self._config, self._record = config, record
        self._logger: MetricLogger | None = None

    def open(self, step: int) -> None:
        """Write settings and environment into the run folder, and open metrics.jsonl and the trackers after `step`."""
        run_dir = self._config.run_dir
        self._logger = MetricLogger(run_dir, step=step, trackers=self._config.trackers)
        if is_main():
            save_config(self._record, run_dir / CONFIG_FILE)
            if (store := self._config.store) is not None:  # with it, what lies there is a run that can be exported
                save_config(self._record, store / CONFIG_FILE)
            made_with = environment() | {"precision": self._config.precision, STATE: state_of(run_dir / CONFIG_FILE)}
            write_text(run_dir / ENVIRONMENT_FILE, json.dumps(made_with, indent=1))

    def row(self, kind: str, step: int, values: Mapping[str, float | int]) -> None:
        """Write a row of metrics."""
        if self._logger:
            self._logger.write(kind, step, values)

    def clips(self, step: int, clips: Mapping[Path, np.ndarray]) -> None:
        """Show clips, uint8 [F, H, W, 3] by their file, in the trackers."""
        if self._logger:
            self._logger.show(step, clips)

    def bar(self, step: int, *, max_steps: int) -> tqdm:
        """Return a progress bar that stands at `step`."""
        shown = self._config.progress and is_main()
        return tqdm(total=max_steps, initial=step, desc="train", disable=not shown, dynamic_ncols=True)

    def begun(self, step: int, *, max_steps: int, device: torch.device) -> None:
        """Log where the run begins or goes on, and a precision that is slow on this device."""
        precision, begun = self._config.precision, f"goes on from step {step}" if step else "begins"
        self.note(f"{begun}, to step {max_steps}, on {plural(num_ranks(), 'process')} in {precision}")
        if (slow := slow_precision(precision, device)) and is_main():
            _LOG.warning(slow)

    def resumed(self, checkpoint: Path, *, own: bool, sizes: Mapping[str, int]) -> None:
        """Log which settings are others than those that the checkpoint was written with.

        Of those that make other steps it warns, unless the checkpoint is another run's (not its `own`). `sizes` are
        the global batches of now, by stream.
        """
        if not is_main() or not (changed := changed_settings(checkpoint, self._record)):
            return
        self.note(f"{checkpoint.name} was written with other settings: {'; '.join(changed)}")
        same = of_same_batches(self._config, checkpoint, sizes)
        if own and (others := of_steps(changed, same)):
            more = f"; and {len(others) - _SHOWN} more, which log.txt has" if len(others) > _SHOWN else ""
            said = f"{'; '.join(others[:_SHOWN])}{more}"
            _LOG.warning(
                "the run goes on from %s with other settings than it had: %s. If that is not meant, stop it, and give "
                "those it had or another trainer.run_dir", checkpoint.name, said,
            )  # fmt: skip

    def resumed_data(self, checkpoint: Path, now: Mapping[str, Any]) -> None:
        """Warn of data that are others than those that the checkpoint was trained on (`data_now`)."""
        if is_main() and (changed := changed_data(checkpoint, now)):
            _LOG.warning(
                "the run goes on from %s with other data than it had: %s. Which samples an epoch has, and their order, "
                "are others from here on; if that is not meant, stop it, and bring back the data, or give another "
                "trainer.run_dir", checkpoint.name, "; ".join(changed),
            )  # fmt: skip

    def note(self, text: str) -> None:
        """Write a line into the log of the run, once."""
        if is_main():
            _LOG.info(text)
