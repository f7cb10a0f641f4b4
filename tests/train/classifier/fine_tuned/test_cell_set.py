from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.errors import DataError
from erythron.train.classifier.fine_tuned.augmentation import MARGIN
from erythron.train.classifier.fine_tuned.cell_set import order_classes, prepare_cells
from erythron.train.recipe import InputSettings

INPUTS = InputSettings(px=32, mpp=0.8)


def test_true_masks_frame_the_cell_and_are_stored_once(drawn_rows: pl.DataFrame, tmp_path: Path) -> None:
    cells = prepare_cells(drawn_rows, "label", INPUTS, tmp_path)
    side = round(32 * MARGIN)
    assert cells.pixels.shape == cells.masks.shape == (48, side, side, 3)
    assert cells.has_cell.all()
    nucleus, cell, hull = (cells.masks[..., i] > 127 for i in range(3))
    assert (nucleus <= cell).all()
    assert (cell <= hull).all()
    dark = cells.pixels[0].mean(-1) < 150
    agreement = (dark & nucleus[0]).sum() / (dark | nucleus[0]).sum()
    assert agreement > 0.85
    (folder,) = (p for p in tmp_path.iterdir() if p.is_dir())
    before = (folder / "pixels.npy").stat().st_mtime_ns
    again = prepare_cells(drawn_rows, "label", INPUTS, tmp_path)
    assert (folder / "pixels.npy").stat().st_mtime_ns == before
    assert np.array_equal(again.pixels, cells.pixels)
    prepare_cells(drawn_rows, "label", InputSettings(px=48, mpp=0.8), tmp_path)
    assert sum(p.is_dir() for p in tmp_path.iterdir()) == 2


def test_the_segmenter_outlines_where_no_mask_is_given(drawn_rows: pl.DataFrame, tmp_path: Path) -> None:
    bare = drawn_rows.head(3).with_columns(
        mask_path=pl.lit(None, pl.String), mask_kind=pl.lit(None, pl.String)
    )
    found = prepare_cells(bare, "label", INPUTS, tmp_path)
    true = prepare_cells(drawn_rows.head(3), "label", INPUTS, tmp_path)
    assert found.has_cell.all()
    a, b = found.masks[..., 0] > 127, true.masks[..., 0] > 127
    assert 2 * (a & b).sum() / (a.sum() + b.sum()) > 0.8


def test_an_image_without_a_cell_keeps_its_row_with_an_empty_mask(
    drawn_rows: pl.DataFrame, tmp_path: Path
) -> None:
    Image.new("RGB", (80, 80), (235, 228, 214)).save(tmp_path / "empty.png")
    Image.new("L", (80, 80)).save(tmp_path / "mask.png")
    row = drawn_rows.head(1).with_columns(
        path=pl.lit(str(tmp_path / "empty.png")), mask_path=pl.lit(str(tmp_path / "mask.png"))
    )
    cells = prepare_cells(row, "label", INPUTS, tmp_path / "cache")
    assert cells.has_cell.tolist() == [False]
    assert not cells.masks.any()


def test_classes_are_stages_in_order_then_others_by_name() -> None:
    names = ["monocyte", "orthochromatic_erythroblast", "basophil", "proerythroblast"]
    assert order_classes(names) == (
        "proerythroblast",
        "orthochromatic_erythroblast",
        "basophil",
        "monocyte",
    )


def test_missing_labels_and_columns_are_named(drawn_rows: pl.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column 'stage'"):
        prepare_cells(drawn_rows, "stage", INPUTS, tmp_path)
    gaps = drawn_rows.with_columns(label=pl.lit(None, pl.String))
    with pytest.raises(DataError, match=r"proerythroblast_00\.png"):
        prepare_cells(gaps, "label", INPUTS, tmp_path)
    gone = drawn_rows.head(1).with_columns(path=pl.lit("/nowhere/cell.png"))
    with pytest.raises(DataError, match=r"/nowhere/cell\.png.*drop its row"):
        prepare_cells(gone, "label", INPUTS, tmp_path)
