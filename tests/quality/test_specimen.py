"""What is no smear is named by what it shows, and blood by its few nucleated cells."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest
from PIL import Image, ImageDraw

from erythron.quality.specimen import find_other_specimen, measure_blood
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
    columns = {"label": labels, "cell_area_px": [1257] * len(labels), "novelty": [novelty] * len(labels)}
    types = {"label": pl.String, "cell_area_px": pl.Int64, "novelty": pl.Float64}
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
    ("count", "score", "is_refused"), [(5, 0.63, True), (5, 0.8, False), (2, 0.66, True), (1, 0.5, False)]
)
def test_few_cells_must_be_stranger(count: int, score: float, is_refused: bool) -> None:
    """A crowded picture by telephone, five of whose red cells passed for nuclei, got a differential."""
    cells = make_cells(["granulocyte"] * count, 1.5, score)
    assert (find_other_specimen(make_image(draw_smear(0)), cells) is not None) is is_refused


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


def test_few_white_cells_among_many_red_ones_look_like_blood() -> None:
    image = make_image(draw_smear(209))
    found = measure_blood(image, make_cells(["granulocyte"] * 3))
    assert found == pytest.approx(1000 * 3 / 209, rel=0.2)


def test_marrow_does_not_look_like_blood() -> None:
    assert measure_blood(make_image(draw_smear(19)), make_cells(["granulocyte"] * 3)) is None
    erythroid = ["orthochromatic_erythroblast", "granulocyte", "granulocyte"]
    assert measure_blood(make_image(draw_smear(209)), make_cells(erythroid)) is None
    assert measure_blood(make_image(draw_smear(209), None), make_cells(["granulocyte"] * 3)) is None
    assert measure_blood(make_image(draw_smear(209)), make_cells(["platelet"] * 3)) is None
