"""What the shipped model and segmenter reach on real images; limits lie under the measured figures."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.classify.framing import outline_crop
from erythron.pipeline.field import Model, count_field, load_networks
from erythron.pipeline.settings import choose_settings
from erythron.read.fields import read_image
from erythron.segment.segmenter import load_segmenter
from erythron.shape.mask import NUCLEUS_VALUE, render_mask

pytestmark = pytest.mark.real_data


def test_cells_of_a_marrow_field_are_found_and_told_by_lineage(data_dir: Path) -> None:
    folder = data_dir / "marrow-field"
    truth = json.loads((folder / "marrow-field-left.json").read_text())
    bundle = load_bundle()
    networks = load_networks(bundle)
    model = Model(bundle, choose_settings(bundle), lambda: networks)
    found = count_field(read_image(folder / "marrow-field-left.png"), model).cells
    erythroid = {c.name for c in ERYTHROID_STAGES}
    calls = list(found.select("x_px", "y_px", "label").iter_rows())
    taken: set[int] = set()
    right = sure = matched = 0
    whole = [cell for cell in truth["cells"] if not cell["edge"]]
    for cell in whole:
        distances = [
            np.inf if i in taken else np.hypot(x - cell["x"], y - cell["y"])
            for i, (x, y, _) in enumerate(calls)
        ]
        nearest = int(np.argmin(distances))
        if distances[nearest] > cell["d"] / 2:
            continue
        taken.add(nearest)
        matched += 1
        if cell["confidence"] == "high" and cell["label"] != "unsure":
            sure += 1
            right += (cell["label"] != "other") == (calls[nearest][2] in erythroid)
    assert matched / len(whole) >= 0.8
    assert right / sure >= 0.75


def test_the_central_marrow_cell_is_outlined(data_dir: Path) -> None:
    crops = data_dir / "pathology-bites-cells" / "public" / "images" / "cells"
    bundle = load_bundle()
    segmenter = load_segmenter(bundle)
    cell_dice, nucleus_dice = [], []
    drawn = sorted((data_dir / "marrow-masks").glob("*.png"))
    assert len(drawn) >= 50
    for path in drawn[::3]:
        truth = np.asarray(Image.open(path).convert("L"))
        found = outline_crop(read_image(crops / path.name), segmenter, bundle.card.framing)
        mask = render_mask([] if found is None else [found], *truth.shape)
        cell_dice.append(dice(truth > 64, mask > 0))
        nucleus_dice.append(dice(truth > 200, mask == NUCLEUS_VALUE))
    # The shipped outliner was fitted to these outlines: this asks whether the path works.
    assert np.mean(cell_dice) >= 0.92
    assert np.mean(nucleus_dice) >= 0.92


def dice(truth: np.ndarray, found: np.ndarray) -> float:
    return 2 * float((truth & found).sum()) / max(float(truth.sum() + found.sum()), 1)
