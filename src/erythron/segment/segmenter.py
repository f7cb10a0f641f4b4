"""The learned segmenter: stain says where nuclei may be, a network outlines the cell at each such place.

The network sees a window around a point and draws the one cell whose nucleus is centred there, whatever
touches or covers it, or nothing where there is none. So candidate points may be many and wrong: the network
refuses them, and of several that show one cell the surest is kept.
"""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.bundle.folder import Bundle
from erythron.bundle.runtime import OpenVinoRuntime, Runtime
from erythron.bundle.schema import SegmenterCard
from erythron.cells.outline import CellOutline, outline_cell
from erythron.look_ahead import look_ahead
from erythron.segment.assembly import Assembly, assemble_cells, enlarge, find_area, tidy
from erythron.segment.nucleus_edge import follow_stain
from erythron.segment.stain import is_blank, stain_of
from erythron.segment.windows import (
    OutlinedCells,
    find_distinct,
    join_cells,
    nucleus_centres,
    outline_points,
)

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

SAME_NUCLEUS = 0.8
"""Share of the smaller nucleus in the larger above which two candidate points show one cell."""

TILE_PX = 1024
"""Side in the segmentation network's pixels of the part of a field that is worked on at once."""

REACH_UM = 9.0
"""How far from the centre of a nucleus a candidate point may lie that shows it.

No nucleus of ``marrow-field`` and ``marrow-fields`` has its nearest candidate point over 8.5 um away.
"""


def load_segmenter(bundle: Bundle) -> Segmenter:
    """Load the segmenter of a bundle into OpenVINO, on all cores.

    Raises:
        BundleError: the network cannot be loaded.
    """
    return Segmenter(bundle.card.segmenter, OpenVinoRuntime(bundle.segmentation_path))


class Segmenter:
    """Finds and outlines nucleated cells.

    Args:
        card: how the network is used.
        network: takes ``pixels``, (N, S, S, 3) uint8, and returns ``probabilities``, (N, 2, S, S) float32,
            that a pixel is of the nucleus, and of the whole, of the cell in the middle.
    """

    def __init__(self, card: SegmenterCard, network: Runtime) -> None:
        self.card = card
        self._field_card = adapt_to_field(card)
        self._network = network

    def segment_field(self, light: Pixels, mpp: float) -> tuple[CellOutline, ...]:
        """Outline every nucleated cell of a field.

        Large fields are worked through in overlapping tiles; a cell belongs to the tile with its centre.

        Args:
            light: (H, W, 3) uint8, balanced light.
            mpp: microns per pixel, assumed where unknown.
        """
        if is_blank(light):
            return ()
        height, width = light.shape[:2]
        step = max(1, round(TILE_PX * self._field_card.window_mpp / mpp))
        corners = itertools.product(range(0, height, step), range(0, width, step))
        assembly = Assembly(light, mpp)
        # The network outlines the next tile, outside Python, while the cells of this one are put together.
        tiles = (partial(self._outline_tile, light, mpp, corner, step) for corner in corners)
        for found, origin in look_ahead(tiles):
            assembly.add(found, self._field_card.window_mpp / mpp, origin)
        return assembly.finish()

    def segment_core(
        self, light: Pixels, mpp: float, core: tuple[int, int, int, int]
    ) -> tuple[CellOutline, ...]:
        """Outline the cells of a part of a larger image whose nuclei are centred in the middle of the part.

        What lies around the core only takes part: cells there dispute its pixels as they do in a field. Two
        parts that read the same pixels in phase, see :mod:`erythron.segment.blocks`, find the same cells
        there, so that cores side by side give every cell once.

        Args:
            light: (H, W, 3) uint8, balanced light, with :data:`REACH_UM` and more around the core.
            mpp: microns per pixel, assumed where unknown.
            core: left, top, right and bottom edge in pixels of ``light``; right and bottom lie outside.
        """
        if is_blank(light):
            return ()
        card = self._field_card
        left, top, right, bottom = core
        points = find_candidate_points(light, mpp, card)
        place, reach = points * (card.window_mpp / mpp), REACH_UM / mpp
        low, high = (top - reach, left - reach), (bottom + reach, right + reach)
        near = (place >= low).all(1) & (place < high).all(1)
        if not near.any():
            return ()
        found = self._outline_points(rescale(light, mpp / card.window_mpp), points[near], card)
        kept = found.take(find_distinct(found, card.most_overlap))
        place = nucleus_centres(kept) * (card.window_mpp / mpp)
        inside = (place >= (top, left)).all(1) & (place < (bottom, right)).all(1)
        return assemble_cells(kept, (light, mpp), card.window_mpp / mpp, np.asarray(inside))

    def sample_nuclei(self, light: Pixels, mpp: float, most: int) -> NDArray[np.float64]:
        """Return the diameters, in pixels of ``light``, of nuclei at some of the candidate points of a field.

        It is quick where only the size of nuclei is asked: no outline is followed or put together.

        Args:
            light: (H, W, 3) uint8, balanced light.
            mpp: microns per pixel, assumed.
            most: candidate points that are looked at, spread over the field at random, always the same.

        Returns:
            (N,) diameters of circles of equal area.
        """
        if is_blank(light):
            return np.zeros(0)
        points = find_candidate_points(light, mpp, self.card)
        points = points[np.random.default_rng(0).permutation(len(points))[:most]]
        found = self._outline_points(rescale(light, mpp / self.card.window_mpp), points, self.card)
        found = found.take(find_distinct(found, self.card.most_overlap))
        area = np.count_nonzero(found.maps[:, 0] > 0.5, axis=(1, 2)) * (self.card.window_mpp / mpp) ** 2
        return np.asarray(np.sqrt(4 * area / np.pi), np.float64)

    def segment_central(self, light: Pixels, mpp: float, *, assumed: bool = False) -> CellOutline | None:
        """Outline the cell at the centre of a crop; None where no nucleated cell is near it.

        Args:
            light: (H, W, 3) uint8, balanced light.
            mpp: microns per pixel.
            assumed: whether ``mpp`` is a guess; the outline is then the mean of the surest of those at the
                card's shares of it.
        """
        if is_blank(light):
            return None
        image = rescale(light, mpp / self.card.window_mpp)
        middle = np.array(image.shape[:2]) / 2
        # The middle itself is a candidate, for a crop is cut around its cell.
        points = np.concatenate([middle[None], find_candidate_points(light, mpp, self.card)])
        found = self._outline_points(image, points, self.card)
        if not len(found.score):
            return None
        away = np.hypot(*(nucleus_centres(found) - middle).T) / (min(image.shape[:2]) / 2)
        rank = found.score * np.exp(-0.5 * (away / self.card.central_spread) ** 2)
        best = found.take(rank.argmax()[None])
        shares = self.card.assumed_shares if assumed else (1.0,)
        centre = nucleus_centres(best)[0] * (self.card.window_mpp / mpp)
        found_at = [self._map_cell(light, mpp * share, centre, self.card) for share in shares]
        surest = sorted(found_at, key=lambda scored: -scored[1])[: self.card.assumed_kept]
        maps = np.mean([m for m, _ in surest], axis=0)
        nucleus, cell = tidy(maps[0] > 0.5, maps[1] > 0.5)
        if not nucleus.any():
            return None
        return outline_cell(follow_stain(nucleus, cell, light, mpp), cell, score=surest[0][1])

    def segment_at(self, light: Pixels, mpp: float, x: float, y: float) -> CellOutline | None:
        """Outline the cell at a place of a field; None where the network sees no nucleated cell there.

        Args:
            light: (H, W, 3) uint8, balanced light.
            mpp: microns per pixel, assumed where unknown.
            x: column of the place, 0 being the left edge of the first pixel.
            y: row of the place, 0 being the upper edge of the first pixel.
        """
        if not (0 <= x < light.shape[1] and 0 <= y < light.shape[0]):
            return None
        card = self._field_card
        reach = round(card.window_px * card.window_mpp / mpp)
        left, top = max(0, round(x) - reach), max(0, round(y) - reach)
        part = light[top : round(y) + reach, left : round(x) + reach]
        if min(part.shape[:2]) < 2 or is_blank(part):
            return None
        scale = mpp / card.window_mpp
        around = np.concatenate(
            [
                np.array([[y - top, x - left]], np.float32) * scale,
                find_candidate_points(part, mpp, card),
            ]
        )
        found = self._outline_points(rescale(part, scale), around, card)
        away = np.hypot(*(nucleus_centres(found) / scale - (y - top, x - left)).T)
        for row in np.argsort(away):
            maps, score = self._map_cell(part, mpp, nucleus_centres(found)[row] / scale, card)
            nucleus, cell = tidy(maps[0] > 0.5, maps[1] > 0.5)
            inside = cell | nucleus
            if nucleus.any() and inside[int(y) - top, int(x) - left]:
                return outline_cell(follow_stain(nucleus, cell, part, mpp), cell, left, top, score)
        return None

    def _map_cell(
        self, light: Pixels, mpp: float, centre: Floats, card: SegmenterCard
    ) -> tuple[Floats, float]:
        """Outline the cell around a row and column.

        Returns:
            (2, H, W), probability of nucleus and of cell, and the trust in them.
        """
        scale = card.window_mpp / mpp
        points = (centre / scale)[None]
        found = outline_points(self._network, rescale(light, 1 / scale), points, card.window_px)
        maps = np.zeros((2, *light.shape[:2]), np.float32)
        place = (found.corner[0, 0] * scale, found.corner[0, 1] * scale)
        side = card.window_px * scale
        area = find_area(place, (side, side), light.shape)
        if area is not None:
            for whole, values in zip(maps, found.maps[0], strict=True):
                whole[area] = enlarge(values, place, scale, area)
        return maps, float(found.score[0])

    def _outline_tile(
        self, light: Pixels, mpp: float, corner: tuple[int, int], step: int
    ) -> tuple[OutlinedCells, tuple[int, int]]:
        """Outline the cells whose nuclei are centred in a square of a field.

        Args:
            light: (H, W, 3) uint8, balanced light of the whole field.
            mpp: microns per pixel.
            corner: row and column of the square's first pixel.
            step: its side in pixels.

        Returns:
            The cells, and the row and column in the field of what their own rows and columns count from.
        """
        card = self._field_card
        scale = card.window_mpp / mpp
        margin = round(card.window_px * scale)
        (top, left), (height, width) = corner, light.shape[:2]
        rows = slice(max(0, top - margin), min(height, top + step + margin))
        columns = slice(max(0, left - margin), min(width, left + step + margin))
        part, origin = light[rows, columns], (rows.start, columns.start)
        reach = round(REACH_UM / mpp)
        points = find_candidate_points(part, mpp, card)
        points = points[_are_within(points * scale + origin, corner, step, reach)]
        if not len(points):
            return outline_points(self._network, part, points, card.window_px), origin
        found = self._outline_points(rescale(part, 1 / scale), points, card)
        index = find_distinct(found, card.most_overlap)
        place = nucleus_centres(found)[index] * scale + origin
        return found.take(index[_are_within(place, corner, step)]), origin

    def _outline_points(
        self, image: Pixels, points: NDArray[np.floating], card: SegmenterCard
    ) -> OutlinedCells:
        """Outline the cell at each point; those whose nucleus lies elsewhere once more, centred on it.

        Args:
            image: at the card's ``window_mpp``.
            points: (N, 2) row and column in it.
            card: how the network is used here.
        """
        found = outline_points(self._network, image, points, card.window_px)
        index = np.flatnonzero(found.score > card.least_score / 2)
        index = index[find_distinct(found.take(index), SAME_NUCLEUS)]
        found, points = found.take(index), points[index]
        centres = nucleus_centres(found)
        moved = np.hypot(*(centres - points).T) * card.window_mpp > card.recentre_um
        second = outline_points(self._network, image, centres[moved], card.window_px)
        both = join_cells(found.take(np.flatnonzero(~moved)), second)
        area_um2 = (both.maps[:, 0] > 0.5).sum((1, 2)) * card.window_mpp**2
        return both.take(
            np.flatnonzero((both.score >= card.least_score) & (area_um2 >= card.least_nucleus_um2))
        )


def _are_within(
    places: NDArray[np.floating], corner: tuple[int, int], side: int, reach: int = 0
) -> NDArray[np.bool_]:
    """Return which places, (N, 2) row and column, lie in a square or within ``reach`` of it."""
    first, last = np.array(corner) - reach, np.array(corner) + side + reach
    return np.asarray(((places >= first) & (places < last)).all(1))


def adapt_to_field(card: SegmenterCard) -> SegmenterCard:
    """Return how the network is used in a field, where cells touch and nobody has put one in the middle."""
    of_field = {"window_mpp": card.field_window_mpp, "least_stain": card.field_least_stain}
    return card.model_copy(update={name: value for name, value in of_field.items() if value is not None})


def find_candidate_points(light: Pixels, mpp: float, card: SegmenterCard) -> Floats:
    """Return where nuclei may be: the maxima of the nuclear stain.

    Args:
        light: (H, W, 3) uint8, balanced light.
        mpp: microns per pixel.
        card: how the network is used.

    Returns:
        (N, 2) row and column at the segmentation network's scale.
    """
    image = rescale(light, mpp / card.stain_mpp)
    smooth = ndimage.gaussian_filter(stain_of(image), card.stain_blur_um / card.stain_mpp)
    size = 2 * round(card.stain_blur_um / card.stain_mpp) + 1
    peak = (smooth == ndimage.maximum_filter(smooth, size)) & (smooth > card.least_stain)
    rows, columns = np.nonzero(peak)
    points = (np.stack([rows, columns], 1) + 0.5) * (card.stain_mpp / card.window_mpp)
    return points.astype(np.float32)


def rescale(image: Pixels, factor: float) -> Pixels:
    """Return the image ``factor`` times as large, at least one pixel a side."""
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Pillow widens the filter when it shrinks, so that fine chromatin does not alias.
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
