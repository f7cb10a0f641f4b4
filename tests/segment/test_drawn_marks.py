"""Drawn marks are told by having one colour throughout, and black is no nucleus; nothing else is dropped."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFont

from erythron.cells.outline import CellOutline, outline_cell
from erythron.segment.drawn_marks import drop_drawn_marks
from erythron.segment.masks import fill_holes

GLASS = np.array((238, 236, 240), np.float32)
PURPLE = (90, 0, 140)


def make_field(sd: float = 6) -> np.ndarray:
    """Three nuclei with texture, at (60, 60), (160, 60) and (260, 60), amid red cells; noise of a camera."""
    picture = Image.new("RGB", (320, 240), (238, 236, 240))
    pen = ImageDraw.Draw(picture)
    for x in range(10, 300, 45):
        for y in range(110, 230, 45):
            pen.ellipse((x, y, x + 36, y + 36), fill=(200, 140, 135))
    for x in (60, 160, 260):
        pen.ellipse((x - 16, 44, x + 16, 76), fill=PURPLE)
    rgb = np.asarray(picture) + np.random.default_rng(0).normal(0, sd, (240, 320, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def outline_disc(x: int, y: int, radius: int = 14) -> CellOutline:
    rows, columns = np.mgrid[:240, :320]
    inside = (rows - y) ** 2 + (columns - x) ** 2 <= radius**2
    return outline(inside)


def outline(mask: np.ndarray) -> CellOutline:
    rows, columns = np.nonzero(mask)
    part = mask[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    found = outline_cell(part, part, int(columns.min()), int(rows.min()), 0.9)
    assert found is not None
    return found


NUCLEI = tuple(outline_disc(x, 60) for x in (60, 160, 260))


@pytest.mark.parametrize("kind", ["letter", "arrow", "box", "disc", "bar"])
def test_what_is_drawn_is_dropped(kind: str) -> None:
    rgb = make_field()
    picture = Image.fromarray(rgb)
    pen = ImageDraw.Draw(picture)
    if kind == "letter":
        pen.text((100, 20), "R", fill=PURPLE, font=ImageFont.load_default(40))
    elif kind == "arrow":
        pen.polygon([(100, 20), (130, 30), (108, 50)], fill=PURPLE)
    elif kind == "box":
        pen.rectangle((100, 20, 130, 50), outline=PURPLE, width=7)
    elif kind == "disc":
        pen.ellipse((100, 20, 130, 50), fill=PURPLE)
    else:
        pen.rectangle((100, 30, 140, 38), fill=PURPLE)
    marked = np.asarray(picture)
    mark = outline(fill_holes((marked != rgb).any(axis=2)))
    assert drop_drawn_marks((*NUCLEI, mark), marked, GLASS) == NUCLEI
    assert drop_drawn_marks((mark,), marked, GLASS) == ()


def test_a_letter_on_the_rim_of_an_eyepiece_is_dropped() -> None:
    """Of the letters burned into a picture by telephone, one that lies on the rim was counted as a cell."""
    rgb = make_field().copy()
    rgb[20:50, 100:130] = np.random.default_rng(1).integers(0, 9, (30, 30, 3))
    rgb[28:36, 104:126] = (150, 9, 111)
    assert drop_drawn_marks((*NUCLEI, outline_disc(115, 35)), rgb, GLASS) == NUCLEI


def test_a_nucleus_over_which_a_thin_line_runs_stays() -> None:
    picture = Image.fromarray(make_field())
    ImageDraw.Draw(picture).line((0, 60, 319, 60), fill=(0, 0, 0), width=2)
    assert drop_drawn_marks(NUCLEI, np.asarray(picture), GLASS) == NUCLEI


@pytest.mark.parametrize("colours", [16, 64, 256])
def test_a_picture_of_few_colours_keeps_its_nuclei(colours: int) -> None:
    """Their pixels are as alike as those of a mark."""
    rgb = np.asarray(Image.fromarray(make_field()).quantize(colours).convert("RGB"))
    assert drop_drawn_marks(NUCLEI, rgb, GLASS) == NUCLEI


def test_a_picture_without_noise_keeps_its_nuclei() -> None:
    rgb = make_field(0)
    assert drop_drawn_marks(NUCLEI, rgb, GLASS) == NUCLEI
    assert drop_drawn_marks((), rgb, GLASS) == ()
