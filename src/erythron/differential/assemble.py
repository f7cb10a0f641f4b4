"""Calls put together to a differential: of one field, or of many.

In: tables of calls, or the differentials of fields. Out: a
:class:`~erythron.differential.counts.Differential`, with corrected figures where the model's confusion matrix
allows them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import polars as pl

from erythron.cells.classes import CellClass, Lineage
from erythron.cells.table import make_empty_table
from erythron.differential.calls import Calls, Contrast, Knowledge
from erythron.differential.combined import estimate_contrasts
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import (
    CellCounts,
    ClassCount,
    Correction,
    Differential,
    Estimate,
    Proportion,
    ReferenceRange,
)
from erythron.differential.detection import Detection, describe_found
from erythron.differential.indices import (
    define_nucleated_red_cells,
    list_indices,
    make_index,
    take_per_hundred,
    void_index,
)
from erythron.differential.intervals import clopper_pearson, goodman
from erythron.differential.judge import judge_correction, judge_counts, judge_fields
from erythron.differential.me_ratio import MERatio
from erythron.differential.mixes import DRAWS, SEED
from erythron.differential.planning import plan_counting
from erythron.differential.specimen import judge_mixture, judge_specimen
from erythron.differential.tally import count_cells, round_sums, spread_unclassified
from erythron.errors import DataError
from erythron.quality.flags import (
    LOOKS_LIKE_BLOOD,
    THRESHOLDS,
    CellsInView,
    FieldQuality,
    LeftOutArea,
    QualityFlag,
    QualityThresholds,
    judge_field,
)


@dataclass(frozen=True)
class DifferentialSettings:
    """What a differential is made with.

    Attributes:
        classes: the classes of the model, in the order of its outputs.
        confusion: of the model; None for no correction.
        detection: how often the segmentation finds cells; None to take no cell for missed.
        references: ranges by the name of an index or class.
        level: probability of coverage of the intervals.
        width: of a stage's interval that "count more" aims at, a fraction of the nucleated cells.
        me_ratio: which cells the numerator of M:E counts.
        thresholds: of the flags.
    """

    classes: tuple[CellClass, ...]
    confusion: ConfusionMatrix | None = None
    detection: Detection | None = None
    references: Mapping[str, ReferenceRange] = field(default_factory=dict)
    level: float = 0.95
    width: float = 0.05
    me_ratio: MERatio = MERatio.ICSH
    thresholds: QualityThresholds = THRESHOLDS


def make_differential(
    cells: pl.DataFrame, settings: DifferentialSettings, quality: FieldQuality | None = None
) -> Differential:
    """Return the differential of the cells of one field.

    Args:
        cells: one row a cell, with the columns ``label`` and ``flags``.
        settings: classes, confusion matrix and the rest.
        quality: what the image showed; None where nothing is known of it.

    Raises:
        DataError: a label is the name of none of the classes.
    """
    return make_differential_from_counts(count_cells(cells, settings.classes), settings, quality)


def make_differential_from_counts(
    counts: CellCounts, settings: DifferentialSettings, quality: FieldQuality | None = None
) -> Differential:
    """Return the differential of the counted cells of one field."""
    quality = quality or FieldQuality()
    return _assemble(
        [counts],
        settings,
        tuple(judge_field(quality, settings.thresholds)),
        quality.left_out,
        quality.left_out_fraction,
        _list_views(quality.in_view),
    )


def make_differential_of_areas(
    areas: Sequence[CellCounts], settings: DifferentialSettings, quality: FieldQuality
) -> Differential:
    """Return the differential of one slide that was counted in several areas.

    Areas stand for the fields of a specimen: how they differ enters every interval.

    Args:
        areas: counts of each; those without a cell say nothing and may be left out.
        settings: classes, confusion matrix and the rest.
        quality: what the slide as a whole showed.
    """
    if len(areas) <= 1:
        only = areas[0] if areas else count_cells(make_empty_table(settings.classes), settings.classes)
        return make_differential_from_counts(only, settings, quality)
    drift = judge_fields(areas, (), 0.0, settings.thresholds)
    raised = (*judge_field(quality, settings.thresholds), *drift)
    return _assemble(
        areas,
        settings,
        raised,
        quality.left_out,
        quality.left_out_fraction,
        _list_views(quality.in_view),
    )


def _list_views(*views: CellsInView | None) -> list[CellsInView]:
    """Return those that are known."""
    return [view for view in views if view is not None]


def merge_differentials(
    differentials: Iterable[Differential], settings: DifferentialSettings
) -> Differential:
    """Return the differential of all cells of several fields; of one, its own; of none, one without cells.

    Args:
        differentials: differentials of separate fields; read one after the other.
        settings: the same that they were made with.

    Raises:
        DataError: a differential was made with other classes or another level of intervals.
    """
    names = [c.name for c in settings.classes]
    fields: list[CellCounts] = []
    flags: list[tuple[QualityFlag, ...]] = []
    views: list[CellsInView | None] = []
    left_out = 0.0
    for differential in differentials:
        last = differential
        if [line.name for line in differential.classes] != names:
            raise DataError(
                "differentials made with different classes cannot be added up; "
                "count all images again with one model"
            )
        if differential.interval_level != settings.level:
            raise DataError(
                f"a differential with intervals of level {differential.interval_level} cannot be added to "
                f"those of level {settings.level}; count all images again with one level"
            )
        fields.append(
            CellCounts(
                settings.classes,
                tuple(line.count for line in differential.classes),
                differential.unclassified.count,
                differential.touching_edge_cells,
                differential.left_out_cells,
                differential.unclassified_as,
                tuple(line.confirmed for line in differential.classes),
            )
        )
        flags.append(differential.flags)
        views.append(differential.in_view)
        left_out += differential.left_out_fraction
    if len(fields) == 1:
        return last
    mean = left_out / max(len(fields), 1)
    raised = judge_fields(fields, flags, mean, settings.thresholds) if fields else []
    mixture = judge_mixture(fields, flags, views, settings.thresholds)
    raised += [] if mixture is None else [mixture]
    return _assemble(fields, settings, tuple(raised), (), mean, _list_views(*views))


def set_references(differential: Differential, settings: DifferentialSettings) -> Differential:
    """Return a differential with other reference ranges and another width to aim at; no estimate changes.

    Args:
        differential: made with the same model and level.
        settings: with the ranges and the width that are wanted.
    """
    references = {} if differential.looks_like_blood else settings.references
    classes = tuple(replace(line, reference=references.get(line.name)) for line in differential.classes)
    indices = tuple(replace(index, reference=references.get(index.name)) for index in differential.indices)
    by_name = {index.name: index for index in indices}
    return replace(
        differential,
        classes=classes,
        erythroid_share=by_name.get("erythroid_share"),
        me_ratio=by_name.get("me_ratio"),
        maturation_index=by_name.get("maturation_index"),
        proliferation_ratio=by_name.get("proliferation_ratio"),
        left_shift=by_name.get("left_shift"),
        count_more=()
        if differential.looks_like_blood
        else plan_counting(classes, indices, differential.nucleated_cells, (settings.width, settings.level)),
    )


def _assemble(
    fields: Sequence[CellCounts],
    settings: DifferentialSettings,
    flags: tuple[QualityFlag, ...],
    areas: tuple[LeftOutArea, ...],
    left_out_fraction: float,
    views: Sequence[CellsInView],
) -> Differential:
    classes = settings.classes
    specimen = judge_specimen(fields, views, settings.thresholds)
    is_blood = specimen is not None and specimen.name == LOOKS_LIKE_BLOOD
    if is_blood:  # every range that is known is of marrow
        settings = replace(settings, references={})
    counts = [sum(f.counts[i] for f in fields) for i in range(len(classes))]
    by_name = {c.name: n for c, n in zip(classes, counts, strict=True)}
    confirmed = {c.name: sum(f.confirmed[i] for f in fields if f.confirmed) for i, c in enumerate(classes)}
    unclassified = sum(f.unclassified for f in fields)
    nucleated_names = [c.name for c in classes if c.lineage is not Lineage.NOT_NUCLEATED]
    erythroid_names = [c.name for c in classes if c.lineage is Lineage.ERYTHROID]
    nucleated = sum(by_name[n] for n in nucleated_names) + unclassified
    erythroid = sum(by_name[n] for n in erythroid_names)

    definitions = list_indices(classes, settings.me_ratio)
    contrasts = [_against(n, nucleated_names) for n in nucleated_names]
    contrasts += [_against(n, erythroid_names) for n in erythroid_names]
    contrasts += [d.contrast for d in definitions]
    estimates, correction = _correct(fields, settings, nucleated_names, contrasts)
    of_all = dict(zip(nucleated_names, estimates, strict=False))
    of_red = dict(zip(erythroid_names, estimates[len(nucleated_names) :], strict=False))
    of_index = dict(
        zip((d.name for d in definitions), estimates[len(contrasts) - len(definitions) :], strict=False)
    )

    def proportion(count: int, total: int, lines: int) -> Proportion:
        return Proportion(
            count,
            total,
            count / total if total else None,
            clopper_pearson(count, total, settings.level),
            goodman(count, total, lines, settings.level),
        )

    # The unclassified cells are a line of the first table.
    lines = len(nucleated_names) + 1
    made = [
        ClassCount(
            name=c.name,
            title=c.title,
            lineage=c.lineage,
            count=by_name[c.name],
            of_nucleated=proportion(by_name[c.name], nucleated, lines) if c.name in nucleated_names else None,
            of_erythroid=(
                proportion(by_name[c.name], erythroid, len(erythroid_names))
                if c.name in erythroid_names
                else None
            ),
            corrected_of_nucleated=of_all.get(c.name),
            corrected_of_erythroid=of_red.get(c.name),
            reference=settings.references.get(c.name),
            confirmed=confirmed[c.name],
        )
        for c in classes
    ]
    indices = {
        d.name: make_index(d, by_name, settings.level, of_index.get(d.name), settings.references.get(d.name))
        for d in definitions
    }
    of_blood = None
    if is_blood:
        indices = {name: void_index(index) for name, index in indices.items()}
        definition = define_nucleated_red_cells(classes)
        if definition is not None:
            of_blood = take_per_hundred(make_index(definition, by_name, settings.level))
    return Differential(
        interval_level=settings.level,
        fields=len(fields),
        nucleated_cells=nucleated,
        erythroid_cells=erythroid,
        touching_edge_cells=sum(f.touching_edge for f in fields),
        classes=tuple(made),
        unclassified=proportion(unclassified, nucleated, lines),
        unclassified_as=round_sums(spread_unclassified(fields, classes).sum(axis=0)),
        erythroid_share=indices.get("erythroid_share"),
        me_ratio=indices.get("me_ratio"),
        maturation_index=indices.get("maturation_index"),
        proliferation_ratio=indices.get("proliferation_ratio"),
        left_shift=indices.get("left_shift"),
        nucleated_red_cells=of_blood,
        correction=correction,
        count_more=()
        if is_blood
        else plan_counting(made, tuple(indices.values()), nucleated, (settings.width, settings.level)),
        flags=(
            *judge_counts(nucleated, unclassified, settings.thresholds, is_marrow=not is_blood),
            *judge_correction(correction, of_index.get("erythroid_share")),
            *flags,
            *([] if specimen is None else [specimen]),
        ),
        left_out_cells=sum(f.left_out for f in fields),
        left_out=areas,
        left_out_fraction=left_out_fraction,
        in_view=sum(views, CellsInView(0, 0.0)) if views else None,
    )


def _against(name: str, of: Sequence[str]) -> Contrast:
    return Contrast((name,), tuple(n for n in of if n != name), "share")


def _correct(
    fields: Sequence[CellCounts],
    settings: DifferentialSettings,
    names: Sequence[str],
    contrasts: Sequence[Contrast],
) -> tuple[list[Estimate], Correction]:
    """Return one estimate a contrast, or none at all with the reason."""
    confusion = settings.confusion
    if confusion is None:
        return [], Correction(None, "the model states no confusion matrix")
    missing = [n for n in names if n not in confusion.true_classes]
    if missing:
        return [], Correction(None, f"no cell of {', '.join(missing)} was in the model's evaluation")
    if list(confusion.true_classes) != list(names) or list(confusion.calls) != list(names):
        return [], Correction(None, "the confusion matrix has other classes than the model")
    unclassified = np.array([f.unclassified for f in fields], dtype=np.int64)
    columns = [i for i, c in enumerate(settings.classes) if c.name in names]
    counts = np.array([[f.counts[i] for i in columns] for f in fields], dtype=np.int64)
    if counts.sum() + unclassified.sum() == 0:
        return [], Correction(None, "no nucleated cell was counted")
    confirmed = np.array([[f.confirmed[i] if f.confirmed else 0 for i in columns] for f in fields], np.int64)
    dealt = spread_unclassified(fields, settings.classes)[:, columns]
    calls = Calls(counts, unclassified, dealt, confirmed)
    lineages = tuple(settings.classes[i].lineage for i in columns)
    known = Knowledge(confusion, lineages, settings.detection)
    corrected = estimate_contrasts(calls, known, contrasts, settings.level)
    return list(corrected.estimates), Correction(
        method=_describe_method(settings.detection, settings.level),
        reason=None,
        confusion_cells=confusion.cells,
        unclassified="dealt" if unclassified.sum() else "none",
        unexplained=corrected.unexplained,
        overdispersion=corrected.overdispersion,
        detection=settings.detection,
        draws=DRAWS,
        seed=SEED,
        over="fields" if len(fields) > 1 else "cells",
    )


def _describe_method(detection: Detection | None, level: float) -> str:
    """Return in words how corrected figures are made; the cells of the matrix are told after it."""
    found = ""
    if detection is not None:
        red = describe_found(detection.erythroid, "erythroid", level)
        rest = describe_found(detection.other, "other", level)
        found = f"division by the rate at which cells are found ({red}; {rest}; {detection.source}), "
    return (
        f"dealing out unclassified cells by their probabilities, {found}and maximum likelihood of the other "
        "calls under the confusion matrix of cells that the model was not trained on"
    )
