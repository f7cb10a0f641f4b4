"""One scale of a field from all that speaks for one: what its file states, its red cells, its nuclei.

What is asked of the network is asked only where file and red cells do not already agree or are not there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from erythron.read.image import ScaleSource
from erythron.segment.scale import ScaleEstimate

CONTRADICTED = 1.35
"""Factor between the scale that a file states and that of the image's cells from which the file is wrong.

Estimates of fields of known scale are within 1.3 of it (``benchmarks/scale.py``): no right file is refused.
"""


MANY_NUCLEI = 20
"""Nuclei from which they are believed more than a few red cells that disagree with them.

Fewer, on blood, are lobes and platelets.
"""


@dataclass(frozen=True)
class FieldScale:
    """Microns per pixel of a field, as used.

    Attributes:
        mpp: microns per pixel.
        source: what gave them.
        estimate: from the cells of the image; None where the file's own scale is used.
        stated: what the file states, where the cells contradict it; else None.
        is_settled: whether the network need not be asked: two witnesses agree, or one is sure.
        shown: what the cells show, where the scale that is used, of the user or of the file, lies outside the
            95 % interval of that; else None.
    """

    mpp: float
    source: ScaleSource
    estimate: ScaleEstimate | None = None
    stated: float | None = None
    is_settled: bool = False
    shown: float | None = None


def check_given(mpp: float, estimate: ScaleEstimate | None) -> FieldScale | None:
    """Return the scale that a user gave with what the cells show in its place, None where they agree with it.

    Only sure red cells or many nuclei speak against a user.

    Args:
        mpp: microns per pixel as given.
        estimate: from red cells, or from nuclei.
    """
    shown = _find_shown(mpp, estimate)
    return None if shown is None else FieldScale(mpp, ScaleSource.OPTION, shown=shown)


def _find_shown(used: float, estimate: ScaleEstimate | None) -> float | None:
    """Return what the cells show where what is used lies outside its 95 % interval, else None."""
    if estimate is None or not (estimate.is_sure or estimate.nuclei >= MANY_NUCLEI):
        return None
    return None if estimate.mpp_low <= used <= estimate.mpp_high else estimate.mpp


def choose_scale(
    stated: float | None, red_cells: ScaleEstimate | None, nuclei: ScaleEstimate | None = None
) -> FieldScale | None:
    """Weigh what speaks for the scale of a field.

    Red cells that are sure outweigh nuclei. Else the two are averaged by their precision where they agree;
    where they do not, many nuclei outweigh few red cells, and these fewer nuclei. The file is believed unless
    the cells contradict it.

    Args:
        stated: microns per pixel of the file, None where it states none.
        red_cells: estimate from them.
        nuclei: estimate from them.

    Returns:
        None where nothing speaks for any scale.
    """
    estimate = _join(red_cells, nuclei)
    if estimate is None:
        return None if stated is None else FieldScale(stated, ScaleSource.METADATA)
    source = ScaleSource.RED_CELLS if estimate.red_cells else ScaleSource.NUCLEI
    found = FieldScale(estimate.mpp, source, estimate, None, estimate.is_sure)
    if stated is None:
        return found
    allowed = max(np.log(CONTRADICTED), 1.96 * estimate.spread if not estimate.is_sure else 0.0)
    if abs(np.log(stated / estimate.mpp)) <= allowed:
        return FieldScale(stated, ScaleSource.METADATA, is_settled=True, shown=_find_shown(stated, estimate))
    return replace(found, stated=stated)


def find_field_scale(
    stated: float | None, red_cells: ScaleEstimate | None, measure_nuclei: Callable[[], ScaleEstimate | None]
) -> FieldScale | None:
    """Return the scale of a field, and ask for its nuclei only where file and red cells leave it open.

    Args:
        stated: microns per pixel of the file, None where it states none.
        red_cells: estimate from them.
        measure_nuclei: gives the estimate from the nuclei, which costs passes of the network.
    """
    first = choose_scale(stated, red_cells)
    if first is not None and first.is_settled:
        return first
    return choose_scale(stated, red_cells, measure_nuclei())


def _join(red_cells: ScaleEstimate | None, nuclei: ScaleEstimate | None) -> ScaleEstimate | None:
    if red_cells is None or nuclei is None:
        return red_cells or nuclei
    if red_cells.is_sure:
        return red_cells
    apart = abs(np.log(red_cells.mpp / nuclei.mpp))
    if apart > 1.96 * np.hypot(red_cells.spread, nuclei.spread):
        return nuclei if nuclei.nuclei >= MANY_NUCLEI else red_cells
    weights = np.array([1 / red_cells.spread**2, 1 / nuclei.spread**2])
    middle = float(np.average(np.log([red_cells.mpp, nuclei.mpp]), weights=weights))
    half = 1.96 / float(np.sqrt(weights.sum()))
    low, mpp, high = (float(np.exp(middle + step)) for step in (-half, 0.0, half))
    return ScaleEstimate(mpp, low, high, red_cells.red_cells, nuclei.nuclei)
