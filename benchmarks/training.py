"""The training loop beside a bare loop over the same network and batch, images a second.

The bare loop holds one augmented batch in memory and does forward, backward and step. The training loop does
all that training does: loading, augmentation, logging, checkpoints. Both take turns, so that a busy machine
slows both. The loader is timed by itself as well, with the same workers.

    python benchmarks/training.py --recipe small --set network.fusion=image
    python benchmarks/training.py --recipe paper --set network.pretraining=none --steps 6   # on a GPU

On a GPU it also states peak memory, and takes fp32 and bf16 by ``--precision``.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl
import torch
from PIL import Image

from erythron.datasets.manifest import MANIFEST_SCHEMA
from erythron.train.classifier.fine_tuned.augmentation import augment
from erythron.train.classifier.fine_tuned.cell_set import prepare_cells
from erythron.train.classifier.fine_tuned.fitting import CellFitting, make_optimiser
from erythron.train.classifier.fine_tuned.loader import Share, TrainingLoader
from erythron.train.classifier.fine_tuned.run import choose_precision, train_run
from erythron.train.classifier.networks.two_branch import build_network
from erythron.train.recipe import FineTunedRecipe
from erythron.train.recipe_file import load_fine_tuned, parse_settings, vary_recipe
from erythron.train.shared.backbones import find_scaling
from erythron.train.shared.hardware import Hardware

CLASSES = ("proerythroblast", "basophilic_erythroblast")


def make_rows(folder: Path, count: int) -> pl.DataFrame:
    """Write noisy images with round masks; what is in them does not change the speed."""
    rng = np.random.default_rng(0)
    yy, xx = np.mgrid[:128, :128]
    mask = np.where(np.hypot(yy - 64, xx - 64) < 30, 255, 0).astype(np.uint8)
    Image.fromarray(mask).save(folder / "mask.png")
    rows = []
    for i in range(count):
        path = folder / f"{i}.png"
        Image.fromarray(rng.integers(0, 255, (128, 128, 3), np.uint8)).save(path)
        row = dict.fromkeys(MANIFEST_SCHEMA) | {
            "path": str(path),
            "label": CLASSES[i % 2],
            "source_label": CLASSES[i % 2],
            "group": str(i),
            "source": "noise",
            "split": "train",
            "sha256": f"{i:064x}",
            "mask_path": str(folder / "mask.png"),
            "mask_kind": "cell",
        }
        rows.append(row)
    return pl.DataFrame(rows, schema=MANIFEST_SCHEMA)


def time_bare(recipe: FineTunedRecipe, rows: pl.DataFrame, cache: Path, steps: int, precision: str) -> float:
    """Return images a second of forward, backward and step on one batch in memory."""
    cells = prepare_cells(rows, "label", recipe.inputs, cache)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    cells = cells.select_planes(recipe.network.mask_planes)
    batch = next(iter(TrainingLoader(cells, recipe.fit, 0, Share(), 0))).to(device)
    network = build_network(recipe.network, len(CLASSES), recipe.inputs.px)
    scaling = find_scaling(recipe.network.image_backbone)
    module = CellFitting(network, recipe, scaling, steps).to(device).train()
    module = module.to(memory_format=torch.channels_last)
    optimiser = make_optimiser(network, recipe.optimiser)
    pixels, masks = augment(batch, recipe.augmentation, recipe.inputs.px)
    half = {"bf16-mixed": torch.bfloat16, "16-mixed": torch.float16}.get(precision)
    started = 0.0
    for step in range(steps + 1):
        if step == 1:
            _wait(device)
            started = time.perf_counter()
        with torch.autocast(device.type, half, enabled=half is not None):
            loss = torch.nn.functional.cross_entropy(module(pixels, masks), batch.labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    _wait(device)
    return steps * len(batch.labels) / (time.perf_counter() - started)


def time_loader(recipe: FineTunedRecipe, rows: pl.DataFrame, cache: Path, workers: int) -> float:
    """Return images a second of the loader with nothing to wait for, its second epoch."""
    cells = prepare_cells(rows, "label", recipe.inputs, cache)
    cells = cells.select_planes(recipe.network.mask_planes)
    loader = TrainingLoader(cells, recipe.fit, 0, Share(), workers)
    for _ in loader:
        pass
    started = time.perf_counter()
    images = sum(len(batch.labels) for batch in loader)
    return images / (time.perf_counter() - started)


def time_training(
    recipe: FineTunedRecipe, rows: pl.DataFrame, folder: Path, cache: Path, hardware: Hardware
) -> float:
    """Return images a second of the second epoch of a real run; the first pays for starting up."""
    ends: list[float] = []
    train_run(
        recipe,
        rows,
        folder,
        hardware,
        lambda *_: ends.append(time.perf_counter()),
        cache,
    )
    used = rows.height // recipe.fit.batch_size * recipe.fit.batch_size
    return used / (ends[1] - ends[0])


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


def main() -> None:
    """Measure and print one JSON line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--recipe", default="small")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="PATH=VALUE")
    parser.add_argument("--steps", type=int, default=20, help="optimiser steps of one turn")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--precision", default="auto")
    options = parser.parse_args()
    precision = choose_precision(options.precision)
    recipe = vary_recipe(
        load_fine_tuned(options.recipe),
        parse_settings(options.settings) | {"fit.epochs": 2},
    )
    torch.set_num_threads(options.threads)
    hardware = Hardware(precision=precision, threads=options.threads, workers=options.workers)
    bare, trained, loaded = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = make_rows(folder, recipe.fit.batch_size * options.steps)
        cache = folder / "cells"
        prepare_cells(rows, "label", recipe.inputs, cache)
        for turn in range(options.turns):
            bare.append(time_bare(recipe, rows, cache, options.steps, precision))
            loaded.append(time_loader(recipe, rows, cache, options.workers))
            trained.append(time_training(recipe, rows, folder / f"run{turn}", cache, hardware))
    ratio = statistics.median(t / b for t, b in zip(trained, bare, strict=True))
    result = {
        "recipe": recipe.name,
        "device": torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu",
        "precision": precision,
        "batch": recipe.fit.batch_size,
        "workers": options.workers,
        "bare_images_per_s": [round(v, 1) for v in bare],
        "training_images_per_s": [round(v, 1) for v in trained],
        "loader_images_per_s": [round(v, 1) for v in loaded],
        "ratio_median": round(ratio, 3),
    }
    if torch.cuda.is_available():
        result["peak_memory_gib"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
