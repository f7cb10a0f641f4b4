"""What outlines the cells that a frozen encoder learns from: a network for each fold, or that of a bundle."""

from __future__ import annotations

import os
from pathlib import Path

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import DataSource
from erythron.errors import UsageError
from erythron.files.writing import whole_file
from erythron.segment.segmenter import Segmenter, load_segmenter
from erythron.train.recipe import FrozenRecipe
from erythron.train.segmenter.evaluate import estimate_dice, outline_out_of_fold
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.recipe import SegmenterConfig, export_segmenter, train_segmenter
from erythron.train.segmenter.use import CARD
from erythron.train.shared.framed_cells import make_framing
from erythron.train.shared.segmentation_part import (
    FOLDER,
    SegmentationPart,
    store_facts,
    take_segmentation,
)
from erythron.train.shared.sets import describe_source

SHIPPED_SETS = ("pathology-bites-cells", "marrow-masks", "bcisc", "bccd", "bccd-masks", "pbc-acevedo")


def make_segmenters(recipe: FrozenRecipe, run: Path) -> dict[int, Segmenter]:
    """Return by fold what outlines the cells of that fold, and keep in the run what its bundle outlines with.

    Raises:
        UsageError: a set cannot be found.
        DataError: a set is not laid out as expected.
        BundleError: the bundle whose network is to be taken cannot be used.
    """
    settings = recipe.segmenter
    if not settings.fit:
        bundle = load_bundle(None if settings.bundle is None else Path(settings.bundle))
        take_segmentation(bundle, run)
        return dict.fromkeys(range(recipe.folds), load_segmenter(bundle))
    folder = run / FOLDER
    data = _find_data()
    trained = train_segmenter(
        SegmenterConfig(data, folder / "networks", folds=recipe.folds, seed=recipe.seed)
    )
    by_fold = {fold: Segmenter(CARD, TorchRuntime(net)) for fold, net in trained.fold_outliners.items()}
    framing = make_framing(recipe.inputs)
    scores = outline_out_of_fold(data, by_fold, framing, recipe.seed, folder / "outlines")
    with whole_file(folder / "cv_outlines.csv") as partial:
        scores.write_csv(partial)
    part = SegmentationPart(
        card=CARD,
        outlines=estimate_dice(scores, recipe.seed),
        origin="fitted with this model",
        data=tuple(_describe(name) for name in SHIPPED_SETS),
        export_difference=export_segmenter(trained, folder),
    )
    store_facts(part, run)
    return by_fold


def _find_data() -> Path:
    root = os.environ.get("ERYTHRON_DATA_DIR")
    if not root:
        raise UsageError(
            "fitting a segmentation network needs its sets: set ERYTHRON_DATA_DIR to their folder"
        )
    return Path(root)


def _describe(name: str) -> DataSource:
    if name == "marrow-masks":
        return DataSource(name=name, licence="Apache-2.0", source="drawn by hand for this project")
    return describe_source(name)
