"""Quality of an image as named flags, with every threshold in one place.

In: what an image showed. Out: :class:`QualityFlag`. A flag says what was measured and which limit that
passed; it hides no figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import log
from typing import Literal


@dataclass(frozen=True)
class QualityFlag:
    """Something about the specimen or the image that a reader of the figures should know.

    Attributes:
        name: snake_case name.
        text: what was found and what it means, one sentence.
        value: what was measured; None where the flag has no figure.
        threshold: the limit that was passed, in the unit of ``value``.
    """

    name: str
    text: str
    value: float | None = None
    threshold: float | None = None


PROVISIONAL = frozenset(
    {
        "scale_unknown",
        "scale_from_nuclei",
        "scale_contradicted",
        "magnification_too_low",
        "scale_of_other_fields",
        "looks_like_blood",
        "specimen_not_told",
        "fields_like_blood",
        "fields_like_marrow",
        "stain_unlike_training",
        "cells_unlike_training",
        "unclassified_unexplained",
        "many_unclassified",
        "too_few_cells",
        "image_of_another_specimen",
        "images_overlap",
        "review_lost",
    }
)
"""Flags with which figures are no result yet: the model may not know such cells, or few were counted.

The others (uneven fields, areas left out) limit what was looked at and leave its figures as they are.
"""

LOOKS_LIKE_BLOOD = "looks_like_blood"
"""Flag with which a differential has the figure of blood in place of the indices of marrow."""

SCALE_OF_OTHER_FIELDS = "scale_of_other_fields"
"""Flag of fields without a sure scale whose neighbours in the specimen agree on one."""

TARGET_CELLS = 500
"""Nucleated cells to count where the percentage of a class decides; :class:`QualityThresholds` has the least
(Lee et al. 2008, doi 10.1111/j.1751-553X.2008.01100.x)."""


@dataclass(frozen=True)
class LeftOutArea:
    """A part of an image in which no cell is counted.

    Attributes:
        cause: ``out_of_focus`` or ``too_thick``; ``no_image`` where a border of the picture is of one exact
            colour.
        outline: corners of a closed polygon as (x, y), in pixels of the image; the first is not repeated.
        area_fraction: share of the image's area, 0 to 1.
    """

    cause: Literal["out_of_focus", "too_thick", "no_image"]
    outline: tuple[tuple[float, float], ...]
    area_fraction: float


@dataclass(frozen=True)
class CellsInView:
    """How many cells pictures show, by which marrow and blood are told apart.

    Attributes:
        nucleated: nucleated cells, those left out among them.
        red: red cells, by the area that they cover, so that they may overlap.
    """

    nucleated: int
    red: float

    def __add__(self, other: CellsInView) -> CellsInView:
        return CellsInView(self.nucleated + other.nucleated, self.red + other.red)


@dataclass(frozen=True)
class QualityThresholds:
    """Where a flag begins.

    The first seven but ``fewest_cells`` are conventions; ``benchmarks/constants.py`` measures which fields
    they flag. The others tell blood from marrow; ``benchmarks/specimen.py`` measures them, each source held
    out.

    Attributes:
        fewest_cells: nucleated cells; the least that the ICSH asks of a marrow differential (Lee et al. 2008,
            doi 10.1111/j.1751-553X.2008.01100.x, at least 300, 500 where a stage is near a limit).
        most_unclassified: share of the nucleated cells that are unclassified.
        most_left_out: share of the area of an image, or of all images, that is out of focus or too thick.
        most_blank: share of a picture that shows no image; a frame of a pixel is no loss. No picture of a
            smear here has any (``benchmarks/blank.py``).
        stain_distance: distance of the median cell's colour from the mean of the training cells, in their
            standard deviations; two hold 95 % of a normal distribution.
        most_unlike: share of the cells that are less like the training cells than 99 % of those.
        most_mpp: microns per pixel above which stages are not stated: the rim of cytoplasm and the lumps of
            chromatin, about a micron wide, are then about two pixels.
        contradicted: factor between the scale that is used and what the cells show from which they contradict
            it, as :data:`erythron.segment.field_scale.CONTRADICTED`.
        drift_p: level of the test that all fields of a specimen have one mix of classes: one specimen in a
            hundred that do is flagged wrongly, however many fields or classes there are.
        fewest_to_tell: nucleated cells under which nothing tells marrow from blood: the calls of one stain
            go wrong together (four of five white cells of one blood film are called erythroid).
        most_in_blood: nucleated cells to a red cell under which a field may be one of blood. Marrow has 0.2
            and more, much diluted marrow 0.04 to 0.1, blood that was photographed for its white cells 0.06.
        surely_blood: the same under which it is blood, whatever its cells are called, if the upper limit of
            what was counted (one-sided, 95 %) is still under it. Blood has 0.001 to 0.002, with a hundred
            thousand white cells in a microlitre 0.02, whole films here 0.006.
        called_erythroid: share of cells, none of them erythroid, that the model calls so in a laboratory it
            has not seen, unclassified ones by their probabilities (600 of ``matek-marrow``).
        blood_level: probability of as many erythroid calls by that error alone under which the calls say that
            it is marrow.
    """

    fewest_cells: int = 300
    most_unclassified: float = 0.2
    most_left_out: float = 0.1
    most_blank: float = 0.01
    stain_distance: float = 2.0
    most_unlike: float = 0.2
    most_mpp: float = 0.45
    contradicted: float = 1.35
    drift_p: float = 0.01
    fewest_to_tell: int = 10
    most_in_blood: float = 0.1
    surely_blood: float = 0.02
    called_erythroid: float = 0.14
    blood_level: float = 0.1


THRESHOLDS = QualityThresholds()


@dataclass(frozen=True)
class FieldQuality:
    """What the image of a field showed.

    Attributes:
        scale_known: whether the image, the user, its red cells or its nuclei gave the scale.
        mpp: microns per pixel that were used; None where unknown.
        mpp_interval: 95 % interval of an estimated scale; None where it was not estimated.
        scale_from_nuclei: whether the size of the nuclei alone gave the scale.
        stated_mpp: what the file states, where the image contradicts it; else None.
        shown_mpp: what the cells show, where the scale that is used, of the user or of the file, lies outside
            the interval of that; else None.
        stain_distance: largest distance of the median cell's colours from the training cells' mean, in their
            standard deviations; None where there is no cell to judge by.
        unlike_fraction: share of the cells that are less like the training cells than 99 % of those; None
            where there is no cell.
        left_out: areas in which no cell is counted.
        in_view: how many cells the picture shows; None where its scale is unknown
            or too coarse.
        note: what was done to make one image of the file, such as the choice of a plane; mostly nothing.
        orientation: how the file says that it is to be shown, see :class:`erythron.read.image.SmearImage`.
    """

    scale_known: bool = True
    mpp: float | None = None
    mpp_interval: tuple[float, float] | None = None
    scale_from_nuclei: bool = False
    stated_mpp: float | None = None
    shown_mpp: float | None = None
    stain_distance: float | None = None
    unlike_fraction: float | None = None
    left_out: tuple[LeftOutArea, ...] = ()
    in_view: CellsInView | None = None
    note: str = ""
    orientation: int = 1

    @property
    def blank_fraction(self) -> float:
        """Share of the picture that shows no image."""
        return sum(area.area_fraction for area in self.left_out if area.cause == "no_image")

    @property
    def left_out_fraction(self) -> float:
        """Share of the area that shows an image which is out of focus or too thick."""
        unreadable = sum(area.area_fraction for area in self.left_out if area.cause != "no_image")
        return unreadable / (1 - self.blank_fraction) if unreadable else 0.0


def in_percent(fraction: float, decimals: int = 0) -> str:
    """Return a share in percent, as every message writes it.

    >>> in_percent(0.08)
    '8 %'
    """
    return f"{100 * fraction:.{decimals}f} %"


def is_provisional(flags: Iterable[QualityFlag]) -> bool:
    """Return whether one of the flags says that the figures are no result yet, see :data:`PROVISIONAL`."""
    return any(flag.name in PROVISIONAL for flag in flags)


def judge_field(quality: FieldQuality, limits: QualityThresholds) -> list[QualityFlag]:
    """Return the flags that the image of a field raises."""
    flags = _judge_scale(quality, limits)
    if quality.note:
        flags.insert(0, QualityFlag("several_planes", quality.note))
    if quality.orientation != 1:
        text = (
            "the file states that its pixels are to be shown turned or mirrored (orientation "
            f"{quality.orientation}), as they are here: a program that does not do so shows outlines of the "
            "cells elsewhere; save the image upright before they are opened, or drawn, in another program"
        )
        flags.append(QualityFlag("shown_turned", text, float(quality.orientation)))
    if quality.stain_distance is not None and quality.stain_distance > limits.stain_distance:
        flags.append(
            QualityFlag(
                "stain_unlike_training",
                f"the colour of the median cell is {quality.stain_distance:.1f} standard deviations from the "
                "cells that the model was trained on: check its calls",
                quality.stain_distance,
                limits.stain_distance,
            )
        )
    if quality.unlike_fraction is not None and quality.unlike_fraction > limits.most_unlike:
        flags.append(
            QualityFlag(
                "cells_unlike_training",
                f"{in_percent(quality.unlike_fraction)} of the cells look unlike nearly all that the model "
                "learned from, where 1 % is usual; their calls may be wrong. Another stain, tissue or kind "
                "of picture may be the reason",
                quality.unlike_fraction,
                limits.most_unlike,
            )
        )
    if quality.blank_fraction > limits.most_blank:
        flags.append(
            QualityFlag(
                "area_without_image",
                f"{in_percent(quality.blank_fraction)} of the picture, at its border, is of one exact colour "
                "and shows no image, as where a copy or a screenshot broke off: the rest alone was counted",
                quality.blank_fraction,
                limits.most_blank,
            )
        )
    if quality.left_out_fraction > limits.most_left_out:
        flags.append(flag_left_out(quality.left_out_fraction, limits))
    return flags


def is_countable(quality: FieldQuality, limits: QualityThresholds = THRESHOLDS) -> bool:
    """Return whether stages can be told at the scale of a field; where not, its cells are in no count."""
    return quality.scale_known and (quality.mpp is None or quality.mpp <= limits.most_mpp)


def _judge_scale(quality: FieldQuality, limits: QualityThresholds) -> list[QualityFlag]:
    """Return the flags that the scale of a field raises."""
    if not quality.scale_known:
        text = (
            "the microns per pixel are not known, neither from the file nor from red cells or nuclei: no "
            "cell is counted; give them with --mpp (a picture of one cell is named by erythron classify)"
        )
        return [QualityFlag("scale_unknown", text)]
    flags = []
    mpp = quality.mpp
    if mpp is not None and mpp > limits.most_mpp:
        text = (
            f"at {mpp:.2g} microns per pixel cells are found but stages cannot be told (over "
            f"{limits.most_mpp:g}): no cell is counted; photograph with more magnification"
        )
        flags.append(QualityFlag("magnification_too_low", text, mpp, limits.most_mpp))
    between = "" if quality.mpp_interval is None else " ({:.2g} to {:.2g})".format(*quality.mpp_interval)
    if quality.stated_mpp is not None:
        text = (
            f"the file states {quality.stated_mpp:.3g} microns per pixel, but its cells show "
            f"{mpp:.2g}{between}: that is used; give the right ones with --mpp"
        )
        flags.append(QualityFlag("scale_contradicted", text, mpp, quality.stated_mpp))
    if quality.shown_mpp is not None and mpp is not None:
        text = (
            f"{mpp:.3g} microns per pixel are used, as given or as the file states them, but the cells of "
            f"the image show {quality.shown_mpp:.2g}: where the former are wrong, cells are missed or taken "
            "together, and stages are wrong"
        )
        is_far = abs(log(mpp / quality.shown_mpp)) > log(limits.contradicted)
        name = "scale_contradicted" if is_far else "scale_doubtful"
        flags.append(QualityFlag(name, text, mpp, quality.shown_mpp))
    if quality.scale_from_nuclei:
        text = (
            f"the microns per pixel, {mpp:.2g}{between}, are estimated from the nuclei alone: all sizes are "
            "as uncertain, and stages with them; give the scale with --mpp"
        )
        flags.append(QualityFlag("scale_from_nuclei", text, mpp))
    return flags


def flag_left_out(fraction: float, limits: QualityThresholds) -> QualityFlag:
    """Return the flag of a share of the area, 0 to 1, that is left out."""
    return QualityFlag(
        "area_left_out",
        f"{in_percent(fraction)} of the area is out of focus or too thick; its cells are not counted",
        fraction,
        limits.most_left_out,
    )
