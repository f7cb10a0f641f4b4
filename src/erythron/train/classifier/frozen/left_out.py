"""What each source adds: its cells, and cells of others, called by heads that learned with it and without.

In: the sources of a training and the out-of-fold logits of all their cells. Out: figures of every set. A
source is a laboratory: sets that come from one are left out together.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.schema import SetFigures, WithWithout
from erythron.cells.classes import DEFAULT_CLASSES
from erythron.classify.classifier import soften
from erythron.datasets.registry import find_origin
from erythron.train.classifier.frozen.head import FittedHead, fit_head
from erythron.train.classifier.frozen.partial_labels import class_of_fine, merge_logits
from erythron.train.classifier.frozen.sources import STAGES, Source, join_examples
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.metrics import Floats, area_under_curve
from erythron.train.shared.progress import Progress, no_progress
from erythron.train.shared.scores import find_figures

CLASSES = tuple(c.name for c in DEFAULT_CLASSES)

JUDGED_FIGURES = ("stage_accuracy_of_all_classes", "five_way_macro_f1", "erythroid_auc", "accuracy")
"""Figures of the judged cells of other sources that say what a source adds to them."""


def judge_sets(
    sources: Sequence[Source],
    logits: Sequence[Floats],
    recipe: FrozenRecipe,
    progress: Progress = no_progress,
) -> dict[str, SetFigures]:
    """Return what every set adds, by its name.

    Args:
        sources: of the training.
        logits: (N, C) of every source's cells by heads that had not seen them.
        recipe: of the training; ``leave_one_out`` says whether heads are fitted without each source.
        progress: called after each laboratory that was left out.
    """
    origins = [find_origin(source.name) for source in sources]
    every = list(dict.fromkeys(origins))
    figures: dict[str, SetFigures] = {}
    for number, origin in enumerate(every, 1):
        inside = [i for i, name in enumerate(origins) if name == origin]
        others = [i for i, name in enumerate(origins) if name != origin]
        is_left_out = recipe.leave_one_out and bool(others)
        unseen: dict[int, Floats] = {}
        judged: dict[str, WithWithout] = {}
        if is_left_out:
            kept = [sources[i] for i in others]
            head = fit_head(join_examples(kept, None), recipe.head)
            unseen = {i: merge_logits(head.logits(sources[i].samples[0])) for i in inside}
            judged = _compare_judged(kept, [logits[i] for i in others], recipe)
            progress("Leaving out sources", number, len(every))
        for i in inside:
            figures[sources[i].name] = _describe(sources[i], logits[i], unseen.get(i), judged)
    return {source.name: figures[source.name] for source in sources}


def _describe(
    source: Source, logits: Floats, unseen: Floats | None, judged: dict[str, WithWithout]
) -> SetFigures:
    seen = find_own_figures(source, logits)
    without = {} if unseen is None else find_own_figures(source, unseen)
    auc = "erythroid_auc"
    return SetFigures(
        cells=len(source.folds),
        erythroid_auc=seen.pop(auc),
        unseen_erythroid_auc=without.pop(auc, None),
        labels=dict(Counter(source.rows["label"].to_list()).most_common()),
        own={
            name: WithWithout(with_source=value, without=without.get(name))
            for name, value in seen.items()
            if value is not None
        },
        judged=judged,
    )


def find_own_figures(source: Source, logits: Floats) -> dict[str, float | None]:
    """Return figures of a source's cells, None where it holds no cell that they are of.

    ``erythroid_auc``: erythroid or not by the summed probability. ``named_right``: share of cells whose call
    is a class that their label leaves open. ``erythroid_found``: share of erythroid cells that are called so.
    ``called_erythroid``: share of cells of other lineages that are called so.

    Args:
        source: N cells.
        logits: (N, C).
    """
    called = logits.argmax(axis=1)
    is_called = called < STAGES
    erythroid, known = np.asarray(source.erythroid > 0, bool), ~np.isnan(source.erythroid)
    score = soften(logits, 1.0)[:, :STAGES].sum(axis=1)
    right = open_classes(source.allowed)[np.arange(len(called)), called]
    return {
        "erythroid_auc": _round(area_under_curve(erythroid[known], score[known])),
        "named_right": _find_share(right, np.asarray(~source.allowed.all(axis=1), bool)),
        "erythroid_found": _find_share(is_called, known & erythroid),
        "called_erythroid": _find_share(is_called, known & ~erythroid),
    }


def open_classes(allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return which classes labels leave open, (N, C), from the fine classes that they do, (N, F)."""
    found = np.zeros((len(allowed), len(CLASSES)), bool)
    for fine, merged in enumerate(class_of_fine()):
        found[:, merged] |= allowed[:, fine]
    return found


def _compare_judged(
    kept: Sequence[Source], logits: Sequence[Floats], recipe: FrozenRecipe
) -> dict[str, WithWithout]:
    """Return figures of the judged cells of ``kept``, out of fold, with all sources and with these alone."""
    is_known = [s.rows["class"].is_not_null().to_numpy() & s.is_judged for s in kept]
    if not any(known.any() for known in is_known):
        return {}
    alone = call_out_of_fold(kept, recipe)
    truth = np.array(
        [CLASSES.index(n) for s, k in zip(kept, is_known, strict=True) for n in s.rows["class"].filter(k)]
    )
    both = [
        find_figures(
            truth, soften(np.concatenate([p[k] for p, k in zip(part, is_known, strict=True)]), 1.0), CLASSES
        )
        for part in (logits, alone)
    ]
    return {
        name: WithWithout(with_source=_round(both[0][name]), without=_round(both[1][name]))
        for name in JUDGED_FIGURES
        if not np.isnan(both[0][name])
    }


def call_out_of_fold(
    sources: Sequence[Source],
    recipe: FrozenRecipe,
    visit: Callable[[int, FittedHead], None] | None = None,
) -> list[Floats]:
    """Return logits (N, C) of every source's cells by heads that had not seen them.

    Args:
        sources: ready to fit.
        recipe: of the training.
        visit: called with every fold and the head that was fitted without it.
    """
    logits = [np.zeros((len(s.folds), len(CLASSES))) for s in sources]
    for fold in range(recipe.folds):
        head = fit_head(join_examples(sources, fold), recipe.head)
        for source, found in zip(sources, logits, strict=True):
            here = source.folds == fold
            found[here] = merge_logits(head.logits(source.samples[0][here]))
        if visit is not None:
            visit(fold, head)
    return logits


def _find_share(right: NDArray[np.bool_], of: NDArray[np.bool_]) -> float | None:
    return _round(float(right[of].mean())) if of.any() else None


def _round(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 4)
