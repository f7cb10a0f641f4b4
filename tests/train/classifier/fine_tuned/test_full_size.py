"""The published network at its full size takes real steps, in a process of its own for its memory's sake."""

from __future__ import annotations

import csv
import math
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import polars as pl
import pytest
import torch
from tests.train.conftest import STAGES, draw_manifest

from erythron.datasets.manifest import hash_split
from erythron.train.shared.run_folder import WEIGHTS_FILE, read_record

MOST_GIB = 8.0
"""Weights, gradients and momentum are 2.6 GiB; the rest is activations and the checkpoint being written."""


@pytest.fixture
def roomy_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder that is emptied at once: pytest would keep the gigabytes of three sessions."""
    yield tmp_path
    shutil.rmtree(tmp_path)


@pytest.mark.slow
def test_the_published_network_trains_on_a_cpu(roomy_folder: Path) -> None:
    manifest, run = roomy_folder / "cells.parquet", roomy_folder / "run"
    rows = draw_manifest(roomy_folder, per_class=3)
    # Two cells to train on and one to judge by: two steps, of one cell each.
    rows = rows.filter(pl.col("label").is_in(STAGES[:2])).filter(
        (pl.col("split") == "train") | (pl.col("label") == STAGES[0])
    )
    rows.with_columns(split_hash=pl.lit(hash_split(rows))).write_parquet(manifest)
    settings = {
        "network.pretraining": "none",
        "fit.epochs": 1,
        "fit.batch_size": 1,
        "fit.checkpoint_steps": 0,
        "optimiser.warmup_epochs": 0,
    }
    changes = [part for k, v in settings.items() for part in ("--set", f"{k}={v}")]
    command = [sys.executable, "-m", "erythron", "train", "paper", "--data", str(manifest)]
    options = ["--out", str(run), "--precision", "32-true", "--logger", "csv", *changes]
    done = subprocess.run([*command, *options], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    # Of the largest child so far, in KiB; no other test of this process starts one of this size.
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
    print(f"peak memory of the training process: {peak:.1f} GiB")  # noqa: T201
    assert peak < MOST_GIB
    weights = torch.load(run / WEIGHTS_FILE, weights_only=True)
    assert 230e6 < sum(w.numel() for w in weights.values() if w.is_floating_point()) < 238e6
    assert all(torch.isfinite(w).all() for w in weights.values() if w.is_floating_point())
    with next((run / "logs").glob("*/metrics.csv")).open(newline="") as file:
        (row,) = (row for row in csv.DictReader(file) if row["train_loss"])
    assert math.isfinite(float(row["train_loss"]))
    assert read_record(run).cells == 2
    assert int(row["step"]) == 1  # counted from 0: the second step has gradients and momentum at once
