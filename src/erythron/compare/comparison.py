"""Two readers or models compared: cell by cell, or specimen by specimen.

In: matched calls, or the counts of the same specimens. Out: :class:`CellComparison` and
:class:`ShareComparison`, which are also what ``erythron compare --json`` prints.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES
from erythron.compare.agreement import (
    adjust_holm,
    interval_of,
    kappa,
    mcnemar,
    resample_tables,
    tolerant_agreement,
)
from erythron.compare.methods import (
    FEWEST_SPECIMENS,
    BlandAltman,
    PassingBablok,
    compare_differences,
    fit_passing_bablok,
    is_within_binomial_limits,
)

UNCLASSIFIED = "unclassified"
LINES = (*(c.name for c in DEFAULT_CLASSES), UNCLASSIFIED)
"""What a cell can be called in a comparison; the stages come first, in order of maturation."""

_STAGES = len(ERYTHROID_STAGES)


@dataclass(frozen=True)
class Agreement:
    """A figure of agreement with its bootstrap interval; both None where no pair of calls has it."""

    value: float | None
    interval: tuple[float, float] | None


@dataclass(frozen=True)
class ClassDifference:
    """How often only one of the two calls a class.

    Attributes:
        name: of the class.
        only_a: matched cells that only A calls so.
        only_b: matched cells that only B calls so.
        p: exact McNemar probability.
        p_adjusted: the same for all classes together (Holm).
    """

    name: str
    only_a: int
    only_b: int
    p: float
    p_adjusted: float


@dataclass(frozen=True)
class CellComparison:
    """Agreement over the same cells.

    Attributes:
        matched: cells that both have.
        only_a: cells of A that B does not have.
        only_b: cells of B that A does not have.
        images: images of the matched cells.
        names: of the rows and columns of ``table``.
        table: rows what A called, columns what B called.
        staged: matched cells that both call a stage; the next three are of these.
        stage_kappa: quadratic-weighted.
        same_stage: share of them with the same stage.
        within_one_stage: share of them at most one stage apart.
        same_call: share of all matched cells with the same call, unclassified being one.
        classified: matched cells that neither calls unclassified; the next is of these.
        class_kappa: unweighted.
        differences: one a class that either calls.
    """

    matched: int
    only_a: int
    only_b: int
    images: int
    names: tuple[str, ...]
    table: tuple[tuple[int, ...], ...]
    staged: int
    stage_kappa: Agreement
    same_stage: Agreement
    within_one_stage: Agreement
    same_call: Agreement
    classified: int
    class_kappa: Agreement
    differences: tuple[ClassDifference, ...]


@dataclass(frozen=True)
class ShareComparison:
    """One class's share of the nucleated cells over the same specimens, as fractions.

    Attributes:
        name: of the class.
        specimens: specimens with cells in both.
        within_limits: specimens in which B's share lies within the 95 % binomial limits of A's.
        bland_altman: None for fewer than three specimens.
        passing_bablok: None likewise, or where no line is defined.
    """

    name: str
    specimens: int
    within_limits: int
    bland_altman: BlandAltman | None
    passing_bablok: PassingBablok | None


@dataclass(frozen=True)
class Comparison:
    """All that two inputs allow to compare.

    Attributes:
        a: the one input.
        b: the other.
        cells: None where they hold no single cells.
        shares: one a class that either counts.
        renamed: images or specimens of A and of B that were taken for one by the ends of their paths.
        is_by_image: whether each image stands for a specimen in the shares, since nothing says which images
            are of one.
    """

    a: str
    b: str
    cells: CellComparison | None
    shares: tuple[ShareComparison, ...]
    renamed: tuple[tuple[str, str], ...] = ()
    is_by_image: bool = False


def compare_cells(
    pairs: Sequence[tuple[str, str, str]], only_a: int, only_b: int, level: float = 0.95
) -> CellComparison:
    """Compare the calls of matched cells.

    Args:
        pairs: image, call of A and call of B, each call one of :data:`LINES`.
        only_a: cells of A without a partner.
        only_b: cells of B without a partner.
        level: probability of coverage of the intervals.
    """
    images = sorted({image for image, _, _ in pairs})
    by_image = np.zeros((len(images), len(LINES), len(LINES)), dtype=np.int64)
    for image, a, b in pairs:
        by_image[images.index(image), LINES.index(a), LINES.index(b)] += 1
    table = by_image.sum(axis=0)
    drawn = resample_tables(by_image) if len(pairs) else np.zeros((0, *table.shape), dtype=np.int64)
    stages = (slice(None), slice(_STAGES), slice(_STAGES))
    classified = (slice(None), slice(len(LINES) - 1), slice(len(LINES) - 1))
    whole = table[None]

    def judge(values: np.ndarray, draws: np.ndarray, counts: np.ndarray) -> Agreement:
        value = float(values[0])
        if not np.isfinite(value):
            return Agreement(None, None)
        return Agreement(value, interval_of(value, draws, counts, level))

    used = [i for i in range(len(LINES)) if table[i].any() or table[:, i].any()]
    apart = [
        (LINES[i], int(table[i].sum() - table[i, i]), int(table[:, i].sum() - table[i, i])) for i in used
    ]
    p = [mcnemar(a, b) for _, a, b in apart]
    adjusted = adjust_holm(p)
    return CellComparison(
        matched=len(pairs),
        only_a=only_a,
        only_b=only_b,
        images=len(images),
        names=tuple(LINES[i] for i in used),
        table=tuple(tuple(int(table[i, j]) for j in used) for i in used),
        staged=int(whole[stages].sum()),
        stage_kappa=judge(kappa(whole[stages], 2), kappa(drawn[stages], 2), by_image[stages]),
        same_stage=judge(
            tolerant_agreement(whole[stages], 0), tolerant_agreement(drawn[stages], 0), by_image[stages]
        ),
        within_one_stage=judge(
            tolerant_agreement(whole[stages], 1), tolerant_agreement(drawn[stages], 1), by_image[stages]
        ),
        same_call=judge(tolerant_agreement(whole, 0), tolerant_agreement(drawn, 0), by_image),
        classified=int(whole[classified].sum()),
        class_kappa=judge(kappa(whole[classified], 0), kappa(drawn[classified], 0), by_image[classified]),
        differences=tuple(
            ClassDifference(name, a, b, p[k], adjusted[k]) for k, (name, a, b) in enumerate(apart)
        ),
    )


def compare_shares(
    a: Mapping[str, Mapping[str, int]], b: Mapping[str, Mapping[str, int]], level: float = 0.95
) -> tuple[ShareComparison, ...]:
    """Compare the shares of the classes over the specimens that both have.

    Args:
        a: cells by class (of :data:`LINES`, nucleated ones only) by specimen.
        b: the same of the other.
        level: probability of coverage.

    Returns:
        One comparison a class that either counts in any common specimen.
    """
    totals_a, totals_b = ({s: sum(n.values()) for s, n in side.items()} for side in (a, b))
    common = [s for s in a if totals_a[s] > 0 and totals_b.get(s, 0) > 0]
    found = []
    for name in LINES:
        counts = [((a[s].get(name, 0), totals_a[s]), (b[s].get(name, 0), totals_b[s])) for s in common]
        if not any(one[0] or other[0] for one, other in counts):
            continue
        x, y = (np.array([pair[i][0] / pair[i][1] for pair in counts]) for i in (0, 1))
        enough = len(common) >= FEWEST_SPECIMENS
        found.append(
            ShareComparison(
                name=name,
                specimens=len(common),
                within_limits=sum(is_within_binomial_limits(one, other, level) for one, other in counts),
                bland_altman=compare_differences(x, y, level) if enough else None,
                passing_bablok=fit_passing_bablok(x, y, level) if enough else None,
            )
        )
    return tuple(found)
