"""A drawn field whose reader corrects outlines in a way of their own."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage

from erythron.bundle.folder import Bundle
from erythron.cells.outline import CellOutline, outline_cell
from erythron.read.fields import read_image
from erythron.segment.segmenter import load_segmenter
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from erythron.train.segmenter.reviewed import (
    Kind,
    Picture,
    Place,
    ReviewedField,
    ReviewedOutlines,
    cut_places,
)

MPP = 0.25
SIDES = (460, 330)
"""Width and height in pixels of a field that holds a few more cells than a network learns from."""


def enlarge(outline: CellOutline, px: int) -> CellOutline:
    """Return an outline as a reader draws it who sees nucleus and cell some pixels wider."""
    nucleus, cell = (
        ndimage.binary_dilation(np.pad(part, px), iterations=px) for part in (outline.nucleus, outline.cell)
    )
    wider = outline_cell(nucleus, cell | nucleus, outline.left - px, outline.top - px)
    assert wider is not None
    return wider


def outline_drawn_field(folder: Path, bundle: Bundle, seed: int = 0) -> tuple[Picture, Sequence[CellOutline]]:
    """Draw a field and return it with what the network outlines well inside it."""
    path = folder / f"field{seed}.png"
    Image.fromarray(draw_field(DrawnFieldSpec(*SIDES, MPP, seed, 5000.0)).rgb).save(path)
    light = read_image(path, MPP).light
    inside = [
        o
        for o in load_segmenter(bundle).segment_field(light, MPP)
        if min(o.left, o.top) > 4
        and o.left + o.cell.shape[1] < SIDES[0] - 4
        and o.top + o.cell.shape[0] < SIDES[1] - 4
    ]
    return Picture(path, MPP, "one"), inside


def review_wider(folder: Path, bundle: Bundle, px: int = 3) -> ReviewedOutlines:
    """Return the review of a reader who draws every cell wider than the network."""

    def read() -> Iterator[ReviewedField]:
        picture, outlines = outline_drawn_field(folder, bundle)
        light = read_image(picture.path, MPP).light
        wider = [enlarge(outline, px) for outline in outlines]
        places = (Place(Kind.DRAWN, *o.nucleus_mask.centre, o) for o in wider)
        yield ReviewedField(picture, light, tuple(places))

    return cut_places(read(), bundle)
