"""The default model from the public sets: segmenter, grouped cross-validation, final fit, bundle."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.bundle.schema import Estimate, Framing, Normalisation
from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES, UNSTAGED_ERYTHROBLAST
from erythron.cells.outline import CellOutline
from erythron.classify.classifier import soften
from erythron.classify.framing import MEASUREMENT_INPUTS, outline_crop
from erythron.datasets.manifest import hash_rows
from erythron.errors import UsageError
from erythron.read.image import SmearImage
from erythron.segment.segmenter import Segmenter, load_segmenter
from erythron.train.cells import Cells, load_cells
from erythron.train.evaluation import (
    Scored,
    choose_threshold,
    confident_confusion,
    estimate_figures,
    fit_temperature,
)
from erythron.train.export import Fitted, write_bundle
from erythron.train.folded_sets import BLOOD_SET, MARROW_SET, FoldedSet, read_folded
from erythron.train.head import Examples, FittedHead, fit_head
from erythron.train.labels import merge_logits, open_labels
from erythron.train.metrics import area_under_curve, confusion
from erythron.train.network import ShapeFeatures, load_backbone
from erythron.train.novelty import Novelty, fit_novelty
from erythron.train.segmenter.evaluate import estimate_dice, outline_out_of_fold
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.recipe import (
    SegmenterConfig,
    copy_segmenter,
    export_segmenter,
    train_segmenter,
)
from erythron.train.segmenter.use import CARD
from erythron.train.views import make_view, pool_features

FRAMING = Framing(input_px=96, input_mpp=0.25, crop_width_um=32.0, crop_max_px=420, field_mpp=0.25)
NORMALISATION = Normalisation(mean=(0.5, 0.5, 0.5), sd=(0.5, 0.5, 0.5))
MARROW_VIEWS = 12
BLOOD_VIEWS = 3
CLASS_NAMES = [c.name for c in DEFAULT_CLASSES]


@dataclass(frozen=True)
class DefaultTrainingConfig:
    """What to train on and how.

    Attributes:
        data: folder that holds the public sets.
        out: folder of the bundle; the cross-validation's files go beside it, into ``<out>-results``.
        segmenter: bundle whose segmenter is taken instead of fitting one; its outlines are not out of fold.
        folds: folds of the cross-validation.
        seed: of folds, sampling and augmentation.
        threads: threads of torch.
        blood_per_label: cells of each label of ``pbc-acevedo`` that are used.
        blood_weight: weight of all ``pbc-acevedo`` cells together, against 1 of all marrow cells.
        l2: penalty of the head.
        risk: share of wrong five-way calls that is accepted above the unclassified threshold.
        cross_validate_only: write no bundle.
    """

    data: Path
    out: Path
    segmenter: Path | None = None
    folds: int = 5
    seed: int = 0
    threads: int = 2
    blood_per_label: int = 120
    blood_weight: float = 0.5
    l2: float = 3e-3
    risk: float = 0.05
    cross_validate_only: bool = False


@dataclass(frozen=True)
class DefaultTrainingResult:
    """What training measured and wrote.

    Attributes:
        figures: cross-validated figures of the marrow cells with intervals.
        dice: cross-validated overlap of outlines with drawn ones; empty where no segmenter was fitted.
        blood_auc: out-of-fold area under the curve, erythroblast or not, on ``pbc-acevedo``.
        unseen_auc: by set, the area under the curve, erythroid or not, of a head that was fitted on the other
            set alone.
        results: folder with ``cv_calls.csv``, ``cv_calls_pbc.csv``, ``results.json`` and, where a segmenter
            was fitted, ``cv_outlines.csv`` and the out-of-fold outlines.
        bundle: the bundle, None after cross-validation only.
        left_out: ``path`` and ``reason`` of images that were not used.
    """

    figures: dict[str, Estimate]
    dice: dict[str, Estimate]
    blood_auc: float
    unseen_auc: dict[str, float]
    results: Path
    bundle: Path | None
    left_out: pl.DataFrame


@dataclass(frozen=True)
class _Segmenters:
    """Segmenters for training.

    Attributes:
        by_fold: fitted without that fold, or one and the same where none was fitted.
        write: puts the network fitted on everything into a folder and returns the export's difference.
        dice: cross-validated overlap with drawn outlines.
    """

    by_fold: dict[int, Segmenter]
    write: Callable[[Path], float]
    dice: dict[str, Estimate]


@dataclass(frozen=True)
class _Source:
    """One set ready to fit: cells, folds, weight of each cell, open labels, features of every view."""

    cells: Cells
    folds: NDArray[np.int64]
    weights: NDArray[np.float64]
    allowed: NDArray[np.bool_]
    views: list[NDArray[np.float32]]


def train_default(config: DefaultTrainingConfig) -> DefaultTrainingResult:
    """Cross-validate and, unless told otherwise, fit on everything and write the bundle.

    Raises:
        UsageError: the output folder is not empty.
        DataError: a set is missing or not laid out as expected.
        BundleError: the bundle whose segmenter is to be taken cannot be used.
        MissingExtraError: the training extra is not installed.
    """
    if config.out.exists() and any(config.out.iterdir()):
        raise UsageError(f"{config.out}: is not empty; name a new folder or remove it")
    torch.set_num_threads(config.threads)
    results = config.out.with_name(f"{config.out.name}-results")
    results.mkdir(parents=True, exist_ok=True)
    marrow_set = read_folded(MARROW_SET, config.folds, config.seed, config.data)
    blood_set = read_folded(BLOOD_SET, config.folds, config.seed, config.data)
    segmenters = _get_segmenters(config, results)
    trunk = ShapeFeatures(load_backbone()).eval()
    marrow = _prepare(marrow_set.rows, marrow_set.fold, trunk, config, segmenters, is_blood=False)
    blood_rows, blood_folds = _sample(blood_set, config)
    blood = _prepare(blood_rows, blood_folds, trunk, config, segmenters, is_blood=True)

    marrow_logits, blood_logits, distances = _cross_validate(marrow, blood, config)
    unseen_auc = {
        MARROW_SET: _judge_unseen(blood, marrow, config),
        BLOOD_SET: _judge_unseen(marrow, blood, config),
    }
    truth = np.array([CLASS_NAMES.index(name) for name in marrow.cells.rows["class"]])
    temperature = fit_temperature(marrow_logits, truth)
    scored = Scored(truth, soften(marrow_logits, temperature))
    blood_probabilities = soften(blood_logits, temperature)
    groups = marrow.cells.rows["group"].to_numpy().astype(str)
    figures = estimate_figures(scored, groups, config.seed)
    is_erythroblast = _is_erythroid(blood)
    blood_auc = area_under_curve(is_erythroblast, blood_probabilities[:, : len(ERYTHROID_STAGES)].sum(axis=1))
    _calls(marrow.cells.rows, scored.probabilities).write_csv(results / "cv_calls.csv")
    _calls(blood.cells.rows, blood_probabilities).write_csv(results / "cv_calls_pbc.csv")
    table = confusion(truth, scored.probabilities.argmax(axis=1), len(CLASS_NAMES), len(CLASS_NAMES))
    summary = {
        "figures": {name: figure.model_dump() for name, figure in figures.items()},
        "outlines": {name: figure.model_dump() for name, figure in segmenters.dice.items()},
        "cells": len(truth),
        "classes": CLASS_NAMES,
        "confusion": table.tolist(),
        "temperature": temperature,
        "pbc_cells": len(is_erythroblast),
        "pbc_erythroid_auc": blood_auc,
        "erythroid_auc_of_a_head_fitted_on_the_other_set": unseen_auc,
    }
    (results / "results.json").write_text(json.dumps(summary, indent=1) + "\n")
    bundle = None
    if not config.cross_validate_only:
        head = fit_head(_examples([marrow, blood], None), config.l2)
        threshold = round(choose_threshold(scored, config.risk), 4)
        fitted = Fitted(
            trunk=trunk,
            head=head,
            novelty=replace(
                _fit_novelty([marrow, blood], head, None), limits=np.percentile(distances, 99, axis=0)
            ),
            framing=FRAMING,
            normalisation=NORMALISATION,
            segmenter=CARD if config.segmenter is None else load_bundle(config.segmenter).card.segmenter,
            write_segmenter=segmenters.write,
            temperature=temperature,
            threshold=threshold,
            risk=config.risk,
            figures=figures,
            dice=segmenters.dice,
            blood_auc=blood_auc,
            unseen_auc=unseen_auc,
            confusion=table,
            confident_confusion=confident_confusion(scored, threshold),
            folds=config.folds,
            seed=config.seed,
            rows={MARROW_SET: marrow.cells.rows, BLOOD_SET: blood.cells.rows},
            split_hash=hash_rows(
                marrow.cells.rows.with_columns(
                    pl.concat_str("group", pl.lit("/"), pl.Series(marrow.folds)).alias("group")
                )
            ),
        )
        write_bundle(fitted, config.out)
        bundle = config.out
    left_out = pl.concat([marrow_set.left_out, blood_set.left_out])
    return DefaultTrainingResult(figures, segmenters.dice, blood_auc, unseen_auc, results, bundle, left_out)


def _get_segmenters(config: DefaultTrainingConfig, results: Path) -> _Segmenters:
    if config.segmenter is not None:
        bundle = load_bundle(config.segmenter)
        segmenter = load_segmenter(bundle)
        return _Segmenters(
            dict.fromkeys(range(config.folds), segmenter),
            lambda folder: copy_segmenter(bundle, folder),
            dict(bundle.card.outlines),
        )
    recipe = SegmenterConfig(config.data, results / "networks", folds=config.folds, seed=config.seed)
    trained = train_segmenter(recipe)
    by_fold = {fold: Segmenter(CARD, TorchRuntime(net)) for fold, net in trained.fold_networks.items()}
    scores = outline_out_of_fold(recipe, by_fold, FRAMING, results / "outlines")
    scores.write_csv(results / "cv_outlines.csv")
    return _Segmenters(
        by_fold,
        lambda folder: export_segmenter(trained, folder),
        estimate_dice(scores, config.seed),
    )


def _sample(folded: FoldedSet, config: DefaultTrainingConfig) -> tuple[pl.DataFrame, NDArray[np.int64]]:
    parts = [
        part.sample(min(config.blood_per_label, part.height), seed=config.seed)
        for _, part in folded.rows.with_columns(fold=folded.fold).group_by(
            "source_label", maintain_order=True
        )
    ]
    rows = pl.concat(parts).sort("path")
    return rows.drop("fold"), rows["fold"].to_numpy()


def _prepare(
    rows: pl.DataFrame,
    folds: NDArray[np.int64],
    trunk: ShapeFeatures,
    config: DefaultTrainingConfig,
    segmenters: _Segmenters,
    *,
    is_blood: bool,
) -> _Source:
    def outline(number: int, image: SmearImage) -> CellOutline | None:
        return outline_crop(image, segmenters.by_fold[int(folds[number])], FRAMING)

    cells = load_cells(rows, FRAMING, outline)
    kept = rows["path"].is_in(cells.rows["path"].implode()).to_numpy()
    labels = cells.rows["source_label"].to_list()
    allowed = open_labels(labels)
    # Every label counts the same.
    _, key, counts = np.unique(np.array(labels), return_inverse=True, return_counts=True)
    weights = 1 / counts[key] / len(counts)
    if is_blood:
        weights *= config.blood_weight
    features = []
    views = BLOOD_VIEWS if is_blood else MARROW_VIEWS
    for seed in [None, *range(config.seed * 1000, config.seed * 1000 + views)]:
        view = make_view(cells, FRAMING.input_px, seed)
        features.append(np.hstack([pool_features(view, trunk, NORMALISATION), view.inputs]))
    return _Source(cells, folds[kept], weights, allowed, features)


def _examples(sources: list[_Source], without: int | None) -> Examples:
    features, allowed, weights = [], [], []
    for source in sources:
        kept = source.folds != without if without is not None else np.ones(len(source.folds), bool)
        for view in source.views:
            features.append(view[kept])
            allowed.append(source.allowed[kept])
            weights.append(source.weights[kept] / len(source.views))
    return Examples(np.concatenate(features), np.concatenate(allowed), np.concatenate(weights))


def _cross_validate(
    marrow: _Source, blood: _Source, config: DefaultTrainingConfig
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return out-of-fold logits of both sets and novelty distances of all their cells."""
    distances = []
    out = [np.zeros((len(s.folds), len(CLASS_NAMES))) for s in (marrow, blood)]
    for fold in range(config.folds):
        head = fit_head(_examples([marrow, blood], fold), config.l2)
        novelty = _fit_novelty([marrow, blood], head, fold)
        for source, logits in zip((marrow, blood), out, strict=True):
            here = source.folds == fold
            logits[here] = merge_logits(head.logits(source.views[0][here]))
            distances.append(novelty.distances(_pooled(source.views[0][here], head)))
    return out[0], out[1], np.concatenate(distances)


def _judge_unseen(seen: _Source, unseen: _Source, config: DefaultTrainingConfig) -> float:
    """Return the area under the curve, erythroid or not, on a set of which the head saw no cell."""
    head = fit_head(_examples([seen], None), config.l2)
    probabilities = soften(merge_logits(head.logits(unseen.views[0])), 1.0)
    return area_under_curve(_is_erythroid(unseen), probabilities[:, : len(ERYTHROID_STAGES)].sum(axis=1))


def _is_erythroid(source: _Source) -> NDArray[np.bool_]:
    erythroid = [UNSTAGED_ERYTHROBLAST.name, *(s.name for s in ERYTHROID_STAGES)]
    return source.cells.rows["label"].is_in(erythroid).to_numpy()


def _fit_novelty(sources: list[_Source], head: FittedHead, without: int | None) -> Novelty:
    examples = _examples(sources, without)
    return fit_novelty(_pooled(examples.features, head), examples.allowed.argmax(axis=1))


def _pooled(features: NDArray[np.float32], head: FittedHead) -> NDArray[np.float64]:
    """Return the standardised image features without the measurements, which follow them."""
    return head.standardise(features)[:, : -len(MEASUREMENT_INPUTS)].astype(np.float64)


def _calls(rows: pl.DataFrame, probabilities: NDArray[np.float64]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "image": rows["path"],
            "label": [CLASS_NAMES[i] for i in probabilities.argmax(axis=1)],
            "confidence": probabilities.max(axis=1),
            **{f"prob_{name}": probabilities[:, i] for i, name in enumerate(CLASS_NAMES)},
        }
    )
