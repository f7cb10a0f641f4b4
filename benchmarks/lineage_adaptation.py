"""Erythroid or not in a laboratory that was not seen, whose colours, features or calls are adapted to it.

    python benchmarks/lineage_adaptation.py --data DATA [--every N]

No label of that laboratory is used. The head is fitted on the cells that the bundle remembers from its
training, with three augmented samples of a marrow cell and one of a cell of blood, so that a row takes
seconds; the first row is that head without any adaptation. Tried are, in use,

- *colour*: the light of each picture to such a power that its red cells have the colour of those in the
  training: one power for all channels, or one each;
- *features*: those of the source moved to the training's: mean; mean and spread (as adaptive batch
  normalisation does, Li et al. 2016, arXiv 1603.04779); mean and covariance (CORAL, Sun et al. 2016, arXiv
  1511.05547); mean and spread with each source of the training treated alike. That takes another mix of
  classes for another stain, so besides the mean difference within the classes as they are called, each
  called class counting the same;
- *copies*: probabilities averaged over the cell and three copies that are varied as in training; sure is only
  what all call erythroid, or none.

A row says: the staged marrow cells named right among all classes and the five-way macro-F1, out of fold (each
fold adapted as a source of its own); of the Munich set, which holds no erythroblast, how many cells are
called erythroid, and surely; in the four marrow fields, each laboratory a source, of how many sure cells the
lineage is right; and of ``pbc-acevedo``, by a head without it, how many cells of other lineages are called
erythroid and how many erythroblasts are found.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from data_folder import add_data_option
from lineage import BLOOD, CLASSES, FIRM, MARROW, MUNICH, STAGES, is_erythroid, share
from numpy.typing import NDArray
from stained_features import Cells, Features, Floats, Maker, remember_training

from erythron.bundle.folder import load_bundle
from erythron.classify.classifier import soften
from erythron.train.classifier.frozen.head import FittedHead, fit_head
from erythron.train.classifier.frozen.left_out import open_classes
from erythron.train.classifier.frozen.memory import MEMORY, read_memory
from erythron.train.classifier.frozen.partial_labels import merge_logits
from erythron.train.classifier.frozen.sources import Source, join_examples
from erythron.train.shared.calibration import HeldOut, calibrate
from erythron.train.shared.scores import find_figures, mark_erythroid

PASSES = 4
PRIOR_CELLS = 10.0
"""Cells that a called class must have for half its mean difference to count."""


Adapt = Callable[[Features, "Fitted"], Features]
"""From the features of all cells of an unseen source, and a head, to those that the head is given."""


@dataclass(frozen=True)
class Fitted:
    """A head, and what its training cells were: features (N, D), their weights and class shares (N, C)."""

    head: FittedHead
    features: Floats
    weights: Floats
    classes: Floats

    def call(self, features: NDArray[np.floating]) -> Floats:
        """Return logits (N, C)."""
        return merge_logits(self.head.logits(np.asarray(features, np.float32)))


def fit(sources: Sequence[Source], without: int | None) -> Fitted:
    """Fit a head to sources, all or the cells outside a fold."""
    head = fit_head(join_examples(sources, without), FIRM)
    kept = [s.folds != without if without is not None else np.ones(len(s.folds), bool) for s in sources]
    pairs = list(zip(sources, kept, strict=True))
    features = np.concatenate([s.samples[0][k] for s, k in pairs]).astype(np.float64)
    allowed = np.concatenate([open_classes(s.allowed[k]) for s, k in pairs])
    called = soften(merge_logits(head.logits(features.astype(np.float32))), 1.0) * allowed
    weights = np.concatenate([s.weights[k] for s, k in pairs])
    return Fitted(head, features, weights / weights.sum(), called / called.sum(axis=1, keepdims=True))


def keep(features: Features, fitted: Fitted) -> Features:
    """Return the features as they are."""
    del fitted
    return features


def move_mean(features: Features, fitted: Fitted) -> Features:
    """Move the mean of a source to that of the training."""
    mean = np.average(fitted.features, axis=0, weights=fitted.weights)
    return np.asarray(features - features.mean(axis=0) + mean, np.float32)


def move_spread(features: Features, fitted: Fitted) -> Features:
    """Give a source the mean and the standard deviation of the training."""
    mean = np.average(fitted.features, axis=0, weights=fitted.weights)
    sd = np.sqrt(np.average((fitted.features - mean) ** 2, axis=0, weights=fitted.weights))
    own = features.std(axis=0)
    return np.asarray(
        (features - features.mean(axis=0)) / np.maximum(own, 0.1 * sd + 1e-9) * sd + mean, np.float32
    )


def move_covariance(features: Features, fitted: Fitted) -> Features:
    """Give a source the mean and the covariance of the training, each shrunk by a half to its diagonal."""
    mean = np.average(fitted.features, axis=0, weights=fitted.weights)
    scale = np.sqrt(np.average((fitted.features - mean) ** 2, axis=0, weights=fitted.weights)) + 1e-9

    def root(x: Floats, power: float, weights: Floats) -> Floats:
        covariance = np.cov(x.T, aweights=weights)
        shrunk = 0.5 * covariance + 0.5 * np.diag(np.maximum(np.diag(covariance), 1e-2))
        values, vectors = np.linalg.eigh(shrunk)
        return np.asarray((vectors * np.maximum(values, 1e-3) ** power) @ vectors.T)

    own = (features - features.mean(axis=0)) / scale
    whitened = own @ root(own, -0.5, np.ones(len(own)))
    coloured = whitened @ root((fitted.features - mean) / scale, 0.5, fitted.weights)
    return np.asarray(coloured * scale + mean, np.float32)


def move_within_classes(features: Features, fitted: Fitted) -> Features:
    """Move a source by its mean difference within the classes as they are called, each class alike."""
    mass = fitted.classes * fitted.weights[:, None]
    means = (mass.T @ fitted.features) / mass.sum(axis=0)[:, None]
    moved = features.astype(np.float64)
    for _ in range(PASSES):
        called = soften(fitted.call(moved), 1.0)
        cells = called.sum(axis=0)
        own = (called.T @ features) / np.maximum(cells, 1e-9)[:, None]
        moved = features - np.average(own - means, axis=0, weights=cells / (cells + PRIOR_CELLS))
    return np.asarray(moved, np.float32)


@dataclass(frozen=True)
class Variant:
    """A row: its colour, what is done to features in use, and whether sources are alike in training too.

    With ``copies`` probabilities are averaged over these.
    """

    name: str
    colour: str = "plain"
    adapt: Adapt = keep
    in_training: bool = False
    copies: bool = False


VARIANTS = (
    Variant("none"),
    Variant("colour by red cells, one power", "one power"),
    Variant("colour by red cells, a power each", "a power each"),
    Variant("mean of the source", adapt=move_mean),
    Variant("mean and spread", adapt=move_spread),
    Variant("mean and covariance", adapt=move_covariance),
    Variant("mean and spread, in training too", adapt=move_spread, in_training=True),
    Variant("mean within called classes", adapt=move_within_classes),
    Variant("colour, one power, and mean within called classes", "one power", move_within_classes),
    Variant("copies of another stain, agreed", copies=True),
)


@dataclass(frozen=True)
class Called:
    """Logits of N cells and of their copies, (K, N, C)."""

    logits: Floats

    def join(self) -> Floats:
        """Return logits (N, C): of the one, or the logarithm of the mean probability."""
        if len(self.logits) == 1:
            return np.asarray(self.logits[0])
        mean = np.mean([soften(each, 1.0) for each in self.logits], axis=0)
        return np.asarray(np.log(np.maximum(mean, 1e-30)))

    def agree(self) -> NDArray[np.bool_]:
        """Return which cells all copies call erythroid, or none, (N,)."""
        called = self.logits.argmax(axis=2) < STAGES
        return np.asarray(called.all(axis=0) | ~called.any(axis=0))


def call_source(cells: Cells, index: NDArray[np.int64], fitted: Fitted, variant: Variant) -> Called:
    """Call cells of a source, adapted together."""
    parts = cells.take(index)[: None if variant.copies else 1]
    return Called(np.stack([fitted.call(variant.adapt(part, fitted)) for part in parts]))


def align_training(source: Source) -> Source:
    """Return a source whose features have mean 0 and standard deviation 1, samples by those of the cells."""
    mean, sd = source.samples[0].mean(axis=0), source.samples[0].std(axis=0) + 1e-6
    return replace(source, samples=tuple(np.asarray((s - mean) / sd, np.float32) for s in source.samples))


@dataclass(frozen=True)
class Heads:
    """Heads on all training cells, without each fold, and without blood."""

    whole: Fitted
    folds: tuple[Fitted, ...]
    without_blood: Fitted


def fit_heads(sets: dict[str, Cells], folds: int, *, are_aligned: bool) -> Heads:
    """Fit the heads of a colour, the sources of which are alike in training or as they are."""
    sources = [sets[name].source for name in (MARROW, BLOOD)]
    if are_aligned:
        sources = [align_training(source) for source in sources]
    return Heads(
        fit(sources, None), tuple(fit(sources, fold) for fold in range(folds)), fit(sources[:1], None)
    )


def show(
    variant: Variant, sets: dict[str, Cells], unseen: tuple[Cells, list[Cells]], heads: Heads, risk: float
) -> None:
    """Adapt and call, and print the row of a variant; the training's cells have their own colour alone."""
    marrow, blood = sets[MARROW], sets[BLOOD].source
    truth = np.array([CLASSES.index(name) for name in marrow.source.rows["class"]])
    held = np.zeros((1 + len(marrow.copies) if variant.copies else 1, len(truth), len(CLASSES)))
    for fold, head in enumerate(heads.folds):
        here = np.flatnonzero(marrow.source.folds == fold)
        held[:, here] = call_source(marrow, here, head, variant).logits
    logits = Called(held).join()
    chosen = calibrate(HeldOut(logits, truth, "out-of-fold cells"), mark_erythroid(CLASSES), risk)
    figures = find_figures(truth, soften(logits, chosen.temperature), CLASSES)

    def call(cells: Cells, fitted: Fitted) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        made = call_source(cells, np.arange(len(cells.source.folds)), fitted, variant)
        mean = soften(made.join(), chosen.temperature)
        called = is_erythroid(mean)
        return called, called & (mean.max(axis=1) >= chosen.threshold) & made.agree()

    munich, fields = unseen
    called, surely = call(munich, heads.whole)
    right = np.concatenate([call(f, heads.whole)[0][f.calls] == f.erythroid for f in fields])
    of_blood, _ = call(sets[BLOOD], heads.without_blood)
    shares = [(of_blood[blood.erythroid == kind].sum(), (blood.erythroid == kind).sum()) for kind in (0, 1)]
    row = (
        variant.name,
        f"{figures['stage_accuracy_of_all_classes']:.3f}" if variant.colour == "plain" else "",
        f"{figures['five_way_macro_f1']:.3f}" if variant.colour == "plain" else "",
        share(int(called.sum()), len(called)),
        share(int(surely.sum()), len(called)),
        f"{int(right.sum())} of {len(right)}",
        *(f"{found} of {of}" if variant.colour == "plain" else "" for found, of in shares),
    )
    print("| " + " | ".join(row) + " |", flush=True)


def main() -> None:
    """Make the features and print a row for each variant."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--every", type=int, default=1, help="take every so many-th cell of the Munich set")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    maker, training = Maker(options.data), remember_training()
    recipe = read_memory(load_bundle().path / MEMORY).recipe
    heads = {
        are_aligned: fit_heads(training, recipe.folds, are_aligned=are_aligned)
        for are_aligned in (False, True)
    }
    munich, fields = maker.make_set(MUNICH, options.every), maker.make_fields()
    print(
        "| at use | stage right | five-way macro-F1 | Munich called | surely | lineage in fields "
        "| blood: others called | erythroblasts found |"
    )
    print(f"|{'---|' * 8}")
    for variant in VARIANTS:
        unseen = munich[variant.colour], fields[variant.colour]
        show(variant, training, unseen, heads[variant.in_training], recipe.risk)


if __name__ == "__main__":
    main()
