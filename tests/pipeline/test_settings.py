"""What a differential is made with: matrix of the bundle, ranges, and cells in areas left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from erythron.segment.segmentation import Segmentation

from erythron.bundle.folder import load_bundle
from erythron.differential.counts import LeftOutArea
from erythron.errors import DataError
from erythron.pipeline.field import FieldCells
from erythron.pipeline.options import RunOptions
from erythron.pipeline.settings import choose_settings, leave_out_cells, make_confusion
from erythron.quality.flags import FieldQuality
from erythron.read.image import ScaleSource, SmearImage


def test_the_shipped_matrix_is_of_the_nucleated_classes_with_unclassified_cells_apart() -> None:
    card = load_bundle().card
    found = make_confusion(card)
    assert found.has_unclassified
    assert found.true_classes == found.calls == tuple(c.name for c in card.classes[:-1])
    confident = card.cross_validation.confident_confusion
    assert confident is not None
    assert found.cells == card.cross_validation.cells - sum(row[-2] for row in confident)
    assert [row[-1] for row in found.counts] == [row[-1] for row in confident]


def test_a_bundle_of_an_older_version_has_no_column_of_unclassified_cells() -> None:
    card = load_bundle().card
    older = card.cross_validation.model_copy(update={"confident_confusion": None})
    found = make_confusion(card.model_copy(update={"cross_validation": older}))
    assert not found.has_unclassified
    assert [sum(row) for row in found.counts] == [sum(row[:-1]) for row in older.confusion]


def test_a_laboratory_replaces_the_shipped_ranges(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('[left_shift]\nhigh = 0.1\npopulation = "adults"\nsource = "our laboratory"\n')
    bundle = load_bundle()
    assert set(choose_settings(bundle, RunOptions(reference=own)).references) == {"left_shift"}
    assert "me_ratio" in choose_settings(bundle, RunOptions()).references
    own.write_text("[nothing]\nhigh = 1\n")
    with pytest.raises(DataError, match="nothing"):
        choose_settings(bundle, RunOptions(reference=own))


def test_cells_in_an_area_left_out_keep_their_flags_and_get_one_more() -> None:
    labels = np.zeros((60, 60), np.int32)
    labels[5:10, 5:10], labels[40:45, 40:45] = 1, 2
    image = SmearImage("1.png", np.zeros((60, 60, 3), np.uint8), None, ScaleSource.UNKNOWN)
    found = FieldCells(
        image, None, Segmentation(labels, labels), pl.DataFrame({"flags": ["unclassified", ""]})
    )
    area = LeftOutArea("out_of_focus", ((0, 0), (20, 0), (20, 20), (0, 20)), 0.1)
    marked = leave_out_cells(found, FieldQuality(left_out=(area,)))
    assert marked.table["flags"].to_list() == ["unclassified;left_out", ""]
    assert leave_out_cells(found, FieldQuality()) is found
