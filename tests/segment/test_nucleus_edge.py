from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from erythron.read.light import BACKGROUND_LEVEL
from erythron.segment import granules
from erythron.segment.nucleus_edge import BAND_UM, follow_stain
from erythron.segment.stain import nuclear_channel

MPP = 0.1
YY, XX = np.mgrid[:120, :120]
CELL = np.hypot(YY - 60, XX - 60) < 45


def disc(radius: float, away: float = 0.0) -> NDArray[np.bool_]:
    return np.hypot(YY - 60, XX - 60 - away) < radius


def paint(nucleus: NDArray[np.bool_]) -> NDArray[np.uint8]:
    light = np.full((120, 120, 3), (235, 235, 240), np.uint8)
    light[CELL] = (165, 160, 205)
    light[nucleus] = (80, 40, 125)
    return light


@pytest.mark.parametrize("drawn", [disc(23), disc(27), disc(25, 2)])
def test_an_outline_a_little_off_moves_to_the_stain(drawn: NDArray[np.bool_]) -> None:
    true = disc(25)
    assert not np.array_equal(drawn, true)
    np.testing.assert_array_equal(follow_stain(drawn, CELL, paint(true), MPP), true)


def test_the_outline_moves_no_further_than_the_band() -> None:
    drawn = disc(25)
    grain = ndimage.gaussian_filter(np.random.default_rng(0).normal(0, 60, (120, 120, 1)), (2, 2, 0))
    light = (paint(disc(30)) + grain).clip(0, 255).astype(np.uint8)
    found = follow_stain(drawn, CELL, light, MPP)
    assert np.count_nonzero(found[drawn]) > 0.98 * np.count_nonzero(drawn)
    assert np.hypot(YY - 60, XX - 60)[found].max() == pytest.approx(25 + BAND_UM / MPP, abs=1)


def test_a_clear_stain_is_followed_further_outwards() -> None:
    assert 25 + BAND_UM / MPP < 29
    np.testing.assert_array_equal(follow_stain(disc(25), CELL, paint(disc(29)), MPP), disc(29))


def test_a_coarse_scale_still_has_a_band_of_a_pixel() -> None:
    found = follow_stain(disc(25), CELL, paint(disc(27)), 1.0)
    assert np.count_nonzero(disc(25)) < np.count_nonzero(found) <= np.count_nonzero(disc(27))


@pytest.mark.parametrize(
    "light",
    [
        paint(np.zeros((120, 120), bool)),
        paint(CELL),
        paint(disc(8, 20)),
        np.zeros((120, 120, 3), np.uint8),
    ],
    ids=["pale", "dark", "elsewhere", "black"],
)
def test_a_stain_that_shows_another_nucleus_is_not_followed(light: NDArray[np.uint8]) -> None:
    np.testing.assert_array_equal(follow_stain(disc(25), CELL, light, MPP), disc(25))


def test_a_rim_of_cytoplasm_too_narrow_to_compare_with_leaves_the_outline() -> None:
    np.testing.assert_array_equal(follow_stain(disc(44), CELL, paint(disc(40)), MPP), disc(44))


def test_granules_that_the_network_took_for_nucleus_are_left_to_the_cytoplasm() -> None:
    lobes = disc(14, -16) | disc(14, 16)
    drawn = lobes | (disc(30) & (YY > 60))
    light = paint(lobes)
    light[CELL & ~lobes] = (190, 95, 150)
    found = follow_stain(drawn, CELL, light, MPP)
    assert np.count_nonzero(drawn & ~lobes) > 0.3 * np.count_nonzero(lobes)
    assert np.count_nonzero(found ^ lobes) < 0.05 * np.count_nonzero(lobes)


def test_open_chromatin_is_not_taken_for_granules(monkeypatch: pytest.MonkeyPatch) -> None:
    nucleus = disc(28)
    pattern = ndimage.gaussian_filter(np.random.default_rng(0).normal(size=CELL.shape), 4)
    pale = np.clip(0.2 + 0.2 * pattern / pattern.std(), 0, 1)[..., None]
    mottled = (1 - pale) * (80, 40, 125) + pale * (165, 160, 205)
    light = np.where(nucleus[..., None], mottled, paint(nucleus)).round().astype(np.uint8)
    stain = nuclear_channel((light / BACKGROUND_LEVEL).astype(np.float32))
    core, cytoplasm = disc(25), CELL & ~disc(31)
    level = float(stain[core].mean() + stain[cytoplasm].mean()) / 2
    regions = granules.Regions(nucleus, CELL, core, cytoplasm, level)
    assert granules.shed_granules(regions, stain, light, MPP) is nucleus
    for name in ("PALE_SHARE", "LEAST_SHED", "LEAST_SEPARATION"):
        monkeypatch.setattr(granules, name, 0.0)
    left = granules.shed_granules(regions, stain, light, MPP)
    assert np.count_nonzero(left) < 0.95 * np.count_nonzero(nucleus)


def paint_three_tones(
    strong: NDArray[np.bool_], middle: tuple[int, int, int], weak: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    light = np.full((120, 120, 3), (235, 235, 240), np.uint8)
    light[CELL] = middle
    light[weak] = (200, 175, 205)
    light[strong] = (80, 40, 125)
    grain = ndimage.gaussian_filter(np.random.default_rng(1).normal(0, 12, (120, 120, 3)), (1, 1, 0))
    blurred = ndimage.gaussian_filter(light.astype(float), (1, 1, 0))
    return np.asarray((blurred + grain).clip(0, 255).astype(np.uint8))


LOBES = disc(13, -18) | disc(13, 18)
HOLLOWS = CELL & ~LOBES & (YY < 44)
DRAWN = LOBES | (disc(31) & (YY > 58) & (XX > 48))


def test_granules_beside_hollows_are_left_to_the_cytoplasm() -> None:
    light = paint_three_tones(LOBES, (165, 75, 110), HOLLOWS)
    found = follow_stain(DRAWN, CELL, light, MPP)
    assert np.count_nonzero(DRAWN & ~LOBES) > 0.5 * np.count_nonzero(LOBES)
    assert np.count_nonzero(found ^ LOBES) < 0.1 * np.count_nonzero(LOBES)


def test_a_middle_tone_no_redder_than_chromatin_stays_nucleus(monkeypatch: pytest.MonkeyPatch) -> None:
    light = paint_three_tones(LOBES, (70, 85, 150), HOLLOWS)
    # The two tones of a granulocyte without hollows are another matter.
    monkeypatch.setattr(granules, "PALE_SHARE", 1.0)
    found = follow_stain(DRAWN, CELL, light, MPP)
    assert np.count_nonzero(found ^ DRAWN) < 0.1 * np.count_nonzero(DRAWN)
    monkeypatch.setattr(granules, "LEAST_REDDER", -np.inf)
    assert np.count_nonzero(follow_stain(DRAWN, CELL, light, MPP)) < 0.9 * np.count_nonzero(DRAWN)
