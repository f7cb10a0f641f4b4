"""What the image of a counted field shows of its quality."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import ModelCard
from erythron.cells.outline import CellOutline
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.quality.image import judge_image, measure_stain, measure_unlike
from erythron.read.image import ScaleSource, SmearImage
from erythron.shape.measure import measure_cells

BACKGROUND = np.array([240, 230, 220], np.float32)
LIGHTS = [name for name in MEASUREMENT_INPUTS if "_light_" in name]


@pytest.fixture(scope="module")
def card() -> ModelCard:
    return load_bundle(None).card


def draw_field(
    card: ModelCard, *, deviations: dict[str, float] | None = None, count: int = 12
) -> tuple[SmearImage, pl.DataFrame]:
    """Cells of the training cells' mean colours, some of them off by standard deviations, on glass."""
    stated = {m.name: m for m in card.measurements}
    colours = [stated[name].mean + (deviations or {}).get(name, 0.0) * stated[name].sd for name in LIGHTS]
    nucleus_colour, cytoplasm_colour = np.array(colours).reshape(2, 3) * BACKGROUND
    rgb = np.full((200, 300, 3), BACKGROUND, np.uint8)
    y, x = np.mgrid[:31, :31]
    cell, nucleus = np.hypot(y - 15, x - 15) < 15, np.hypot(y - 15, x - 15) < 9
    outlines = []
    for i in range(count):
        left, top = 10 + 45 * (i % 6), 10 + 60 * (i // 6)
        window = rgb[top : top + 31, left : left + 31]
        window[cell] = np.rint(cytoplasm_colour).clip(0, 255)
        window[nucleus] = np.rint(nucleus_colour).clip(0, 255)
        outlines.append(CellOutline(left, top, cell, nucleus, 1.0))
    image = SmearImage("a.png", rgb, 0.25, ScaleSource.OPTION)
    measured = measure_cells(rgb, outlines, 0.25)
    return image, measured.with_columns(novelty=pl.lit(0.5), label=pl.lit("granulocyte"))


def test_inputs_of_the_model_name_six_colours(card: ModelCard) -> None:
    assert len(LIGHTS) == 6
    assert set(LIGHTS) <= {m.name for m in card.measurements}


def test_cells_of_the_training_colours_are_at_no_distance(card: ModelCard) -> None:
    image, cells = draw_field(card)
    np.testing.assert_array_equal(image.background, BACKGROUND)
    assert measure_stain(cells, image.background, card) == pytest.approx(0, abs=0.06)


@pytest.mark.parametrize("name", LIGHTS)
@pytest.mark.parametrize("off", [-1.0, 0.8])
def test_the_distance_is_that_of_the_colour_that_is_furthest_off(
    card: ModelCard, name: str, off: float
) -> None:
    image, cells = draw_field(card, deviations={name: off})
    assert measure_stain(cells, image.background, card) == pytest.approx(abs(off), abs=0.06)


def test_the_median_cell_is_judged_so_a_few_odd_ones_change_nothing(card: ModelCard) -> None:
    image, cells = draw_field(card)
    odd = cells.with_columns(
        nucleus_mean_red=pl.when(pl.int_range(pl.len()) < 5).then(0.0).otherwise("nucleus_mean_red")
    )
    assert measure_stain(odd, image.background, card) == measure_stain(cells, image.background, card)


def test_fewer_than_ten_cells_say_nothing(card: ModelCard) -> None:
    image, cells = draw_field(card)
    assert measure_stain(cells.head(9), image.background, card) is None
    assert measure_stain(cells.head(10), image.background, card) is not None
    assert measure_unlike(cells.head(9)) is None
    assert measure_unlike(cells.head(10)) == 0.0


def test_the_share_unlike_the_training_is_that_of_the_cells_farther_than_99_per_cent() -> None:
    novelty = [1.01, 7.0, None, 1.0, *[0.3] * 6]
    assert measure_unlike(pl.DataFrame({"novelty": novelty})) == pytest.approx(0.2)


def test_a_model_that_states_no_colours_gives_no_distance(card: ModelCard) -> None:
    image, cells = draw_field(card)
    without = card.model_copy(
        update={"measurements": tuple(m for m in card.measurements if m.name not in LIGHTS)}
    )
    assert measure_stain(cells, image.background, without) is None


def test_an_image_is_judged_by_scale_stain_novelty_and_areas(card: ModelCard) -> None:
    image, cells = draw_field(card)
    found = judge_image(image, cells, card)
    assert found.scale_known
    assert found.stain_distance == measure_stain(cells, image.background, card)
    assert found.unlike_fraction == 0.0
    assert found.left_out == ()
    unlike = cells.with_columns(novelty=pl.lit(1.5))
    assert judge_image(image, unlike, card).unlike_fraction == 1.0
    unknown = replace(image, mpp=None, mpp_source=ScaleSource.UNKNOWN)
    assert not judge_image(unknown, cells, card).scale_known


def test_an_image_that_is_too_thick_in_part_has_that_area(card: ModelCard) -> None:
    rgb = np.random.default_rng(1).integers(228, 233, (480, 720, 3)).astype(np.uint8)
    rgb[:, 400:] = np.random.default_rng(1).integers(5, 50, (480, 320, 3))
    image = SmearImage("a.png", rgb, 0.25, ScaleSource.OPTION)
    _, cells = draw_field(card)
    found = judge_image(image, cells.clear(), card)
    assert [area.cause for area in found.left_out] == ["too_thick"]
    assert (found.stain_distance, found.unlike_fraction) == (None, None)
