"""What outlines the cells that a frozen encoder learns from: a network for each fold, or that of a bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import DataSource
from erythron.datasets.registry import load_registry
from erythron.files.tables import write_csv
from erythron.segment.segmenter import Segmenter, load_segmenter
from erythron.train.folded_sets import MARROW_SET, name_set
from erythron.train.recipe import FrozenRecipe
from erythron.train.segmenter.evaluate import estimate_dice, outline_out_of_fold
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.recipe import SegmenterConfig, export_segmenter, train_segmenter
from erythron.train.segmenter.sets import DEFAULT_SETS, SegmenterSet
from erythron.train.segmenter.use import CARD
from erythron.train.shared.framed_cells import make_framing
from erythron.train.shared.segmentation_part import FOLDER, SegmentationPart, store_facts, take_segmentation
from erythron.train.shared.sets import describe_source

DRAWN = DataSource(name="marrow-masks", licence="Apache-2.0", source="drawn by hand for this project")
"""The outlines that the reader of ``MARROW_SET`` finds beside it."""


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
    sets = tuple(SegmenterSet(s.data, s.share) for s in settings.sets) or DEFAULT_SETS
    config = SegmenterConfig(None, folder / "networks", sets, folds=recipe.folds, seed=recipe.seed)
    trained = train_segmenter(config)
    by_fold = {fold: Segmenter(CARD, TorchRuntime(net)) for fold, net in trained.fold_networks.items()}
    scores = outline_out_of_fold(config, by_fold, make_framing(recipe.inputs), folder / "outlines")
    write_csv(scores, folder / "cv_outlines.csv")
    part = SegmentationPart(
        card=CARD,
        outlines=estimate_dice(scores, recipe.seed),
        origin="fitted with this model",
        data=list_sources([chosen.data for chosen in sets]),
        export_difference=export_segmenter(trained, folder),
    )
    store_facts(part, run)
    return by_fold


def list_sources(sets: Sequence[str]) -> tuple[DataSource, ...]:
    """Return where the sets of a segmentation network come from, masks that lie beside them included."""
    sources = []
    for name in map(name_set, sets):
        beside = [part for part, entry in load_registry().items() if entry.part_of == name]
        sources += [describe_source(found) for found in (name, *beside)]
        sources += [DRAWN] if name == MARROW_SET else []
    return tuple(sources)
