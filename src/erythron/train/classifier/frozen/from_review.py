"""A model that learns from a person's calls: its own training cells and those of a review, fitted together.

In: finished counts whose cells a person has called, and the bundle that is to learn. Out: a run, which
``erythron export`` makes a bundle of, and the calls of the reader's cells before and after, those after out
of fold.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from erythron.bundle.folder import Bundle
from erythron.bundle.schema import DataUsed
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED
from erythron.classify.classifier import CellInputs, Classifier
from erythron.classify.crops import CellCrops, CropGeometry
from erythron.compare.agreement import mcnemar
from erythron.datasets.folds import assign_folds
from erythron.datasets.manifest import hash_rows
from erythron.errors import DataError
from erythron.files.hashing import hash_text
from erythron.files.tables import read_csv, write_csv
from erythron.read.image import SmearImage
from erythron.read.source import open_source, read_whole
from erythron.results.field import need_record, read_field
from erythron.results.fingerprint import hash_image
from erythron.results.record import RECORD
from erythron.results.repeated import drop_repeated
from erythron.results.run import read_specimens
from erythron.train.classifier.frozen.augmentation import MARGIN, cut_plain
from erythron.train.classifier.frozen.left_out import CLASSES
from erythron.train.classifier.frozen.memory import MEMORY, read_memory
from erythron.train.classifier.frozen.network import ShapeFeatures
from erythron.train.classifier.frozen.partial_labels import open_labels
from erythron.train.classifier.frozen.sources import FeatureMaker, Source, make_samples
from erythron.train.classifier.frozen.train import LEFT_OUT, fit_run, hash_folds
from erythron.train.recipe import FrozenRecipe
from erythron.train.segmenter.from_review import LearnedOutlines, learn_outlines
from erythron.train.shared.backbones import ENCODER, find_scaling, load_encoder
from erythron.train.shared.evaluation import CALLS, FOLDER
from erythron.train.shared.framed_cells import FramedCells, frame_cell
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.run_folder import RunRecord, claim_folder
from erythron.train.shared.segmentation_part import FOLDER as SEGMENTATION_FOLDER

SOURCE = "review"
BEFORE_AFTER = "before_after.csv"

SAMPLES = 6
"""Augmented samples of each of the reader's cells, beside the cell as it is."""

FULL_WEIGHT = 100
"""Cells from which on a review weighs as much as the first set of the bundle; fewer weigh in proportion.

A round number between the cells that one sitting brings and the 404 of that set; no measurement chose it.
"""


@dataclass(frozen=True)
class ReviewedCells:
    """N cells that a person has called.

    Attributes:
        cells: framed as in training; their rows have the specimen in ``group`` and the field in ``path``.
        left_out: ``path`` and ``reason`` of what nothing can be learned from.
    """

    cells: FramedCells
    left_out: pl.DataFrame


@dataclass(frozen=True)
class Improvement:
    """Calls of the reader's cells by the bundle, and by one that learned from the others of them.

    Attributes:
        cells: how many.
        apart_by: what was kept on one side of the cross-validation: ``specimen``, ``field`` or ``cell``.
        right_before: of them, by the bundle.
        right_after: of them, out of fold.
        better: wrong before and right after.
        worse: right before and wrong after.
        probability: that so unequal numbers of these come by chance (exact McNemar test).
        by_class: cells, right before and right after, by what the reader called.
        outlines: what the segmentation network learned from outlines that the reader corrected.
    """

    cells: int
    apart_by: str
    right_before: int
    right_after: int
    better: int
    worse: int
    probability: float
    by_class: dict[str, tuple[int, int, int]]
    outlines: LearnedOutlines


def train_from_review(
    runs: Sequence[Path],
    bundle: Bundle,
    out: Path,
    threads: int = 2,
    progress: Progress = no_progress,
    outlines: bool | None = None,
) -> tuple[RunRecord, Improvement]:
    """Fit a bundle's head anew on what it was fitted on and on the cells that persons have called.

    The classifier learns from the outlines of the counts. The segmentation network stays that of the bundle,
    or learns too, see :func:`erythron.train.segmenter.from_review.learn_outlines`. Beside what every run
    holds, ``evaluation/before_after.csv`` has the calls of the reader's cells before and after.

    Args:
        runs: folders of finished counts with a review.
        bundle: which is to learn.
        out: folder of the run.
        threads: of torch.
        progress: called as each stage begins and goes on.
        outlines: whether the segmentation network is to learn from corrected outlines; None where it is to if
            enough of them were corrected.

    Raises:
        UsageError: a folder is no finished count, or ``out`` holds something else.
        DataError: a picture is not what was counted, or too few cells were called, or too few outlines
            corrected, to learn from.
        BundleError: the bundle does not keep what it was trained on, or its segmentation network cannot
            learn.
    """
    started = time.monotonic()
    torch.set_num_threads(threads)
    memory = read_memory(bundle.path / MEMORY)
    # A reader waits for this fit; what each set of the bundle adds is known from its own training.
    name = f"{memory.recipe.name.removesuffix('-review')}-review"
    recipe = memory.recipe.model_copy(update={"leave_one_out": False, "name": name})
    scaling = find_scaling(ENCODER)
    found = gather_reviewed(runs, recipe, progress)
    maker = FeatureMaker(ShapeFeatures(load_encoder()).eval(), scaling, {})
    source, apart_by = make_review_source(found.cells, recipe, maker, progress)
    sources = (*(part for part in memory.sources if part.name != source.name), source)
    split_hash = hash_folds(sources)
    claim_folder(out, recipe, split_hash, (SEGMENTATION_FOLDER,))
    learned = learn_outlines(runs, bundle, out, outlines, progress)
    write_csv(found.left_out, out / LEFT_OUT)
    mine = DataUsed(
        name=SOURCE,
        licence="not stated",
        source="cells that a reader called",
        cells=source.rows.height,
        rows_hash=hash_rows(source.rows),
    )
    data = (*(part for part in bundle.card.data if part.name != SOURCE), mine)
    record = fit_run(sources, data, maker, recipe, out, (split_hash, started, progress))
    return record, _compare(found.cells, bundle, out, apart_by, learned)


def gather_reviewed(
    runs: Sequence[Path], recipe: FrozenRecipe, progress: Progress = no_progress
) -> ReviewedCells:
    """Return the cells of finished counts that persons have called, framed as in training.

    Args:
        runs: folders of the counts.
        recipe: size and scale of the crops.
        progress: called after each field.

    Raises:
        UsageError: a folder is no finished count.
        DataError: a picture is not what was counted, or no cell was called.
    """
    fields = [
        (folder, f"{run.resolve().name}/{specimen.name or ''}")
        for run in runs
        for specimen in read_specimens(run)
        for folder in drop_repeated(
            [path.parent for path in sorted(specimen.folder.rglob(RECORD))], specimen.folder
        )
    ]
    left_out: list[dict[str, str | None]] = []
    rows, framed = [], []
    side = round(recipe.inputs.px * MARGIN)
    for number, (folder, specimen) in enumerate(fields):
        record = need_record(folder)
        if record.slide is not None:
            left_out.append({"path": record.image, "reason": "is a slide, and fields alone are learned from"})
            continue
        result = read_field(folder)
        picture, mpp = Path(result.record.image), result.record.mpp
        called = dict(
            result.cells.filter(pl.col("confirmed_as").fill_null("") != "")
            .select("cell_id", "confirmed_as")
            .iter_rows()
        )
        if called:
            image = _open_picture(picture, mpp, result.record.sha256)
        for cell_id, outline in zip(result.cells["cell_id"], result.outlines, strict=True):
            name = called.get(cell_id)
            if name is None:
                continue
            reason = _find_reason(name, mpp)
            if reason is not None or mpp is None:
                left_out.append({"path": f"{picture}#{cell_id}", "reason": reason})
                continue
            framed.append(frame_cell(image, outline, mpp, CropGeometry(side, recipe.inputs.mpp)))
            rows.append(_make_row(picture, cell_id, result.record.pixels_sha256, name, specimen))
        progress("Reading fields", number + 1, len(fields))
    if not rows:
        names = ", ".join(str(run) for run in runs)
        raise DataError(
            f"{names}: nobody has called a cell there that can be learned from; confirm cells with erythron "
            "review or erythron recount first"
        )
    pixels, masks, inputs = (np.stack(part) for part in zip(*framed, strict=True))
    cells = FramedCells(pl.DataFrame(rows), pixels, masks, inputs, np.ones(len(rows), bool))
    schema = {"path": pl.String(), "reason": pl.String()}
    return ReviewedCells(cells, pl.DataFrame(left_out, schema))


def _open_picture(path: Path, mpp: float | None, sha256: str) -> SmearImage:
    if hash_image(path) != sha256:
        raise DataError(f"{path}: is not the picture that was counted; put it back, or count it again")
    return read_whole(open_source(path, mpp))


def _find_reason(name: str, mpp: float | None) -> str | None:
    """Return why nothing can be learned from a cell, None where something can."""
    if name in (NOT_A_CELL, UNCLASSIFIED):
        return f"a classifier of nucleated cells learns nothing from: {name}"
    if name not in CLASSES:
        return f"the model has no class {name}"
    return "its field has no scale" if mpp is None else None


def _make_row(picture: Path, cell_id: str, pixels: str, name: str, specimen: str) -> dict[str, str]:
    return {
        "path": str(picture),
        "sha256": hash_text(f"{pixels} {cell_id}"),
        "group": specimen,
        "source": SOURCE,
        "label": name,
        "class": name,
    }


def make_review_source(
    cells: FramedCells, recipe: FrozenRecipe, maker: FeatureMaker, progress: Progress = no_progress
) -> tuple[Source, str]:
    """Return the reader's cells ready to fit, and what its folds keep on one side.

    Folds keep specimens whole where there are as many as folds, else fields, else single cells: then cells of
    one smear lie on both sides, and the figures flatter.

    Raises:
        DataError: fewer cells than folds.
    """
    rows = cells.rows
    labels = rows["label"].to_list()
    kept_by = {"specimen": rows["group"], "field": rows["path"], "cell": rows["sha256"]}
    apart_by = next((name for name, key in kept_by.items() if key.n_unique() >= recipe.folds), None)
    if apart_by is None:
        raise DataError(
            f"{len(labels)} cells were called, and the cross-validation needs {recipe.folds}; call more"
        )
    rows = rows.with_columns(group=kept_by[apart_by])
    folds = assign_folds(labels, rows["group"].to_list(), recipe.folds, recipe.seed)
    samples = make_samples(cells, SAMPLES, recipe, maker, progress)
    source = Source(
        name=SOURCE,
        rows=rows,
        is_judged=True,
        folds=folds,
        weights=weigh_labels(labels) * min(1.0, len(labels) / FULL_WEIGHT),
        allowed=open_labels(labels),
        samples=samples,
    )
    return source, apart_by


def weigh_labels(labels: Sequence[str]) -> NDArray[np.float64]:
    """Return weights, (N,), that sum to 1: every label counts the same."""
    _, key, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    return np.asarray(1.0 / counts[key] / len(counts))


def _compare(
    cells: FramedCells, bundle: Bundle, run: Path, apart_by: str, learned: LearnedOutlines
) -> Improvement:
    """Return what got better and what worse, and write both calls of every cell."""
    plain = cut_plain(cells, bundle.card.framing.input_px)
    inputs = CellInputs(CellCrops(plain.pixels, plain.masks), plain.inputs)
    said = Classifier(bundle).predict(inputs).probabilities
    before = [bundle.classes[i].name for i in said.argmax(axis=1)]
    table = cells.rows.select("sha256", "path", reader="label").with_columns(
        before=pl.Series(before, dtype=pl.String)
    )
    after = read_csv(run / FOLDER / CALLS).select("sha256", after="called")
    table = table.join(after, on="sha256", how="left", maintain_order="left")
    write_csv(table, run / FOLDER / BEFORE_AFTER)
    was, now = (table["reader"] == table[column] for column in ("before", "after"))
    by_class = {
        name: (int(here.sum()), int((was & here).sum()), int((now & here).sum()))
        for name in CLASSES
        for here in [table["reader"] == name]
        if here.any()
    }
    better, worse = int((now & ~was).sum()), int((was & ~now).sum())
    return Improvement(
        cells=table.height,
        apart_by=apart_by,
        right_before=int(was.sum()),
        right_after=int(now.sum()),
        better=better,
        worse=worse,
        probability=mcnemar(better, worse),
        by_class=by_class,
        outlines=learned,
    )
