"""One colour a class, apart for every eye, the stages in order."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from skimage.color import deltaE_ciede2000, rgb2lab

from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES
from erythron.cells.palette import UNCLASSIFIED_COLOUR, Colour, colour_of

# Full deficiency, on linear RGB: Machado et al., IEEE TVCG 2009, doi 10.1109/TVCG.2009.113.
DEFICIENCIES = {
    "none": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}


def see(colour: Colour, deficiency: str) -> NDArray[np.float64]:
    """CIELAB of a colour as an eye with the deficiency sees it."""
    srgb = np.asarray(colour, dtype=np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(DEFICIENCIES[deficiency] @ linear, 0, 1)
    encoded = np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)
    return rgb2lab(encoded[None, None])[0, 0]


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_classes_stay_apart(deficiency: str) -> None:
    colours = {c.name: colour_of(c.name) for c in DEFAULT_CLASSES} | {"unclassified": UNCLASSIFIED_COLOUR}
    for (first, a), (second, b) in combinations(colours.items(), 2):
        distance = float(deltaE_ciede2000(see(a, deficiency), see(b, deficiency)))
        assert distance > 8, f"{first} and {second} look alike: {distance:.1f}"


@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_stages_grow_lighter_with_maturation(deficiency: str) -> None:
    lightness = [see(colour_of(c.name), deficiency)[0] for c in ERYTHROID_STAGES]
    assert all(later - earlier > 8 for earlier, later in pairwise(lightness))


def test_a_class_outside_the_default_ones_keeps_its_colour() -> None:
    assert colour_of("megakaryocyte") == colour_of("megakaryocyte")
    assert colour_of("megakaryocyte") not in {colour_of(c.name) for c in DEFAULT_CLASSES}
