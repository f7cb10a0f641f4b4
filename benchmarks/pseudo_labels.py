"""What the thresholds of the pseudo-labels do: nuclei beside drawn ones, and which lone cells are kept.

    python benchmarks/pseudo_labels.py [--every N]

For each threshold of ``erythron.train.segmenter.pseudo_labels``, and values around it, the others as they
are: of the drawn cells of ``bccd`` and ``marrow-masks`` how many get a nucleus, and its Dice with the drawn
one; of 150 granulocytes of ``pbc-acevedo`` how many are alone, and the Dice of their outlines with those of
the value in use.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
from data_folder import add_data_option
from numpy.typing import NDArray
from scipy import ndimage

from erythron.datasets.masks import read_mask
from erythron.datasets.sets import read_set
from erythron.read.fields import read_image
from erythron.segment.stain import balance
from erythron.train.segmenter import pseudo_labels
from erythron.train.segmenter.annotations import SMOOTHED_PX
from erythron.train.segmenter.evaluate import measure_dice
from erythron.train.segmenter.sets import TRAITS

Bools = NDArray[np.bool_]
LEAST_DRAWN_PX = 500
LONE_CELLS = 150
OF_NUCLEI = {"LEAST_SEPARABILITY": (0.0, 0.6, 0.68, 0.75, 0.8), "LEAST_LOBE": (0.04, 0.08, 0.16)}
OF_CELLS = {
    "EMPTY_LIGHT": (0.8, 0.83, 0.85, 0.87, 0.9),
    "SPUR_UM": (0.4, 0.8, 1.2),
    "LEAST_SOLIDITY": (0.93, 0.95, 0.97),
    "LONE_AREA_UM2": ((50.0, 400.0), (30.0, 600.0)),
}


def read_drawn(folder: Path, every: int) -> Iterator[tuple[NDArray[np.float32], Bools, Bools]]:
    """Yield smoothed light, cell and nucleus of every n-th image's drawn cells."""
    rows = read_set(folder.name, folder).rows.drop_nulls("mask_path")
    rows = rows.unique("path", keep="first", maintain_order=True)[::every]
    for path, mask_path, kind in rows.select("path", "mask_path", "mask_kind").iter_rows():
        image, mask = read_image(path), read_mask(Path(mask_path), kind)
        parts, count = ndimage.label(mask.cell)
        light = balance(image.rgb, image.background, SMOOTHED_PX)
        for number in range(1, count + 1):
            cell = parts == number
            if mask.nucleus is not None and cell.sum() >= LEAST_DRAWN_PX:
                yield light, cell, mask.nucleus & cell


def report_nuclei(name: str, drawn: list[tuple[NDArray[np.float32], Bools, Bools]]) -> None:
    """Print how nuclei of the stain agree with drawn ones."""
    for threshold, values in OF_NUCLEI.items():
        used = getattr(pseudo_labels, threshold)
        for value in values:
            setattr(pseudo_labels, threshold, value)
            found = [(pseudo_labels.find_nucleus(light, cell), nucleus) for light, cell, nucleus in drawn]
            dice = np.array([measure_dice(nucleus, one) for one, nucleus in found if one is not None])
            print(
                f"{name:<22} {threshold:<18} {value!s:<6} {len(dice)} of {len(drawn)} nuclei: Dice mean "
                f"{dice.mean():.3f}, tenth percentile {np.percentile(dice, 10):.3f}, least {dice.min():.3f}"
            )
        setattr(pseudo_labels, threshold, used)


def report_lone(folder: Path) -> None:
    """Print which cells are taken to be alone."""
    traits = TRAITS[folder.name]
    rows = read_set(folder.name, folder).rows.filter(pl.col("source_label").is_in(traits.lone_labels))
    chosen = np.sort(np.random.default_rng(1).permutation(rows.height)[:LONE_CELLS])
    crops = []
    for image in map(read_image, rows["path"].gather(chosen)):
        mpp = traits.crop_width_um / min(image.rgb.shape[:2])
        crops.append((balance(image.rgb, image.background, SMOOTHED_PX), mpp))
    base = [pseudo_labels.find_lone_cell(light, mpp) for light, mpp in crops]
    for threshold, values in OF_CELLS.items():
        used = getattr(pseudo_labels, threshold)
        for value in values:
            setattr(pseudo_labels, threshold, value)
            found = [pseudo_labels.find_lone_cell(light, mpp) for light, mpp in crops]
            both = [(a, b) for a, b in zip(base, found, strict=True) if a is not None and b is not None]
            dice = np.array([measure_dice(a, b) for a, b in both])
            kept = sum(one is not None for one in found)
            print(
                f"{folder.name:<22} {threshold:<18} {value!s:<14} {kept} of {len(crops)} alone: Dice mean "
                f"{dice.mean():.3f}, least {dice.min():.3f}"
            )
        setattr(pseudo_labels, threshold, used)


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--every", type=int, default=3, help="take every n-th field of bccd")
    options = parser.parse_args()
    report_nuclei("bccd", list(read_drawn(options.data / "bccd", options.every)))
    report_nuclei("pathology-bites-cells", list(read_drawn(options.data / "pathology-bites-cells", 1)))
    report_lone(options.data / "pbc-acevedo")


if __name__ == "__main__":
    main()
