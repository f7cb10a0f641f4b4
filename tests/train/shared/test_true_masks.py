from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.errors import DataError
from erythron.train.recipe import InputSettings
from erythron.train.shared.true_masks import read_true_mask

INPUTS = InputSettings(px=32, mpp=0.8)


def test_mask_files_are_read_by_their_kind(tmp_path: Path) -> None:
    grey = np.zeros((40, 40), np.uint8)
    grey[10:30, 10:30] = 128
    grey[15:25, 15:25] = 255
    grey[0:3, 0:3] = 255
    file = tmp_path / "mask.png"
    Image.fromarray(grey).save(file)
    rgb = np.full((40, 40, 3), 200, np.uint8)
    rgb[15:25, 15:30] = 50
    row: dict[str, object] = {"mask_path": str(file), "mask_kind": "nucleus_255_cell_128", "x_px": None}
    found = read_true_mask(row, rgb)
    assert found is not None
    assert (found.left, found.top) == (10, 10)
    assert found.cell.sum() == 400
    assert found.nucleus.sum() == 100
    only_cell = read_true_mask({**row, "mask_kind": "cell"}, rgb)
    assert only_cell is not None
    assert only_cell.cell.sum() == 400
    assert only_cell.nucleus[rgb[10:30, 10:30, 0] == 50].all()
    with pytest.raises(DataError, match="40x40, its image 20x20"):
        read_true_mask(row, rgb[:20, :20])
    with pytest.raises(DataError, match="mask kind 'ink'"):
        read_true_mask({**row, "mask_kind": "ink"}, rgb)
    boxed = {**row, "x_px": 10, "y_px": 10, "width_px": 20, "height_px": 20}
    in_box = read_true_mask(boxed, np.zeros((40, 40, 3), np.uint8))
    assert in_box is not None
    assert in_box.cell.sum() == 400
