"""Dice of the package's segmenter beside plain scikit-image (multi-Otsu, watershed) in one run.

Prints a line a set: images, mean and tenth percentile of whole-cell and nucleus Dice, milliseconds an image.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_multiotsu
from skimage.segmentation import watershed

from erythron.segment.classical import segment_central, segment_field

Pixels = NDArray[np.uint8]
Mask = NDArray[np.uint8]


def plain(rgb: Pixels) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Saturation less green, three-class multi-Otsu, peaks of the distance transform, watershed."""
    channel = gaussian(rgb2hsv(rgb)[..., 1] - rgb[..., 1] / 255, 1)
    low, high = threshold_multiotsu(channel, 3)
    core = channel > high
    distance = gaussian(ndimage.distance_transform_edt(core), 1)
    markers = np.zeros(core.shape, np.int32)
    peaks = peak_local_max(distance, min_distance=8, labels=core.astype(np.int32))
    markers[tuple(peaks.T)] = np.arange(1, len(peaks) + 1)
    nucleus = watershed(-distance, markers, mask=core)
    return nucleus, watershed(-channel, nucleus, mask=channel > low)


def plain_field(rgb: Pixels) -> Mask:
    """All cells by the plain method."""
    nucleus, cell = plain(rgb)
    return as_mask(nucleus > 0, cell > 0)


def plain_central(rgb: Pixels) -> Mask:
    """The cell nearest the centre by the plain method."""
    nucleus, cell = plain(rgb)
    height, width = nucleus.shape
    away = np.hypot(*np.ogrid[-(height // 2) : height - height // 2, -(width // 2) : width - width // 2])
    if not nucleus.any():
        return as_mask(nucleus > 0, cell > 0)
    chosen = nucleus.ravel()[np.argmin(np.where(nucleus > 0, away, np.inf))]
    return as_mask(nucleus == chosen, cell == chosen)


def ours_field(rgb: Pixels) -> Mask:
    """All cells by the package."""
    found = segment_field(rgb)
    return as_mask(found.nucleus > 0, found.cell > 0)


def ours_central(rgb: Pixels) -> Mask:
    """The central cell by the package."""
    found = segment_central(rgb)
    return as_mask(found.nucleus > 0, found.cell > 0)


def as_mask(nucleus: NDArray[np.bool_], cell: NDArray[np.bool_]) -> Mask:
    """255 nucleus, 128 cytoplasm, 0 background."""
    return np.where(nucleus, 255, np.where(cell, 128, 0)).astype(np.uint8)


def pairs(data: Path) -> Iterator[tuple[str, Path, Path]]:
    """Yield (set, image, mask) of every image that has a mask."""
    for mask in sorted((data / "marrow-masks").glob("*.png")):
        yield "marrow", data / "pathology-bites-cells/public/images/cells" / mask.name, mask
    for image in sorted((data / "segmentation_WBC").rglob("*.bmp")):
        yield "segmentation_WBC", image, image.with_suffix(".png")
    for image in sorted((data / "bcisc/sub-images/images").glob("*.jpg")):
        yield "bcisc", image, data / "bcisc/sub-images/masks" / f"{image.stem}.png"
    for image in sorted((data / "bccd").rglob("JPEGImages/BloodImage_*.jpg")):
        mask = data / "bccd-masks" / f"{image.stem.replace('Image_', 'Image_Mask_')}.png"
        if mask.exists():
            yield "bccd", image, mask


def dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    """Overlap, 2 |A and B| / (|A| + |B|)."""
    return 2 * np.count_nonzero(truth & found) / max(np.count_nonzero(truth) + np.count_nonzero(found), 1)


def main() -> None:
    """Measure every set under the data folder."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=os.environ.get("ERYTHRON_DATA_DIR"))
    parser.add_argument("--every", type=int, default=1, help="measure every n-th image of a set")
    parser.add_argument("--sets", nargs="+", help="measure only these sets")
    options = parser.parse_args()
    if options.data is None:
        parser.error("give --data DIR or set ERYTHRON_DATA_DIR")
    sets: dict[str, list[tuple[Path, Path]]] = {}
    for name, image, mask in pairs(options.data):
        sets.setdefault(name, []).append((image, mask))
    print("set method images cell_mean cell_p10 nucleus_mean nucleus_p10 empty median_ms")
    for name, files in sets.items():
        if options.sets and name not in options.sets:
            continue
        field = name == "bccd"
        methods: dict[str, Callable[[Pixels], Mask]] = {
            "erythron": ours_field if field else ours_central,
            "scikit-image": plain_field if field else plain_central,
        }
        for method, segment in methods.items():
            cell, nucleus, took, empty = [], [], [], 0
            for image, mask in files[:: options.every]:
                rgb = np.asarray(Image.open(image).convert("RGB"))
                truth = np.asarray(Image.open(mask).convert("L"))
                start = time.perf_counter()
                found = segment(rgb)
                took.append(1000 * (time.perf_counter() - start))
                empty += not found.any()
                cell.append(dice(truth > 64, found > 64))
                nucleus.append(dice(truth > 200, found > 200))
            row = [np.mean(cell), np.percentile(cell, 10), np.mean(nucleus), np.percentile(nucleus, 10)]
            if name == "bcisc":
                row[2:] = [np.nan, np.nan]
            figures = " ".join(f"{v:.3f}" for v in row)
            print(name, method, len(cell), figures, empty, f"{np.median(took):.0f}", flush=True)


if __name__ == "__main__":
    main()
