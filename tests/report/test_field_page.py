"""What the page shows of a field: its picture, every outline and its doubtful cells, and back from JSON."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image
from pydantic import TypeAdapter

from erythron.report.field_page import make_field_page
from erythron.report.model import FieldPage

from .conftest import Field


@pytest.fixture
def page(field: Field) -> FieldPage:
    return make_field_page(field.rgb, field.cells, field.rings, 1)


def test_a_field_page_shows_the_bare_field_and_every_cell(field: Field, page: FieldPage) -> None:
    ids = field.cells["cell_id"].to_list()
    assert [mark.cell_id for mark in page.marks] == ids
    assert [mark.group for mark in page.marks] == field.cells["counted_as"].to_list()
    assert sorted(cell.cell_id for cell in page.gallery) == sorted(ids)
    picture = np.asarray(Image.open(io.BytesIO(page.picture.data)))
    assert picture.shape == (240, 320, 3)
    assert (page.picture.width_px, page.picture.height_px) == (320, 240)
    # No outline is painted in: the page draws them over it.
    assert np.abs(picture.astype(int) - field.rgb).max() <= 3


def test_no_cells_make_a_page_of_the_picture_alone(field: Field) -> None:
    page = make_field_page(field.rgb, field.cells.clear(), [], 1)
    assert (page.marks, page.gallery) == ((), ())
    assert page.picture.data


def test_the_more_fields_the_smaller_each_picture() -> None:
    noise = np.random.default_rng(0).integers(0, 255, (900, 1400, 3), dtype=np.uint8)
    cells = Field().cells.clear()
    one, many = (make_field_page(noise, cells, [], n).picture for n in (1, 24))
    assert len(many.data) < len(one.data)


def test_a_field_page_comes_back_from_json_as_it_was(page: FieldPage) -> None:
    adapter = TypeAdapter(FieldPage)
    assert adapter.validate_json(adapter.dump_json(page)) == page
