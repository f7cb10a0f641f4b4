"""Old against new segmentation network on a reader's own cells, none of which the new one has seen.

Whole fields are outlined as in use, and what is found is compared with what the reader says. Folds keep
specimens whole where there are as many as folds, else fields, else strips of a field; then no window is
learned from that shows a pixel of a judged cell.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from erythron.cells.outline import BoxedMask, CellOutline
from erythron.compare.agreement import mcnemar
from erythron.datasets.folds import assign_folds
from erythron.read.source import open_source, read_whole
from erythron.segment.segmenter import Segmenter
from erythron.train.segmenter.refit import KEPT
from erythron.train.segmenter.reviewed import Kind, ReviewedOutlines
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.shared.progress import Progress, no_progress

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

FOLDS = 4
"""Of the cross-validation. A strip of a field loses what lies beside it on both sides, some 30 um each; in a
field of 200 um more strips would leave little to learn from."""

FOLD_SEED = 0
"""Of which specimens or fields are in which fold."""

SAME_CELL = 2 / 3
"""Dice of two whole cells from which on they are one cell: an intersection over union of one half. Of
outlines that share no pixel only one can have so much of another."""

SURE = 0.05
"""Probability of chance under which a difference is taken for one."""


@dataclass(frozen=True)
class Agreement:
    """How N places of a reader agree with what a network outlines.

    Attributes:
        cell: (N,) Dice of the whole cell with the one found there, 0 where none is; of what the reader says
            is no cell 1 where nothing is outlined, else 0.
        nucleus: (N,) likewise of the nucleus; as ``cell`` where the reader's nucleus is not known.
    """

    cell: Floats
    nucleus: Floats

    @property
    def is_right(self) -> Bools:
        """(N,) whether the cell is found, or nothing where there is none."""
        return np.asarray(self.cell >= SAME_CELL)

    @property
    def mean(self) -> Floats:
        """(N,) mean of cell and nucleus."""
        return np.asarray((self.cell + self.nucleus) / 2)


@dataclass(frozen=True)
class OutlineImprovement:
    """A reader's outlines by the bundle's network, and by one whose decoder learned from the others of them.

    Attributes:
        corrections: outlines that the reader corrected.
        fields: in which they lie.
        apart_by: what was kept on one side of the cross-validation: ``specimen``, ``field`` or ``place``.
        by_kind: places, right before and right after, by :class:`~erythron.train.segmenter.reviewed.Kind`. A
            cell is right where one with a Dice of ``SAME_CELL`` or more is outlined, a removed one where none
            is.
        cell_dice: mean Dice of the drawn cells before and after, 0 where not found.
        nucleus_dice: of their nuclei.
        better: places of all kinds that are wrong before and right after.
        worse: right before and wrong after.
        probability: that so unequal numbers of these come by chance (exact McNemar test).
        dice_probability: that so unequal Dice of the corrections do (Wilcoxon's signed-rank test).
        is_gain: whether the corrections' mean Dice is surely higher, and not surely more places got worse
            than better.
    """

    corrections: int
    fields: int
    apart_by: str
    by_kind: dict[str, tuple[int, int, int]]
    cell_dice: tuple[float, float]
    nucleus_dice: tuple[float, float]
    better: int
    worse: int
    probability: float
    dice_probability: float
    is_gain: bool


def assign_places(found: ReviewedOutlines) -> tuple[NDArray[np.int64], str]:
    """Return the fold of each place, (N,), -1 of a synthetic one, and what the folds keep on one side."""
    real = found.kind != Kind.SYNTHETIC
    fold = np.full(len(real), -1, np.int64)
    specimens = np.array([found.pictures[i].specimen for i in found.picture])
    for name, key in (("specimen", specimens), ("field", found.picture.astype(np.str_))):
        if len(np.unique(key[found.is_correction])) >= FOLDS:
            kinds = found.kind[real].tolist()
            fold[real] = assign_folds(kinds, key[real].tolist(), FOLDS, FOLD_SEED)
            return fold, name
    for field in np.unique(found.picture[real]):
        here = found.picture == field
        places, corrected = found.places[here], found.is_correction[here]
        along = places[:, int(np.argmax(np.ptp(places, axis=0)))]
        bounds = np.quantile(along[corrected], np.arange(1, FOLDS) / FOLDS)
        fold[here] = np.searchsorted(bounds, along)
    return fold, "place"


def find_allowed(found: ReviewedOutlines, fold: NDArray[np.int64], judged: int) -> Bools:
    """Return which places, (N,), may be learned from where one fold is judged.

    Args:
        found: the places.
        fold: (N,) of each.
        judged: the fold that is judged.
    """
    allowed = fold != judged
    # The farthest corner that a turned, shrunken window shows, and how far it is moved.
    reach_um = (np.sqrt(2) * WINDOW_PX / 2 * np.exp(KEPT.log_scale) + WINDOW_PX / 8) * found.window_mpp
    for row in np.flatnonzero(fold == judged):
        outline = found.outlines[row]
        if outline is None:
            continue
        beside = allowed & (found.picture == found.picture[row])
        mpp = found.pictures[found.picture[row]].mpp
        radius = np.hypot(*outline.cell.shape) / 2
        far = np.hypot(*(found.places - found.places[row]).T) > reach_um / mpp + radius
        allowed &= far | ~beside
    return np.asarray(allowed)


def measure_agreement(found: ReviewedOutlines, rows: NDArray[np.int64], segmenter: Segmenter) -> Agreement:
    """Return how the outlines of a network agree with some of the places.

    Args:
        found: the places.
        rows: (M,) which of them; none is empty.
        segmenter: with the network.

    Returns:
        Of these rows, in their order.
    """
    cell, nucleus = np.zeros(len(rows)), np.zeros(len(rows))
    for number in np.unique(found.picture[rows]):
        picture = found.pictures[number]
        light = read_whole(open_source(picture.path, picture.mpp)).light
        outlined = segmenter.segment_field(light, picture.mpp)
        boxes = np.array([(o.left, o.top, *o.cell.shape[::-1]) for o in outlined]).reshape(-1, 4)
        for at in np.flatnonzero(found.picture[rows] == number):
            wanted = found.outlines[rows[at]]
            if wanted is None:
                continue
            (left, top), (height, width) = (wanted.left, wanted.top), wanted.cell.shape
            near = (boxes[:, :2] < (left + width, top + height)).all(1)
            near &= (boxes[:, :2] + boxes[:, 2:] > (left, top)).all(1)
            cell[at], nucleus[at] = _match(wanted, [outlined[i] for i in np.flatnonzero(near)])
            if found.kind[rows[at]] == Kind.REMOVED:
                cell[at] = nucleus[at] = float(cell[at] < SAME_CELL)
            elif not found.windows.nucleus_known[rows[at]]:
                nucleus[at] = cell[at]
    return Agreement(cell, nucleus)


def _match(wanted: CellOutline, outlined: list[CellOutline]) -> tuple[float, float]:
    """Return the Dice of cell and nucleus with the one of some outlines that is the same cell, else 0."""
    for other in outlined:
        cell = _measure_dice(wanted.whole, other.whole)
        if cell >= SAME_CELL:
            return cell, _measure_dice(wanted.nucleus_mask, other.nucleus_mask)
    return 0.0, 0.0


def _measure_dice(first: BoxedMask, second: BoxedMask) -> float:
    """Return what :func:`erythron.train.segmenter.evaluate.measure_dice` does, of masks with their boxes."""
    return 2 * first.overlap_px(second) / (first.area_px + second.area_px)


def compare_networks(
    found: ReviewedOutlines,
    before: Segmenter,
    learn: Callable[[Bools], Segmenter],
    progress: Progress = no_progress,
) -> tuple[OutlineImprovement, Agreement, Agreement]:
    """Compare a network with those that learned from a part of the places.

    Args:
        found: the places.
        before: with the network of the bundle.
        learn: returns one whose network learned from the places that are given as (N,) bool.
        progress: called at the start and after each fold.

    Returns:
        What got better and worse; and the agreement of the places that are judged before and after.
    """
    rows = found.judged
    stage = f"Learning outlines of {len(rows)} places"
    progress(stage, 0, FOLDS)
    fold, apart_by = assign_places(found)
    was = measure_agreement(found, rows, before)
    cell, nucleus = np.zeros(len(rows)), np.zeros(len(rows))
    for judged in range(FOLDS):
        here = fold[rows] == judged
        if here.any():
            part = measure_agreement(found, rows[here], learn(find_allowed(found, fold, judged)))
            cell[here], nucleus[here] = part.cell, part.nucleus
        progress(stage, judged + 1, FOLDS)
    now = Agreement(cell, nucleus)
    return _summarise(found, rows, apart_by, was, now), was, now


def _summarise(
    found: ReviewedOutlines, rows: NDArray[np.int64], apart_by: str, was: Agreement, now: Agreement
) -> OutlineImprovement:
    kind, corrected = found.kind[rows], found.is_correction[rows]
    drawn = kind == Kind.DRAWN
    better, worse = (int((a.is_right & ~b.is_right).sum()) for a, b in ((now, was), (was, now)))
    probability = mcnemar(better, worse)
    gain = now.mean[corrected] - was.mean[corrected]
    moved = float(wilcoxon(gain).pvalue) if np.any(gain) else 1.0
    harm = worse > better and probability < SURE
    return OutlineImprovement(
        corrections=int(corrected.sum()),
        fields=len(np.unique(found.picture[found.is_correction])),
        apart_by=apart_by,
        by_kind={
            str(name): (int(here.sum()), int(was.is_right[here].sum()), int(now.is_right[here].sum()))
            for name in (Kind.DRAWN, Kind.REMOVED, Kind.ACCEPTED)
            for here in [kind == name]
            if here.any()
        },
        cell_dice=(_mean(was.cell[drawn]), _mean(now.cell[drawn])),
        nucleus_dice=(_mean(was.nucleus[drawn]), _mean(now.nucleus[drawn])),
        better=better,
        worse=worse,
        probability=probability,
        dice_probability=moved,
        is_gain=bool(gain.mean() > 0 and moved < SURE and not harm),
    )


def _mean(values: Floats) -> float:
    return float(values.mean()) if len(values) else 0.0
