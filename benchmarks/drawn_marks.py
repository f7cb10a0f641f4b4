"""Letters, arrows, boxes and scale bars drawn into fields: how many are counted, and what tells them.

    python benchmarks/drawn_marks.py

Marks of six kinds are drawn at 25 places of three marrow fields and of two blood films, twice: in the colours
of usual marks, and in blue and purple, the colours of nuclei. Printed is for each format (lossless, JPEG of
quality 90 and 70) how many outlines lie mostly on what was drawn, before and after marks are dropped, and how
many others there are. Then, of every set, the most that one of its nuclei has of one colour, and of black.
Then the cells that are dropped from fields that were reduced to 256 colours, saved at a low JPEG quality or
blurred. Last, scale and cells of fields without and with a scale bar in a bright box, as a camera draws it.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from data_folder import add_data_option
from PIL import Image, ImageDraw, ImageEnhance, ImageFilter, ImageFont
from scale import MARROW_FIELD, Pixels, list_fields, read_rgb

from erythron.bundle.folder import load_bundle
from erythron.cells.outline import CellOutline
from erythron.pipeline.field import load_networks, outline_field
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.drawn_marks import drop_drawn_marks, measure_black, measure_one_colour
from erythron.segment.segmenter import Segmenter

COLOURS = {
    "usual": ((0, 0, 0), (255, 255, 255), (255, 0, 0), (0, 255, 0), (255, 255, 0), (0, 160, 255)),
    "blue and purple": ((0, 0, 255), (160, 0, 160), (90, 0, 140), (75, 0, 130)),
}
CELL_SETS = {
    "pathology-bites-cells": ("*.png", 20, 0.25),
    "pbc-acevedo": ("*.jpg", 200, 0.1),
    "segmentation_WBC": ("*.bmp", 15, 0.1),
    "matek-marrow": ("*.*", 30, 0.09),
    "blood-phone": ("*.jpg", 4, 0.6),
    "bccd": ("*.jpg", 15, 0.082),
}
"""Of each set the files, every so manieth of them, and microns per pixel about."""


def draw_marks(rgb: Pixels, colours: str, seed: int) -> Pixels:
    """Return a picture with marks drawn into it."""
    picture = Image.fromarray(rgb)
    pen, rng = ImageDraw.Draw(picture), np.random.default_rng(seed)
    for x in range(20, min(470, rgb.shape[1]), 90):
        for y in range(20, min(470, rgb.shape[0]), 90):
            colour = COLOURS[colours][rng.integers(len(COLOURS[colours]))]
            kind, size = int(rng.integers(6)), int(rng.integers(14, 44))
            font = ImageFont.load_default(size)
            if kind == 0:
                pen.text((x, y), "Ab", fill=colour, font=font)
            elif kind == 1:
                pen.text((x, y), "10 um", fill=colour, font=font)
                pen.rectangle((x, y + size + 4, x + 2 * size, y + size + 8), fill=colour)
            elif kind == 2:
                pen.line((x, y, x + size, y + size), fill=colour, width=4)
                tip = [(size + 6, size + 6), (size - 8, size + 2), (size + 2, size - 8)]
                pen.polygon([(x + dx, y + dy) for dx, dy in tip], fill=colour)
            elif kind == 3:
                pen.rectangle((x, y, x + size, y + size), outline=colour, width=3)
            elif kind == 4:
                pen.ellipse((x, y, x + size // 2 + 6, y + size // 2 + 6), fill=colour)
            else:
                pen.rectangle((x, y, x + size, y + size // 2), fill=colour)
    return np.asarray(picture)


def compress(rgb: Pixels, quality: int | None) -> Pixels:
    """Return a picture as JPEG gives it back; unchanged for None."""
    if quality is None:
        return rgb
    held = io.BytesIO()
    Image.fromarray(rgb).save(held, "JPEG", quality=quality)
    return np.asarray(Image.open(held).convert("RGB"))


def is_on(outline: CellOutline, drawn: np.ndarray) -> bool:
    """Return whether most of a nucleus lies on what was drawn, (H, W) bool."""
    height, width = outline.nucleus.shape
    part = drawn[outline.top : outline.top + height, outline.left : outline.left + width]
    return bool(part[outline.nucleus].mean() > 0.5)


def show_marks(fields: list[tuple[Pixels, float]], segmenter: Segmenter) -> None:
    """Print the marks and the other outlines before and after marks are dropped."""
    for colours, quality in product(COLOURS, (None, 90, 70)):
        tally = np.zeros(4, np.int64)
        for (rgb, mpp), seed in product(fields, range(2)):
            marked = draw_marks(rgb, colours, seed)
            drawn = np.abs(marked.astype(int) - rgb).max(axis=2) > 40
            image = SmearImage("marked", compress(marked, quality), mpp, ScaleSource.OPTION)
            found = segmenter.segment_field(image.light, mpp)
            kept = drop_drawn_marks(found, image.rgb, image.background)
            before, after = ([is_on(o, drawn) for o in part] for part in (found, kept))
            tally += (sum(before), sum(after), before.count(False), after.count(False))
        name = f"{colours}, {'lossless' if quality is None else f'JPEG {quality}'}"
        print(f"{name}: marks {tally[0]}, now {tally[1]}; others {tally[2]}, now {tally[3]}", flush=True)


def show_nuclei(name: str, pictures: list[tuple[Pixels, float]], segmenter: Segmenter) -> None:
    """Print the most of one colour and of black that a nucleus of a set has."""
    shares = []
    for rgb, mpp in pictures:
        image = SmearImage(name, rgb, mpp, ScaleSource.OPTION)
        shares += [
            (measure_one_colour(o, rgb), measure_black(o, rgb, image.background))
            for o in segmenter.segment_field(image.light, mpp)
        ]
    most = np.max(shares, axis=0)
    print(
        f"{name}: {len(shares)} nuclei, one colour at most {most[0]:.3f}, black at most {most[1]:.3f}",
        flush=True,
    )


def show_worse(fields: list[tuple[Pixels, float]], segmenter: Segmenter) -> None:
    """Print the cells dropped from fields made worse."""
    ways: dict[str, Callable[[Image.Image], Image.Image]] = {
        "256 colours": lambda picture: picture.quantize(256).convert("RGB"),
        "web colours": lambda picture: picture.convert("P").convert("RGB"),
        "contrast 1.8": lambda picture: ImageEnhance.Contrast(picture).enhance(1.8),
        "blurred": lambda picture: picture.filter(ImageFilter.GaussianBlur(3)),
        "JPEG 30": lambda picture: Image.fromarray(compress(np.asarray(picture), 30)),
        "JPEG 10": lambda picture: Image.fromarray(compress(np.asarray(picture), 10)),
    }
    for way, change in ways.items():
        total = lost = 0
        for rgb, mpp in fields:
            image = SmearImage(way, np.asarray(change(Image.fromarray(rgb))), mpp, ScaleSource.OPTION)
            found = segmenter.segment_field(image.light, mpp)
            total += len(found)
            lost += len(found) - len(drop_drawn_marks(found, image.rgb, image.background))
        print(f"{way}: of {total} cells {lost} dropped", flush=True)


def draw_bar(rgb: Pixels) -> Pixels:
    """Return a picture with a scale bar in a bright box in its lower right corner."""
    picture = Image.fromarray(rgb)
    pen = ImageDraw.Draw(picture)
    right, bottom = rgb.shape[1] - 12, rgb.shape[0] - 12
    pen.rectangle((right - 120, bottom - 46, right, bottom), fill=(255, 255, 255), outline=(0, 0, 0))
    pen.text((right - 90, bottom - 44), "10 um", fill=(0, 0, 0), font=ImageFont.load_default(22))
    pen.rectangle((right - 110, bottom - 14, right - 10, bottom - 8), fill=(0, 0, 0))
    return np.asarray(picture)


def show_bar(pictures: list[tuple[str, Pixels]], segmenter: Segmenter) -> None:
    """Print the scale and the cells of pictures without and with a bar."""
    framing = load_bundle().card.framing
    for name, rgb in pictures:
        told = []
        for quality, shown in ((None, rgb), (None, draw_bar(rgb)), (90, draw_bar(rgb))):
            image = SmearImage(name, compress(shown, quality), None, ScaleSource.UNKNOWN)
            field = outline_field(image, lambda: segmenter, framing)
            on_bar = sum(
                o.left + o.cell.shape[1] > rgb.shape[1] - 132 and o.top + o.cell.shape[0] > rgb.shape[0] - 58
                for o in field.outlines
            )
            told.append(f"{field.image.mpp or 0:.3f} um/px, {len(field.outlines)} cells, {on_bar} there")
        print(f"{name}: {told[0]}; with a bar {told[1]}; as JPEG {told[2]}", flush=True)


def main() -> None:
    """Draw, count and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    data: Path = parser.parse_args().data
    segmenter = load_networks(load_bundle()).segmenter
    marrow = [(rgb, mpp) for _, rgb, mpp in list_fields(data)]
    films = [
        (read_rgb(data / "blood-films" / name), mpp) for name, mpp in (("HS/7.JPG", 0.19), ("HS/9.JPG", 0.19))
    ]
    show_marks([*marrow[1:4], *films], segmenter)
    show_nuclei("marrow fields", marrow, segmenter)
    for name, (pattern, every, mpp) in CELL_SETS.items():
        paths = [p for p in sorted((data / name).rglob(pattern)) if p.is_file() and "ask" not in p.name]
        show_nuclei(name, [(read_rgb(path), mpp) for path in paths[::every]], segmenter)
    named = [(source, rgb) for source, rgb, _ in list_fields(data)]
    show_bar([*named, ("film", films[0][0])], segmenter)
    show_worse([(read_rgb(data / MARROW_FIELD)[:500], 0.253), *marrow[1:]], segmenter)


if __name__ == "__main__":
    main()
