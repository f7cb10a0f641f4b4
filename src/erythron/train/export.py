"""A fitted model to a bundle: ONNX, schema-checked ``model.json``, card and self-test."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import nn

from erythron import __version__
from erythron.bundle.folder import CARD, CLASSIFIER, Bundle, load_bundle
from erythron.bundle.schema import (
    CrossValidation,
    DataUsed,
    Estimate,
    Framing,
    MeasurementInput,
    ModelCard,
    ModelClass,
    Normalisation,
    SegmenterCard,
    SelfTest,
)
from erythron.cells.classes import DEFAULT_CLASSES
from erythron.cells.outline import outlines_from_labels
from erythron.classify.classifier import Classifier
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.classify.selftest import classify_stored_cell, verify_bundle
from erythron.datasets.manifest import hash_rows
from erythron.files.hashing import hash_file
from erythron.shape.mask import render_mask
from erythron.train.card import SOURCES, render_card
from erythron.train.head import LIMIT, FittedHead
from erythron.train.labels import class_of_fine
from erythron.train.network import ShapeAttentiveNet, ShapeFeatures
from erythron.train.novelty import Novelty, NoveltyLayer
from erythron.train.onnx_file import export_onnx, store_onnx

NAME = "erythron-default"
VERSION = "8"
MAX_EXPORT_DIFFERENCE = 1e-3
SELF_TEST_TOLERANCE = 1e-3
PACKAGES = ("torch", "timm", "onnx", "openvino", "numpy", "scipy", "scikit-image", "pillow", "erythron")


@dataclass(frozen=True)
class Fitted:
    """Everything that a bundle is written from.

    Attributes:
        trunk: the feature network.
        head: on its features and the measurements.
        novelty: on its standardised features.
        framing: of the inputs.
        normalisation: of the pixels.
        segmenter: how its networks are used.
        write_segmenter: puts its networks into a folder and returns the difference of their export.
        temperature: of the logits.
        threshold: confidence below which a call is unclassified.
        risk: what the threshold was chosen by.
        figures: cross-validated.
        dice: cross-validated overlap of outlines with drawn ones.
        blood_auc: cross-validated, erythroblast or not, on peripheral blood.
        unseen_auc: by set, erythroid or not, of a head fitted on the other set alone.
        confusion: (C, C) int64 of the cross-validation.
        confident_confusion: (C, C + 1) int64, calls under the threshold in the last column.
        folds: of the cross-validation.
        seed: of everything.
        rows: the manifest of each training set by its name.
        split_hash: of the cross-validation's folds.
    """

    trunk: ShapeFeatures
    head: FittedHead
    novelty: Novelty
    framing: Framing
    normalisation: Normalisation
    segmenter: SegmenterCard
    write_segmenter: Callable[[Path], float]
    temperature: float
    threshold: float
    risk: float
    figures: dict[str, Estimate]
    dice: dict[str, Estimate]
    blood_auc: float
    unseen_auc: dict[str, float]
    confusion: NDArray[np.int64]
    confident_confusion: NDArray[np.int64]
    folds: int
    seed: int
    rows: dict[str, pl.DataFrame]
    split_hash: str


def write_bundle(fitted: Fitted, out: Path) -> Bundle:
    """Write a bundle, prove that it loads and reproduces its stored cell, and only then give it its name.

    Raises:
        BundleError: OpenVINO and torch differ by more than ``MAX_EXPORT_DIFFERENCE``.
    """
    part = out.with_name(f"{out.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    difference = max(_export_network(fitted, part / CLASSIFIER), fitted.write_segmenter(part))
    draw_test_cell(part)
    card = _make_card(fitted, difference)
    (part / "card.md").write_text(render_card(card, fitted.blood_auc, fitted.unseen_auc), encoding="utf-8")
    store_tested(card, part)
    if out.exists():
        out.rmdir()
    part.replace(out)
    return load_bundle(out)


def store_tested(card: ModelCard, folder: Path) -> None:
    """Write ``model.json`` with what the classifier says of the stored cell, and check that it says so again.

    Raises:
        BundleError: it does not.
    """
    # Two passes: the classifier that says the stored probabilities needs a bundle to come from.
    bundle = _store_card(card, folder)
    probabilities = classify_stored_cell(bundle, Classifier(bundle))
    test = card.self_test.model_copy(update={"probabilities": probabilities})
    verify_bundle(_store_card(card.model_copy(update={"self_test": test}), folder))


def _store_card(card: ModelCard, folder: Path) -> Bundle:
    """Write ``model.json`` with the hash of every file beside it, and return the bundle as loaded again."""
    names = sorted(p.name for p in folder.iterdir() if p.name != CARD)
    full = card.model_copy(update={"files": {name: hash_file(folder / name) for name in names}})
    (folder / CARD).write_text(full.model_dump_json(indent=1) + "\n", encoding="utf-8")
    return load_bundle(folder)


def _export_network(fitted: Fitted, path: Path) -> float:
    """Write the ONNX file and return the largest difference between torch and OpenVINO on seeded noise."""
    head = fitted.head
    count = len(MEASUREMENT_INPUTS)
    linear = nn.Linear(head.weight.shape[1], head.weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weight))
        linear.bias.copy_(torch.from_numpy(head.bias))
    mean, sd = (torch.from_numpy(v[:-count]) for v in (head.mean, head.sd))
    net = ShapeAttentiveNet(
        fitted.trunk, mean, sd, linear, LIMIT, NoveltyLayer(fitted.novelty), class_of_fine()
    ).eval()
    side = fitted.framing.input_px
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "pixels": torch.randn((3, 3, side, side), generator=generator).clamp(-1, 1),
        "masks": torch.rand((3, 2, side, side), generator=generator).round(),
        "measurements": torch.randn((3, count), generator=generator),
    }
    model = export_onnx(net, inputs, ("logits", "novelty"))
    return store_onnx(model, path, net, inputs, MAX_EXPORT_DIFFERENCE)


def draw_test_cell(folder: Path) -> None:
    """Draw a cell with a nucleus off its centre, so that no image of a data set travels with the bundle."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:144, :144].astype(np.float64)
    cell = np.hypot(x - 74, y - 70) < 30
    nucleus = np.hypot(x - 79, (y - 66) * 1.15) < 18
    light = np.full((144, 144, 3), (236.0, 228.0, 214.0))
    light[cell] = (168, 160, 200)
    light[nucleus] = (96, 52, 134)
    grain = ndimage.gaussian_filter(rng.normal(0, 40, (144, 144)), 1.5)
    light += grain[..., None]
    rgb = ndimage.gaussian_filter(light, (0.8, 0.8, 0)).clip(0, 255).round().astype(np.uint8)
    Image.fromarray(rgb).save(folder / "selftest.png")
    outlines = outlines_from_labels(nucleus.astype(np.int32), (cell | nucleus).astype(np.int32))
    Image.fromarray(render_mask(outlines, 144, 144)).save(folder / "selftest_mask.png")


def _make_card(fitted: Fitted, difference: float) -> ModelCard:
    labelled = pl.concat(list(fitted.rows.values()))["class"].drop_nulls().to_list()
    k = len(MEASUREMENT_INPUTS)
    table = fitted.confusion
    present = [i for i, row in enumerate(table) if row.any()]
    return ModelCard(
        schema_version=2,
        name=NAME,
        version=VERSION,
        classes=tuple(
            ModelClass(
                name=c.name, title=c.title, lineage=c.lineage, prior=labelled.count(c.name) / len(labelled)
            )
            for c in DEFAULT_CLASSES
        ),
        framing=fitted.framing,
        normalisation=fitted.normalisation,
        outlines=fitted.dice,
        segmenter=fitted.segmenter,
        measurement_inputs=tuple(
            MeasurementInput(name=n, mean=float(m), sd=float(s))
            for n, m, s in zip(MEASUREMENT_INPUTS, fitted.head.mean[-k:], fitted.head.sd[-k:], strict=True)
        ),
        measurement_limit=LIMIT,
        temperature=fitted.temperature,
        unclassified_below=fitted.threshold,
        unclassified_rule=(
            "least confidence at or above which at most "
            f"{fitted.risk:.0%} of the out-of-fold five-way calls (four stages, not erythroid) of the marrow "
            "crops are wrong"
        ),
        cross_validation=CrossValidation(
            folds=fitted.folds,
            cells=int(table.sum()),
            true_classes=tuple(DEFAULT_CLASSES[i].name for i in present),
            confusion=tuple(tuple(int(v) for v in table[i]) for i in present),
            confident_confusion=tuple(tuple(int(v) for v in fitted.confident_confusion[i]) for i in present),
            figures=fitted.figures,
        ),
        data=tuple(
            DataUsed(
                name=name,
                cells=rows.height,
                licence=SOURCES[name].licence,
                source=SOURCES[name].source,
                rows_hash=hash_rows(rows),
            )
            for name, rows in fitted.rows.items()
        ),
        split_hash=fitted.split_hash,
        seed=fitted.seed,
        export_difference=difference,
        software=list_software(),
        self_test=SelfTest(
            image="selftest.png",
            mask="selftest_mask.png",
            mpp=fitted.framing.input_mpp,
            probabilities=(0.0,) * len(DEFAULT_CLASSES),
            tolerance=SELF_TEST_TOLERANCE,
        ),
        files={},
    )


def list_software() -> dict[str, str]:
    """Return the version of every package that decides what a bundle says."""
    return {name: __version__ if name == "erythron" else version(name) for name in PACKAGES}
