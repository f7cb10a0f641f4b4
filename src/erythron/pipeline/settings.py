"""What a run is made with: what its differentials need, and what its steps depend on.

In: a bundle and options. Out: what :mod:`erythron.differential.assemble` and fingerprints need.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from erythron.bundle.folder import Bundle
from erythron.bundle.schema import ModelCard
from erythron.cells.classes import DEFAULT_CLASSES, Lineage
from erythron.differential.assemble import DifferentialSettings
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.detection import Detection
from erythron.differential.indices import list_indices
from erythron.differential.me_ratio import MERatio
from erythron.differential.reference import SHIPPED, read_references
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import InputImage
from erythron.results.fingerprint import StepSettings, hash_image
from erythron.results.run_record import RunSettings


def choose_settings(
    bundle: Bundle, reference: Path | None = None, width: float = 0.05, me_ratio: MERatio = MERatio.ICSH
) -> DifferentialSettings:
    """Return what a run's differentials are made with.

    Args:
        bundle: the model.
        reference: file of reference ranges, or None for the shipped ones.
        width: of a stage's interval that "count more" aims at, 0 to 1.
        me_ratio: which cells the numerator of M:E counts.

    Raises:
        DataError: the file of reference ranges cannot be used.
    """
    # The shipped ranges name classes that a model with other classes does not have.
    known = {c.name for c in bundle.classes} | {d.name for d in list_indices(bundle.classes)}
    if reference is None:
        shipped = read_references(SHIPPED, known | {c.name for c in DEFAULT_CLASSES} | {"erythroid_share"})
        references = {name: found for name, found in shipped.items() if name in known}
    else:
        references = dict(read_references(reference, known))
    return DifferentialSettings(
        classes=bundle.classes,
        confusion=make_confusion(bundle.card),
        detection=make_detection(bundle.card),
        references=references,
        width=width,
        me_ratio=me_ratio,
    )


def make_detection(card: ModelCard) -> Detection | None:
    """Return how often a model finds cells; None where that was not measured."""
    known = card.detection
    if known is None:
        return None
    return Detection(
        (known.erythroid.found, known.erythroid.drawn), (known.other.found, known.other.drawn), known.source
    )


def make_confusion(card: ModelCard) -> ConfusionMatrix:
    """Return the confusion matrix of a model's nucleated classes.

    Calls of a class that is not nucleated leave the matrix, as they leave the total of a differential: what
    remains are the rates among the cells that are counted.
    """
    evaluation = card.evaluation
    kept = [i for i, c in enumerate(card.classes) if c.lineage is not Lineage.NOT_NUCLEATED]
    columns = [*kept, len(card.classes)]
    return ConfusionMatrix(
        true_classes=evaluation.true_classes,
        calls=tuple(card.classes[i].name for i in kept),
        counts=tuple(tuple(row[i] for i in columns) for row in evaluation.confident_confusion),
        has_unclassified=True,
    )


def describe_steps(bundle: Bundle, options: RunOptions) -> StepSettings:
    """Return what the steps of every field of a run depend on besides its image.

    Raises:
        ImageReadError: the file of reference ranges cannot be read.
    """
    reference = "" if options.reference is None else hash_image(options.reference)
    return StepSettings(bundle, options.mpp, reference, options.width, options.runtime, options.me_ratio)


def settle_steps(steps: StepSettings, image: InputImage) -> StepSettings:
    """Return what the steps of an image depend on, which may have a scale of its own."""
    return steps if image.mpp is None else replace(steps, mpp=image.mpp)


def keep_settings(options: RunOptions) -> RunSettings:
    """Return what a count was told, as the record of a run keeps it."""
    return RunSettings(
        None if options.model is None else str(options.model),
        options.mpp,
        None if options.reference is None else str(options.reference),
        options.width,
        options.runtime.value,
        options.me_ratio.value,
        options.slides.cells,
        options.slides.whole,
        None if options.slides.region is None else str(options.slides.region),
        options.slides.seed,
    )


def describe_scale_option(options: RunOptions) -> str:
    """Return in words where a run takes the scale of its images from."""
    if options.mpp is not None:
        return f"{options.mpp} (given)"
    return "as each image states, else from its red cells, else from its nuclei"
