"""Which areas of a slide made of real fields are chosen to count in.

    python benchmarks/areas.py

The slide is a chessboard of areas of 256 um: marrow, the same out of focus and too thick, blood, sections,
and glass; every area is one real field, brought to 0.25 um per pixel and to one colour of glass, and mirrored
where it is smaller. The thresholds were chosen with these fields in view, so the table shows what they do,
not how often they err on others. Prints Markdown.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tifffile
from data_folder import add_data_option
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.bundle.folder import load_bundle
from erythron.pipeline.slides.ranking import rank_places
from erythron.pipeline.slides.traits import look_over
from erythron.quality.spread import AreaFitness, AreaTraits, judge_spread, measure_spread
from erythron.read.box import Box
from erythron.read.fields import read_image
from erythron.read.tiff_slide import TiffSlide
from erythron.segment.blocks import make_grid
from erythron.segment.scale import estimate_scale

MPP = 0.25
GLASS = np.array([232, 227, 239], np.float32)
COLUMNS = 12
BLUR_UM = 1.0
THICKNESS = 5

Pixels = NDArray[np.uint8]


def list_fields(data: Path) -> Iterator[tuple[str, Path]]:
    """Yield kind and path of every field."""
    yield "marrow", data / "marrow-field" / "marrow-field-left.png"
    yield from (("marrow", path) for path in sorted((data / "marrow-fields").glob("*.jpg")))
    yield from (("section", path) for path in sorted((data / "marrow-sections").glob("*.png")))
    yield from (("blood", path) for path in sorted((data / "bccd").rglob("*.jpg"))[:24])


def prepare(path: Path, side: int) -> Pixels:
    """Return a field at the slide's scale and glass, mirrored to a square."""
    image = read_image(path)
    found = estimate_scale(image.rgb)
    scale = (MPP if found is None else found.mpp) / MPP
    size = round(image.width_px * scale), round(image.height_px * scale)
    small = np.asarray(Image.fromarray(image.rgb).resize(size, Image.Resampling.LANCZOS))[:side, :side]
    level = np.clip(small / image.background * GLASS, 0, 255).astype(np.uint8)
    return np.pad(level, ((0, side - level.shape[0]), (0, side - level.shape[1]), (0, 0)), mode="symmetric")


def make_areas(data: Path, side: int) -> list[tuple[str, Pixels]]:
    """Return areas with their kinds."""
    areas = []
    for kind, path in list_fields(data):
        rgb = prepare(path, side)
        areas.append((kind, rgb))
        if kind == "marrow":
            blurred = ndimage.gaussian_filter(rgb, (BLUR_UM / MPP, BLUR_UM / MPP, 0))
            thick = (rgb / GLASS).clip(0, 1) ** THICKNESS * GLASS
            # As of many layers: light from cells of other depths, out of focus.
            layers = ndimage.gaussian_filter(thick, (8, 8, 0)) * 0.5
            areas += [("marrow, out of focus", blurred), ("marrow, too thick", layers.astype(np.uint8))]
    empty = np.tile(GLASS.astype(np.uint8), (side, side, 1))
    return areas + [("glass", empty)] * (-len(areas) % COLUMNS + COLUMNS)


def main() -> None:
    """Print what is chosen."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    add_data_option(parser)
    data: Path = parser.parse_args().data
    bundle = load_bundle()
    block = make_grid(10_000, 10_000, MPP, bundle.card.segmenter).block_px
    side = 2 * block
    areas = make_areas(data, side)
    order = np.random.default_rng(0).permutation(len(areas))
    kinds = [areas[i][0] for i in order]
    rows = [
        np.concatenate([areas[i][1] for i in order[first : first + COLUMNS]], axis=1)
        for first in range(0, len(order), COLUMNS)
    ]
    traits: defaultdict[str, list[AreaTraits]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "slide.tif"
        tifffile.imwrite(path, np.concatenate(rows), photometric="rgb", tile=(256, 256), compression="zlib")
        slide = TiffSlide(path, MPP)
        grid = make_grid(slide.width_px, slide.height_px, MPP, bundle.card.segmenter)

        def name(box: Box) -> str:
            return kinds[box.top // side * COLUMNS + box.left // side]

        def look(box: Box) -> AreaFitness:
            rgb = slide.read_region(box.left, box.top, box.right - box.left, box.bottom - box.top)
            traits[name(box)].append(measure_spread(rgb, GLASS, MPP))
            return judge_spread(traits[name(box)][-1])

        ranked = [name(box) for box in rank_places(look_over(slide), grid, side, 0, look)]
    print("| area | number | glass | nuclear stain | unreadable | fit | few cells | left out |")
    print("|---|---|---|---|---|---|---|---|")
    for kind in sorted(set(kinds)):
        told = Counter(judge_spread(one) for one in traits[kind])
        spans = [
            f"{min(values):.3f} to {max(values):.3f}" if values else "not looked at"
            for values in (
                [one.glass for one in traits[kind]],
                [one.nuclear for one in traits[kind]],
                [one.unreadable for one in traits[kind]],
            )
        ]
        verdicts = [str(told[fitness]) for fitness in AreaFitness]
        print(f"| {' | '.join([kind, str(kinds.count(kind)), *spans, *verdicts])} |")
    print(f"\nIn order of rank: {', '.join(ranked[:12])}.")


if __name__ == "__main__":
    main()
