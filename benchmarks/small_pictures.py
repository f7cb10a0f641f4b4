"""Which small pictures are refused as no smear, and that with their own source held out.

    python benchmarks/small_pictures.py --data DATA [--parts marrow cells others blood]

Whole pictures are counted as in use, without a scale, among them pictures of single cells of marrow; crops
of 200, 300 and 400 px, cut at random, with the field's own scale, or 0.25 where it has none; some of 300 px
of marrow also blurred, and made pink. A picture in which eight red cells are seen is a smear; else the mean
strangeness of its whole cells says whether it is one (``quality/specimen.py``), with some usual cells counted
to those that are seen. Printed is, of each source and size: pictures, how many have no eight red cells, how
many are refused, and the strangest and the least strange of those that are judged by their cells.

Then, for each source, what the others choose: their number of usual cells, from 0 to 16, is that with the
widest gap between the strangest smear and the least strange whole picture of something else, the strangeness
of a usual cell is its mean over the smears of the others, and the limit is half way. What another test tells
(of colour or of empty glass) has no say in the limit, but for the clot, which is judged by its cells here.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import skimage
from data_folder import add_data_option
from scale import CASES, PHOTOGRAPHS, Pixels, list_fields, read_rgb
from scipy import ndimage

from erythron.bundle.folder import load_bundle
from erythron.cells.flags import CellFlag, has_flag
from erythron.pipeline.field import Networks, load_networks, name_cells, outline_field
from erythron.quality.flags import THRESHOLDS as FIELD_THRESHOLDS
from erythron.quality.specimen import THRESHOLDS, find_other_specimen, measure_strangeness
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.scale import estimate_scale

SIDES_PX = (200, 300, 400)
HARMED_PX, HARMED, BLUR_PX = 300, 2, 2.0
PINK = np.array([0.6, 1.3, 1.0])
"""Powers of the light."""

MOST = {"marrow-field": 50, "bmac": 8, "photographs": 1}
USUAL_MOST, MOST_LARGE = 4, 4
OTHERS = ("marrow-sections", "clot", "photographs")
NEITHER = "blood-phone"
"""Smears too coarse to be counted: it is as well to refuse one, so they have no part in the choice."""

USUAL_CELLS = range(17)
STATED = 0.25
CELLS_STEP = 25


@dataclass(frozen=True)
class Judged:
    """A picture.

    Attributes:
        source: where it is from.
        side: of the crop in pixels, and what was done to it; empty for a whole picture.
        strange: strangeness of its whole cells; empty where red cells are seen or it is told by its colour.
        shows_red: whether eight red cells are seen.
        is_refused: as in use.
    """

    source: str
    side: str
    strange: tuple[float, ...]
    shows_red: bool
    is_refused: bool

    def find_mean(self, usual_cells: int, usual: float) -> float:
        """Return the mean strangeness with usual cells counted to those that are seen."""
        return (sum(self.strange) + usual_cells * usual) / max(len(self.strange) + usual_cells, 1)


@dataclass(frozen=True)
class Limits:
    """A rule: how many usual cells, how strange these are, and over what a picture is no smear."""

    usual_cells: int
    usual: float
    most: float

    def refuse(self, picture: Judged) -> bool:
        """Return whether a picture is refused for its cells."""
        return picture.find_mean(self.usual_cells, self.usual) > self.most


SHIPPED = Limits(THRESHOLDS.usual_cells, THRESHOLDS.usual_strange, THRESHOLDS.most_strange)


def judge(source: str, side: str, rgb: Pixels, mpp: float | None, networks: Networks) -> Judged:
    """Count a picture as in use and keep what the rule looks at."""
    by = ScaleSource.UNKNOWN if mpp is None else ScaleSource.OPTION
    image = SmearImage("picture", np.ascontiguousarray(rgb), mpp, by)
    outlined = outline_field(image, lambda: networks.segmenter, load_bundle().card.framing)
    image = outlined.image
    cells = name_cells(image, outlined.outlines, networks.classifier, is_field=True)
    why = find_other_specimen(image, cells)
    red_cells = estimate_scale(image.rgb)
    shows_red = red_cells is not None and red_cells.is_sure
    is_coarse = image.mpp is not None and image.mpp > FIELD_THRESHOLDS.most_mpp
    is_told = why is not None and "no red cell" not in why and source != "clot"
    whole = cells.filter(~has_flag(CellFlag.TOUCHES_EDGE))
    strange = () if shows_red or is_coarse or is_told else tuple(measure_strangeness(whole).to_list())
    return Judged(source, side, strange, shows_red, why is not None)


def blur(rgb: Pixels) -> Pixels:
    """Return a picture out of focus."""
    return np.asarray(ndimage.gaussian_filter(rgb, (BLUR_PX, BLUR_PX, 0)))


def make_pink(rgb: Pixels) -> Pixels:
    """Return a picture with more of the red dye and less of the blue."""
    return np.asarray((255 * (rgb / 255) ** PINK).round(), np.uint8)


def list_pictures(data: Path, parts: Sequence[str]) -> Iterator[tuple[str, Pixels, float | None, bool]]:
    """Yield the source, pixels and microns per pixel of each picture, and whether crops are cut from it."""
    if "marrow" in parts:
        yield from ((source, rgb, mpp, True) for source, rgb, mpp in list_fields(data))
        yield "by telephone", read_rgb(data / f"cases/images/{CASES[1]}.png"), None, False
    if "cells" in parts:
        paths = sorted((data / "matek-marrow").rglob("*.jpg"))[::CELLS_STEP]
        for path in [*sorted((data / "matek-samples").glob("*.jpg")), *paths]:
            yield "single cells", read_rgb(path), None, False
    if "others" in parts:
        for path in sorted((data / "marrow-sections").glob("*.png")):
            yield "marrow-sections", read_rgb(path), STATED, True
        yield "clot", read_rgb(data / "cases/images/clot_called_plasma_cells.jpg"), STATED, True
        for name in PHOTOGRAPHS:
            yield "photographs", read_rgb(Path(skimage.__file__).parent / "data" / name), None, True
    if "blood" in parts:
        films = json.loads((data / "blood-films/films.json").read_text())
        for name in list(films)[::3]:
            yield "blood-films", read_rgb(data / "blood-films" / name), None, False
        for path in sorted((data / "bccd").rglob("JPEGImages/*.jpg"))[::30]:
            yield "bccd", read_rgb(path), None, False
        for path in sorted((data / "blood-phone").glob("*.jpg"))[::3]:
            yield "blood-phone", read_rgb(path), None, False


def judge_all(data: Path, parts: Sequence[str], networks: Networks) -> list[Judged]:
    """Count every picture, and crops of those that crops are cut from."""
    rng = np.random.default_rng(11)
    found = []
    for source, rgb, mpp, has_crops in list_pictures(data, parts):
        found.append(judge(source, "", rgb, None, networks))
        for side in SIDES_PX if has_crops else ():
            if side > min(rgb.shape[:2]):
                continue
            usual = MOST.get(source, USUAL_MOST)
            for number in range(usual if side == SIDES_PX[0] else min(usual, MOST_LARGE)):
                top, left = (int(rng.integers(0, length - side + 1)) for length in rgb.shape[:2])
                crop = rgb[top : top + side, left : left + side]
                found.append(judge(source, str(side), crop, mpp, networks))
                if side == HARMED_PX and number < HARMED and source not in OTHERS:
                    found.append(judge(source, f"{side}, blurred", blur(crop), mpp, networks))
                    found.append(judge(source, f"{side}, pink", make_pink(crop), mpp, networks))
        print(f"{source}: {len(found)} pictures", file=sys.stderr, flush=True)
    return found


def choose(pictures: Sequence[Judged]) -> Limits:
    """Return the rule with the widest gap between smears and whole pictures of something else."""
    shown = [p for p in pictures if p.strange and p.source != NEITHER]
    smears = [p for p in shown if p.source not in OTHERS]
    others = [p for p in shown if p.source in OTHERS and not p.side]
    sources = dict.fromkeys(p.source for p in smears)
    usual = float(
        np.mean([np.mean(np.concatenate([p.strange for p in smears if p.source == s])) for s in sources])
    )

    def find_ends(count: int) -> tuple[float, float]:
        return (
            max(p.find_mean(count, usual) for p in smears),
            min(p.find_mean(count, usual) for p in others),
        )

    best = max(USUAL_CELLS, key=lambda count: find_ends(count)[1] - find_ends(count)[0])
    return Limits(best, usual, sum(find_ends(best)) / 2)


def show_refused(found: Sequence[Judged]) -> None:
    """Print what is refused of each source and size."""
    print("| source | side | pictures | without red cells | refused | least strange | strangest |")
    print(f"|{'---|' * 7}")
    for source, side in dict.fromkeys((p.source, p.side) for p in found):
        part = [p for p in found if (p.source, p.side) == (source, side)]
        means = [p.find_mean(SHIPPED.usual_cells, SHIPPED.usual) for p in part if p.strange]
        row = (
            source,
            str(side or "whole"),
            str(len(part)),
            str(sum(not p.shows_red for p in part)),
            str(sum(p.is_refused for p in part)),
            *((f"{min(means):.2f}", f"{max(means):.2f}") if means else ("", "")),
        )
        print(f"| {' | '.join(row)} |")


def show_held_out(found: Sequence[Judged]) -> None:
    """Print for each source what the others choose, and what that refuses of it."""
    print("\n| held out | usual cells | as strange as | limit | whole refused | crops refused |")
    print(f"|{'---|' * 6}")
    print(describe("none", choose(found), found))
    for source in dict.fromkeys(p.source for p in found):
        limits = choose([p for p in found if p.source != source])
        print(describe(source, limits, [p for p in found if p.source == source]))


def describe(name: str, limits: Limits, pictures: Sequence[Judged]) -> str:
    """Return a row: the limits, and what they refuse of pictures that are judged by their cells."""
    shares = [
        f"{sum(limits.refuse(p) for p in part)} of {len(part)}"
        for part in (
            [p for p in pictures if p.strange and not p.side],
            [p for p in pictures if p.strange and p.side],
        )
    ]
    return (
        f"| {name} | {limits.usual_cells} | {limits.usual:.2f} | {limits.most:.2f} | {' | '.join(shares)} |"
    )


def main() -> None:
    """Judge the pictures and print what is refused."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parts = ("marrow", "cells", "others", "blood")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    options = parser.parse_args()
    found = judge_all(options.data, options.parts, load_networks(load_bundle()))
    show_refused(found)
    if {"marrow", "others"} <= set(options.parts):
        show_held_out(found)


if __name__ == "__main__":
    main()
