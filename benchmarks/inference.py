"""Speed of the shipped model beside the paper's network, and of a whole count from a cold start.

Prints cells a second of the shipped classifier (mask branch included) and of the published network (Swin-B,
VGG19-BN at 224 px, random weights: speed does not depend on them) in torch and in the runtime of the shipped
classifier, all in float32 and in one run; megapixels a second of the segmenter and, where its weights are
(see ``peers.py``), of the white-cell U-Net of ``cbc`` in torch; and seconds of ``erythron count``. Medians.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from data_folder import add_data_option
from peers import CBC_WEIGHTS, load_cbc

from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.classify.calls import prepare_cells
from erythron.classify.classifier import CellInputs, Classifier
from erythron.classify.crops import CellCrops
from erythron.pipeline.field import OutlinedField, outline_field
from erythron.read.fields import read_image
from erythron.segment.segmenter import load_segmenter
from erythron.shape.measure import measure_cells
from erythron.train.classifier.networks.settings import (
    Fusion,
    HeadStart,
    MaskKind,
    NetworkSettings,
    NormLayer,
    Pretraining,
)
from erythron.train.classifier.networks.two_branch import build_network

PAPER = NetworkSettings(
    image_backbone="swin_base_patch4_window7_224",
    mask_backbone="vgg19_bn",
    fusion=Fusion.LOGITS_GATE,
    mask_kind=MaskKind.HULL,
    norm=NormLayer.BATCH,
    pretraining=Pretraining.NONE,
    head_start=HeadStart.PUBLISHED,
    dropout=0.4,
)
PAPER_PX = 224


def median_seconds(work: Callable[[], object], repeats: int) -> float:
    """Return the median time of one call, after one that warms up."""
    work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def take_turns(turns: int, *works: Callable[[], object]) -> list[float]:
    """Return the median seconds of each of several works that take turns, after one round that warms up."""
    times: list[list[float]] = [[] for _ in works]
    for turn in range(turns + 1):
        for work, taken in zip(works, times, strict=True):
            start = time.perf_counter()
            work()
            if turn:
                taken.append(time.perf_counter() - start)
    return [statistics.median(taken) for taken in times]


def export_paper_network(net: torch.nn.Module, path: Path, batch: int) -> None:
    """Write the published network as ONNX with a fixed batch."""
    inputs = (torch.zeros(batch, 3, PAPER_PX, PAPER_PX), torch.zeros(batch, 1, PAPER_PX, PAPER_PX))
    torch.onnx.export(
        net, inputs, path, input_names=["pixels", "masks"], output_names=["logits"], dynamo=False
    )


def repeat_cells(cells: CellInputs, count: int) -> CellInputs:
    """Return ``count`` cells, the given ones again and again."""
    index = np.arange(count) % len(cells.measurements)
    crops = CellCrops(cells.crops.pixels[index], cells.crops.masks[index])
    return CellInputs(crops, cells.measurements[index])


def time_count(path: Path, repeats: int) -> float:
    """Return the median time of the whole command, interpreter and imports included."""

    def run() -> None:
        with tempfile.TemporaryDirectory() as out:
            command = [sys.executable, "-m", "erythron", "count", str(path), "--out", out]
            subprocess.run(command, check=True, capture_output=True)

    return median_seconds(run, repeats)


@dataclass(frozen=True)
class Rates:
    """Cells a second of the shipped classifier, and of the published network in torch and in its runtime."""

    ours: float
    torch: float
    same_runtime: float


def time_classifiers(field: OutlinedField, cells: int, batch: int, repeats: int) -> Rates:
    """Time the shipped classifier and the published network.

    Args:
        field: whose cells are taken, again and again.
        cells: how many the shipped classifier is given at once.
        batch: how many the published network is.
        repeats: turns.
    """
    bundle = load_bundle()
    measured = measure_cells(field.image.rgb, field.outlines, field.image.mpp)
    prepared = prepare_cells(field.image, field.outlines, measured, bundle.card.framing)
    classifier, given = Classifier(bundle), repeat_cells(prepared, cells)
    paper = build_network(PAPER, 4, PAPER_PX).eval()
    inputs = {
        "pixels": np.zeros((batch, 3, PAPER_PX, PAPER_PX), np.float32),
        "masks": np.zeros((batch, 1, PAPER_PX, PAPER_PX), np.float32),
    }
    tensors = [torch.from_numpy(v) for v in inputs.values()]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        exported = Path(folder) / "paper.onnx"
        export_paper_network(paper, exported, batch)
        # The runtime refuses such a network as a stranger's; this one is made here.
        with (
            patch("erythron.bundle.runtime.check_file"),
            patch("erythron.bundle.runtime.check_shapes"),
        ):
            runtime = OpenVinoRuntime(exported)
        # The runtime gives each core a batch of its own.
        cores = os.cpu_count() or 1
        tiled = {name: np.concatenate([value] * cores) for name, value in inputs.items()}
        ours, plain, same = take_turns(
            repeats,
            lambda: classifier.predict(given),
            lambda: paper(*tensors),
            lambda: runtime.run(tiled),
        )
    return Rates(cells / ours, batch / plain, cores * batch / same)


def main() -> None:
    """Time everything and print figures and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--cells", type=int, default=512)
    parser.add_argument("--paper-batch", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--cbc-weights", type=Path, default=CBC_WEIGHTS)
    options = parser.parse_args()
    torch.set_num_threads(os.cpu_count() or 1)
    path = options.data / "marrow-field" / "marrow-field-left.png"
    bundle = load_bundle()
    segmenter = load_segmenter(bundle)
    field = outline_field(read_image(path), lambda: segmenter, bundle.card.framing)
    rates = time_classifiers(field, options.cells, options.paper_batch, options.repeats)
    print(f"paper's network, torch      {rates.torch:8.1f} cells/s")
    print(f"paper's network, OpenVINO   {rates.same_runtime:8.1f} cells/s")
    print(f"shipped classifier          {rates.ours:8.1f} cells/s")
    to_torch, to_same = rates.ours / rates.torch, rates.ours / rates.same_runtime
    print(f"ratio to torch {to_torch:.0f}, ratio to the same runtime {to_same:.0f}")

    rgb = field.image.rgb
    pixels = rgb.shape[0] * rgb.shape[1] / 1e6
    outlining = median_seconds(
        lambda: outline_field(field.image, lambda: segmenter, bundle.card.framing), options.repeats
    )
    print(f"segmenter                   {pixels / outlining:8.2f} megapixels/s, {len(field.outlines)} cells")
    if options.cbc_weights.is_file():
        find = load_cbc(options.cbc_weights)
        with torch.no_grad():
            finding = median_seconds(lambda: find(rgb), options.repeats)
        ratio = finding / outlining
        print(f"U-Net of cbc, torch         {pixels / finding:8.2f} megapixels/s, ratio {ratio:.1f}")
    else:
        print(f"U-Net of cbc: not timed, {options.cbc_weights} is missing")
    print(f"erythron count, cold start  {time_count(path, options.repeats):8.2f} s")


if __name__ == "__main__":
    main()
