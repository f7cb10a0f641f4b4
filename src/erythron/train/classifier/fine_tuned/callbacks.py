"""What a run notes while it trains: progress, time, and its curves."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import lightning.pytorch as lightning
from lightning.pytorch.callbacks import Callback

from erythron.train.classifier.fine_tuned.fitting import CellFitting, find_rate
from erythron.train.shared.curves import CURVE_SCHEMA, CURVES, write_curve
from erythron.train.shared.progress import Progress


class Report(Callback):
    """Says how many epochs are done.

    Args:
        progress: called after each.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Call it."""
        self._progress("Training", trainer.current_epoch + 1, int(trainer.max_epochs or 0))


@dataclass
class Clock(Callback):
    """Seconds of training, kept in the checkpoints."""

    seconds: float = 0.0
    _started: float = field(default=0.0)

    def on_train_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        """Start, or go on from the time that was kept."""
        self._started = time.monotonic() - self.seconds

    def on_train_batch_end(self, *args: Any, **kwargs: Any) -> None:  # noqa: ARG002
        """Take the time."""
        self.seconds = time.monotonic() - self._started

    def state_dict(self) -> dict[str, float]:
        """Return what a checkpoint keeps."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, float]) -> None:
        """Go on from what a checkpoint kept."""
        self.seconds = state_dict["seconds"]


class CurveWriter(Callback):
    """Writes loss and accuracy of every epoch when it is done; checkpoints keep those before.

    Args:
        out: folder of the run.
    """

    def __init__(self, out: Path) -> None:
        self._out = out
        self._epochs: list[dict[str, float | int | None]] = []

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Write the epochs so far."""
        if not isinstance(pl_module, CellFitting):
            raise TypeError("curves are of the fitting of a network of cells")
        metrics = trainer.callback_metrics
        epoch: dict[str, float | int | None] = {
            name: float(metrics[name]) if name in metrics else None for name in CURVE_SCHEMA
        }
        epoch["epoch"] = trainer.current_epoch + 1
        epoch["rate"] = find_rate(max(trainer.global_step - 1, 0), pl_module.steps, pl_module.recipe)
        self._epochs.append(epoch)
        if trainer.is_global_zero:
            write_curve(self._epochs, self._out / CURVES)

    def state_dict(self) -> dict[str, Any]:
        """Return what a checkpoint keeps."""
        return {"epochs": self._epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from what a checkpoint kept."""
        self._epochs = list(state_dict["epochs"])
