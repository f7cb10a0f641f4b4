"""Red cells that lie apart, as discs: whatever their colour, they are the pale cells of one size in a field.

Where red cells lie apart, as on blood films, the area of each is a better measure than a circle on its rim:
it holds for ellipses and crenated cells too. They are parted from the glass by one threshold (Otsu) of green
absorption, and told from nuclei by their paleness and from everything else by being of one size.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.cells.outline import CellOutline
from erythron.read.light import BACKGROUND_LEVEL, estimate_background
from erythron.segment.masks import fill_holes
from erythron.segment.stain import BLACK, MIN_CONTRAST, MIN_LIGHT, otsu

SMOOTHING_PX = 1.0
"""Standard deviation of the blur before the threshold: JPEG blocks and noise make no islands."""

LEAST_AREA_PX = 200
"""Area under which a disc, 16 pixels across, is too few pixels to be measured."""

LEAST_ELLIPTIC = 0.95
"""Area over that of the ellipse of equal second moments: two discs that touch have 0.89, an ellipse 1."""

LEAST_AXES = 0.4
"""Shorter axis over longer: elliptocytes are under a half, scratches and fibres under a third."""

MOST_ABSORBANCE = 0.5
"""Green absorbance of a disc, decadic, above which it is a nucleus.

Red cells of 20 films and fields of five laboratories have 0.06 to 0.4, nuclei of four 0.8 to 1.4.
"""

ONE_SIZE = 1.35
"""Factor from the usual diameter, weighted by area, beyond which a disc is something else."""

MOST_SPREAD = 0.14
"""Most standard deviation of the logarithm of their diameters: red cells of films have 0.06 to 0.13."""


DARKER_THAN_RED = 2.0
"""Mean green absorbance of a nucleus over that of the red cells, at least."""

LEAST_SHARE = 0.2
"""Share of all that is stained that they cover: red cells apart 0.35 to 0.69, chance discs 0.06 to 0.08."""


SPARSE = 4
"""Of so many rows and columns one is looked at first: most fields of marrow are dark and done with it."""


@dataclass(frozen=True)
class RedDiscs:
    """N red cells of one image that lie apart.

    Attributes:
        diameter_px: (N,) diameters of circles of equal area, sorted.
        absorbance: the median of their mean green absorbances, decadic; nan of none.
    """

    diameter_px: NDArray[np.float64]
    absorbance: float


def measure_red_discs(rgb: NDArray[np.uint8]) -> RedDiscs:
    """Measure the red cells that lie apart.

    Args:
        rgb: (H, W, 3) uint8.

    Returns:
        None of them where the discs are too dark for red cells, of more than one size, or a small part of
        what is stained.
    """
    none = RedDiscs(np.zeros(0), np.nan)
    light = np.minimum(rgb / estimate_background(rgb), np.float32(1))
    if _is_dark(light[::SPARSE, ::SPARSE]):
        return none
    green = ndimage.gaussian_filter(light[..., 1], SMOOTHING_PX, truncate=3)
    absorbance = -np.log10(np.maximum(green, MIN_LIGHT))
    seen = _find_seen(light)
    mask = fill_holes(ndimage.binary_opening((absorbance > otsu(absorbance[seen])) & seen))
    labels, count = ndimage.label(mask)
    area, is_disc, mean = _measure(labels, count, absorbance)
    diameter = np.sqrt(4 * area[is_disc] / np.pi)
    if not len(diameter):
        return none
    order = np.argsort(diameter)
    weight = np.cumsum(diameter[order] ** 2)
    usual = diameter[order][np.searchsorted(weight, weight[-1] / 2)]
    near = (diameter > usual / ONE_SIZE) & (diameter < usual * ONE_SIZE)
    kept, dark = diameter[near], float(np.median(mean[is_disc][near]))
    if dark > MOST_ABSORBANCE or float(np.std(np.log(kept))) > MOST_SPREAD:
        return none
    if float((np.pi / 4 * kept**2).sum()) < LEAST_SHARE * float(area.sum()):
        return none
    return RedDiscs(np.sort(kept), dark)


def drop_red_cells(
    outlines: tuple[CellOutline, ...], light: NDArray[np.uint8], absorbance: float
) -> tuple[CellOutline, ...]:
    """Return the outlined cells without those whose nucleus is no darker than red cells are.

    Args:
        outlines: of a field.
        light: (H, W, 3) uint8, its balanced light.
        absorbance: of its red cells, see :class:`RedDiscs`.
    """
    return tuple(o for o in outlines if _measure_nucleus(o, light) >= DARKER_THAN_RED * absorbance)


def _measure_nucleus(outline: CellOutline, light: NDArray[np.uint8]) -> float:
    height, width = outline.nucleus.shape
    window = light[outline.top : outline.top + height, outline.left : outline.left + width, 1]
    green = window[outline.nucleus].astype(np.float64) / BACKGROUND_LEVEL
    return float(-np.log10(np.maximum(green, MIN_LIGHT)).mean())


def _is_dark(light: NDArray[np.float32]) -> bool:
    """Return whether an image, (H, W, 3) light, is blank, or most of its stain too dark for red cells."""
    green = light[..., 1][_find_seen(light)]
    if not green.size or float(np.ptp(green)) < MIN_CONTRAST:
        return True
    absorbance = -np.log10(np.maximum(green, MIN_LIGHT))
    return bool(np.median(absorbance[absorbance > otsu(absorbance)]) > MOST_ABSORBANCE)


def _find_seen(light: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Return the pixels, (H, W), that are not black as outside the field of view."""
    return np.asarray(np.maximum(np.maximum(light[..., 0], light[..., 1]), light[..., 2]) > BLACK)


def _measure(
    labels: NDArray[np.int32], count: int, absorbance: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.float64]]:
    """Return of each region its area, whether it is a disc that no border cuts, and its mean absorbance."""
    rows, columns = np.nonzero(labels)
    region = labels[rows, columns] - 1

    def add(values: NDArray[np.generic] | None = None) -> NDArray[np.float64]:
        return np.bincount(region, values, minlength=count).astype(np.float64)

    area = np.maximum(add(), 1)
    y, x = add(rows) / area, add(columns) / area
    # A twelfth of a pixel is the variance of the pixel itself.
    yy = add(rows.astype(np.float64) ** 2) / area - y * y + 1 / 12
    xx = add(columns.astype(np.float64) ** 2) / area - x * x + 1 / 12
    xy = add(rows * columns.astype(np.float64)) / area - x * y
    root = np.sqrt(((yy - xx) / 2) ** 2 + xy**2)
    longer, shorter = (yy + xx) / 2 + root, np.maximum((yy + xx) / 2 - root, 1e-6)
    elliptic = area / (4 * np.pi * np.sqrt(longer * shorter))
    border = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    whole = np.ones(count, np.bool_)
    whole[border[border > 0] - 1] = False
    is_disc = (
        whole
        & (area >= LEAST_AREA_PX)
        & (elliptic >= LEAST_ELLIPTIC)
        & (np.sqrt(shorter / longer) >= LEAST_AXES)
    )
    return area, is_disc, add(absorbance[rows, columns]) / area
