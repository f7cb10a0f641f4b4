"""The learned segmenter: one network finds centres of nucleated cells, a second outlines the cell at each.

Finding and outlining are apart because a smear asks different things of them: a centre is one point however
lobed the nucleus and however crowded the place; an outline is of the one cell whose centre is given, whatever
touches or covers it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.models.bundle import Bundle
from erythron.models.runtime import OpenVinoRuntime, Runtime
from erythron.models.schema import SegmenterCard
from erythron.segment.canvas import Canvas
from erythron.segment.outline import OutlinedCells, drop_repeats, nucleus_centres, outline_points
from erythron.segment.segmentation import Segmentation
from erythron.segment.stain import BACKGROUND_LEVEL, balance_light, estimate_background

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]

STRIDE = 16
"""Sides of what the detector takes are multiples of this."""

TILE_PX = 1024
"""Side in the outliner's pixels of the part of a field that is worked on at once."""


def load_segmenter(bundle: Bundle) -> Segmenter:
    """Load the segmenter of a bundle into OpenVINO, on all cores.

    Raises:
        BundleError: a network cannot be loaded.
    """
    return Segmenter(
        bundle.card.segmenter, OpenVinoRuntime(bundle.detector_path), OpenVinoRuntime(bundle.outliner_path)
    )


class Segmenter:
    """Finds and outlines nucleated cells.

    Args:
        card: how the networks are used.
        detector: takes ``pixels``, (1, H, W, 3) uint8, H and W multiples of 16, and returns
            ``probabilities``, (1, 1, H, W) float32, warm at centres of nucleated cells.
        outliner: takes ``pixels``, (N, S, S, 3) uint8, and returns ``probabilities``, (N, 2, S, S) float32,
            that a pixel is of the nucleus, and of the whole, of the cell in the middle.
    """

    def __init__(self, card: SegmenterCard, detector: Runtime, outliner: Runtime) -> None:
        self.card = card
        self._detector = detector
        self._outliner = outliner

    def segment_field(self, rgb: Pixels, mpp: float) -> Segmentation:
        """Outline every nucleated cell of a field.

        Large fields are worked through in overlapping tiles; a cell belongs to the tile with its centre.

        Args:
            rgb: (H, W, 3) uint8.
            mpp: microns per pixel, assumed where unknown.
        """
        light = balance_light(rgb, estimate_background(rgb))
        height, width = light.shape[:2]
        canvas = Canvas(height, width)
        step = max(1, round(TILE_PX * self.card.window_mpp / mpp))
        margin = round(self.card.window_px * self.card.window_mpp / mpp)
        for top in range(0, height, step):
            for left in range(0, width, step):
                rows = slice(max(0, top - margin), min(height, top + step + margin))
                columns = slice(max(0, left - margin), min(width, left + step + margin))
                self._add_tile(
                    light[rows, columns], mpp, canvas, (rows.start, columns.start), (top, left, step)
                )
        return canvas.finish()

    def segment_central(self, rgb: Pixels, mpp: float) -> Segmentation:
        """Outline the cell at the centre of a crop; count 0 where no nucleated cell is near it.

        Args:
            rgb: (H, W, 3) uint8.
            mpp: microns per pixel, assumed where unknown.
        """
        light = balance_light(rgb, estimate_background(rgb))
        height, width = light.shape[:2]
        image = rescale(light, mpp / self.card.window_mpp)
        centres, trust = self._find_centres(light, mpp)
        middle = np.array(image.shape[:2]) / 2
        reach = min(image.shape[:2]) / 2
        # The middle itself is a candidate, for a crop is cut around its cell.
        points = np.concatenate([middle[None], centres * (mpp / self.card.window_mpp)])
        found = self._outline_at(image, points)
        away = np.hypot(*(points - middle).T) / reach
        rank = found.score * np.exp(-0.5 * (away / self.card.central_spread) ** 2)
        rank *= np.concatenate([[1.0], np.sqrt(trust)])
        best = int(rank.argmax())
        canvas = Canvas(height, width)
        if found.score[best] >= self.card.least_score:
            # Once more around the nucleus that was found: the network outlines best what it is centred on.
            again = self._outline_at(image, nucleus_centres(found.take(np.array([best]))))
            chosen = again if again.score[0] >= self.card.least_score else found.take(np.array([best]))
            canvas.add(chosen, self.card.window_mpp / mpp, (0, 0))
        return canvas.finish()

    def _add_tile(
        self,
        light: Pixels,
        mpp: float,
        canvas: Canvas,
        origin: tuple[int, int],
        owned: tuple[int, int, int],
    ) -> None:
        centres, _ = self._find_centres(light, mpp)
        if not len(centres):
            return
        image = rescale(light, mpp / self.card.window_mpp)
        found = self._outline_at(image, centres * (mpp / self.card.window_mpp))
        kept = drop_repeats(
            found.take(np.flatnonzero(found.score >= self.card.least_score)), self.card.most_overlap
        )
        top, left, step = owned
        place = nucleus_centres(kept) * (self.card.window_mpp / mpp) + origin
        inside = (place >= (top, left)).all(1) & (place < (top + step, left + step)).all(1)
        canvas.add(kept.take(np.flatnonzero(inside)), self.card.window_mpp / mpp, origin)

    def _find_centres(self, light: Pixels, mpp: float) -> tuple[Floats, Floats]:
        """Return (N, 2) row and column of the centres in pixels of ``light``, and (N,) how sure each is."""
        image = rescale(light, mpp / self.card.detector_mpp)
        height, width = image.shape[:2]
        padded = np.full(
            (-(-height // STRIDE) * STRIDE, -(-width // STRIDE) * STRIDE, 3), BACKGROUND_LEVEL, np.uint8
        )
        padded[:height, :width] = image
        heat = self._detector.run({"pixels": padded[None]})["probabilities"][0, 0, :height, :width]
        smooth = ndimage.gaussian_filter(heat, 0.7)
        size = 2 * round(self.card.centre_reach_um / self.card.detector_mpp) + 1
        peak = (smooth == ndimage.maximum_filter(smooth, size)) & (smooth > self.card.least_heat)
        rows, columns = np.nonzero(peak)
        scale = self.card.detector_mpp / mpp
        centres = (np.stack([rows, columns], 1) + 0.5) * scale
        return centres.astype(np.float32), smooth[rows, columns]

    def _outline_at(self, image: Pixels, points: NDArray[np.floating]) -> OutlinedCells:
        return outline_points(self._outliner, image, points, self.card.window_px)


def rescale(image: Pixels, factor: float) -> Pixels:
    """Return the image ``factor`` times as large, at least one pixel a side."""
    height, width = image.shape[:2]
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    # Pillow widens the filter when it shrinks, so that fine chromatin does not alias.
    return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR))
