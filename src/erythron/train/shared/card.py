"""The model card in words and tables, from ``model.json`` alone: it says nothing that is not there."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from erythron.bundle.schema import Estimate, Evaluation, Method, ModelCard
from erythron.cells.classes import Lineage
from erythron.differential.intervals import clopper_pearson
from erythron.segment.nucleus_edge import BAND_UM, EDGE_SHARE

FEW_CELLS = 30
"""Judged cells of a class below which its figures are called indications."""

FIGURE_NAMES = {
    "accuracy": "accuracy (all classes)",
    "macro_f1": "macro-F1 (all classes)",
    "stage_accuracy": "stage accuracy (erythroid cells, best of the stages)",
    "stage_accuracy_of_all_classes": "erythroid cells named right among all classes",
    "stage_macro_f1": "stage macro-F1 (best of the stages)",
    "stage_within_one": "within one stage (best of the stages)",
    "stage_quadratic_kappa": "quadratic-weighted kappa (best of the stages)",
    "five_way_accuracy": "five-way accuracy (four stages, not erythroid)",
    "five_way_macro_f1": "five-way macro-F1",
    "erythroid_auc": "area under the curve, erythroid or not",
    "named_right": "called as the label allows",
    "erythroid_found": "erythroid cells called erythroid",
    "called_erythroid": "other cells called erythroid",
    "brier": "Brier score",
    "calibration_error": "expected calibration error (all classes)",
}


def render_card(card: ModelCard) -> str:
    """Return the card in Markdown."""
    sections = (
        _describe(card),
        _list_data(card),
        _report_results(card),
        _report_outlines(card),
        _report_found(card),
        _list_limits(card),
    )
    return f"# {card.name} {card.version}\n\n" + "\n".join(sections)


def _describe(card: ModelCard) -> str:
    framing, seg = card.framing, card.segmenter
    stages = sum(c.lineage is Lineage.ERYTHROID for c in card.classes)
    shares = ", ".join(f"{share:g}" for share in seg.assumed_shares)
    measured = "" if card.takes_measurements else " It takes no measurements."
    return f"""Calls nucleated cells: {len(card.classes)} classes, {stages} of them erythroid. **Research use
only.** It proposes; a qualified person confirms every call. It must not be used to diagnose or to decide on
a patient.

## What it is

{card.description}{measured} Cells are framed at {framing.input_px}x{framing.input_px} px and
{framing.input_mpp:g} um per pixel, colours relative to the empty smear.

The segmentation network is {card.outlines_from}. It is asked at every maximum of the nuclear stain and
draws nucleus and whole cell of the one cell that is centred there, or nothing.
{_say_scale(card)}Where the scale of a single-cell crop is unknown, its shorter side is taken
to show {framing.crop_width_um:g} um, and the outline is the mean of the {seg.assumed_kept} surest of those at
{shares} of that; a field of unknown scale is taken at {framing.field_mpp:g} um per pixel.
The outline of a nucleus moves by up to {BAND_UM:g} um to where the stain is {EDGE_SHARE:g} of the way from
the cytoplasm's to the nucleus'.
"""


def _say_scale(card: ModelCard) -> str:
    """Return the scales that the segmentation network sees crops and fields at, where they differ."""
    seg = card.segmenter
    if seg.field_window_mpp is None:
        return ""
    return (
        f"It sees a crop at {seg.window_mpp:g} um per pixel, a field, where cells touch, at "
        f"{seg.field_window_mpp:g}.\n"
    )


def _list_data(card: ModelCard) -> str:
    called = _table(
        ("set", "cells", "source", "licence"), ((d.name, d.cells, d.source, d.licence) for d in card.data)
    )
    text = f"## Data\n\nThe classifier was trained on:\n\n{called}\n"
    if card.outline_data:
        outlined = _table(
            ("set", "source", "licence"), ((d.name, d.source, d.licence) for d in card.outline_data)
        )
        text += f"\nThe segmentation network was trained on:\n\n{outlined}\n"
    return text


def _report_results(card: ModelCard) -> str:
    found = card.evaluation
    counts = _table(
        ("", *(c.name for c in card.classes), "unclassified"),
        (
            (name, *row, f"of these {confident[-1]}")
            for name, row, confident in zip(
                found.true_classes, found.confusion, found.confident_confusion, strict=True
            )
        ),
    )
    return f"""## Results

{_say_method(found)} 95 % intervals: exact ones of as many
independent cells as the variance between resampled groups is worth. {_say_calibration(card)}

{_table(("figure", "value", "95 % interval"), _figure_rows(found.figures))}

Calls (columns) of each true class (rows) by the most probable class; the last column says how many of a
row are unclassified:

{counts}

Unclassified below a confidence of {card.unclassified_below:.3f}: {card.unclassified_rule}.
{_say_confident(card)}A cell that is
less like the training cells than 99 of 100 cells that were not trained on is flagged as unlike them.
{_say_sets(found)}"""


def _say_confident(card: ModelCard) -> str:
    """Return how often confident calls of the judged cells are wrong, with what that is at most."""
    found = card.evaluation
    merged = {c.name: c.name if c.lineage is Lineage.ERYTHROID else "" for c in card.classes}
    if not any(merged.values()):
        merged = {c.name: c.name for c in card.classes}
    called = [merged[c.name] for c in card.classes]
    kept = sum(sum(row[:-1]) for row in found.confident_confusion)
    right = sum(
        count
        for name, row in zip(found.true_classes, found.confident_confusion, strict=True)
        for other, count in zip(called, row[:-1], strict=True)
        if merged.get(name, name) == other
    )
    if not kept:
        return ""
    # One-sided at 95 % is the upper limit of the interval of 90 %.
    most = clopper_pearson(kept - right, kept, 0.9)[1]
    return (
        f"Of the {kept} judged cells at or above it {kept - right} are called wrong so "
        f"({(kept - right) / kept:.1%}; with a certainty of 95 % at most {most:.1%}). "
    )


def _say_method(found: Evaluation) -> str:
    if found.method is Method.CROSS_VALIDATION:
        return (
            f"{found.folds} folds on {found.cells} judged cells in {found.groups} groups, cells of one group "
            "kept together, one seed."
        )
    return f"{found.cells} cells of the test part in {found.groups} groups, called once after training."


def _say_calibration(card: ModelCard) -> str:
    text = (
        f"The temperature ({card.temperature:.3f}) and the threshold were chosen on the {card.calibrated_on}."
    )
    is_same = card.evaluation.method is Method.CROSS_VALIDATION or "test part" in card.calibrated_on
    if is_same:
        text += " These are the cells of the figures, so calibration is slightly flattered."
    return text


def _say_sets(found: Evaluation) -> str:
    if not found.by_set:
        return ""
    rows = (
        (name, f.cells, _show(f.erythroid_auc), _show(f.unseen_erythroid_auc))
        for name, f in found.by_set.items()
    )
    columns = ("set", "cells", "cells not seen", "whole set not seen")
    return f"""
Erythroid or not, area under the curve on each set, by classifiers that had not seen the cells and by one
that had seen no cell of the set:

{_table(columns, rows)}
{_say_added(found)}"""


def _say_added(found: Evaluation) -> str:
    """Return what each set added: its cells by label, and figures with its laboratory and without."""
    labelled = [
        (name, ", ".join(f"{label.replace('_', ' ')} {count}" for label, count in f.labels.items()))
        for name, f in found.by_set.items()
        if f.labels
    ]
    compared = [
        (name, of, FIGURE_NAMES.get(figure, figure), _show(both.with_source), _show(both.without))
        for name, f in found.by_set.items()
        for of, figures in (("its own cells", f.own), ("judged cells of others", f.judged))
        for figure, both in figures.items()
        if both.without is not None
    ]
    text = ""
    if labelled:
        text += f"""
What each set added, by its labels:

{_table(("set", "cells"), labelled)}
"""
    if compared:
        columns = ("set", "figure of", "figure", "with its laboratory", "without")
        text += f"""
Each laboratory left out once: figures of cells that were not trained on, by classifiers that learned from the
laboratory's other cells and by some that saw nothing of it:

{_table(columns, compared)}
"""
    return text


def _report_outlines(card: ModelCard) -> str:
    if not card.outlines:
        return ""
    rows = ((name.replace("_", " "), *_show_estimate(figure)) for name, figure in card.outlines.items())
    return f"""## Outlines

Overlap with drawn outlines (Dice), each by networks that had not seen the image; the segmentation network is
{card.outlines_from}:

{_table(("set and part", "mean or tenth percentile", "95 % interval"), rows)}
"""


def _report_found(card: ModelCard) -> str:
    known = card.detection
    if known is None:
        return """## Cells found

How often the segmentation network finds a cell that is there was not measured: corrected figures do not allow
for missed cells.
"""
    rows = []
    for lineage, cells in (("erythroid", known.erythroid), ("other nucleated", known.other)):
        low, high = clopper_pearson(cells.found, cells.drawn)
        rate = cells.found / cells.drawn
        rows.append((lineage, f"{cells.found} of {cells.drawn}", f"{rate:.3f}", f"{low:.3f} to {high:.3f}"))
    return f"""## Cells found

How often the segmentation network finds a cell that a reader drew, with the exact interval; corrected shares
are divided by it. Measured in {known.source}:

{_table(("lineage", "found", "rate", "95 % interval"), rows)}
"""


def _list_limits(card: ModelCard) -> str:
    found = card.evaluation
    few = [
        f"{sum(row)} of {name}"
        for name, row in zip(found.true_classes, found.confusion, strict=True)
        if sum(row) < FEW_CELLS
    ]
    limits = [
        *([f"Few judged cells, whose figures are indications: {', '.join(few)}."] if few else []),
        "Judged cells come from the sources of the training cells: another scanner, stain or laboratory was "
        "not tested.",
    ]
    if "taken from" in card.outlines_from:
        limits.append(
            "The segmentation network may have learned from some of the cells that the classifier is judged "
            "by: it was not fitted anew without them."
        )
    if card.unclassified_below >= 1:
        limits.append(
            "At no confidence were the calls as seldom wrong as asked for: every call is unclassified."
        )
    return "## Limits\n\n" + "\n".join(f"- {limit}" for limit in (*limits, *card.limits)) + "\n"


def _figure_rows(figures: dict[str, Estimate]) -> Iterable[tuple[str, ...]]:
    return ((FIGURE_NAMES.get(name, name), *_show_estimate(f)) for name, f in figures.items())


def _show_estimate(figure: Estimate) -> tuple[str, str]:
    return f"{figure.value:.3f}", f"{figure.low:.3f} to {figure.high:.3f}"


def _show(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
