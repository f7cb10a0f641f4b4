"""Dice of the package's segmenter beside peers in one run: plain scikit-image and the U-Net of ``cbc`` 1.1.0.

    python benchmarks/segmentation.py [--sets NAME ...] [--methods NAME ...] [--every N] [--model BUNDLE]

Prints for each set and method the mean and the tenth percentile of whole-cell and nucleus Dice over images,
each with a 95 % bootstrap interval (images drawn anew), the images without a cell and the median time; then
the paired difference of the package and each peer. The shipped segmenter was fitted to ``marrow``, ``bcisc``
and ``bccd``: on these its figures are of data that it has seen (the model card has those of
cross-validation), and only ``segmentation_WBC`` is new to it. What ``cbc`` was fitted to is not published; it
gives whole cells without nuclei, and crops are enlarged for it to the size of cells that its script expects.
On crops every method is asked for the central cell.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from data_folder import add_data_option
from numpy.typing import NDArray
from peers import CBC_WEIGHTS, load_cbc, plain
from PIL import Image
from scipy import ndimage

from erythron.bundle.folder import load_bundle
from erythron.datasets.masks import Mask, read_mask
from erythron.datasets.sets import read_set

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Segment = Callable[[Path, Pixels, bool], tuple[Bools | None, Bools]]
"""From file, pixels and whether they are a field, to pixels of nuclei, if known, and of cells."""

ENLARGE_CROPS = 2
"""What crops are enlarged by for ``cbc``, whose script looks for white cells 96 to 240 pixels wide."""

RESAMPLES = 2000


@dataclass(frozen=True)
class Outcome:
    """One method on one set: (N,) Dice, NaN where set or method has no nuclei; empty images; time."""

    cell: NDArray[np.float64]
    nucleus: NDArray[np.float64]
    empty: int
    median_ms: float


def segment_plainly(_: Path, rgb: Pixels, is_field: bool) -> tuple[Bools | None, Bools]:
    """Plain scikit-image; of a crop the cell nearest the centre."""
    nucleus, cell = plain(rgb)
    if is_field or not nucleus.any():
        return nucleus > 0, cell > 0
    chosen = label_nearest(nucleus)
    return nucleus == chosen, cell == chosen


def label_nearest(labels: NDArray[np.integer]) -> int:
    """Return the label that lies nearest the middle."""
    height, width = labels.shape
    away = np.hypot(*np.ogrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2])
    return int(labels.ravel()[np.argmin(np.where(labels > 0, away, np.inf))])


def make_cbc(weights: Path) -> Segment:
    """Return the U-Net as a method."""
    find = load_cbc(weights)

    def segment(_: Path, rgb: Pixels, is_field: bool) -> tuple[Bools | None, Bools]:
        if is_field:
            return None, find(rgb)
        height, width = rgb.shape[:2]
        larger = Image.fromarray(rgb).resize((width * ENLARGE_CROPS, height * ENLARGE_CROPS))
        mask = Image.fromarray(find(np.asarray(larger))).resize((width, height), Image.Resampling.NEAREST)
        labels, count = ndimage.label(np.asarray(mask))
        chosen = label_nearest(labels) if count else 1
        return None, labels == chosen

    return segment


def make_ours(model: Path | None) -> Segment:
    """Return the package's segmenter, at the scale that a count or a classification would take."""
    from erythron.cells.outline import render_labels
    from erythron.classify.framing import outline_crop
    from erythron.pipeline.field import outline_field
    from erythron.read.fields import read_image
    from erythron.segment.segmenter import load_segmenter

    bundle = load_bundle(model)
    segmenter, framing = load_segmenter(bundle), bundle.card.framing

    def segment(path: Path, _: Pixels, is_field: bool) -> tuple[Bools | None, Bools]:
        image = read_image(path)
        if is_field:
            outlines = outline_field(image, lambda: segmenter, framing).outlines
        else:
            central = outline_crop(image, segmenter, framing)
            outlines = () if central is None else (central,)
        nucleus, cell = render_labels(outlines, image.height_px, image.width_px)
        return nucleus > 0, cell > 0

    return segment


@dataclass(frozen=True)
class Annotated:
    """An image, whether it is a field, and what its mask shows."""

    image: Path
    is_field: bool
    mask: Path
    kind: str

    def read_truth(self) -> Mask:
        """Return the mask."""
        return read_mask(self.mask, self.kind)


SETS = {
    "marrow": "pathology-bites-cells",
    "segmentation_WBC": "segmentation_WBC",
    "bcisc": "bcisc",
    "bccd": "bccd",
}
"""Sets with masks, by what the tables call them."""


def list_annotated(data: Path, name: str) -> list[Annotated]:
    """Return every image of a set that has a mask."""
    rows = read_set(SETS[name], data / SETS[name], keep_contradictions=True).rows.drop_nulls("mask_path")
    rows = rows.unique("path", keep="first", maintain_order=True)
    columns = rows.select("path", "x_px", "mask_path", "mask_kind").iter_rows()
    return [Annotated(Path(path), x is not None, Path(mask), kind) for path, x, mask, kind in columns]


def dice(truth: Bools, found: Bools) -> float:
    """Overlap, 2 |A and B| / (|A| + |B|)."""
    return 2 * np.count_nonzero(truth & found) / max(np.count_nonzero(truth) + np.count_nonzero(found), 1)


def measure(segment: Segment, files: list[Annotated]) -> Outcome:
    """Run one method over the images of a set."""
    cell, nucleus, took, empty = [], [], [], 0
    for file in files:
        rgb = np.asarray(Image.open(file.image).convert("RGB"))
        truth = file.read_truth()
        start = time.perf_counter()
        inner, outer = segment(file.image, rgb, file.is_field)
        took.append(1000 * (time.perf_counter() - start))
        empty += not outer.any()
        cell.append(dice(truth.cell, outer if inner is None else inner | outer))
        nucleus.append(np.nan if truth.nucleus is None or inner is None else dice(truth.nucleus, inner))
    return Outcome(np.array(cell), np.array(nucleus), empty, float(np.median(took)))


def bootstrap(
    values: NDArray[np.float64], figure: Callable[[NDArray[np.float64]], NDArray[np.float64]]
) -> str:
    """Return a figure of (N,) values with the 95 % percentile interval over resampled images."""
    if np.isnan(values).any():
        return "-"
    rng = np.random.default_rng(0)
    drawn = values[rng.integers(0, len(values), (RESAMPLES, len(values)))]
    low, high = np.percentile(figure(drawn), [2.5, 97.5])
    return f"{float(figure(values[None])[0]):.3f} ({low:.3f} to {high:.3f})"


def take_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the means of rows."""
    return np.asarray(values.mean(axis=1))


def take_tenth(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the tenth percentiles of rows."""
    return np.asarray(np.percentile(values, 10, axis=1))


def report(name: str, outcomes: dict[str, Outcome]) -> None:
    """Print a set's table and paired differences."""
    for method, found in outcomes.items():
        print(
            f"{name:<17} {method:<13} images {len(found.cell)} empty {found.empty} {found.median_ms:.0f} ms"
        )
        for part, values in (("cell", found.cell), ("nucleus", found.nucleus)):
            print(f"  {part:<8} mean {bootstrap(values, take_mean)}  p10 {bootstrap(values, take_tenth)}")
    ours = outcomes.get("erythron")
    for method, found in outcomes.items():
        if ours is not None and method != "erythron":
            cell = bootstrap(ours.cell - found.cell, take_mean)
            nucleus = bootstrap(ours.nucleus - found.nucleus, take_mean)
            print(f"  erythron less {method}: cell {cell}  nucleus {nucleus}", flush=True)


def main() -> None:
    """Measure every set under the data folder."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parser.add_argument("--every", type=int, default=1, help="measure every n-th image of a set")
    parser.add_argument("--sets", nargs="+", choices=SETS, help="measure only these sets")
    parser.add_argument("--methods", nargs="+", default=["erythron", "scikit-image", "cbc"])
    parser.add_argument("--model", type=Path, help="bundle; by default the one that ships")
    parser.add_argument("--cbc-weights", type=Path, default=CBC_WEIGHTS)
    options = parser.parse_args()
    makers: dict[str, Callable[[], Segment]] = {
        "erythron": lambda: make_ours(options.model),
        "scikit-image": lambda: segment_plainly,
        "cbc": lambda: make_cbc(options.cbc_weights),
    }
    unknown = set(options.methods) - set(makers)
    if unknown:
        parser.error(f"no method {', '.join(sorted(unknown))}; there are {', '.join(makers)}")
    if "cbc" in options.methods and not options.cbc_weights.is_file():
        parser.error(f"{options.cbc_weights} is missing: pip install --no-deps cbc==1.1.0, or leave cbc out")
    methods = {name: makers[name]() for name in options.methods}
    for name in options.sets or SETS:
        files = list_annotated(options.data, name)[:: options.every]
        report(name, {method: measure(segment, files) for method, segment in methods.items()})


if __name__ == "__main__":
    main()
