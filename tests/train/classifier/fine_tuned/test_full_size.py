"""The published network at its full size takes real steps, in a process of its own for its memory's sake."""

from __future__ import annotations

import csv
import math
import sys
from pathlib import Path

import polars as pl
import pytest
import torch
from tests.ahead import Ended
from tests.train.conftest import STAGES, draw_manifest

from erythron.datasets.manifest import hash_split
from erythron.train.shared.run_folder import WEIGHTS_FILE, read_record

MOST_GIB = 8.0
"""Weights, gradients and momentum are 2.6 GiB; the rest is activations and the weights being written."""


def prepare(folder: Path) -> list[str | Path]:
    """Return the command that trains on two cells and judges by one: two steps, of one cell each.

    A checkpoint would be 1.8 GB on the disk, and is tested with small networks.
    """
    rows = draw_manifest(folder, per_class=3)
    rows = rows.filter(pl.col("label").is_in(STAGES[:2])).filter(
        (pl.col("split") == "train") | (pl.col("label") == STAGES[0])
    )
    rows.with_columns(split_hash=pl.lit(hash_split(rows))).write_parquet(folder / "cells.parquet")
    settings = {
        "network.pretraining": "none",
        "fit.epochs": 1,
        "fit.batch_size": 1,
        "fit.checkpoint_steps": 0,
        "optimiser.warmup_epochs": 0,
    }
    changes = [part for k, v in settings.items() for part in ("--set", f"{k}={v}")]
    command = [sys.executable, "-m", "erythron", "train", "paper", "--data", folder / "cells.parquet"]
    command += ["--checkpoint", "none", "--threads", "1"]
    return [*command, "--out", folder / "run", "--precision", "32-true", "--logger", "csv", *changes]


@pytest.mark.slow
@pytest.mark.ahead(start=prepare)
def test_the_published_network_trains_on_a_cpu(ahead: Ended) -> None:
    run = ahead.folder / "run"
    assert ahead.returncode == 0, ahead.stderr[-3000:]
    print(f"peak memory of the training process: {ahead.peak_gib:.1f} GiB")  # noqa: T201
    assert ahead.peak_gib < MOST_GIB
    weights = torch.load(run / WEIGHTS_FILE, weights_only=True)
    assert 230e6 < sum(w.numel() for w in weights.values() if w.is_floating_point()) < 238e6
    assert all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point())
    with next((run / "logs").glob("*/metrics.csv")).open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["train_loss"])
    assert math.isfinite(float(row["train_loss"]))
    assert read_record(run).cells == 2
    assert int(row["step"]) == 1  # counted from 0: the second step has gradients and momentum at once
