"""What the audit keeps of an image: points with small patches, its colours, or why it is unreadable."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.datasets.rotations import Rings, sample_rings

WORKING_SIDE_PX = 180
"""Longest side that images are reduced to, by whole factors, before points are looked for."""

SMALL_SIDE_PX = 90
"""Images with a shorter longest side are enlarged, by whole factors, to at least this."""

MAX_POINTS = 48
"""Points kept of an image, those of highest contrast."""

PATCH_RADIUS_PX = 8
"""Half the side of a patch at working size; patches are sampled at every second pixel."""

_OFFSETS = np.arange(-PATCH_RADIUS_PX + 1, PATCH_RADIUS_PX, 2)
PATCH_VALUES = len(_OFFSETS) ** 2
_MIN_CONTRAST = 20.0
"""Least norm of a patch in grey levels: flatter ones are noise."""

_MAX_PIXELS = 64_000_000

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Features:
    """Of one image.

    Attributes:
        path: image file.
        error: why it cannot be read, else None; everything below is empty then.
        size_px: width and height of the file's image.
        shape: height and width at working size.
        points: (K, 2) float32, y and x from the image's centre, at working size.
        turns: (K,) int8, which of the eight flips and quarter turns brings the patch to its standard
            position: 4 for a transposition, after 2 for a flip of y and 1 for a flip of x.
        patches: (K, ``PATCH_VALUES``) float16, in standard position, mean 0 and norm 1.
        background: (3,) float32, CIELAB of the brightest quarter of pixels, NaN where unreadable.
        foreground: (3,) float32, CIELAB of the darkest eighth of pixels: mostly nuclei.
        rings: grey levels on rings around the centre, see :mod:`erythron.datasets.rotations`.
    """

    path: str
    error: str | None
    size_px: tuple[int, int]
    shape: tuple[int, int]
    points: Floats
    turns: NDArray[np.int8]
    patches: NDArray[np.float16]
    background: Floats
    foreground: Floats
    rings: Rings


def compute_features(
    paths: Sequence[str], workers: int, progress: Callable[[str], None] | None = None
) -> list[Features]:
    """Return the features of every image, in order; an unreadable one has an error and no features."""

    def one(path: str) -> Features:
        found = _compute_one(path)
        if progress is not None:
            progress(path)
        return found

    # Decoding and filtering release the interpreter's lock, so threads do.
    with ThreadPoolExecutor(max(1, workers)) as pool:
        return list(pool.map(one, paths))


def load_working_image(path: str) -> tuple[Floats, tuple[int, int]]:
    """Return an image at working size and the size of the file's image.

    A four-channel image counts as RGB and mask: the mask is dropped.

    Returns:
        (H, W, 3) float32 of 0 to 255; width and height of the file's image.

    Raises:
        OSError: missing, broken or too large.
    """
    with Image.open(path) as image:
        size = image.size
        if size[0] * size[1] > _MAX_PIXELS:
            raise OSError(f"{size[0]} x {size[1]} pixels are too many for one cell or field")
        factor = max(1, round(max(size) / WORKING_SIDE_PX))
        if factor > 1:
            image.draft(None, (size[0] // factor, size[1] // factor))
        has_mask = image.mode == "CMYK"
        channels = np.asarray(image)[..., :3] if has_mask else np.asarray(image.convert("RGB"))
    pixels = Image.fromarray(channels)
    rest = max(1, round(factor * pixels.size[0] / size[0]))
    if rest > 1:
        pixels = pixels.reduce(rest)
    if max(pixels.size) < SMALL_SIDE_PX:
        grow = -(-SMALL_SIDE_PX // max(pixels.size))
        pixels = pixels.resize((pixels.size[0] * grow, pixels.size[1] * grow), Image.Resampling.BICUBIC)
    return np.asarray(pixels, np.float32), size


def to_grey(rgb: Floats) -> Floats:
    """Return the (H, W) luma of an (H, W, 3) image, 0 to 255 (ITU-R BT.601)."""
    return np.asarray(rgb @ np.array([0.299, 0.587, 0.114], np.float32), np.float32)


def _compute_one(path: str) -> Features:
    try:
        rgb, size = load_working_image(path)
    # Pillow's plugins raise these on broken files.
    except (OSError, SyntaxError, ValueError, EOFError, TypeError, IndexError) as error:
        nothing = np.full(3, np.nan, np.float32)
        points, rings = _no_points(), np.zeros((0, 0), np.float16)
        return Features(path, _explain(path, error), (0, 0), (0, 0), *points, nothing, nothing, rings)
    grey = to_grey(rgb)
    found = (*_find_points(grey), *_measure_colours(rgb, grey), sample_rings(grey))
    return Features(path, None, size, grey.shape, *found)


def _explain(path: str, error: Exception) -> str:
    if not Path(path).exists():
        return "there is no such file"
    if Path(path).stat().st_size == 0:
        return "the file is empty"
    return f"cannot be decoded ({error})" if str(error) else f"cannot be decoded ({type(error).__name__})"


def _no_points() -> tuple[Floats, NDArray[np.int8], NDArray[np.float16]]:
    return (
        np.zeros((0, 2), np.float32),
        np.zeros(0, np.int8),
        np.zeros((0, PATCH_VALUES), np.float16),
    )


def _find_points(grey: Floats) -> tuple[Floats, NDArray[np.int8], NDArray[np.float16]]:
    """Find extrema of the difference of Gaussians (Lowe 2004, doi 10.1023/B:VISI.0000029664.99615.94)."""
    smooth = ndimage.gaussian_filter(grey, 1.2)
    strength = np.abs(smooth - ndimage.gaussian_filter(grey, 2.4))
    is_peak = ndimage.maximum_filter(strength, 5) == strength
    edge = PATCH_RADIUS_PX
    is_peak[:edge] = is_peak[-edge:] = False
    is_peak[:, :edge] = is_peak[:, -edge:] = False
    y, x = np.nonzero(is_peak)
    strongest = np.argsort(-strength[y, x], kind="stable")[:MAX_POINTS]
    y, x = y[strongest], x[strongest]
    patches = smooth[y[:, None, None] + _OFFSETS[:, None], x[:, None, None] + _OFFSETS]
    patches = patches - patches.mean(axis=(1, 2), keepdims=True)
    norm = np.sqrt((patches**2).sum(axis=(1, 2)))
    kept = norm > _MIN_CONTRAST
    patches, turns = _turn_to_standard(patches[kept] / norm[kept, None, None])
    centre = (np.array(grey.shape, np.float32) - 1) / 2
    points = (np.stack([y[kept], x[kept]], 1) - centre).astype(np.float32)
    return points, turns, patches.reshape(len(patches), PATCH_VALUES).astype(np.float16)


def _turn_to_standard(patches: Floats) -> tuple[Floats, NDArray[np.int8]]:
    """Flip and transpose each patch so that its first moments are positive, that of x the larger."""
    moment_y = np.einsum("kyx,y->k", patches, _OFFSETS.astype(np.float32))
    moment_x = np.einsum("kyx,x->k", patches, _OFFSETS.astype(np.float32))
    flip_y, flip_x = moment_y < 0, moment_x < 0
    turned = np.where(flip_y[:, None, None], patches[:, ::-1], patches)
    turned = np.where(flip_x[:, None, None], turned[:, :, ::-1], turned)
    transpose = np.abs(moment_y) > np.abs(moment_x)
    turned = np.where(transpose[:, None, None], turned.transpose(0, 2, 1), turned)
    return turned, (4 * transpose + 2 * flip_y + flip_x).astype(np.int8)


def _measure_colours(rgb: Floats, grey: Floats) -> tuple[Floats, Floats]:
    from skimage.color import rgb2lab

    flat, order = rgb.reshape(-1, 3), np.argsort(grey, axis=None)
    bright = flat[order[-len(order) // 4 :]].mean(axis=0)
    dark = flat[order[: max(1, len(order) // 8)]].mean(axis=0)
    lab = rgb2lab(np.stack([bright, dark])[None] / 255.0)[0]
    return lab[0].astype(np.float32), lab[1].astype(np.float32)
