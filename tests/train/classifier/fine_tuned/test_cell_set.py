from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.errors import DataError
from erythron.shape.mask import convex_hull
from erythron.train.classifier.fine_tuned.augmentation import MARGIN
from erythron.train.classifier.fine_tuned.cell_set import add_hull, order_classes, prepare_cells
from erythron.train.recipe import InputSettings
from erythron.train.shared.true_masks import read_true_mask

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
    (folder,) = tmp_path.iterdir()
    before = (folder / "pixels.npy").stat().st_mtime_ns
    again = prepare_cells(drawn_rows, "label", INPUTS, tmp_path)
    assert (folder / "pixels.npy").stat().st_mtime_ns == before
    assert np.array_equal(again.pixels, cells.pixels)
    prepare_cells(drawn_rows, "label", InputSettings(px=48, mpp=0.8), tmp_path)
    assert len(list(tmp_path.iterdir())) == 2


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
    assert found.cell.sum() == 400
    assert found.nucleus.sum() == 100
    only_cell = read_true_mask({**row, "mask_kind": "cell"}, rgb)
    assert only_cell.cell.sum() == 400
    assert (only_cell.nucleus[rgb[..., 0] == 50] == 1).all()
    with pytest.raises(DataError, match="40x40, its image 20x20"):
        read_true_mask(row, rgb[:20, :20])
    with pytest.raises(DataError, match="mask kind 'ink'"):
        read_true_mask({**row, "mask_kind": "ink"}, rgb)
    boxed = {**row, "x_px": 10, "y_px": 10, "width_px": 20, "height_px": 20}
    assert read_true_mask(boxed, np.zeros((40, 40, 3), np.uint8)).cell.sum() == 400


def test_the_hull_fills_concavities() -> None:
    masks = np.zeros((20, 20, 2), np.uint8)
    masks[5:15, 5:15] = 255
    masks[5:10, 8:12] = 0
    planes = add_hull(masks)
    assert np.array_equal(planes[..., :2], masks)
    assert np.array_equal(planes[..., 2] == 255, convex_hull(masks[..., 1]))
    assert planes[7, 10].tolist() == [0, 0, 255]
