"""Images that show the same part of the smear: which copies are found, and that no other images are.

    python benchmarks/overlap.py [--bccd N]

Marrow fields are counted with copies of them: saved anew as JPEG of quality 75, turned by 30, 90 and 180
degrees, mirrored, turned and saved anew, and cut so that two parts overlap. Printed is of each copy how many
cells it has and is said to share with the field; of the cells of the copies mirrored and turned by 180, how
many stay within each tolerance and within all; how often different images are called overlapping, each pair
as a specimen of its own; and how long a hundred fields of 150 cells take that are drawn with the spread of
those marrow fields.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path

import numpy as np
from data_folder import add_data_option
from numpy.typing import NDArray
from PIL import Image

import erythron
from erythron.pipeline.overlap import _TOLERANCES, PlacedCells, find_overlaps, place_cells

Within = NDArray[np.bool_]
"""(N, M), of each cell and measure whether it stays within the tolerance."""

MPP = 0.25
FIELDS = (
    "marrow-field/marrow-field-left.png",
    "marrow-fields/bmac_3316.jpg",
    "marrow-fields/hy_6111_TL.jpg",
    "marrow-fields/hy_6048_BL.jpg",
)


def save_anew(image: Image.Image) -> Image.Image:
    """Return an image as it comes back from a JPEG file of quality 75."""
    buffer = BytesIO()
    image.save(buffer, format="JPEG", quality=75)
    return Image.open(buffer).convert("RGB")


def make_copies(image: Image.Image) -> Mapping[str, Image.Image]:
    """Return copies of an image by what was done to each."""
    width, height = image.size
    return {
        "JPEG 75": save_anew(image),
        "turned by 30": image.rotate(30, Image.Resampling.BICUBIC, expand=True, fillcolor=(235, 228, 230)),
        "turned by 90": image.rotate(90, expand=True),
        "turned by 180": image.rotate(180),
        "mirrored": image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        "turned by 180, JPEG 75": save_anew(image.rotate(180)),
        "upper two thirds": image.crop((0, 0, width, 2 * height // 3)),
        "lower two thirds": image.crop((0, height // 3, width, height)),
    }


def count(counter: erythron.Counter, image: Image.Image) -> PlacedCells:
    """Return the cells of an image."""
    return place_cells(counter.count(np.asarray(image)).cells, *image.size)


def share(first: PlacedCells, second: PlacedCells) -> int:
    """Return how many cells two images are said to share."""
    return sum(found.shared for found in find_overlaps([first, second]))


def compare_measures(field: PlacedCells, copy: PlacedCells, expected: NDArray[np.complex64]) -> Within:
    """Return which measures of the cells of a field stay within the tolerances in a copy of known place.

    Args:
        field: its cells.
        copy: those of the copy.
        expected: where each cell of the field is in the copy.
    """
    distances = np.abs(expected[:, None] - copy.places[None])
    nearest = distances.argmin(axis=1)
    is_there = distances.min(axis=1) < 2.5 * field.off_px
    return np.abs(field.measures - copy.measures[nearest])[is_there] <= 1


def draw_fields(fields: list[PlacedCells], number: int) -> list[PlacedCells]:
    """Return fields of 150 cells at random places, their measures as widely spread as those of real ones."""
    rng = np.random.default_rng(0)
    measures: NDArray[np.float32] = np.concatenate([field.measures for field in fields])
    return [
        PlacedCells(
            (rng.uniform(0, 1000, (150, 2)) @ (1, 1j)).astype(np.complex64),
            rng.multivariate_normal(measures.mean(axis=0), np.cov(measures.T), 150).astype(np.float32),
            2.8,
            1e6,
        )
        for _ in range(number)
    ]


def main() -> None:
    """Count the images and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add_data_option(parser)
    parser.add_argument("--bccd", type=int, default=30, help="fields of bccd among the different images")
    options = parser.parse_args()
    data: Path = options.data
    different: dict[str, PlacedCells] = {}
    within: list[Within] = []
    halves: list[tuple[PlacedCells, PlacedCells]] = []
    with erythron.Counter(mpp=MPP) as counter:
        for name in FIELDS:
            image = Image.open(data / name).convert("RGB")
            width, height = image.size
            field = different[name] = count(counter, image)
            print(f"\n{name}, {len(field.places)} cells")
            copies = {kind: count(counter, copy) for kind, copy in make_copies(image).items()}
            for kind, copy in copies.items():
                print(f"  {kind:24} {len(copy.places):4} cells, said to be shared {share(field, copy):4}")
            within.append(compare_measures(field, copies["mirrored"], width - 1 - field.places.conj()))
            turned = width - 1 + 1j * (height - 1) - field.places
            within.append(compare_measures(field, copies["turned by 180"], turned))
            parts = share(copies["upper two thirds"], copies["lower two thirds"])
            print(f"  both of those                       said to be shared {parts:4}")
            for boxes in (
                ((0, 0, width, height // 2), (0, height // 2, width, height)),
                ((0, 0, width // 2, height), (width // 2, 0, width, height)),
            ):
                first, second = (count(counter, image.crop(box)) for box in boxes)
                halves.append((first, second))
        for path in sorted((data / "bccd").rglob("*.jpg"))[:: max(1, 297 // options.bccd)]:
            different[path.name] = count(counter, Image.open(path).convert("RGB"))
    wrong = sum(share(*pair) > 0 for pair in halves)
    print(f"\nhalves that have no cell in common: {wrong} of {len(halves)} pairs called overlapping")
    pairs = list(itertools.combinations(different.values(), 2))
    print(f"different images: {sum(share(*pair) > 0 for pair in pairs)} of {len(pairs)} pairs")
    drawn = draw_fields([different[name] for name in FIELDS], 100)
    start = time.perf_counter()
    found_by_chance = find_overlaps(drawn)
    took = time.perf_counter() - start
    print(f"100 fields of 150 cells at random places: {len(found_by_chance)} of 4950 pairs, {took:.2f} s")
    kept = np.concatenate(within)
    print(f"\nof {len(kept)} cells of copies within the tolerance")
    for measure, share_kept in zip(_TOLERANCES, kept.mean(axis=0), strict=True):
        print(f"  {measure:24} {share_kept:.2f}")
    print(f"  all of them              {kept.all(axis=1).mean():.2f}")


if __name__ == "__main__":
    main()
