"""Outlines of the drawn white cells in the fields of ``bcisc``, by outliners that had not seen their smear.

    erythron train default --data $ERYTHRON_DATA_DIR --out BUNDLE
    python benchmarks/outlines_in_fields.py --results BUNDLE-results

The outliners of the cross-validation come from that command, or are fitted here. Not every white cell of a
field is drawn, so a field's whole mask says nothing; each drawn cell is compared with the outline that
covers most of it, 0 where there is none. How many outlines cover no drawn cell is printed beside it: white
cells that are not drawn, large platelets, and red cells in the lamp's reflection that some of these fields
have. 95 % intervals from resampled smears.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl
from data_folder import add_data_option
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.classify.framing import choose_mpp
from erythron.errors import DataError
from erythron.read.fields import read_image
from erythron.segment.scale import estimate_scale
from erythron.segment.segmenter import Segmenter
from erythron.train.segmenter.evaluate import estimate_dice
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.recipe import SegmenterConfig, train_segmenter
from erythron.train.segmenter.samples import fold_bcisc
from erythron.train.segmenter.use import CARD

DRAWN = 64
"""Grey level above which a mask is the cell."""


def find_masks(image: Path) -> list[Path]:
    """Return the masks of a field: ``NAME.png``, or ``NAME(1).png`` and so on, one a cell."""
    whole = image.with_suffix(".png")
    return [whole] if whole.exists() else sorted(image.parent.glob(f"{image.stem}(*).png"))


def compare(drawn: NDArray[np.bool_], outlined: NDArray[np.int32]) -> tuple[float, int]:
    """Return the Dice of a drawn cell with the outline that covers most of it, and that outline's number."""
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
    parser.add_argument("--results", type=Path, required=True, help="results of erythron train default")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    config = SegmenterConfig(options.data, options.results / "networks", seed=options.seed)
    trained = train_segmenter(config)
    segmenters = {f: Segmenter(CARD, TorchRuntime(net)) for f, net in trained.fold_outliners.items()}
    root = options.data / "bcisc"
    # Crops are named baso_10-1_0.jpg, the fields that they were cut from baso/10-1.jpg.
    fold_of = {path.stem.split("-")[0]: fold for path, fold in fold_bcisc(root / "sub-images", config.folds)}
    framing = load_bundle().card.framing
    rows, fields, others, bare = [], 0, 0, []
    for path in sorted((root / "original-images").rglob("*.jpg")):
        masks = find_masks(path)
        if not masks:
            bare.append(str(path.relative_to(root)))
            continue
        smear = f"{path.parent.name}_{path.stem.split('-')[0]}"
        if smear not in fold_of:
            raise DataError(f"{path}: no crop of its smear {smear} is there, so its fold is not known")
        image = read_image(path)
        estimate = estimate_scale(image.rgb)
        mpp = choose_mpp(image, framing) if estimate is None else estimate.mpp
        outlined = segmenters[fold_of[smear]].segment_field(image.rgb, mpp).cell
        taken = set()
        for mask in masks:
            dice, number = compare(np.asarray(Image.open(mask).convert("L")) > DRAWN, outlined)
            taken.add(number)
            rows.append(("bcisc_fields", str(mask.relative_to(root)), smear, dice, None))
        fields += 1
        others += len(set(np.unique(outlined)) - taken - {0})
    columns = {
        "source": pl.String,
        "image": pl.String,
        "group": pl.String,
        "cell_dice": pl.Float64,
        "nucleus_dice": pl.Float64,
    }
    table = pl.DataFrame(rows, schema=columns, orient="row")
    for name, figure in estimate_dice(table, options.seed).items():
        print(f"{name:30} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")
    print(f"{table.height} drawn cells in {fields} fields; {others} other outlines; without a mask: {bare}")
    print(table.sort("cell_dice").head(8).select("image", "cell_dice"))


if __name__ == "__main__":
    main()
