"""What is measured once for a slide: its tissue, its light and its scale."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.slides import ArraySlide

from erythron.errors import ImageReadError
from erythron.pipeline.slides.traits import SQUARE_PX, SQUARES, look_over, measure_traits, sample_slide
from erythron.read.box import Box
from erythron.read.image import ScaleSource
from erythron.segment.segmenter import Segmenter
from erythron.synthetic.field import DrawnFieldSpec, draw_field

GLASS = (232, 227, 239)


@pytest.fixture(scope="module")
def slide() -> ArraySlide:
    """A slide that is glass but for its lower right quarter."""
    rgb = np.empty((1600, 2000, 3), np.uint8)
    rgb[:] = GLASS
    rgb[800:, 1000:] = draw_field(DrawnFieldSpec(1000, 800, seed=2)).rgb
    return ArraySlide("slide.tif", rgb)


def refuse() -> Segmenter:
    raise AssertionError("the networks were asked")


def test_tissue_is_told_from_glass(slide: ArraySlide) -> None:
    overview = look_over(slide)
    assert overview.covers(Box(0, 0, 900, 700)) == 0
    assert overview.covers(Box(1100, 900, 1900, 1500)) > 0.1
    assert overview.covers(Box(0, 0, 2000, 1600)) < 0.25


def test_the_sample_is_of_tissue_and_the_same_for_one_seed(slide: ArraySlide) -> None:
    overview = look_over(slide)
    first, again = (sample_slide(slide, overview, 1).rgb for _ in range(2))
    assert np.array_equal(first, again)
    assert first.shape[0] * first.shape[1] <= SQUARES * SQUARE_PX**2
    assert first.min() < 120


def test_an_empty_slide_is_refused() -> None:
    rgb = np.full((900, 900, 3), 235, np.uint8)
    empty = ArraySlide("empty.tif", rgb)
    with pytest.raises(ImageReadError, match="nothing but empty glass"):
        sample_slide(empty, look_over(empty), 0)


def test_a_given_scale_is_taken_and_the_light_is_that_of_the_glass(slide: ArraySlide) -> None:
    given = replace(slide, mpp=0.25, mpp_source=ScaleSource.OPTION)
    traits = measure_traits(sample_slide(given, look_over(given), 0), refuse)
    assert traits.mpp == 0.25
    assert traits.scale is None
    assert np.allclose(traits.glass, GLASS, atol=12)


def test_a_scale_at_which_stages_cannot_be_told_is_refused(slide: ArraySlide) -> None:
    coarse = replace(slide, mpp=0.5, mpp_source=ScaleSource.OPTION)
    with pytest.raises(ImageReadError, match="more magnification"):
        measure_traits(sample_slide(coarse, look_over(coarse), 0), refuse)
