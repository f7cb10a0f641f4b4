"""Cells of the marrow field found and told by lineage, beside plain scikit-image in the same run.

The lines "found" are what the card of the bundle states as ``detection``.

A call matches the nearest reference cell whose centre lies within half that cell's diameter, nearest first.
Calls inside the reference's ignored polygons do not count, nor does a missed cell that the border cuts.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

import numpy as np
from data_folder import add_data_option
from numpy.typing import NDArray
from peers import plain
from skimage.draw import polygon2mask
from skimage.measure import regionprops

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.differential.intervals import clopper_pearson
from erythron.pipeline.field import Model, count_field, load_networks
from erythron.pipeline.settings import choose_settings
from erythron.read.fields import read_image

SHORT_STAGES = ("proerythroblast", "basophilic", "polychromatic", "orthochromatic")
"""Stages as the reference writes them, in order of maturation."""


def match(reference: list[dict[str, Any]], centres: NDArray[np.float64]) -> dict[int, int]:
    """Return for each matched reference cell its call."""
    pairs: dict[int, int] = {}
    place = np.array([(cell["x"], cell["y"]) for cell in reference])
    distance = np.hypot(*(place[:, None] - centres[None]).transpose(2, 0, 1))
    allowed = distance <= np.array([cell["d"] for cell in reference])[:, None] / 2
    for i, j in sorted(np.argwhere(allowed).tolist(), key=lambda ij: distance[ij[0], ij[1]]):
        if i not in pairs and j not in pairs.values():
            pairs[i] = j
    return pairs


def describe(name: str, reference: list[dict[str, Any]], centres: NDArray[np.float64]) -> dict[int, int]:
    """Print recall, precision and F1 of one method and return its matches."""
    pairs = match(reference, centres)
    whole = [i for i, cell in enumerate(reference) if not cell["edge"]]
    recall, precision = sum(i in pairs for i in whole) / len(whole), len(pairs) / len(centres)
    f1 = 2 * recall * precision / (recall + precision)
    print(f"{name:<20} calls {len(centres)}  recall {recall:.3f}  precision {precision:.3f}  F1 {f1:.3f}")
    return pairs


def main() -> None:
    """Run both methods and print their figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    add_data_option(parser)
    parser.add_argument("--mpp", type=float, help="microns per pixel; by default as a count finds it")
    options = parser.parse_args()
    folder = options.data / "marrow-field"
    truth = json.loads((folder / "marrow-field-left.json").read_text())
    image = read_image(folder / "marrow-field-left.png", options.mpp)
    shape = image.rgb.shape[:2]
    ignored = np.zeros(shape, np.bool_)
    for polygon in truth["ignore"]:
        ignored |= polygon2mask(shape, np.array(polygon)[:, ::-1])

    def is_kept(x: float, y: float) -> bool:
        return not ignored[min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)]

    reference = [cell for cell in truth["cells"] if is_kept(cell["x"], cell["y"])]
    nucleus, _ = plain(image.rgb)
    centres = [region.centroid[::-1] for region in regionprops(nucleus)]
    describe("plain scikit-image", reference, np.array([c for c in centres if is_kept(*c)]))

    bundle = load_bundle()
    networks = load_networks(bundle)
    table = count_field(image, Model(bundle, choose_settings(bundle), lambda: networks)).cells
    rows = [row for row in table.select("x_px", "y_px", "label").rows() if is_kept(row[0], row[1])]
    pairs = describe("erythron", reference, np.array([row[:2] for row in rows]))
    for lineage in ("erythroid", "other"):
        drawn = [i for i, cell in enumerate(reference) if not cell["edge"] and find_lineage(cell) == lineage]
        show(f"found, {lineage}", [i in pairs for i in drawn])
    stages = [c.name for c in ERYTHROID_STAGES]
    known = [i for i in pairs if reference[i]["label"] != "unsure"]
    truth_erythroid = {i: reference[i]["label"] != "other" for i in known}
    called_erythroid = {i: rows[pairs[i]][2] in stages for i in known}
    sure = [i for i in known if reference[i]["confidence"] != "low"]
    show("lineage right, sure cells", [truth_erythroid[i] == called_erythroid[i] for i in sure])
    show("erythroid, reference", list(truth_erythroid.values()))
    show("erythroid, called", list(called_erythroid.values()))
    staged = [i for i in known if called_erythroid[i] and reference[i]["label"] in SHORT_STAGES]
    right = [stages.index(rows[pairs[i]][2]) == SHORT_STAGES.index(reference[i]["label"]) for i in staged]
    show("stage right", right)


def find_lineage(cell: dict[str, Any]) -> str:
    """Return ``erythroid``, ``other`` or ``unsure`` of a cell of the reference."""
    label = str(cell["label"])
    return label if label in ("other", "unsure") else "erythroid"


def show(name: str, outcomes: list[bool]) -> None:
    """Print a share with its exact 95 % interval."""
    count, total = sum(outcomes), len(outcomes)
    low, high = clopper_pearson(count, total)
    print(f"{name:<26} {count} of {total}: {count / total:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
