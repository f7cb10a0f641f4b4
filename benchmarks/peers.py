"""Segmentation by others, for the same images: plain scikit-image, and the white-cell U-Net of ``cbc`` 1.1.0.

The U-Net (https://pypi.org/project/cbc, MIT) needs TensorFlow 2.9 to run as published; here its weights are
read with h5py and its layers rebuilt in torch, with its own preparation of the image (CLAHE on lightness,
BGR, -1 to 1, blocks of 100 pixels seen in 188). Get the weights without its pinned dependencies:

    pip install --no-deps cbc==1.1.0 && pip install h5py opencv-python-headless
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.color import rgb2hsv
from skimage.feature import peak_local_max
from skimage.filters import gaussian, threshold_multiotsu, threshold_otsu
from skimage.segmentation import watershed

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Labels = NDArray[np.int32]

CBC_WEIGHTS = Path(sys.prefix) / "share/cbc/weights/wbc.h5"
"""Where pip puts them."""

BLOCK_PX, SEEN_PX = 100, 188
BATCH = 4
BATCH_NORM_EPSILON = 1e-3
"""What Keras adds to a variance by default."""


def plain(rgb: Pixels) -> tuple[Labels, Labels]:
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


def load_cbc(weights: Path = CBC_WEIGHTS) -> Callable[[Pixels], Bools]:
    """Return a function from (H, W, 3) RGB to (H, W) white-cell pixels, at the size given.

    As its script does, the map is cut at Otsu's threshold, so something is always found.
    """
    import cv2
    import h5py
    import torch
    import torch.nn.functional as nn

    arrays: dict[str, NDArray[np.float32]] = {}
    with h5py.File(weights) as file:
        file.visititems(
            lambda name, part: arrays.update({name: part[()]}) if hasattr(part, "shape") else None
        )

    def read(kind: str, number: int, what: str) -> torch.Tensor:
        name = kind if number == 0 else f"{kind}_{number}"
        return torch.from_numpy(arrays[f"{name}/{name}/{what}:0"])

    def normalise(x: torch.Tensor, number: int) -> torch.Tensor:
        mean, variance, gamma, beta = (
            read("batch_normalization", number, what)
            for what in ("moving_mean", "moving_variance", "gamma", "beta")
        )
        return nn.relu(nn.batch_norm(x, mean, variance, gamma, beta, eps=BATCH_NORM_EPSILON))

    def convolve(x: torch.Tensor, number: int, norm: int) -> torch.Tensor:
        kernel = read("conv2d", number, "kernel").permute(3, 2, 0, 1)
        return normalise(nn.conv2d(x, kernel, read("conv2d", number, "bias")), norm)

    def widen(x: torch.Tensor, beside: torch.Tensor, number: int, norm: int) -> torch.Tensor:
        kernel = read("conv2d_transpose", number, "kernel").permute(3, 2, 0, 1)
        x = nn.conv_transpose2d(x, kernel, read("conv2d_transpose", number, "bias"), stride=2)
        x = normalise(x, norm)
        edge = (beside.shape[-1] - x.shape[-1]) // 2
        return torch.cat([beside[..., edge:-edge, edge:-edge], x], dim=1)

    @torch.inference_mode()
    def predict(x: torch.Tensor) -> NDArray[np.float32]:
        beside = []
        for level, numbers in enumerate(((0, 1, 2), (3, 4), (5, 6), (7, 8))):
            x = x if level == 0 else nn.max_pool2d(x, 2)
            for number in numbers:
                x = convolve(x, number, number)
            beside.append(x)
        for up in range(3):
            x = widen(x, beside[2 - up], up, 9 + 3 * up)
            for i in (0, 1):
                x = convolve(x, 9 + 2 * up + i, 10 + 3 * up + i)
        kernel, bias = (torch.from_numpy(arrays[f"mask/mask/{part}:0"]) for part in ("kernel", "bias"))
        return np.asarray(torch.sigmoid(nn.conv2d(x, kernel.permute(3, 2, 0, 1), bias))[:, 0])

    def segment(rgb: Pixels) -> Bools:
        lab = cv2.cvtColor(rgb[..., ::-1].copy(), cv2.COLOR_BGR2LAB)
        lab[..., 0] = cv2.createCLAHE(clipLimit=2.0, tileGridSize=(8, 8)).apply(lab[..., 0])
        prepared = cv2.cvtColor(lab, cv2.COLOR_LAB2BGR)
        height, width = rgb.shape[:2]
        rows, columns = -(-height // BLOCK_PX), -(-width // BLOCK_PX)
        edge = (SEEN_PX - BLOCK_PX) // 2
        room = (edge, rows * BLOCK_PX - height + edge), (edge, columns * BLOCK_PX - width + edge), (0, 0)
        padded = np.pad(prepared, room).astype(np.float32) * 2 / 255 - 1
        corners = [(BLOCK_PX * i, BLOCK_PX * j) for i in range(rows) for j in range(columns)]
        blocks = np.stack([padded[y : y + SEEN_PX, x : x + SEEN_PX] for y, x in corners]).transpose(
            0, 3, 1, 2
        )
        batches = [torch.from_numpy(blocks[i : i + BATCH].copy()) for i in range(0, len(blocks), BATCH)]
        maps = np.concatenate([predict(batch) for batch in batches])
        grid = maps.reshape(rows, columns, BLOCK_PX, BLOCK_PX).swapaxes(1, 2)
        whole = grid.reshape(rows * BLOCK_PX, columns * BLOCK_PX)[:height, :width]
        return np.asarray(whole > threshold_otsu(whole))

    return segment
