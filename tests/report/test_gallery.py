"""Crops of cells: the doubtful first, bounded in bytes, with a line around each that leaves it bare."""

from __future__ import annotations

import io

import numpy as np
import polars as pl
import pytest
from PIL import Image
from skimage.draw import polygon2mask

from erythron.cells.outline import render_labels
from erythron.cells.table import count_as, count_as_confirmed
from erythron.report.gallery import SHOWN_PX, choose_cells, cut_gallery
from erythron.report.marks import make_marks

from .conftest import Field


def test_all_cells_are_cut_the_most_doubtful_first(field: Field) -> None:
    gallery = cut_gallery(field.rgb, field.cells, field.marks)
    assert sorted(cell.cell_id for cell in gallery) == sorted(field.cells["cell_id"])
    assert [cell.confidence for cell in gallery] == sorted(cell.confidence for cell in gallery)
    assert cut_gallery(field.rgb, field.cells.clear(), ()) == ()


def test_room_is_given_to_all_classes_alike(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erythron.report.gallery.FIRST_CELLS", 1)
    gallery = cut_gallery(field.rgb, field.cells, field.marks)
    monkeypatch.setattr("erythron.report.gallery.MAX_BYTES", 0)
    first = cut_gallery(field.rgb, field.cells, field.marks)
    assert len(first) == 11
    granulocyte = next(cell for cell in first if cell.group == "granulocyte")
    assert granulocyte.cell_id == field.cells["cell_id"][10]  # the least sure of the two that are classified
    assert choose_cells([*gallery, *gallery]) == first
    size = max(len(cell.crop.data) for cell in gallery)
    monkeypatch.setattr("erythron.report.gallery.MAX_BYTES", size * 3)
    many = choose_cells([*gallery, *gallery])
    assert 11 + 3 <= len(many) < 24
    assert [cell.confidence for cell in many] == sorted(cell.confidence for cell in many)


def test_cells_left_out_are_not_shown_and_unclassified_ones_stand_by_themselves(field: Field) -> None:
    cells = field.cells.with_columns(flags=pl.lit("left_out unclassified")).with_columns(count_as())
    assert cut_gallery(field.rgb, cells, field.marks) == ()
    (last,) = (cell for cell in cut_gallery(field.rgb, field.cells, field.marks) if cell.unclassified)
    assert (last.group, last.label, last.image) == ("unclassified", "granulocyte", "a.png")
    assert last.words.startswith(f"Cell {last.cell_id}. Unclassified, most like granulocyte")


def test_a_cell_that_a_person_called_is_last_and_keeps_what_the_model_said_apart(field: Field) -> None:
    first = field.cells["cell_id"][0]  # the model: proerythroblast 0.90
    called = pl.when(pl.col("cell_id") == first).then(pl.lit("granulocyte")).alias("confirmed_as")
    cells = field.cells.with_columns(called).with_columns(count_as_confirmed())
    gallery = cut_gallery(field.rgb, cells, make_marks(field.rings, cells))
    (cell,) = (cell for cell in gallery if cell.model_label)
    assert cell == gallery[-1]
    assert (cell.group, cell.label, cell.model_label, cell.confidence) == (
        "granulocyte",
        "granulocyte",
        "proerythroblast",
        0.9,
    )
    assert "Granulocyte, by a reader; the model says proerythroblast, confidence 0.90." in cell.words


def test_crops_are_large_enough_to_see_chromatin_and_never_enlarged(field: Field) -> None:
    assert SHOWN_PX >= 128
    for cell in cut_gallery(field.rgb, field.cells, field.marks):
        assert cell.crop.width_px == cell.crop.height_px == min(cell.side_px, 2 * SHOWN_PX)
        assert Image.open(io.BytesIO(cell.crop.data)).size == (cell.side_px, cell.side_px)
    large = np.kron(field.rgb, np.ones((8, 8, 1), np.uint8))
    grown = field.cells.with_columns(pl.col("width_px", "height_px", "x_px", "y_px") * 8)
    assert {c.crop.width_px for c in cut_gallery(large, grown, field.marks)} == {2 * SHOWN_PX}


def test_the_line_around_a_cell_touches_none_of_its_pixels(field: Field) -> None:
    labels = render_labels(field.outlines, 240, 320)[1]
    places = {row["cell_id"]: row for row in field.cells.iter_rows(named=True)}
    numbers = {outline.cell_id: number for number, outline in enumerate(field.outlines, 1)}
    for cell in cut_gallery(field.rgb, field.cells, field.marks):
        row, half = places[cell.cell_id], cell.side_px // 2
        ring = [(y + row["y_px"] - half, x + row["x_px"] - half) for x, y in cell.around]
        inside = polygon2mask((300, 400), np.array(ring) + 20)[20:260, 20:340]
        own = labels == numbers[cell.cell_id]
        assert inside[own].all()
        assert inside.sum() < 1.35 * own.sum()
