"""Simulated specimens of known mix: coverage of the combined intervals, bias of raw and corrected shares.

    python benchmarks/intervals.py [--specimens 2000] [--cells 400] [--fields 1] [--matrix 1] [--json]

Each specimen has its own confusion matrix, drawn as a cross-validation of the shipped model's size would have
measured it: the known rates are those of that model's matrix, a little smoothed, and stay hidden from the
estimate. ``--matrix 1000`` gives the estimate a matrix from a thousand times as many cells, which is as good
as the known rates themselves. With several fields, each has a mix of its own around that of the specimen
(Dirichlet, concentration 30), and the question is the specimen's. The seed is fixed.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES, Lineage
from erythron.differential.combined import ROUNDS, Calls, Contrast, estimate_contrasts, make_rates
from erythron.differential.correction import ConfusionMatrix, fit_mixture
from erythron.differential.indices import list_indices
from erythron.pipeline.settings import make_confusion

Floats = NDArray[np.float64]

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
CONCENTRATION = 30.0


@dataclass(frozen=True)
class Design:
    """How many specimens of each mix, of how many nucleated cells, in how many fields.

    Attributes:
        matrix: times the cells of the shipped cross-validation that the confusion matrix rests on.
    """

    specimens: int = 2000
    cells: int = 400
    fields: int = 1
    matrix: int = 1


@dataclass(frozen=True)
class Outcome:
    """What the simulation of one mix gave.

    Attributes:
        mix: its name.
        names: of the shares and indices that were asked for.
        truth: their true values.
        coverage: share of the specimens whose combined interval holds the truth.
        width: mean width of the combined interval; of ratios on the scale of the share.
        excess: share of the specimens in which an excess of unclassified cells was found (there is none).
    """

    mix: str
    names: tuple[str, ...]
    truth: tuple[float, ...]
    coverage: tuple[float, ...]
    width: tuple[float, ...]
    excess: float

    @property
    def mean_coverage(self) -> float:
        """Mean over shares and indices."""
        return float(np.mean(self.coverage))


@dataclass(frozen=True)
class Bias:
    """Mean errors of the shares of all nucleated classes; of the raw ones without the unclassified cells."""

    mix: str
    raw: tuple[float, ...]
    corrected: tuple[float, ...]

    @property
    def ratio(self) -> float:
        """Sum of the absolute biases of the corrected shares over that of the raw ones."""
        return float(np.abs(self.corrected).sum() / np.abs(self.raw).sum())


def make_truth() -> tuple[ConfusionMatrix, Floats]:
    """Return the shipped model's confusion matrix and the rates (K, J) that the simulation takes for true."""
    confusion = make_confusion(load_bundle().card)
    table = np.array(confusion.counts, dtype=np.float64)
    # No rate is 0: an error that 10 cells did not show may still happen.
    rates = table + SMOOTHING / table.shape[1]
    return confusion, rates / rates.sum(axis=1, keepdims=True)


def make_mix(stages: tuple[float, ...]) -> Floats:
    """Return the shares of all nucleated classes for a mix of the stages."""
    red = np.array(stages) / sum(stages) * ERYTHROID_SHARE
    return np.concatenate([red, np.array(OTHERS) / sum(OTHERS) * (1.0 - ERYTHROID_SHARE)])


def simulate(mix: str, design: Design, seed: int = 0) -> Outcome:
    """Simulate specimens of one mix."""
    specimens, cells = design.specimens, design.cells
    template, rates = make_truth()
    sizes = design.matrix * np.array(template.counts).sum(axis=1)
    shares = make_mix(MIXES[mix])
    names = list(template.true_classes)
    nucleated = [c for c in DEFAULT_CLASSES if c.lineage is not Lineage.NOT_NUCLEATED]
    indices = list_indices(nucleated)
    contrasts = [Contrast((n,), tuple(m for m in names if m != n), "share") for n in names]
    contrasts += [Contrast((n,), tuple(m for m in names[:STAGES] if m != n), "share") for n in names[:STAGES]]
    contrasts += [index.contrast for index in indices]
    titles = (*names, *(f"{n} of erythroid" for n in names[:STAGES]), *(index.name for index in indices))
    truth = [_evaluate(contrast, shares, names) for contrast in contrasts]

    rng = np.random.default_rng([seed, list(MIXES).index(mix)])
    covered = np.zeros(len(contrasts))
    widths = np.zeros(len(contrasts))
    excess = 0
    for _ in range(specimens):
        table = [rng.multinomial(n, row) for n, row in zip(sizes, rates, strict=True)]
        confusion = ConfusionMatrix(
            template.true_classes,
            template.calls,
            tuple(tuple(int(v) for v in row) for row in table),
            has_unclassified=True,
        )
        mixes = shares[None]
        if design.fields > 1:
            mixes = rng.dirichlet(CONCENTRATION * shares, design.fields)
        calls = np.array([rng.multinomial(cells // design.fields, m @ rates) for m in mixes])
        found = estimate_contrasts(Calls(calls[:, :-1], calls[:, -1]), confusion, contrasts, 0.95)
        excess += found.unclassified == "excess"
        for k, (contrast, estimate, true) in enumerate(zip(contrasts, found.estimates, truth, strict=True)):
            low, high = estimate.interval or (0.0, None)
            covered[k] += low <= true and (high is None or true <= high)
            widths[k] += _as_share(contrast, high) - _as_share(contrast, low)
    return Outcome(
        mix,
        titles,
        tuple(truth),
        tuple(covered / specimens),
        tuple(widths / specimens),
        excess / specimens,
    )


def measure_bias(mix: str, design: Design, specimens: int = 10_000, seed: int = 0) -> Bias:
    """Measure the bias of the estimate alone, without intervals, over more specimens: it is small."""
    template, rates = make_truth()
    sizes, cells = design.matrix * np.array(template.counts).sum(axis=1), design.cells
    shares = make_mix(MIXES[mix])
    rng = np.random.default_rng([seed, list(MIXES).index(mix)])
    tables = np.stack(
        [rng.multinomial(n, row, specimens) for n, row in zip(sizes, rates, strict=True)], axis=1
    ).astype(np.float64)
    calls = rng.multinomial(cells, shares @ rates, specimens).astype(np.float64)
    corrected = np.concatenate(
        [
            fit_mixture(make_rates(tables[i : i + 1000]), calls[i : i + 1000] / cells, 10 * ROUNDS)
            for i in range(0, specimens, 1000)
        ]
    )
    raw = calls[:, :-1] / calls[:, :-1].sum(axis=1, keepdims=True)
    return Bias(mix, tuple(raw.mean(axis=0) - shares), tuple(corrected.mean(axis=0) - shares))


def _evaluate(contrast: Contrast, shares: Floats, names: list[str]) -> float:
    part, rest = (sum(shares[names.index(n)] for n in side) for side in (contrast.part, contrast.rest))
    return float(part / (part + rest) if contrast.kind == "share" else part / rest)


def _as_share(contrast: Contrast, value: float | None) -> float:
    if value is None:
        return 1.0
    return value if contrast.kind == "share" else value / (1.0 + value)


def main() -> None:
    """Print the tables of ``docs/results/intervals.md``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specimens", type=int, default=2000, help="of each mix")
    parser.add_argument("--cells", type=int, default=400)
    parser.add_argument("--fields", type=int, default=1)
    parser.add_argument("--matrix", type=int, default=1)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    design = Design(options.specimens, options.cells, options.fields, options.matrix)
    biases = [measure_bias(mix, design) for mix in MIXES]
    outcomes = [simulate(mix, design) for mix in MIXES]
    if options.json:
        print(json.dumps([asdict(o) for o in (*outcomes, *biases)], indent=1))
        return
    print(
        f"{design.specimens} specimens of each mix, {design.cells} nucleated cells each "
        f"in {design.fields} field(s); matrix from {design.matrix} times the cells of the shipped one; "
        "bias from 10,000 specimens each, one field\n"
    )
    print("| mix | mean coverage | raw bias | corrected bias | ratio | false excess |")
    print("|---|---|---|---|---|---|")
    for o, bias in zip(outcomes, biases, strict=True):
        raw, corrected = (np.abs(b).sum() for b in (bias.raw, bias.corrected))
        print(
            f"| {o.mix} | {o.mean_coverage:.1%} | {raw:.4f} | {corrected:.4f} | {bias.ratio:.2f} "
            f"| {o.excess:.1%} |"
        )
    print("\n| coverage (mean width) of |" + "".join(f" {o.mix} |" for o in outcomes))
    print("|---|" + "---|" * len(outcomes))
    for k, name in enumerate(outcomes[0].names):
        print(f"| {name} |" + "".join(f" {o.coverage[k]:.1%} ({o.width[k]:.3f}) |" for o in outcomes))


if __name__ == "__main__":
    main()
