"""The one writer of bundles: an evaluated run of any kind to a folder that is proved to work."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
from PIL import Image
from scipy import ndimage
from torch import Tensor, nn

from erythron import __version__
from erythron.bundle.folder import CARD, CLASSIFIER, SEGMENTATION, Bundle, load_bundle
from erythron.bundle.schema import Evaluation, MaskInput, ModelCard, ModelClass, Normalisation, SelfTest
from erythron.cells.classes import DEFAULT_CLASSES
from erythron.cells.outline import outlines_from_labels
from erythron.classify.classifier import Classifier
from erythron.classify.selftest import classify_stored_cell, verify_bundle
from erythron.errors import UsageError
from erythron.files.hashing import hash_file
from erythron.files.writing import whole_folder, write_file
from erythron.shape.mask import render_mask
from erythron.train.shared.card import render_card
from erythron.train.shared.evaluation import read_evaluation
from erythron.train.shared.framed_cells import make_framing
from erythron.train.shared.onnx_file import export_onnx, store_onnx
from erythron.train.shared.run_folder import RunRecord
from erythron.train.shared.scores import find_lineage
from erythron.train.shared.segmentation_part import read_segmentation

MAX_EXPORT_DIFFERENCE = 1e-3
SELF_TEST_TOLERANCE = 1e-3
PACKAGES = ("torch", "timm", "onnx", "openvino", "numpy", "scipy", "scikit-image", "pillow", "erythron")


@dataclass(frozen=True)
class ClassifierPart:
    """What a kind of classifier brings to its bundle.

    Attributes:
        network: in evaluation mode; takes the inputs in order and returns logits, (N, C), and novelty, (N,).
        inputs: example inputs by name.
        mask_input: which planes of the mask it takes.
        takes_measurements: whether it takes the measurements.
        limit: standard deviations at which measurements are cut.
        description: what it is, in words.
        limits: what it cannot do, one sentence each.
        memory: file of what it was fitted on, which the bundle keeps so that it can learn on; None where
            there is none.
    """

    network: nn.Module
    inputs: dict[str, Tensor]
    mask_input: MaskInput
    takes_measurements: bool
    limit: float
    description: str
    limits: tuple[str, ...]
    memory: Path | None = None


def write_bundle(run: Path, record: RunRecord, part: ClassifierPart, out: Path) -> Bundle:
    """Write the bundle of an evaluated run, prove that it reproduces its stored cell, and only then name it.

    Args:
        run: folder of a finished and evaluated run.
        record: of the run.
        part: its classifier.
        out: folder of the bundle; must not be there.

    Raises:
        UsageError: the output is there.
        DataError: the run is not evaluated, or lacks its segmentation network.
        BundleError: OpenVINO and torch differ by more than ``MAX_EXPORT_DIFFERENCE``.
    """
    if out.exists():
        raise UsageError(f"{out}: is there already; name a new folder")
    segmentation, network = read_segmentation(run)
    evaluation = read_evaluation(run)
    with whole_folder(out) as folder:
        model = export_onnx(part.network, part.inputs, ("logits", "novelty"))
        difference = store_onnx(model, folder / CLASSIFIER, part.network, part.inputs, MAX_EXPORT_DIFFERENCE)
        shutil.copyfile(network, folder / SEGMENTATION)
        if part.memory is not None:
            shutil.copyfile(part.memory, folder / part.memory.name)
        draw_test_cell(folder)
        scores = evaluation.scores
        present = [i for i, row in enumerate(scores.confusion) if any(row)]
        card = ModelCard(
            schema_version=3,
            name=f"erythron-{record.recipe.name}",
            version=record.recipe.version,
            kind=record.recipe.kind,
            description=part.description,
            classes=make_classes(record),
            framing=make_framing(record.recipe.inputs),
            segmenter=segmentation.card,
            normalisation=Normalisation(mean=record.scaling.mean, sd=record.scaling.sd),
            outlines=segmentation.outlines,
            outlines_from=segmentation.origin,
            outline_data=segmentation.data,
            detection=segmentation.detection,
            mask_input=part.mask_input,
            takes_measurements=part.takes_measurements,
            measurements=record.measurements,
            measurement_limit=part.limit,
            temperature=evaluation.calibration.temperature,
            unclassified_below=evaluation.calibration.threshold,
            unclassified_rule=evaluation.calibration.rule,
            calibrated_on=evaluation.calibration.cells,
            evaluation=Evaluation(
                method=evaluation.method,
                folds=evaluation.folds,
                cells=scores.cells,
                groups=scores.groups,
                true_classes=tuple(record.classes[i] for i in present),
                confusion=tuple(scores.confusion[i] for i in present),
                confident_confusion=tuple(evaluation.confident_confusion[i] for i in present),
                figures=scores.figures,
                by_set=evaluation.by_set,
            ),
            data=record.data,
            split_hash=record.split_hash,
            seed=record.recipe.seed,
            export_difference=max(difference, segmentation.export_difference),
            software=list_software(),
            self_test=SelfTest(
                image="selftest.png",
                mask="selftest_mask.png",
                mpp=record.recipe.inputs.mpp,
                probabilities=(0.0,) * len(record.classes),
                tolerance=SELF_TEST_TOLERANCE,
            ),
            files=_hash_files(folder),
            limits=(*part.limits, *record.recipe.limits),
        )
        write_file(folder / "card.md", render_card(card))
        _store_tested(card, folder)
    return load_bundle(out)


def make_classes(record: RunRecord) -> tuple[ModelClass, ...]:
    """Return the classes of a run as a bundle states them."""
    titles = {c.name: c.title for c in DEFAULT_CLASSES}
    return tuple(
        ModelClass(
            name=name,
            title=titles.get(name, name.replace("_", " ").capitalize()),
            lineage=find_lineage(name),
            prior=prior,
        )
        for name, prior in zip(record.classes, record.priors, strict=True)
    )


def _store_tested(card: ModelCard, folder: Path) -> None:
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
    full = card.model_copy(update={"files": _hash_files(folder)})
    write_file(folder / CARD, full.model_dump_json(indent=1) + "\n")
    return load_bundle(folder)


def _hash_files(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of every file of a bundle but its ``model.json``, by name."""
    names = sorted(p.name for p in folder.iterdir() if p.name != CARD)
    return {name: hash_file(folder / name) for name in names}


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


def list_software() -> dict[str, str]:
    """Return the version of every package that decides what a bundle says."""
    return {name: __version__ if name == "erythron" else version(name) for name in PACKAGES}
