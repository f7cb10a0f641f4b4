"""Cells found in the marrow fields of three laboratories, by a scale that was chosen without each of them.

The segmentation network outlines two nuclei that touch as one where it sees them small. This prints, for each
scale at which it may look at a field and each least stain of a candidate point, how many cells of each field
are found; then, for each field, what the scale and the stain that are best for the other three give in it.
A call matches the nearest reference cell whose centre lies within half that cell's diameter, nearest first.
The last line is what the card of the bundle states as ``detection``. Nothing is trained. F1's interval is
that of as many independent cells as there are calls and drawn cells.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from data_folder import add_data_option
from field import find_lineage, match
from skimage.draw import polygon2mask

from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.classify.calls import call_cells
from erythron.classify.classifier import Classifier
from erythron.differential.intervals import clopper_pearson
from erythron.pipeline.field import outline_field
from erythron.read.fields import read_image
from erythron.read.image import SmearImage
from erythron.segment.segmenter import Segmenter
from erythron.shape.measure import measure_cells

FIELDS = (
    "marrow-field/marrow-field-left.png",
    "marrow-fields/hy_6111_TL.jpg",
    "marrow-fields/hy_6048_BL.jpg",
    "marrow-fields/bmac_3316.jpg",
)
SCALES = (0.24, 0.27, 0.30, 0.33, 0.36)
STAINS = (0.25, 0.30)
LINEAGES = ("erythroid", "other")

Setting = tuple[float, float]
"""Microns per pixel at which the network looks at a field, and least stain of a candidate point."""


@dataclass(frozen=True)
class Found:
    """Counts in one or several fields.

    Attributes:
        drawn: reference cells that no border cuts.
        hit: of these, how many are found.
        erythroid: drawn erythroid cells that no border cuts.
        erythroid_hit: of these, how many are found.
        other: drawn cells of another lineage that no border cuts.
        other_hit: of these, how many are found.
        calls: what was found.
        matched: of that, how much is a reference cell.
    """

    drawn: int
    hit: int
    erythroid: int
    erythroid_hit: int
    other: int
    other_hit: int
    calls: int
    matched: int

    @property
    def f1(self) -> float:
        """Harmonic mean of recall of the drawn cells and precision of the calls."""
        recall, precision = self.hit / self.drawn, self.matched / max(self.calls, 1)
        return 2 * recall * precision / max(recall + precision, 1e-9)

    def __str__(self) -> str:
        """Return F1 with its interval, recall, precision and recall of erythroid cells."""
        low, high = clopper_pearson(self.hit + self.matched, self.drawn + self.calls)
        return (
            f"F1 {self.f1:.3f} ({low:.3f} to {high:.3f})  found {self.hit}/{self.drawn}  right "
            f"{self.matched}/{self.calls}  erythroid {self.erythroid_hit}/{self.erythroid}  other "
            f"{self.other_hit}/{self.other}"
        )


def add(parts: Sequence[Found]) -> Found:
    """Return the counts of several fields together."""
    return Found(*(sum(values) for values in zip(*(vars(p).values() for p in parts), strict=True)))


@dataclass(frozen=True)
class Field:
    """A field, its reference cells outside the ignored polygons, and what is ignored, (H, W) bool."""

    image: SmearImage
    reference: list[dict[str, Any]]
    ignored: np.ndarray[Any, np.dtype[np.bool_]]


def read_field(path: Path) -> Field:
    """Read a field and the reference beside it."""
    truth, image = json.loads(path.with_suffix(".json").read_text()), read_image(path, None)
    shape = image.rgb.shape[:2]
    ignored = np.zeros(shape, np.bool_)
    for polygon in truth.get("ignore", []):
        ignored |= polygon2mask(shape, np.array(polygon)[:, ::-1])
    drawn = [cell for cell in truth["cells"] if not _is_in(ignored, cell["x"], cell["y"])]
    return Field(image, drawn, ignored)


def _is_in(ignored: np.ndarray[Any, np.dtype[np.bool_]], x: float, y: float) -> bool:
    return bool(ignored[min(int(y), len(ignored) - 1), min(int(x), ignored.shape[1] - 1)])


def score(field: Field, centres: list[tuple[float, float]]) -> tuple[Found, dict[int, int]]:
    """Return the counts of a field, and for each matched reference cell its call."""
    pairs = match(field.reference, np.array(centres).reshape(-1, 2))
    whole = [i for i, cell in enumerate(field.reference) if not cell.get("edge")]
    kinds = [find_lineage(field.reference[i]) for i in whole]
    parts = [whole, *([i for i, k in zip(whole, kinds, strict=True) if k == of] for of in LINEAGES)]
    counts = [count for part in parts for count in (len(part), sum(i in pairs for i in part))]
    return Found(*counts, len(centres), len(pairs)), pairs


def main() -> None:
    """Print the grid, what each field says of a choice that it had no part in, and the shipped setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--model", type=Path, help="bundle; by default the one that ships")
    parser.add_argument("--shipped", action="store_true", help="only the settings of the bundle")
    options = parser.parse_args()
    bundle = load_bundle(options.model)
    network, classifier = OpenVinoRuntime(bundle.segmentation_path), Classifier(bundle)
    fields = {Path(name).stem: read_field(options.data / name) for name in FIELDS}

    def count(setting: Setting | None) -> dict[str, Found]:
        changed = {} if setting is None else {"field_window_mpp": setting[0], "field_least_stain": setting[1]}
        segmenter = Segmenter(bundle.card.segmenter.model_copy(update=changed), network)
        found, right = {}, [0, 0]
        for name, field in fields.items():
            outlined = outline_field(field.image, lambda: segmenter, bundle.card.framing)
            mpp = outlined.image.mpp or bundle.card.framing.field_mpp
            measured = measure_cells(outlined.image.rgb, outlined.outlines, mpp)
            kept = [not _is_in(field.ignored, x, y) for x, y in measured.select("x_px", "y_px").rows()]
            centres = measured.filter(kept).select("x_px", "y_px").rows()
            found[name], pairs = score(field, centres)
            if setting is None:
                table = call_cells(outlined.image, outlined.outlines, measured, classifier, is_field=True)
                labels = table.filter(kept)["label"].to_list()
                counted = count_right(field, labels, pairs)
                right = [a + b for a, b in zip(right, counted, strict=True)]
                print(f"{name:<18} {found[name]}  lineage of sure cells {counted[0]}/{counted[1]}")
        if setting is None:
            low, high = clopper_pearson(*right)
            together = f"lineage of sure cells {right[0]}/{right[1]} ({low:.3f} to {high:.3f})"
            print(f"{'together':<18} {add(list(found.values()))}  {together}")
        return found

    print(f"{bundle.card.name} {bundle.card.version}, as it is used")
    count(None)
    if options.shipped:
        return
    grid = {}
    for setting in product(SCALES, STAINS):
        grid[setting] = count(setting)
        each = "  ".join(f"{name} {found.f1:.3f}" for name, found in grid[setting].items())
        print(f"{setting[0]:.2f} um, stain {setting[1]:.2f}:  {each}  {add(list(grid[setting].values()))}")
    held = []
    for name in fields:
        others = [other for other in fields if other != name]
        best = max(grid, key=lambda s: add([grid[s][other] for other in others]).f1)
        held.append(grid[best][name])
        print(f"{name:<18} by the other three {best[0]:.2f} um, stain {best[1]:.2f}:  {held[-1]}")
    print(f"{'together':<18} {add(held)}")


def count_right(field: Field, labels: list[str], pairs: dict[int, int]) -> tuple[int, int]:
    """Return of how many sure cells the lineage is right, and how many there are."""
    stages = [stage.name for stage in ERYTHROID_STAGES]
    sure = [
        i
        for i in pairs
        if field.reference[i]["label"] != "unsure" and field.reference[i]["confidence"] != "low"
    ]
    right = [(field.reference[i]["label"] != "other") == (labels[pairs[i]] in stages) for i in sure]
    return sum(right), len(right)


if __name__ == "__main__":
    main()
