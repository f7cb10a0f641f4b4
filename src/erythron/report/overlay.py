"""Outlines of cells and nuclei on their image, in the colours of their classes, with a legend beneath."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from erythron.cells.outline import CellOutline, render_labels
from erythron.cells.palette import UNCLASSIFIED_COLOUR, Colour, colour_of
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED, name_groups
from erythron.report.model import Picture

_LEGEND_MIN_WIDTH_PX = 240
_CASING = (255, 255, 255)
"""Colour inside every outline, so that dark ones stand out on dark nuclei."""
_PICTURES_BYTES = 1_200_000
"""Bytes that the pictures of one page may take together, so that the page stays small."""

_LEAST_PX = 320
"""Longest side below which no picture is made smaller, whatever its bytes."""


def draw_overlay(
    rgb: NDArray[np.uint8],
    outlines: Sequence[CellOutline],
    cells: pl.DataFrame,
    *,
    legend: bool = True,
) -> Image.Image:
    """Draw the outlines at the image's own size.

    Args:
        rgb: (H, W, 3) uint8.
        outlines: the cells.
        cells: their table, in the same order, with ``label`` and ``flags``.
        legend: add a strip with the classes in view beneath the image, where it is wide enough; the pixels of
            the image keep their place.
    """
    groups = name_groups(cells)
    lines = np.zeros((len(outlines) + 1, 3), dtype=np.uint8)
    for number, group in enumerate(groups, start=1):
        lines[number] = _colour_of_group(group)
    nucleus, cell = render_labels(outlines, *rgb.shape[:2])
    casings = np.full_like(lines, _CASING)
    thickness = 2 if min(rgb.shape[:2]) >= 400 else 1
    canvas = rgb.copy()
    _paint(canvas, cell, [lines] * thickness + [casings])
    _paint(canvas, nucleus, [lines, casings])
    image = Image.fromarray(canvas)
    if legend and groups and image.width >= _LEGEND_MIN_WIDTH_PX:
        return _add_legend(image, groups)
    return image


def make_overlay_picture(overlay: Image.Image, fields_shown: int, longest_px: int = 2400) -> Picture:
    """Encode an overlay for a page that shows several.

    Args:
        overlay: RGB.
        fields_shown: overlays on the page; the more, the smaller each, so that the page stays bounded.
        longest_px: the longest side at most.
    """
    budget = _PICTURES_BYTES // max(fields_shown, 1)
    side = min(longest_px, max(overlay.size))
    while True:
        picture = encode_picture(overlay, side)
        excess = len(picture.data) / budget
        if excess <= 1 or side <= _LEAST_PX:
            return picture
        # Bytes go with the area; a little under what would fit, so that the next try mostly does.
        side = max(_LEAST_PX, int(0.95 * side / excess**0.5))


def encode_picture(image: Image.Image, longest_px: int, quality: int = 82) -> Picture:
    """Encode as JPEG with full colour resolution (outlines stay sharp), scaled down to ``longest_px``."""
    scale = min(1.0, longest_px / max(image.size))
    if scale < 1.0:
        size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
        image = image.resize(size, Image.Resampling.LANCZOS)
    buffer = BytesIO()
    image.save(buffer, "JPEG", quality=quality, subsampling=0)
    return Picture(buffer.getvalue(), image.width, image.height)


def _colour_of_group(group: str) -> Colour:
    return UNCLASSIFIED_COLOUR if group in (UNCLASSIFIED, NOT_A_CELL) else colour_of(group)


def _paint(canvas: NDArray[np.uint8], labels: NDArray[np.int32], rims: list[NDArray[np.uint8]]) -> None:
    """Paint the inner border of every label a pixel wide for each of ``rims``, colours by label."""
    inside = labels.copy()
    for colours in rims:
        border = np.zeros(inside.shape, np.bool_)
        differs = inside[1:] != inside[:-1]
        border[1:] = differs
        border[:-1] |= differs
        differs = inside[:, 1:] != inside[:, :-1]
        border[:, 1:] |= differs
        border[:, :-1] |= differs
        border &= inside > 0
        canvas[border] = colours[inside[border]]
        inside[border] = 0


def _add_legend(image: Image.Image, groups: list[str]) -> Image.Image:
    size = min(20, max(12, image.width // 60))
    font = ImageFont.load_default(size)
    row_height, gap = round(size * 1.7), size
    places: list[tuple[int, int, str, str]] = []
    x, row = gap, 0
    for group in dict.fromkeys(sorted(groups, key=lambda g: (g == UNCLASSIFIED, -groups.count(g), g))):
        text = f"{group.replace('_', ' ')} {groups.count(group)}"
        width = round(font.getlength(text)) + size + gap // 2
        if x > gap and x + width > image.width - gap:
            x, row = gap, row + 1
        places.append((x, row, group, text))
        x += width + gap
    sheet = Image.new("RGB", (image.width, image.height + (row + 1) * row_height + gap), "white")
    sheet.paste(image, (0, 0))
    draw = ImageDraw.Draw(sheet)
    for x, row, group, text in places:
        middle = image.height + gap // 2 + row * row_height + row_height // 2
        box = (x, middle - size // 2, x + size, middle + size // 2)
        draw.rectangle(box, fill=_colour_of_group(group))
        draw.text((x + size + gap // 2, middle), text, fill=(28, 32, 38), font=font, anchor="lm")
    return sheet
