"""Segmentation without a learned model: stain thresholds, distance-transform markers, seeded watershed."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.feature import peak_local_max
from skimage.segmentation import watershed

from erythron.segment.segmentation import Segmentation
from erythron.segment.stain import estimate_background, stain_channel, three_class_thresholds

IntArray = NDArray[np.int32]
BoolArray = NDArray[np.bool_]
FloatArray = NDArray[np.float32]


def _empty(shape: tuple[int, ...]) -> Segmentation:
    zero = np.zeros(shape[:2], np.int32)
    return Segmentation(zero, zero.copy())


def _split(mask: BoolArray, min_distance: int) -> IntArray:
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(mask).astype(np.float32), 1.0)
    peaks = peak_local_max(depth, min_distance=min_distance, labels=mask.astype(np.int32), exclude_border=False)
    markers = np.zeros(mask.shape, np.int32)
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    return np.asarray(watershed(-depth, markers, mask=mask), dtype=np.int32)


def _renumber(nucleus: IntArray, cell: IntArray) -> Segmentation:
    kept = np.unique(nucleus)
    table = np.zeros(int(max(nucleus.max(), cell.max())) + 1, np.int32)
    table[kept[kept > 0]] = np.arange(1, np.count_nonzero(kept) + 1)
    nucleus, cell = table[nucleus], table[cell]
    return Segmentation(nucleus, np.where(nucleus > 0, nucleus, cell))


def _grow(channel: FloatArray, nuclei: IntArray, low: float, reach_px: float) -> IntArray:
    near = ndimage.distance_transform_edt(nuclei == 0) <= reach_px
    mask = (near & (channel > low)) | (nuclei > 0)
    return np.asarray(watershed(ndimage.sobel(channel), nuclei, mask=mask), dtype=np.int32)


def segment_field(rgb: NDArray[np.uint8], mpp: float | None = None) -> Segmentation:
    """Return every nucleated cell of a field.

    Args:
        rgb: (H, W, 3) uint8.
        mpp: microns per pixel where known; size priors come from the image itself otherwise.
    """
    channel = stain_channel(rgb, estimate_background(rgb), 1.0)
    thresholds = three_class_thresholds(channel)
    if thresholds is None:
        return _empty(rgb.shape)
    low, high = thresholds
    mask = ndimage.binary_fill_holes(ndimage.binary_opening(channel > high, iterations=2))
    radius = 3.0 / mpp if mpp else 10.0
    nuclei = _split(mask, max(2, int(0.8 * radius)))
    area = np.bincount(nuclei.ravel())
    area[0] = 0
    nuclei = np.where(area[nuclei] > 0.35 * np.pi * radius**2, nuclei, 0).astype(np.int32)
    if not nuclei.any():
        return _empty(rgb.shape)
    return _renumber(nuclei, _grow(channel, nuclei, low, 1.5 * radius))


def segment_central(rgb: NDArray[np.uint8], mpp: float | None = None) -> Segmentation:
    """Return the nucleated cell at the centre of a crop; count 0 only where the image is blank.

    Args:
        rgb: (H, W, 3) uint8.
        mpp: microns per pixel where known.
    """
    channel = stain_channel(rgb, estimate_background(rgb), 1.0)
    thresholds = three_class_thresholds(channel)
    if thresholds is None:
        return _empty(rgb.shape)
    low, high = thresholds
    mask = np.asarray(ndimage.binary_fill_holes(ndimage.binary_opening(channel > high, iterations=1)))
    if not mask.any():
        mask = channel > high
    nuclei = _split(mask, max(2, min(rgb.shape[:2]) // 14))
    height, width = rgb.shape[:2]
    y, x = np.mgrid[:height, :width]
    away = np.hypot(y - (height - 1) / 2, x - (width - 1) / 2)
    labels = np.unique(nuclei[nuclei > 0])
    centre_away = ndimage.mean(away, nuclei, labels)
    area = ndimage.sum(mask, nuclei, labels)
    centre = labels[np.argmin(centre_away - 0.5 * np.sqrt(area))]
    cells = _grow(channel, nuclei, low, 0.2 * min(rgb.shape[:2]))
    nucleus = (nuclei == centre).astype(np.int32)
    return Segmentation(nucleus, (cells == centre).astype(np.int32))
