"""What is measured once for a slide and holds for every part of it: light, scale, colour of its red cells.

A field shows these itself. A tile of a slide may show a clot or glass alone, so they are measured on a sample
of the slide: a few squares of tissue, chosen at random by the overview and laid side by side as one picture.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.errors import ImageReadError
from erythron.quality.flags import THRESHOLDS
from erythron.quality.specimen import find_red_level
from erythron.read.box import Box
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.light import estimate_background
from erythron.read.source import Slide
from erythron.read.stained import check_stained
from erythron.segment.field_scale import CONTRADICTED, FieldScale, check_given, choose_scale, find_field_scale
from erythron.segment.nuclear_scale import SAMPLE, estimate_from_nuclei, is_plausible
from erythron.segment.scale import ScaleEstimate, estimate_scale
from erythron.segment.segmenter import Segmenter

Pixels = NDArray[np.uint8]
Mask = NDArray[np.bool_]

OVERVIEW_PX = 2_000_000
"""Pixels of the overview: of a slide of 30,000 pixels a side each is 5 um wide, of one of 100,000 18 um."""

GLASS_LIGHT = 0.95
"""Light over that of the empty smear, in the darkest channel, under which a pixel of the overview has tissue.

A nucleus of 8 um that lies alone darkens even a pixel of 18 um to 0.9. ``benchmarks/slide.py`` says how many
cells of a drawn slide lie outside.
"""

SQUARES = 4
"""Squares of the sample: as many pixels as a usual field has."""

SQUARE_PX = 800
"""Side of a square: 200 um at 0.25 um a pixel, hundreds of red cells on a thin smear."""

_MIXED = (0.2, 0.9)
"""Share of tissue of the squares that are preferred: they show cells, and glass to compare them with."""


@dataclass(frozen=True)
class SlideTraits:
    """What holds for every part of a slide.

    Attributes:
        mpp: microns per pixel.
        mpp_source: where they come from.
        scale: where that comes from; None where the user gave it.
        glass: red, green and blue of the empty smear, 1 to 255.
        red_absorbance: green absorbance of its red cells, decadic, where these lie apart; else None.
        red_level: green light over that of the empty smear under which red cells are; None if none stand out.
    """

    mpp: float
    mpp_source: ScaleSource
    scale: FieldScale | None
    glass: tuple[float, float, float]
    red_absorbance: float | None
    red_level: float | None


@dataclass(frozen=True, eq=False)
class Overview:
    """A slide made small.

    Attributes:
        rgb: (h, w, 3) uint8.
        downsample: pixels of the slide to one of it.
        tissue: (h, w) bool, what is not empty glass.
    """

    rgb: Pixels
    downsample: float
    tissue: Mask

    def covers(self, box: Box) -> float:
        """Return the share of a box, in pixels of the slide, that is tissue; a pixel that it cuts counts."""
        top, left = int(box.top / self.downsample), int(box.left / self.downsample)
        bottom, right = (int(np.ceil(end / self.downsample)) for end in (box.bottom, box.right))
        part = self.tissue[top:bottom, left:right]
        return float(part.mean()) if part.size else 0.0


def look_over(slide: Slide) -> Overview:
    """Return a slide made small, and where on it there is tissue."""
    rgb, downsample = slide.read_overview(OVERVIEW_PX)
    light = rgb.min(axis=2) / float(estimate_background(rgb).min())
    return Overview(rgb, downsample, np.asarray(light < GLASS_LIGHT))


def sample_slide(slide: Slide, overview: Overview, seed: int) -> SmearImage:
    """Return squares of a slide side by side, the same for the same seed.

    Raises:
        ImageReadError: the slide shows nothing but glass.
    """
    boxes = _choose_squares(slide, overview, seed)
    parts = [slide.read_region(b.left, b.top, b.right - b.left, b.bottom - b.top) for b in boxes]
    if len(parts) == SQUARES:
        rows = [np.concatenate(parts[first : first + 2], axis=1) for first in (0, 2)]
        return SmearImage(slide.name, np.concatenate(rows), slide.mpp, slide.mpp_source)
    return SmearImage(slide.name, np.concatenate(parts, axis=1), slide.mpp, slide.mpp_source)


def _choose_squares(slide: Slide, overview: Overview, seed: int) -> list[Box]:
    side = min(SQUARE_PX, slide.width_px, slide.height_px)
    boxes = [
        Box(left, top, left + side, top + side)
        for top in range(0, slide.height_px - side + 1, side)
        for left in range(0, slide.width_px - side + 1, side)
    ]
    shares = np.array([overview.covers(box) for box in boxes])
    if not shares.any():
        raise ImageReadError(
            f"{slide.name}: the slide shows nothing but empty glass; scan the part with the smear"
        )
    order = np.random.default_rng(seed).permutation(len(boxes))
    mixed = (shares >= _MIXED[0]) & (shares <= _MIXED[1])
    # Of those that are all tissue or nearly none the fuller come first.
    rank = np.where(mixed, 2.0, shares)[order]
    chosen = order[np.argsort(-rank, kind="stable")]
    return [boxes[i] for i in chosen[:SQUARES] if shares[i] > 0]


def measure_traits(sample: SmearImage, get_segmenter: Callable[[], Segmenter]) -> SlideTraits:
    """Return what holds for every part of a slide, by the rules of a field.

    Args:
        sample: squares of the slide, see :func:`sample_slide`.
        get_segmenter: gives the segmenter; asked only where file and red cells leave the scale open.


    Raises:
        ImageReadError: the slide is grey or inverted, or its scale is unknown or too coarse for stages.
    """
    check_stained(sample)
    if sample.mpp_source is ScaleSource.OPTION:
        red_cells, mpp = estimate_scale(sample.rgb), sample.mpp
        scale = None if mpp is None else check_given(mpp, red_cells)
    else:
        red_cells = estimate_scale(sample.rgb)
        scale = _find_scale(sample, red_cells, get_segmenter)
        mpp = None if scale is None else scale.mpp
    if mpp is None:
        raise ImageReadError(
            f"{sample.name}: the microns per pixel are not known, neither from the file nor from red cells "
            "or nuclei; give them with --mpp"
        )
    if mpp > THRESHOLDS.most_mpp:
        raise ImageReadError(
            f"{sample.name}: at {mpp:.2g} microns per pixel stages cannot be told (over "
            f"{THRESHOLDS.most_mpp:g}); scan with more magnification"
        )
    absorbance = None if red_cells is None else red_cells.red_absorbance
    if red_cells is not None and abs(np.log(red_cells.mpp / mpp)) > np.log(CONTRADICTED):
        absorbance = None  # at the scale that is used they are of another size than red cells
    red, green, blue = (float(level) for level in sample.background)
    light = np.minimum(sample.rgb[::2, ::2] / sample.background, 1).astype(np.float32)
    source = sample.mpp_source if scale is None else scale.source
    return SlideTraits(mpp, source, scale, (red, green, blue), absorbance, find_red_level(light))


def _find_scale(
    sample: SmearImage, red_cells: ScaleEstimate | None, get_segmenter: Callable[[], Segmenter]
) -> FieldScale | None:
    nuclei: list[ScaleEstimate | None] = []

    def measure_nuclei() -> ScaleEstimate | None:
        segmenter = get_segmenter()
        nuclei.append(
            estimate_from_nuclei(lambda mpp, most: segmenter.sample_nuclei(sample.light, mpp, most))
        )
        return nuclei[-1]

    scale = find_field_scale(sample.mpp, red_cells, measure_nuclei)
    if scale is None or nuclei or (red_cells is not None and red_cells.red_absorbance is not None):
        return scale
    diameters = get_segmenter().sample_nuclei(sample.light, scale.mpp, SAMPLE)
    if is_plausible(diameters, scale.mpp):
        return scale
    return choose_scale(sample.mpp, red_cells, measure_nuclei())
