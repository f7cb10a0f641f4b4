"""Microns per pixel from red cells: how often, how fast, how far apart, and against what is known.

    python benchmarks/red_cell_scale.py [--every N]

Fields of one microscope share one scale, so their estimates should agree: the spread between them, less what
sampling explains, is the spread of red cells between smears, and the share of intervals that hold the set's
median is their coverage. Drawn fields have a known scale. ``bccd`` has boxes around red cells, drawn with a
margin: the margin of its boxes around white cells, measured on masks, is taken off.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
from data_folder import add_data_option
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.segment.scale import RED_CELL_UM, ScaleEstimate, estimate_scale
from erythron.synthetic.field import DrawnFieldSpec, draw_field

Pixels = NDArray[np.uint8]

FOLDERS = {
    "marrow-field": "marrow-field",
    "bccd": "bccd",
    "bcisc fields": "bcisc/original-images",
    "bcisc crops": "bcisc/sub-images/images",
    "pbc-acevedo": "pbc-acevedo",
    "pathology-bites": "pathology-bites-cells",
    "segmentation_WBC": "segmentation_WBC/Dataset 1",
}
PHOTOGRAPHS = {"marrow-field": "*.png", "pathology-bites": "*.png", "segmentation_WBC": "*.bmp"}
DRAWN_MPP = (0.1, 0.15, 0.2, 0.25, 0.3, 0.4)
MIN_BOXES = 4
NEAR_PX = 20


def read_rgb(path: Path) -> Pixels:
    """Read an image."""
    return np.asarray(Image.open(path).convert("RGB"))


def compare_set(name: str, paths: list[Path]) -> dict[str, ScaleEstimate]:
    """Estimate every image of a set, print a line and return the estimates by name of image."""
    found, took = {}, []
    for path in paths:
        rgb = read_rgb(path)
        start = time.process_time()
        estimate = estimate_scale(rgb)
        took.append(1000 * (time.process_time() - start))
        if estimate is not None:
            found[path.stem] = estimate
    line = f"{name:<17} answered {len(found)} of {len(paths)}, {np.median(took):.0f} ms of processor"
    if found:
        mpp = np.array([e.mpp for e in found.values()])
        median = float(np.median(mpp))
        inside = np.mean([e.mpp_low <= median <= e.mpp_high for e in found.values()])
        cells = np.median([e.red_cells for e in found.values()])
        line += (
            f"; {RED_CELL_UM / median:.1f} px a red cell, {median:.4f} um/px, {cells:.0f} cells an image; "
            f"spread {np.std(np.log(mpp)):.3f}, intervals that hold the median {inside:.2f}"
        )
    print(line, flush=True)
    return found


def read_boxes(path: Path, name: str) -> NDArray[np.float64]:
    """Return the boxes of one kind of cell that no border cuts, (N, 4): left, top, right, bottom."""
    root = ElementTree.parse(path).getroot()  # noqa: S314 - a local file of a public set
    sides = ("xmin", "ymin", "xmax", "ymax")
    boxes = [
        [float(box.findtext(f"bndbox/{side}", "nan")) for side in sides]
        for box in root.iter("object")
        if box.findtext("name") == name
    ]
    kept = [b for b in boxes if b[0] > 2 and b[1] > 2 and b[2] < 638 and b[3] < 478]
    return np.array(kept).reshape(-1, 4)


def measure_margins(boxes: NDArray[np.float64], mask: Path) -> Iterator[float]:
    """Yield by how much boxes of white cells exceed the drawn cells in them."""
    labels, _ = ndimage.label(np.asarray(Image.open(mask).convert("L")) > 64)
    for rows, columns in ndimage.find_objects(labels):
        height, width = rows.stop - rows.start, columns.stop - columns.start
        middle = np.array([columns.start + columns.stop, rows.start + rows.stop]) / 2
        near = np.abs((boxes[:, :2] + boxes[:, 2:]) / 2 - middle).max(axis=1) < NEAR_PX
        for box in boxes[near & (min(height, width) > 2 * NEAR_PX)]:
            yield float((box[2] - box[0] - width + box[3] - box[1] - height) / 2)


def compare_boxes(data: Path, found: dict[str, ScaleEstimate]) -> None:
    """Print how far the estimates lie from the boxes of ``bccd``."""
    folder = data / "bccd/BCCD/Annotations"
    margins: list[float] = []
    widths: dict[str, float] = {}
    for stem in found:
        mask = data / "bccd-masks" / f"{stem.replace('Image_', 'Image_Mask_')}.png"
        if mask.exists():
            margins.extend(measure_margins(read_boxes(folder / f"{stem}.xml", "WBC"), mask))
        boxes = read_boxes(folder / f"{stem}.xml", "RBC")
        if len(boxes) >= MIN_BOXES:
            sides = (boxes[:, 2:] - boxes[:, :2]).mean(axis=1)
            widths[stem] = float(np.median(sides))
    margin = float(np.median(margins))
    error = np.log([RED_CELL_UM / found[s].mpp / (widths[s] - margin) for s in widths])
    print(
        f"  against boxes less their margin of {margin:.0f} px ({len(margins)} white cells): {len(error)} "
        f"images, median {np.median(error):+.3f}, spread {np.std(error):.3f} (natural logarithm of diameter)"
    )


def compare_drawn() -> None:
    """Print estimates on drawn fields."""
    for mpp in DRAWN_MPP:
        estimates = [
            estimate_scale(draw_field(DrawnFieldSpec(700, 500, mpp=mpp, seed=seed)).rgb) for seed in range(5)
        ]
        ratios = [round(e.mpp / mpp, 3) for e in estimates if e is not None]
        print(f"drawn at {mpp} um/px: estimate over truth {ratios}", flush=True)


def main() -> None:
    """Measure every set under the data folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parser.add_argument("--every", type=int, default=1, help="measure every n-th image of a set")
    options = parser.parse_args()
    for name, folder in FOLDERS.items():
        paths = sorted((options.data / folder).rglob(PHOTOGRAPHS.get(name, "*.jpg")))
        found = compare_set(name, paths[:: options.every])
        if name == "bccd":
            compare_boxes(options.data, found)
    compare_drawn()


if __name__ == "__main__":
    main()
