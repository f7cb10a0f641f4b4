"""Fields of a specimen that show the same part of the smear, told by their cells; no pixel is looked at.

In: what each field's table of cells says of place and nucleus of its cells. Out: a flag that names the
fields. A copy that was saved anew, turned, mirrored or cut otherwise has other pixels, and nearly the same
cells: those of two fields are compared by measures that hardly change with it, and must lie alike. Copies at
another scale, or photographed in another light, are not found.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.special import bdtrc

from erythron.cells.table import is_counted
from erythron.quality.flags import QualityFlag

IMAGES_OVERLAP = "images_overlap"
"""Flag of a specimen of which several fields show the same cells."""

NOT_COMPARED = "overlap_not_looked_for"
"""Flag of a specimen of too many fields to be compared."""

MOST_FIELDS = 300
"""Fields that are compared: of more than this the pairs of cells that look alike would fill the memory."""

FEWEST_SHARED = 4
"""Cells that two fields must share: two give the motion, and a third one may be where it leads by chance."""

FALSE_ALARMS = 1e-3
"""Pairs of fields of a specimen that may be called overlapping by chance, in the mean."""

_TOLERANCES = {
    "nucleus_area_px": 0.12,
    "cell_area_px": 0.25,
    "nucleus_mean_red": 2.5,
    "nucleus_mean_green": 2.5,
    "nucleus_mean_blue": 2.0,
    "nucleus_sd_grey": 1.8,
    "nucleus_eccentricity": 0.08,
}
"""Differences within which a cell may be the same one; of areas, of their logarithms.

After a mirror or half a turn more than nine of ten cells stay within each of them, and three of four within
all (``benchmarks/overlap.py``). The colour of the cytoplasm changes more, for its outline is less sure.
"""

_OFF = 0.1
"""Distance within which a cell lies where the motion puts it, in diameters of the median nucleus."""

_APART = 10
"""Distance between the two cells that give the motion, in units of the distance that :data:`_OFF` allows."""

_SAME = 2.5
"""Distance of the same cell once fields are known to overlap, in the same unit: a quarter of a nucleus."""

_TRIED = 60
"""Pairs of cells, the most alike ones, that are tried for the motion, each with as many others."""

_NAMED = 5

Floats = NDArray[np.float64]
Complexes = NDArray[np.complex128]


@dataclass(frozen=True, eq=False)
class PlacedCells:
    """What is compared of the cells of a field.

    Attributes:
        places: (N,) complex64, centres of the nuclei x + iy in pixels.
        measures: (N, M) float32, their measures in units of the differences that the same cell may show.
        off_px: how far a cell may lie from where it is expected.
        area_px: of the field.
    """

    places: NDArray[np.complex64]
    measures: NDArray[np.float32]
    off_px: float
    area_px: float


@dataclass(frozen=True)
class Overlap:
    """Two fields that show the same part of the smear.

    Attributes:
        first: number of the one.
        second: number of the other.
        shared: cells that are in both.
    """

    first: int
    second: int
    shared: int


def place_cells(cells: pl.DataFrame, width_px: int, height_px: int) -> PlacedCells:
    """Return what is compared of the counted cells of a field.

    Args:
        cells: its table of cells.
        width_px: of the field.
        height_px: of the field.
    """
    areas = ("nucleus_area_px", "cell_area_px")
    measures = [
        (pl.col(name).cast(pl.Float64).log() if name in areas else pl.col(name)) / tolerance
        for name, tolerance in _TOLERANCES.items()
    ]
    table = cells.filter(is_counted()).select("x_px", "y_px", "nucleus_diameter_px", *measures)
    found = table.cast(pl.Float64).fill_null(np.nan).to_numpy()
    found = found[np.isfinite(found).all(axis=1)]
    diameter = float(np.median(found[:, 2])) if len(found) else 0.0
    places = found[:, 0] + 1j * found[:, 1]
    return PlacedCells(
        places.astype(np.complex64),
        found[:, 3:].astype(np.float32),
        max(1.0, _OFF * diameter),
        float(width_px * height_px),
    )


def judge_overlap(images: Sequence[str], fields: Sequence[PlacedCells]) -> QualityFlag | None:
    """Return the flag of fields that show the same part of the smear; None where none do.

    Args:
        images: names of the fields.
        fields: their cells.
    """
    if len(fields) > MOST_FIELDS:
        text = (
            f"whether some of the {len(fields)} fields show the same part of the smear was not looked for: "
            f"that is done of {MOST_FIELDS} fields at most"
        )
        return QualityFlag(NOT_COMPARED, text, float(len(fields)), float(MOST_FIELDS))
    found = find_overlaps(fields)
    if not found:
        return None
    several = len({number for pair in found for number in (pair.first, pair.second)})
    shared = sum(pair.shared for pair in found)
    named = ", ".join(
        f"{Path(images[pair.second]).name} as {Path(images[pair.first]).name} ({pair.shared} cells)"
        for pair in found[:_NAMED]
    )
    more = "" if len(found) <= _NAMED else f" and {len(found) - _NAMED} more"
    text = (
        f"{several} of the images show the same part of the smear as another, and about {shared} cells are "
        f"counted more than once: {named}{more}; leave out what is there twice, and count again"
    )
    return QualityFlag(IMAGES_OVERLAP, text, float(shared))


def find_overlaps(fields: Sequence[PlacedCells]) -> list[Overlap]:
    """Return pairs of fields that show the same cells, those that share most first.

    Of fields that all show one part each is named once, with that which it shares most with: the sum of what
    is shared is then about what was counted too often.

    Args:
        fields: of one specimen.
    """
    number = np.repeat(np.arange(len(fields)), [len(field.places) for field in fields])
    if len(np.unique(number)) < 2:
        return []
    from scipy.spatial import KDTree  # takes long to import, and only several fields need it

    start = np.searchsorted(number, np.arange(len(fields)))
    measures = np.concatenate([field.measures for field in fields])
    alike = KDTree(measures).query_pairs(1.0, p=np.inf, output_type="ndarray")
    alike = np.sort(alike, axis=1)
    pairs = number[alike]
    alike, pairs = alike[pairs[:, 0] < pairs[:, 1]], pairs[pairs[:, 0] < pairs[:, 1]]
    keys, where, counts = np.unique(pairs @ (len(fields), 1), return_inverse=True, return_counts=True)
    order = np.split(np.argsort(where, kind="stable"), np.cumsum(counts)[:-1])
    compared = len(fields) * (len(fields) - 1) // 2
    found: list[Overlap] = []
    group = np.arange(len(fields))
    # Those that may share most come first, so that a pair is left out only for pairs that share more.
    for at in np.argsort(-counts, kind="stable"):
        if counts[at] < FEWEST_SHARED:
            break
        first, second = divmod(int(keys[at]), len(fields))
        if group[first] == group[second]:
            continue
        rows = alike[order[at]]
        nearness = np.abs(measures[rows[:, 0]] - measures[rows[:, 1]]).max(axis=1)
        rows = rows[np.argsort(nearness, kind="stable")] - (start[first], start[second])
        shared = count_shared(fields[first], fields[second], rows, compared)
        if shared:
            found.append(Overlap(first, second, shared))
            group[group == group[second]] = group[first]
    return sorted(found, key=lambda pair: -pair.shared)


def count_shared(first: PlacedCells, second: PlacedCells, alike: NDArray[np.int64], compared: int = 1) -> int:
    """Return how many cells two fields share by one motion, mirrored or not; 0 where chance may explain it.

    By chance any two pairs of cells give a motion, and each further pair lies within reach of it with the
    share of the field's area that this is. The expected number of motions with as many pairs, over all pairs
    of fields, must be below :data:`FALSE_ALARMS` (Desolneux et al. 2000, doi 10.1023/A:1026593302236).

    Args:
        first: cells of the one field.
        second: cells of the other.
        alike: (K, 2), numbers of the cells in ``first`` and ``second`` that look alike, the most alike first.
        compared: pairs of fields in the specimen.
    """
    from scipy.spatial import KDTree  # as above

    off = max(first.off_px, second.off_px)
    here, there = first.places[alike[:, 0]].astype(complex), second.places[alike[:, 1]].astype(complex)
    straight, mirrored = _find_motion(here, there, off), _find_motion(here.conj(), there, off)
    is_mirrored = mirrored.sum() > straight.sum()
    fits = mirrored if is_mirrored else straight
    agreeing = min(len(np.unique(alike[fits, side])) for side in (0, 1))
    if agreeing < FEWEST_SHARED:
        return 0
    by_chance = min(1.0, np.pi * off**2 / min(first.area_px, second.area_px))
    further = float(bdtrc(agreeing - 3, len(alike) - 2, by_chance))
    if 2 * len(alike) ** 2 * compared * further >= FALSE_ALARMS:
        return 0
    source = first.places.conj() if is_mirrored else first.places
    from_here, to_there = (here.conj() if is_mirrored else here)[fits], there[fits]
    moved = _move_along(from_here, to_there, source.astype(complex))
    # Cells that measure otherwise in the two fields are told by their place.
    distance, nearest = KDTree(_as_points(second.places)).query(_as_points(moved))
    return max(agreeing, len(np.unique(nearest[distance <= _SAME * off])))


def _find_motion(here: Complexes, there: Complexes, off: float) -> NDArray[np.bool_]:
    """Return which pairs of places agree with that turn and shift with which most of them do."""
    best = np.zeros(len(here), dtype=bool)
    for n in range(min(len(here), _TRIED)):
        moved, wanted = here - here[n], there - there[n]
        distance = np.abs(wanted)
        is_as_far = np.abs(np.abs(moved) - distance) <= off
        # Those that agree are as far from this cell in both fields, so there are no more of them than these.
        if is_as_far.sum() < max(FEWEST_SHARED, best.sum() + 1):
            continue
        # Cells beside each other say too little of the turn.
        others = np.flatnonzero(is_as_far & (distance > _APART * off))[:_TRIED]
        if not len(others):
            continue
        turns = wanted[others] / moved[others]
        fits = np.abs(np.outer(turns / np.abs(turns), moved) - wanted) <= off
        counts = fits.sum(axis=1)
        if counts.max() > best.sum():
            best = fits[counts.argmax()]
    return best


def _move_along(here: Complexes, there: Complexes, places: Complexes) -> Complexes:
    """Return places after the turn and shift that bring ``here`` nearest to ``there`` by least squares."""
    middle, target = here.mean(), there.mean()
    turn = np.vdot(here - middle, there - target)
    moved: Complexes = (places - middle) * (turn / abs(turn)) + target
    return moved


def _as_points(places: NDArray[np.complexfloating]) -> Floats:
    return np.column_stack((places.real, places.imag)).astype(np.float64)
