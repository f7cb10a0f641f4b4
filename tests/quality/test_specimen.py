"""What is no smear is named by what it shows; the cells in view are counted."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from erythron.quality.specimen import find_other_specimen, measure_cells_in_view
from erythron.read.image import ScaleSource, SmearImage

GLASS = (238, 236, 240)
RED, NUCLEUS = (200, 140, 135), (90, 50, 130)


def make_image(rgb: np.ndarray, mpp: float | None = 0.2) -> SmearImage:
    source = ScaleSource.UNKNOWN if mpp is None else ScaleSource.NUCLEI
    return SmearImage("field.png", rgb.astype(np.uint8), mpp, source)


def draw_smear(red_cells: int) -> np.ndarray:
    """Glass with nuclei of 40 px and red cells of 36 px (7.2 um at 0.2), so close that they overlap."""
    picture = Image.new("RGB", (700, 500), GLASS)
    pen = ImageDraw.Draw(picture)
    for i in range(red_cells):
        x, y = 10 + 34 * (i % 19), 10 + 34 * (i // 19)
        pen.ellipse((x, y, x + 36, y + 36), fill=RED)
    for i in range(3):
        pen.ellipse((40 + 200 * i, 430, 80 + 200 * i, 470), fill=NUCLEUS)
    return np.asarray(picture)


def make_cells(labels: list[str], novelty: float | None = None, score: float = 0.8) -> pl.DataFrame:
    columns = {
        "label": labels,
        "cytoplasm_area_px": [0] * len(labels),
        "novelty": [novelty] * len(labels),
        "flags": [""] * len(labels),
    }
    types = {"label": pl.String, "cytoplasm_area_px": pl.Int64, "novelty": pl.Float64, "flags": pl.String}
    return pl.DataFrame(columns, schema=types).with_columns(pl.lit(score).alias("outline_score"))


def test_a_smear_is_none_of_it() -> None:
    assert find_other_specimen(make_image(draw_smear(60)), make_cells(["granulocyte"] * 12)) is None


def test_a_picture_without_empty_glass_is_a_clot() -> None:
    rng = np.random.default_rng(0)
    rgb = np.clip(np.array((50, 55, 150)) + rng.normal(0, 12, (200, 200, 1)), 0, 255)
    why = find_other_specimen(make_image(rgb), make_cells([]))
    assert why is not None
    assert "clot" in why


def test_a_brown_picture_is_no_smear() -> None:
    rgb = np.full((200, 200, 3), (170, 110, 60))
    rgb[:40] = 240
    why = find_other_specimen(make_image(rgb), make_cells([]))
    assert why is not None
    assert "brown" in why


@pytest.mark.parametrize(
    ("novelty", "score", "is_refused"),
    [(1.5, 0.7, True), (1.5, 0.9, False), (0.5, 0.66, False), (None, 0.66, False)],
)
def test_cells_unlike_those_of_smears_and_without_clear_outline_are_of_something_else(
    novelty: float | None, score: float, is_refused: bool
) -> None:
    cells = make_cells(["granulocyte"] * 12, novelty, score)
    assert (find_other_specimen(make_image(draw_smear(0)), cells) is not None) is is_refused


@pytest.mark.parametrize(
    ("count", "score", "is_refused"), [(5, 0.63, True), (5, 0.8, False), (3, 0.66, False), (1, 0.5, False)]
)
def test_few_cells_must_be_stranger(count: int, score: float, is_refused: bool) -> None:
    """A crowded picture by telephone, five of whose red cells passed for nuclei, got a differential.

    And a crop of 200 px of a marrow field, with three whole cells, was refused.
    """
    cells = make_cells(["granulocyte"] * count, 1.5, score)
    assert (find_other_specimen(make_image(draw_smear(0)), cells) is not None) is is_refused


def test_cells_that_the_border_cuts_do_not_make_a_small_picture_strange() -> None:
    """Crops of 200 px of a marrow field, of whose dozen cells half were cut, were refused."""
    cut = make_cells(["granulocyte"] * 12, 1.5, 0.6).with_columns(flags=pl.lit("touches_edge"))
    whole = make_cells(["granulocyte"] * 6, 1.5, 0.82)
    assert find_other_specimen(make_image(draw_smear(0)), pl.concat([cut, whole])) is None
    all_whole = pl.concat([cut, whole]).with_columns(flags=pl.lit(""))
    assert find_other_specimen(make_image(draw_smear(0)), all_whole) is not None


def test_a_field_with_red_cells_is_a_smear_whatever_its_cells() -> None:
    picture = Image.new("RGB", (700, 500), GLASS)
    pen = ImageDraw.Draw(picture)
    for i in range(40):
        x, y = 20 + 60 * (i % 10), 20 + 60 * (i // 10)
        pen.ellipse((x, y, x + 36, y + 36), fill=RED)
    cells = make_cells(["granulocyte"] * 12, 1.5, 0.66)
    assert find_other_specimen(make_image(np.asarray(picture)), cells) is None


def test_a_full_picture_in_which_nothing_can_be_made_out_is_no_smear_and_an_empty_one_may_be() -> None:
    full = np.full((500, 500, 3), 150)
    full[:60] = 240
    assert find_other_specimen(make_image(full, None), make_cells([])) is not None
    one_cell = full[:420, :420]
    assert find_other_specimen(make_image(one_cell, None), make_cells([])) is None
    assert find_other_specimen(make_image(full), make_cells([])) is None
    empty = np.full((200, 200, 3), 240)
    empty[:30] = 150
    assert find_other_specimen(make_image(empty, None), make_cells([])) is None


@pytest.mark.parametrize("red_cells", [19, 209])
def test_red_cells_are_counted_by_area_though_they_overlap(red_cells: int) -> None:
    found = measure_cells_in_view(make_image(draw_smear(red_cells)), make_cells(["granulocyte"] * 3))
    assert found is not None
    assert found.nucleated == 3
    assert found.red == pytest.approx(red_cells, rel=0.15)


def test_dark_nuclei_and_a_frame_are_no_red_cells_and_hide_none() -> None:
    """A dark rim of 900 red cells' area made blood of marrow; a large nucleus hid pale red cells."""
    picture = Image.fromarray(draw_smear(209))
    pen = ImageDraw.Draw(picture)
    pen.rectangle((0, 400, 700, 500), fill=(2, 2, 2))
    pen.rectangle((660, 0, 700, 400), fill=NUCLEUS)
    found = measure_cells_in_view(make_image(np.asarray(picture)), make_cells(["granulocyte"]))
    assert found is not None
    assert found.red == pytest.approx(209, rel=0.15)


def test_cytoplasm_of_nucleated_cells_is_no_red_cell() -> None:
    cells = make_cells(["granulocyte"] * 3).with_columns(pl.lit(5000).alias("cytoplasm_area_px"))
    of_none = measure_cells_in_view(make_image(draw_smear(60)), make_cells(["granulocyte"] * 3))
    found = measure_cells_in_view(make_image(draw_smear(60)), cells)
    assert found is not None
    assert of_none is not None
    assert of_none.red - found.red == pytest.approx(15000 / (np.pi / 4 * 36.5**2), abs=0.2)
    every = measure_cells_in_view(make_image(draw_smear(0)), cells)
    assert every is not None
    assert every.red == 0


def test_cells_in_view_are_not_known_without_a_scale_or_at_too_coarse_a_one() -> None:
    for mpp in (None, 0.6):
        assert measure_cells_in_view(make_image(draw_smear(60), mpp), make_cells(["granulocyte"])) is None
    blank = measure_cells_in_view(make_image(np.full((90, 90, 3), 240)), make_cells(["platelet"]))
    assert blank is not None
    assert (blank.nucleated, blank.red) == (0, 0.0)
