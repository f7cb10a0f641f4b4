from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl

from erythron.train.classifier.fine_tuned.cell_set import prepare_cells
from erythron.train.classifier.fine_tuned.copies import add_copies
from erythron.train.recipe import FineTunedRecipe


def test_copies_are_turned_evenly_and_keep_label_and_group(
    tiny: FineTunedRecipe, drawn_rows: pl.DataFrame, cell_cache: Path
) -> None:
    cells = (
        prepare_cells(drawn_rows, "label", tiny.inputs, cell_cache).take_split("train").select_planes((0, 1))
    )
    count = len(cells.labels)
    more = add_copies(cells, 3)
    assert len(more.labels) == more.rows.height == len(more.has_cell) == len(more.inputs) == 4 * count
    np.testing.assert_array_equal(more.labels, np.tile(cells.labels, 4))
    assert more.rows["group"].to_list() == cells.rows["group"].to_list() * 4
    np.testing.assert_array_equal(more.pixels[:count], cells.pixels)
    # The second of three copies is a half turn; image and mask turn together.
    for name in ("pixels", "masks"):
        turned = getattr(more, name)[2 * count : 3 * count].astype(int)
        plain = getattr(cells, name)[:, ::-1, ::-1].astype(int)
        assert np.abs(turned - plain).max() <= 1, name
    assert add_copies(cells, 0) is cells
    bare = add_copies(cells.select_planes(()), 1)
    assert bare.masks.shape[-1] == 0
