"""Quality of an image as named flags, with every threshold in one place.

In: what an image showed. Out: :class:`QualityFlag`. A flag says what was measured and which limit that
passed; it hides no figure.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
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
        "stain_unlike_training",
        "cells_unlike_training",
        "unclassified_unexplained",
        "many_unclassified",
        "too_few_cells",
        "image_of_another_specimen",
        "review_lost",
    }
)
"""Flags with which figures are no result yet: the model may not know such cells, or few were counted.

The others (uneven fields, areas left out) limit what was looked at and leave its figures as they are.
"""

TARGET_CELLS = 500
"""Nucleated cells to count where the percentage of a class decides; :class:`QualityThresholds` has the least
(Lee et al. 2008, doi 10.1111/j.1751-553X.2008.01100.x)."""


@dataclass(frozen=True)
class LeftOutArea:
    """A part of an image in which no cell is counted.

    Attributes:
        cause: ``out_of_focus`` or ``too_thick``.
        outline: corners of a closed polygon as (x, y), in pixels of the image; the first is not repeated.
        area_fraction: share of the image's area, 0 to 1.
    """

    cause: Literal["out_of_focus", "too_thick"]
    outline: tuple[tuple[float, float], ...]
    area_fraction: float


@dataclass(frozen=True)
class QualityThresholds:
    """Where a flag begins.

    All but ``fewest_cells`` are conventions; ``benchmarks/constants.py`` measures which fields they flag.

    Attributes:
        fewest_cells: nucleated cells; the least that the ICSH asks of a marrow differential (Lee et al. 2008,
            doi 10.1111/j.1751-553X.2008.01100.x, at least 300, 500 where a stage is near a limit).
        most_unclassified: share of the nucleated cells that are unclassified.
        most_left_out: share of the area of an image, or of all images, that is left out.
        stain_distance: distance of the median cell's colour from the mean of the training cells, in their
            standard deviations; two hold 95 % of a normal distribution.
        most_unlike: share of the cells that are less like the training cells than 99 % of those.
        drift_p: level of the test that all fields of a specimen have one mix of classes: one specimen in a
            hundred that do is flagged wrongly, however many fields or classes there are.
    """

    fewest_cells: int = 300
    most_unclassified: float = 0.2
    most_left_out: float = 0.1
    stain_distance: float = 2.0
    most_unlike: float = 0.2
    drift_p: float = 0.01


THRESHOLDS = QualityThresholds()


@dataclass(frozen=True)
class FieldQuality:
    """What the image of a field showed.

    Attributes:
        scale_known: whether the image, the user or its red cells gave the scale.
        stain_distance: largest distance of the median cell's colours from the training cells' mean, in their
            standard deviations; None where there is no cell to judge by.
        unlike_fraction: share of the cells that are less like the training cells than 99 % of those; None
            where there is no cell.
        left_out: areas in which no cell is counted.
        note: what was done to make one image of the file, such as the choice of a plane; mostly nothing.
    """

    scale_known: bool = True
    stain_distance: float | None = None
    unlike_fraction: float | None = None
    left_out: tuple[LeftOutArea, ...] = ()
    note: str = ""

    @property
    def left_out_fraction(self) -> float:
        """Share of the image's area that is left out."""
        return sum(area.area_fraction for area in self.left_out)


def is_provisional(flags: Iterable[QualityFlag]) -> bool:
    """Return whether one of the flags says that the figures are no result yet, see :data:`PROVISIONAL`."""
    return any(flag.name in PROVISIONAL for flag in flags)


def judge_field(quality: FieldQuality, limits: QualityThresholds) -> list[QualityFlag]:
    """Return the flags that the image of a field raises."""
    flags = []
    if quality.note:
        flags.append(QualityFlag("several_planes", quality.note))
    if not quality.scale_known:
        flags.append(
            QualityFlag("scale_unknown", "the microns per pixel are not known: give them with --mpp")
        )
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
                f"{quality.unlike_fraction:.0%} of the cells are less like those of the training than 99 % "
                "of them: the image may show another stain, tissue or kind of picture",
                quality.unlike_fraction,
                limits.most_unlike,
            )
        )
    if quality.left_out_fraction > limits.most_left_out:
        flags.append(flag_left_out(quality.left_out_fraction, limits))
    return flags


def flag_left_out(fraction: float, limits: QualityThresholds) -> QualityFlag:
    """Return the flag of a share of the area, 0 to 1, that is left out."""
    return QualityFlag(
        "area_left_out",
        f"{fraction:.0%} of the area is out of focus or too thick; its cells are not counted",
        fraction,
        limits.most_left_out,
    )
