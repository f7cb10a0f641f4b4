"""The limits of the shipped card's figures, remade from what is kept of its evaluation.

    python benchmarks/card_limits.py [--outlines RUN/segmentation/cv_outlines.csv]

The training run of the shipped model wrote percentiles of resampled groups (``PERCENTILES``), which cover 85
to 91 % with few groups and give a figure of 1 the limits 1 to 1; its calls were not kept. So the variance of
the resamples is taken from those percentiles, a normal distribution's, and the limits are those that a new
evaluation makes (``erythron.compare.bootstrap``). Shares of all classes come from the card's confusion
matrix. With the outlines' table the limits of their Dice are made anew. Writes ``model.json`` and ``card.md``
of the shipped bundle; a second call changes nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

from erythron.bundle.folder import CARD, DEFAULT_BUNDLE, load_bundle
from erythron.bundle.schema import Estimate, Evaluation
from erythron.cells.classes import ERYTHROID_STAGES
from erythron.compare.bootstrap import limit_share
from erythron.files.hashing import hash_file
from erythron.files.writing import write_file
from erythron.train.segmenter.evaluate import estimate_dice
from erythron.train.shared.card import FIGURE_NAMES, render_card
from erythron.train.shared.intervals import round_limits
from erythron.train.shared.scores import STAGE_FIGURES

PERCENTILES = {
    "stage_accuracy": (0.9076, 0.9853),
    "stage_macro_f1": (0.8533, 0.99),
    "stage_within_one": (1.0, 1.0),
    "stage_quadratic_kappa": (0.9365, 0.9903),
    "five_way_accuracy": (0.9141, 0.9635),
    "five_way_macro_f1": (0.8139, 0.9391),
    "erythroid_auc": (0.9823, 0.9964),
    "calibration_error": (0.0139, 0.0487),
}
"""2.5 % and 97.5 % of 1,000 resamples of the 266 groups, as the training run wrote them."""

NORMAL = 2 * 1.959964
"""Standard deviations between these two percentiles of a normal distribution."""

OF_ALL = "stage_accuracy_of_all_classes"


def limit_evaluation(found: Evaluation) -> dict[str, Estimate]:
    """Return the figures of an evaluation with their limits."""
    stages = {c.name for c in ERYTHROID_STAGES}
    rows = [(i, row) for i, row in enumerate(found.confusion) if found.true_classes[i] in stages]
    staged, right = sum(sum(row) for _, row in rows), sum(row[i] for i, row in rows)
    values = {name: found.figures[name].value for name in PERCENTILES}
    variance = {name: ((high - low) / NORMAL) ** 2 for name, (low, high) in PERCENTILES.items()}
    # Cells of one group are as alike in this share as in the other one of the same cells.
    values[OF_ALL] = right / staged
    alike = variance["stage_accuracy"] / _spread(values["stage_accuracy"])
    variance[OF_ALL] = alike * _spread(values[OF_ALL])
    limits = {}
    for name, value in values.items():
        cells = staged if name in STAGE_FIGURES else found.cells
        groups = max(round(cells * found.groups / found.cells), 2)
        limits[name] = round_limits(limit_share(value, variance[name], np.full(groups, cells / groups)))
    return {name: limits[name] for name in FIGURE_NAMES if name in limits}


def _spread(share: float) -> float:
    return share * (1.0 - share)


def main() -> None:
    """Write the limits and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--outlines", type=Path, help="Dice of every outlined image of a training run")
    options = parser.parse_args()
    card = load_bundle().card
    figures = limit_evaluation(card.evaluation)
    changed = card.model_copy(update={"evaluation": card.evaluation.model_copy(update={"figures": figures})})
    if options.outlines is not None:
        outlines = estimate_dice(pl.read_csv(options.outlines, glob=False), card.seed)
        changed = changed.model_copy(update={"outlines": outlines})
    write_file(DEFAULT_BUNDLE / "card.md", render_card(changed))
    files = {name: hash_file(DEFAULT_BUNDLE / name) for name in card.files}
    changed = changed.model_copy(update={"files": files})
    write_file(DEFAULT_BUNDLE / CARD, changed.model_dump_json(indent=1) + "\n")
    for name, figure in {**changed.evaluation.figures, **changed.outlines}.items():
        print(f"{name:<32} {figure.value:.3f} ({figure.low:.3f} to {figure.high:.3f})")


if __name__ == "__main__":
    main()
