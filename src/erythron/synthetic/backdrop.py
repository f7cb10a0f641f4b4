"""What lies round the nucleated cells of the drawn field: red cells, platelets, dirt and uneven light.

Part of the drawn field, a test instrument: see :mod:`erythron.synthetic.field`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_RED, _PLATELET, _DIRT = 0, 1, 2
_BLOCK_PX = 512
_RED_DIAMETER_UM = 7.3
_RED_PITCH_UM = 7.9
_GROUND_RGB = np.array([228, 223, 235], np.float32)
# What each thing lets through of the light, red, green and blue.
_THROUGH = np.array([[0.90, 0.74, 0.68], [0.74, 0.62, 0.85], [0.22, 0.18, 0.38]], np.float32)


@dataclass(frozen=True)
class Window:
    """A part of the field, in pixels."""

    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class _Things:
    """Things scattered over one block, n entries each; lengths in pixels of the field."""

    kind: NDArray[np.int64]
    x: Doubles
    y: Doubles
    radius: Doubles
    stretch: Doubles
    angle: Doubles
    density: Doubles


def draw_backdrop(seed: int, mpp: float, window: Window) -> Floats:
    """Draw ground, red cells, platelets and dirt; windows of one field fit together without a seam.

    Returns:
        (height, width, 3) float32, 0 to 255, evenly lit and without noise.
    """
    canvas = np.ones((window.height, window.width, 3), np.float32)
    # The things of the blocks all round reach into the window.
    for row in range(window.y // _BLOCK_PX - 1, (window.y + window.height - 1) // _BLOCK_PX + 2):
        for column in range(window.x // _BLOCK_PX - 1, (window.x + window.width - 1) // _BLOCK_PX + 2):
            _lay_things(canvas, window, _scatter_things(seed, mpp, row, column), mpp)
    return canvas * _GROUND_RGB


def make_light(seed: int, window: Window) -> Floats:
    """Return the uneven illumination, (height, width) float32 from about 0.92 to 1.04."""
    rng = np.random.default_rng([seed, 2])
    light = np.full((window.height, window.width), 0.98, np.float32)
    for period_px in (1900.0, 900.0):
        y_phase, x_phase = rng.uniform(0, 2 * math.pi, 2)
        y = np.cos((window.y + np.arange(window.height)) * (2 * math.pi / period_px) + y_phase)
        x = np.cos((window.x + np.arange(window.width)) * (2 * math.pi / period_px) + x_phase)
        light += np.multiply.outer(0.03 * y, x).astype(np.float32)
    return light


def _scatter_things(seed: int, mpp: float, row: int, column: int) -> _Things:
    # Blocks above and left of the field have number -1, which a seed may not be.
    rng = np.random.default_rng([seed, 3, row + 1, column + 1])
    # A shaken grid keeps most red cells apart, as a well spread smear does.
    side = max(round(_BLOCK_PX * mpp / _RED_PITCH_UM), 1)
    grid = (np.arange(side) + 0.5) / side * _BLOCK_PX
    shake = 0.22 * _RED_DIAMETER_UM / mpp
    x = (np.tile(grid, side) + rng.normal(0, shake, side**2)) + column * _BLOCK_PX
    y = (np.repeat(grid, side) + rng.normal(0, shake, side**2)) + row * _BLOCK_PX
    # Clear ground and crowds alternate over some 60 um.
    crowd = np.sin(x * mpp / 19 + seed % 7) + np.sin(y * mpp / 23 + seed % 11) + np.sin((x + y) * mpp / 31)
    fate = rng.random(side**2)
    kind = np.where(fate < 0.04, _PLATELET, np.where(fate < 0.05, _DIRT, _RED))
    keep = (kind != _RED) | (rng.normal(0.62, 0.25, side**2) + 0.3 * crowd > 0.3)
    diameter_um = np.where(
        kind == _RED,
        rng.normal(_RED_DIAMETER_UM, 0.45, side**2),
        rng.uniform(1.0, 2.8, side**2),
    )
    stretch = 1 + np.abs(rng.normal(0, np.where(kind == _RED, 0.08, 0.25), side**2))
    angle = rng.uniform(0, math.pi, side**2)
    density = rng.uniform(0.65, 1.0, side**2)
    columns = (kind, x, y, diameter_um / 2 / mpp, stretch, angle, density)
    return _Things(*(values[keep] for values in columns))


def _lay_things(canvas: Floats, window: Window, things: _Things, mpp: float) -> None:
    soft = np.float32(max(0.35 / mpp, 1.0))
    for kind, x, y, radius, stretch, angle, density in zip(
        things.kind,
        things.x - window.x,
        things.y - window.y,
        things.radius,
        things.stretch,
        things.angle,
        things.density,
        strict=True,
    ):
        reach = radius * stretch + 2
        x0, x1 = max(math.floor(x - reach), 0), min(math.ceil(x + reach) + 1, window.width)
        y0, y1 = max(math.floor(y - reach), 0), min(math.ceil(y + reach) + 1, window.height)
        if x0 >= x1 or y0 >= y1:
            continue
        u = np.arange(x0, x1, dtype=np.float32) - np.float32(x)
        v = (np.arange(y0, y1, dtype=np.float32) - np.float32(y))[:, None]
        cos, sin = np.float32(math.cos(angle)), np.float32(math.sin(angle))
        along, across = (u * cos + v * sin) / np.float32(stretch), (v * cos - u * sin) * np.float32(stretch)
        rho = np.sqrt(along * along + across * across) / np.float32(radius)
        share = np.clip((1 - rho) * np.float32(radius) / soft + 0.5, 0, 1) * np.float32(density)
        if kind == _RED:
            # The pale middle third of a biconcave disc.
            share *= 1 - np.float32(0.55) * np.exp(-((rho / np.float32(0.45)) ** 2))
        canvas[y0:y1, x0:x1] *= 1 - share[..., None] * (1 - _THROUGH[kind])
