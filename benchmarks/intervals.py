"""Simulated specimens of known mix: coverage and width of the combined intervals, bias of the shares.

    python benchmarks/intervals.py [--specimens 100] [--only NAME] [--lines]

Each specimen has its own confusion matrix, drawn as a cross-validation of the shipped model's size would have
measured it: the known rates are those of that model's matrix, a little smoothed, and stay hidden from the
estimate. Every table has coverage and width side by side, of the estimate that erythron reports, of what it
did before and of other ways (``interval_alternatives.py``). ``--lines`` adds a table of every share and
index. The seed is fixed.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from interval_alternatives import (
    Specimen,
    estimate_as_before,
    estimate_as_now,
    estimate_bounds,
    estimate_by_account,
    estimate_by_labels,
    estimate_dealing,
    estimate_with_pearson,
    estimate_with_spike,
)
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES, Lineage
from erythron.differential.calls import Calls, Contrast, Knowledge
from erythron.differential.correction import ConfusionMatrix, fit_mixture
from erythron.differential.counts import Estimate
from erythron.differential.detection import Detection
from erythron.differential.indices import list_indices
from erythron.differential.mixes import ROUNDS, make_rates
from erythron.pipeline.settings import make_confusion

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Method = Callable[[Specimen, Sequence[Contrast]], tuple[Estimate, ...]]

NUCLEATED = tuple(c for c in DEFAULT_CLASSES if c.lineage is not Lineage.NOT_NUCLEATED)
LINEAGES = tuple(c.lineage for c in NUCLEATED)
STAGES = len(ERYTHROID_STAGES)
MIXES = {
    "steep": (0.6, 1.8, 40.0, 57.6),
    "flat": (25.0, 25.0, 25.0, 25.0),
    "basophilic absent": (1.0, 0.0, 30.0, 69.0),
    "proerythroblast absent": (0.0, 2.0, 40.0, 58.0),
}
"""Per cent of the erythroid cells; the first is a published natural mix."""

ERYTHROID_SHARE = 0.3
OTHERS = (0.55, 0.10, 0.05, 0.02, 0.03)
SMOOTHING = 0.25
CELLS = 400
SEEN = 5
"""Cells that a share and its complement must be worth in the mean for the column of shares that are seen.

Any interval that covers a share of one or two cells in 400 covers it nearly always: the limits for none and
for one cell both hold it.
"""

CLUSTER = 4
"""Neighbouring cells of one class where cells are correlated."""

RIGHT = 0.55
"""Share of the unclassified cells whose most probable class is right; 12 of 23 in a cross-validation."""

NOW: Mapping[str, Method] = {"before": estimate_as_before, "now": estimate_as_now}
ACCOUNTS: Mapping[str, Method] = {
    **NOW,
    "by the rates alone": partial(estimate_by_account, 1.0),
    "by probabilities alone": partial(estimate_by_account, 0.0),
}
IN_FIELDS: Mapping[str, Method] = {
    **NOW,
    "Pearson's": estimate_with_pearson,
    "as likely alike as not": partial(estimate_with_spike, 0.5),
    "alike in one of four": partial(estimate_with_spike, 0.25),
}
UNLIKE: Mapping[str, Method] = {
    **ACCOUNTS,
    "the bound": estimate_bounds,
    "worth a half": partial(estimate_dealing, 0.5),
    "worth all": partial(estimate_dealing, 1.0),
    "by label": estimate_by_labels,
}


@dataclass(frozen=True)
class Design:
    """How the specimens of one simulation are made, and what is set side by side.

    Attributes:
        name: as printed.
        methods: ways to estimate, by name.
        mix: of the stages, a name of ``MIXES``.
        fields: that the cells lie in, as many in each.
        spread: standard deviation of the logarithm of a class's share between fields.
        clustered: whether cells come in clusters of one class.
        shift: standard deviation of the logarithm of each rate of error between laboratories.
        excess: part of the cells of each class that is unclassified beyond the known rates.
        recall: rates at which erythroid and other cells are found; None for all of them.
    """

    name: str
    methods: Mapping[str, Method]
    mix: str = "steep"
    fields: int = 1
    spread: float = 0.0
    clustered: bool = False
    shift: float = 0.0
    excess: tuple[float, ...] = (0.0,) * len(NUCLEATED)
    recall: tuple[float, float] | None = None


def _only(name: str, part: float) -> tuple[float, ...]:
    return tuple(part if c.name == name else 0.0 for c in NUCLEATED)


DESIGNS = (
    *(Design(f"one field, {mix}", ACCOUNTS, mix) for mix in MIXES),
    *(Design(f"{n} fields alike", IN_FIELDS, fields=n) for n in (2, 3, 6)),
    *(Design(f"{n} fields that differ", IN_FIELDS, fields=n, spread=0.5) for n in (2, 3, 6)),
    Design("one field, clustered cells", NOW, clustered=True),
    *(Design(f"{n} fields, clustered cells", IN_FIELDS, fields=n, clustered=True) for n in (2, 3, 6)),
    Design("excess of all classes", UNLIKE, excess=(0.15,) * len(NUCLEATED)),
    Design("excess of orthochromatic cells", UNLIKE, excess=_only("orthochromatic_erythroblast", 0.5)),
    Design("excess of granulocytes", UNLIKE, excess=_only("granulocyte", 0.3)),
    Design("rates that shift", UNLIKE, shift=0.5),
    Design("missed cells", NOW, recall=(0.85, 0.97)),
)


@dataclass(frozen=True)
class Outcome:
    """What one way gave over the specimens of a design.

    Attributes:
        coverage: (C,), share of the specimens whose interval holds the truth, by contrast.
        width: (C,), mean width of the interval; of ratios on the scale of the share.
        error: (C,), mean absolute error of the value, likewise.
    """

    coverage: Floats
    width: Floats
    error: Floats


@dataclass(frozen=True)
class Model:
    """The classifier of the simulation.

    Attributes:
        rates: (K, 2 J), of each true class: calls that are classified, then labels of unclassified cells.
        sizes: (K,), cells of each class in the cross-validation.
    """

    rates: Floats
    sizes: Ints


def make_model() -> Model:
    """Return the shipped model's rates, a little smoothed: an error that 10 cells did not show may happen."""
    confusion = make_confusion(load_bundle().card)
    table = np.array(confusion.counts, dtype=np.float64)
    rates = table + SMOOTHING / table.shape[1]
    rates /= rates.sum(axis=1, keepdims=True)
    return Model(
        np.hstack([rates[:, :-1], rates[:, -1:] * _label_rates(rates[:, :-1])]),
        np.array(confusion.counts).sum(axis=1),
    )


def _label_rates(rates: Floats) -> Floats:
    """Return (K, K) rates of the labels of unclassified cells: right ones, else as other calls go wrong."""
    wrong = rates + 0.01
    np.fill_diagonal(wrong, 0.0)
    return RIGHT * np.eye(len(rates)) + (1.0 - RIGHT) * wrong / wrong.sum(axis=1, keepdims=True)


def make_mix(stages: tuple[float, ...]) -> Floats:
    """Return the shares of all nucleated classes for a mix of the stages."""
    red = np.array(stages) / sum(stages) * ERYTHROID_SHARE
    return np.concatenate([red, np.array(OTHERS) / sum(OTHERS) * (1.0 - ERYTHROID_SHARE)])


def list_contrasts() -> tuple[tuple[str, ...], tuple[Contrast, ...]]:
    """Return names and contrasts of every share and index of a report."""
    names = [c.name for c in NUCLEATED]
    contrasts = [Contrast((n,), tuple(m for m in names if m != n), "share") for n in names]
    contrasts += [Contrast((n,), tuple(m for m in names[:STAGES] if m != n), "share") for n in names[:STAGES]]
    indices = list_indices(NUCLEATED)
    titles = (*names, *(f"{n} of erythroid" for n in names[:STAGES]), *(i.name for i in indices))
    return titles, (*contrasts, *(i.contrast for i in indices))


def draw_specimen(design: Design, model: Model, rng: np.random.Generator) -> Specimen:
    """Draw cells of each field, their calls, and a cross-validation that measured the rates."""
    table = np.array([rng.multinomial(n, r) for n, r in zip(model.sizes, model.rates, strict=True)])
    size = len(NUCLEATED)
    rates = model.rates
    if design.shift:
        odds = rates * np.exp(design.shift * rng.standard_normal(rates.shape) * (1 - np.eye(size, 2 * size)))
        rates = odds / odds.sum(axis=1, keepdims=True)
    extra = np.array(design.excess)[:, None]
    labels = _label_rates(rates[:, :size])
    rates = (1.0 - extra) * rates + extra * np.hstack([np.zeros_like(labels), labels])
    true = np.array([_draw_cells(design, rng) for _ in range(design.fields)])
    counts, by_label, dealt = (np.zeros((design.fields, size)) for _ in range(3))
    for field, cells in enumerate(true):
        called = np.array([rng.multinomial(n, r) for n, r in zip(cells, rates, strict=True)])
        counts[field] = called[:, :size].sum(axis=0)
        by_label[field] = called[:, size:].sum(axis=0)
        dealt[field] = _draw_probabilities(called[:, size:], labels, rng)
    detection = None
    if design.recall is not None:
        found = [int(rng.binomial(n, r)) for n, r in zip((85, 47), design.recall, strict=True)]
        detection = Detection((found[0], 85), (found[1], 47), "simulated")
    names = tuple(c.name for c in NUCLEATED)
    told = np.column_stack([table[:, :size], table[:, size:].sum(axis=1)])
    calls = Calls(counts.astype(np.int64), by_label.sum(axis=1).astype(np.int64), dealt)
    return Specimen(
        calls,
        by_label.astype(np.int64),
        Knowledge(ConfusionMatrix(names, names, _as_rows(told), has_unclassified=True), LINEAGES, detection),
        ConfusionMatrix(names, names, _as_rows(table[:, :size] + table[:, size:]), has_unclassified=False),
    )


def _as_rows(table: Ints) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(int(n) for n in row) for row in table)


def _draw_cells(design: Design, rng: np.random.Generator) -> Ints:
    """Return (K,) cells of each true class that are found in one field."""
    shares = make_mix(MIXES[design.mix])
    if design.spread:
        shares = shares * np.exp(design.spread * rng.standard_normal(len(shares)))
    if design.recall is not None:
        shares = shares * np.where([li is Lineage.ERYTHROID for li in LINEAGES], *design.recall)
    shares = shares / shares.sum()
    cells = CELLS // design.fields
    if design.clustered:
        return CLUSTER * rng.multinomial(cells // CLUSTER, shares)
    return rng.multinomial(cells, shares)


def _draw_probabilities(called: Ints, labels: Floats, rng: np.random.Generator) -> Floats:
    """Return (K,) sums of the probabilities of unclassified cells, given (K, K) counts by truth and label.

    Of a cell .45 is on its label, .3 on a second class, which for most wrong labels is the true one, and the
    rest is spread as labels go wrong.
    """
    sums = np.zeros(len(called))
    for true, label in np.argwhere(called):
        wrong = labels[label] * (np.arange(len(labels)) != label)
        wrong = wrong / wrong.sum()
        for _ in range(called[true, label]):
            second = true
            if true == label or rng.random() > 0.6:
                second = rng.choice(len(wrong), p=wrong)
            sums += 0.25 * wrong
            sums[label] += 0.45
            sums[second] += 0.3
    return sums


def find_truth(design: Design) -> Floats:
    """Return the shares that are asked for: the mean over many fields, missed cells and all."""
    shares = make_mix(MIXES[design.mix])
    if not design.spread:
        return shares
    noise = np.random.default_rng(1).standard_normal((50_000, len(shares)))
    fields = shares * np.exp(design.spread * noise)
    return np.asarray((fields / fields.sum(axis=1, keepdims=True)).mean(axis=0))


def simulate(design: Design, specimens: int, seed: int = 0) -> dict[str, Outcome]:
    """Estimate every specimen of a design in every way."""
    model = make_model()
    _, contrasts = list_contrasts()
    names = [c.name for c in NUCLEATED]
    shares = find_truth(design)
    truth = np.array([_balance(contrast, shares, names) for contrast in contrasts])
    rng = np.random.default_rng([seed, sum(design.name.encode())])
    sums = {name: np.zeros((3, len(contrasts))) for name in design.methods}
    for _ in range(specimens):
        specimen = draw_specimen(design, model, rng)
        for name, method in design.methods.items():
            for k, estimate in enumerate(method(specimen, contrasts)):
                low, high = estimate.interval or (0.0, None)
                limits = [_as_share(contrasts[k], x) for x in (low, high)]
                value = _as_share(contrasts[k], estimate.value)
                sums[name][:, k] += (
                    limits[0] <= truth[k] <= limits[1],
                    limits[1] - limits[0],
                    abs(value - truth[k]),
                )
    return {name: Outcome(*(row / specimens for row in found)) for name, found in sums.items()}


def _balance(contrast: Contrast, shares: Floats, names: list[str]) -> float:
    part, rest = (sum(shares[names.index(n)] for n in side) for side in (contrast.part, contrast.rest))
    return float(part / (part + rest))


def _as_share(contrast: Contrast, value: float | None) -> float:
    if value is None:
        return 1.0
    return value if contrast.kind == "share" else value / (1.0 + value)


def find_seen(design: Design) -> NDArray[np.bool_]:
    """Return (C,) which contrasts have at least ``SEEN`` cells on either side in the mean."""
    _, contrasts = list_contrasts()
    names = [c.name for c in NUCLEATED]
    cells = CELLS * find_truth(design)
    sides = [(c.part, c.rest) for c in contrasts]
    return np.array([min(sum(cells[names.index(n)] for n in s) for s in both) >= SEEN for both in sides])


def measure_bias(mix: str, specimens: int = 10_000, seed: int = 0) -> tuple[float, float]:
    """Return the sums of the absolute mean errors of raw and of corrected shares of classified cells."""
    model = make_model()
    size = len(NUCLEATED)
    shares = make_mix(MIXES[mix])
    rng = np.random.default_rng([seed, list(MIXES).index(mix)])
    tables = np.stack(
        [rng.multinomial(n, r, specimens) for n, r in zip(model.sizes, model.rates, strict=True)], axis=1
    )[:, :, :size].astype(np.float64)
    calls = rng.multinomial(CELLS, shares @ model.rates, specimens)[:, :size].astype(np.float64)
    raw = calls / calls.sum(axis=1, keepdims=True)
    corrected = np.concatenate(
        [
            fit_mixture(make_rates(tables[i : i + 1000]), raw[i : i + 1000], 10 * ROUNDS)
            for i in range(0, specimens, 1000)
        ]
    )
    told = model.rates[:, :size].sum(axis=1)
    truth = shares * told / (shares @ told)
    errors = (raw.mean(axis=0) - truth, corrected.mean(axis=0) - truth)
    return float(np.abs(errors[0]).sum()), float(np.abs(errors[1]).sum())


SHOWN = (
    "erythroid_share",
    "granulocyte",
    "polychromatic_erythroblast",
    "proerythroblast",
    "maturation_index",
)


def main() -> None:
    """Print the tables of ``docs/results/intervals.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=100, help="of each design")
    parser.add_argument("--only", default="", help="designs whose name contains this")
    parser.add_argument("--lines", action="store_true", help="a table of every share and index as well")
    options = parser.parse_args()
    titles, _ = list_contrasts()
    columns = [titles.index(name) for name in SHOWN]
    print(f"{options.specimens} specimens of each design, {CELLS} nucleated cells each\n")
    heads = ("design", "estimate", "mean coverage", "mean width", f"of {SEEN} cells and more", *SHOWN)
    print("| " + " | ".join(heads) + " |")
    print("|---" * len(heads) + "|")
    every = {}
    for design in DESIGNS:
        if options.only not in design.name:
            continue
        seen = find_seen(design)
        for name, o in simulate(design, options.specimens).items():
            every[f"{design.name}, {name}"] = o
            cells = "".join(f" {o.coverage[k]:.0%} ({100 * o.width[k]:.1f}) |" for k in columns)
            print(
                f"| {design.name} | {name} | {o.coverage.mean():.1%} | {100 * o.width.mean():.1f} |"
                f" {o.coverage[seen].mean():.1%} ({100 * o.width[seen].mean():.1f}) |{cells}",
                flush=True,
            )
    if options.lines:
        for title, o in every.items():
            print(f"\n{title}\n\n| share or index | coverage | width | mean error |\n|---|---|---|---|")
            for k, line in enumerate(titles):
                print(f"| {line} | {o.coverage[k]:.1%} | {100 * o.width[k]:.1f} | {100 * o.error[k]:.1f} |")
    if not options.only:
        print("\n| mix | raw bias | corrected bias |\n|---|---|---|")
        for mix in MIXES:
            raw, corrected = measure_bias(mix)
            print(f"| {mix} | {raw:.4f} | {corrected:.4f} |")


if __name__ == "__main__":
    main()
