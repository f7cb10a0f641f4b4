"""Outlines of the drawn white cells in the fields of ``bcisc``, by networks that had not seen their series.

    erythron train default --out RUN
    python benchmarks/outlines_in_fields.py --networks RUN/segmentation/networks

The networks of the cross-validation come from that command, or are fitted here. Not every white cell of a
field is drawn, so a field's whole mask says nothing; each drawn cell is compared with the outline that
covers most of it, 0 where there is none. How many outlines cover no drawn cell is printed beside it: white
cells that are not drawn, large platelets, and red cells in the lamp's reflection that some of these fields
have. 95 % intervals from resampled series, the set's cross-validation groups.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from data_folder import add_data_option
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.cells.outline import render_labels
from erythron.datasets.masks import read_mask
from erythron.errors import DataError
from erythron.pipeline.field import outline_field
from erythron.read.fields import read_image
from erythron.segment.segmenter import Segmenter
from erythron.train.folded_sets import read_folded
from erythron.train.segmenter.evaluate import SCORE_SCHEMA, estimate_dice
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.recipe import SegmenterConfig, fit_folds
from erythron.train.segmenter.use import CARD


def find_masks(image: Path) -> list[Path]:
    """Return the masks of a field: ``NAME.png``, or ``NAME(1).png`` and so on, one a cell."""
    whole = image.with_suffix(".png")
    return [whole] if whole.exists() else sorted(image.parent.glob(f"{image.stem}(*).png"))


def name_series(field: str) -> str:
    """Return the series of a field that is named A-B: A, over all classes."""
    return f"series_{field.split('-')[0]}"


def compare(drawn: NDArray[np.bool_], outlined: NDArray[np.int32]) -> tuple[float, int]:
    """Return the Dice of a drawn cell with the outline that covers most of it, and the outline's number."""
    inside = np.bincount(outlined[drawn], minlength=2)
    inside[0] = 0
    best = int(inside.argmax())
    if not inside[best]:
        return 0.0, 0
    return 2 * inside[best] / (drawn.sum() + np.count_nonzero(outlined == best)), best


def main() -> None:
    """Outline every field and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--networks", type=Path, required=True, help="fitted networks of a run")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = SegmenterConfig(options.data, options.networks, seed=options.seed)
    segmenters = {f: Segmenter(CARD, TorchRuntime(net)) for f, net in fit_folds(config).items()}
    root = options.data / "bcisc"
    crops = read_folded("bcisc", config.folds, config.seed, options.data)
    # Crops are named baso_10-1_0.jpg, the fields that they were cut from baso/10-1.jpg, both of series 10.
    fold_of = {
        name_series(Path(p).stem.split("_")[1]): f
        for p, f in zip(crops.rows["path"], crops.fold, strict=True)
    }
    framing = load_bundle().card.framing
    rows, fields, others, bare = [], 0, 0, []
    for path in sorted((root / "original-images").rglob("*.jpg")):
        masks = find_masks(path)
        if not masks:
            bare.append(str(path.relative_to(root)))
            continue
        series = name_series(path.stem)
        if series not in fold_of:
            raise DataError(f"{path}: no crop of its {series} is there, so its fold is not known")
        image = read_image(path)
        segmenter = segmenters[fold_of[series]]
        outlines = outline_field(image, lambda segmenter=segmenter: segmenter, framing).outlines
        outlined = render_labels(outlines, image.height_px, image.width_px)[1]
        taken = set()
        for mask in masks:
            dice, number = compare(read_mask(mask, "cell").cell, outlined)
            taken.add(number)
            rows.append(("bcisc_fields", str(mask.relative_to(root)), series, dice, None))
        fields += 1
        others += len(set(np.unique(outlined)) - taken - {0})
    table = pl.DataFrame(rows, schema=SCORE_SCHEMA, orient="row")
    for name, figure in estimate_dice(table, options.seed).items():
        print(f"{name:30} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
    print(f"{table.height} drawn cells in {fields} fields; {others} other outlines; without a mask: {bare}")
    print(table.sort("cell_dice").head(8).select("image", "cell_dice"))


if __name__ == "__main__":
    main()
