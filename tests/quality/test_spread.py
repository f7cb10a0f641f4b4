"""Areas that are fit to count in, and those that are not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from erythron.quality.spread import AreaFitness, AreaTraits, judge_spread, measure_spread
from erythron.read.fields import read_image
from erythron.read.light import estimate_background
from erythron.synthetic.field import DrawnFieldSpec, draw_field

FIELD = draw_field(DrawnFieldSpec(768, 768, seed=8)).rgb
GLASS = estimate_background(FIELD)


def test_a_spread_field_is_fit_and_one_without_nuclei_has_few_cells() -> None:
    assert judge_spread(measure_spread(FIELD, GLASS, 0.25)) is AreaFitness.FIT
    blood = draw_field(DrawnFieldSpec(768, 768, seed=8, cells_per_mm2=0)).rgb
    assert judge_spread(measure_spread(blood, GLASS, 0.25)) is AreaFitness.FEW_CELLS
    empty = np.tile(GLASS.astype(np.uint8), (768, 768, 1))
    assert judge_spread(measure_spread(empty, GLASS, 0.25)) is AreaFitness.FEW_CELLS


def test_out_of_focus_and_thick_areas_are_unreadable() -> None:
    blurred = ndimage.gaussian_filter(FIELD, (4, 4, 0))
    assert judge_spread(measure_spread(blurred, GLASS, 0.25)) is AreaFitness.UNREADABLE
    thick = (FIELD * 0.3).astype(np.uint8)
    assert judge_spread(measure_spread(thick, GLASS, 0.25)) is AreaFitness.UNREADABLE


@pytest.mark.parametrize(
    ("traits", "fitness"),
    [
        (AreaTraits(0.25, 0.02, 0.01), AreaFitness.FIT),
        (AreaTraits(0.25, 0.02, 0.009), AreaFitness.FEW_CELLS),
        (AreaTraits(0.26, 0.02, 0.01), AreaFitness.UNREADABLE),
        (AreaTraits(0.0, 0.019, 0.01), AreaFitness.UNREADABLE),
        (AreaTraits(0.0, 0.5, 0.51), AreaFitness.UNREADABLE),
    ],
)
def test_limits(traits: AreaTraits, fitness: AreaFitness) -> None:
    assert judge_spread(traits) is fitness


@pytest.mark.real_data
def test_real_marrow_is_fit_and_real_blood_has_few_cells(data_dir: Path) -> None:
    marrow = [
        data_dir / "marrow-field" / "marrow-field-left.png",
        *sorted((data_dir / "marrow-fields").glob("*.jpg")),
    ]
    for path in marrow:
        image = read_image(path)
        assert judge_spread(measure_spread(image.rgb, image.background, 0.25)) is AreaFitness.FIT, path.name
    image = read_image(sorted((data_dir / "bccd").rglob("*.jpg"))[0])
    assert judge_spread(measure_spread(image.rgb, image.background, 0.083)) is AreaFitness.FEW_CELLS
