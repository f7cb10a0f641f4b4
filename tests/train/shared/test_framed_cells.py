from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from erythron.cells.outline import CellOutline
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.errors import DataError
from erythron.read.image import SmearImage
from erythron.shape.mask import convex_hull
from erythron.train.recipe import InputSettings
from erythron.train.shared.framed_cells import (
    add_hull,
    describe_measurements,
    frame_rows,
    make_framing,
)
from erythron.train.shared.true_masks import read_true_mask

INPUTS = InputSettings(px=32, mpp=0.8)


def test_the_hull_fills_concavities() -> None:
    masks = np.zeros((20, 20, 2), np.uint8)
    masks[5:15, 5:15] = 255
    masks[5:10, 8:12] = 0
    planes = add_hull(masks)
    assert np.array_equal(planes[..., :2], masks)
    assert np.array_equal(planes[..., 2] == 255, convex_hull(masks[..., 1]))
    assert planes[7, 10].tolist() == [0, 0, 255]


def test_every_row_is_framed_and_measured_by_what_outlines_it(drawn_rows: pl.DataFrame) -> None:
    rows = drawn_rows.head(6)
    asked: list[int] = []

    def outline(number: int, image: SmearImage) -> CellOutline | None:
        asked.append(number)
        return None if number == 2 else read_true_mask(rows.row(number, named=True), image.rgb)

    cells = frame_rows(rows, INPUTS, 1.5, outline)
    assert asked == list(range(6))
    assert cells.pixels.shape == cells.masks.shape == (6, 48, 48, 3)
    assert cells.has_cell.tolist() == [True, True, False, True, True, True]
    assert np.isnan(cells.inputs[2]).all()
    assert np.isfinite(cells.inputs[cells.has_cell]).all()
    nucleus = cells.inputs[0, MEASUREMENT_INPUTS.index("log_nucleus_diameter_um")]
    # Drawn with a radius of 22 px in 80 px that show 32 um.
    assert nucleus == pytest.approx(np.log(2 * 22 * 32 / 80), abs=0.03)
    taken = cells.take(np.flatnonzero(cells.has_cell))
    assert taken.rows["path"].to_list() == rows["path"].gather([0, 1, 3, 4, 5]).to_list()
    assert len(taken.inputs) == 5


def test_a_row_with_a_box_is_cut_out_of_its_field(drawn_rows: pl.DataFrame) -> None:
    boxed = drawn_rows.head(1).with_columns(x_px=20, y_px=20, width_px=40, height_px=40)
    sizes: list[tuple[int, int]] = []

    def outline(_: int, image: SmearImage) -> CellOutline | None:
        sizes.append((image.width_px, image.height_px))
        return None

    frame_rows(boxed, INPUTS, 1.5, outline)
    assert sizes == [(80, 80)]


def test_an_image_that_cannot_be_read_is_named(drawn_rows: pl.DataFrame) -> None:
    gone = drawn_rows.head(1).with_columns(path=pl.lit("/nowhere/cell.png"))
    with pytest.raises(DataError, match=r"/nowhere/cell\.png.*drop its row"):
        frame_rows(gone, INPUTS, 1.5, lambda _, __: None)


def test_framing_and_statistics_are_those_of_the_settings() -> None:
    framing = make_framing(InputSettings(px=64, mpp=0.3, crop_max_px=100, field_mpp=0.2))
    assert (framing.input_px, framing.input_mpp, framing.crop_max_px, framing.field_mpp) == (
        64,
        0.3,
        100,
        0.2,
    )
    count = len(MEASUREMENT_INPUTS)
    stated = describe_measurements(np.arange(count, dtype=np.float32), np.ones(count, np.float32))
    assert [m.name for m in stated] == list(MEASUREMENT_INPUTS)
    assert stated[3].mean == 3
