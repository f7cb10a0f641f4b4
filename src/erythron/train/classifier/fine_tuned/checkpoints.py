"""Which checkpoints a run keeps, and their weights; nothing but tensors and plain values is unpickled."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.callbacks import ModelCheckpoint

from erythron.errors import DataError, UsageError
from erythron.train.recipe import FitSettings, Selection
from erythron.train.shared.hardware import Checkpoint

FOLDER = "checkpoints"
LAST = "last.ckpt"
BEST = "best.ckpt"
WEIGHTS = "weights.ckpt"

_MONITORED = {
    Selection.LAST: ("validation_loss", "min"),
    Selection.BEST: ("validation_loss", "min"),
    Selection.PUBLISHED: ("validation_accuracy", "max"),
}


def keep_checkpoints(
    kept: Checkpoint, fit: FitSettings, out: Path, *, has_validation: bool
) -> list[ModelCheckpoint]:
    """Return the callbacks that write what is kept of a run.

    Args:
        kept: what the user asks for.
        fit: states which epoch is the result, which then is kept as well.
        out: folder of the run.
        has_validation: whether there is anything to choose a best epoch by.

    Raises:
        UsageError: the result is an epoch that is not kept, or the best epoch is asked for without a
            validation part.
    """
    chooses = fit.select is not Selection.LAST
    if chooses and kept in (Checkpoint.NONE, Checkpoint.WEIGHTS):
        raise UsageError(
            f"fit.select = '{fit.select}' takes the weights of an epoch that --checkpoint {kept} does not "
            "keep; give --checkpoint best or last"
        )
    if kept is Checkpoint.BEST and not has_validation:
        raise UsageError("--checkpoint best needs a validation part; give --checkpoint last, weights or none")
    folder = out / FOLDER
    callbacks = []
    if chooses or kept is Checkpoint.BEST:
        monitor, mode = _MONITORED[fit.select]
        # Lightning leaves the moving average out of checkpoints that hold weights alone.
        bare = not fit.ema_decay
        callbacks.append(_keep(folder, BEST, monitor=monitor, mode=mode, save_weights_only=bare))
    if kept is Checkpoint.WEIGHTS:
        bare = not fit.ema_decay
        callbacks.append(
            _keep(folder, WEIGHTS, every_n_epochs=1, save_on_train_epoch_end=True, save_weights_only=bare)
        )
    if kept is Checkpoint.LAST:
        if fit.checkpoint_steps:
            callbacks.append(_keep(folder, LAST, every_n_train_steps=fit.checkpoint_steps))
        callbacks.append(_keep(folder, LAST, every_n_epochs=1, save_on_train_epoch_end=True))
    return callbacks


def read_checkpoint(path: Path) -> dict[str, torch.Tensor]:
    """Return the weights of a checkpoint by their names in the fitting, such as ``network.core…``.

    Raises:
        DataError: it holds more than tensors and plain values, or is damaged.
    """
    with refuse_foreign(path):
        weights: dict[str, torch.Tensor] = torch.load(path, map_location="cpu", weights_only=True)[
            "state_dict"
        ]
    return weights


@contextmanager
def refuse_foreign(checkpoint: Path) -> Iterator[None]:
    """Name the checkpoint where reading it fails because it holds objects that could run code.

    Raises:
        DataError: it does.
    """
    try:
        yield
    except pickle.UnpicklingError as error:
        raise DataError(
            f"{checkpoint}: holds more than tensors and plain values, or is damaged; remove it to start anew"
        ) from error


def _keep(folder: Path, name: str, **when: Any) -> ModelCheckpoint:
    return ModelCheckpoint(
        folder, name.removesuffix(".ckpt"), enable_version_counter=False, save_top_k=1, **when
    )
