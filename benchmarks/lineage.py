"""Erythroid or not on cells of laboratories that were not trained on, for each way to train that was tried.

    python benchmarks/lineage.py --data DATA

Each arm is the recipe of the shipped model with other sets, variation of stain or head. A row says: the
staged marrow cells named right among all classes and the five-way macro-F1, out of fold; how many cells of
the Munich set, none of which is erythroid, are called so, and so surely, by a head that saw no cell of that
set, or out of fold where it is trained on; and in the fields of three further laboratories, which no arm is
trained on, for how many of the sure cells the lineage is right. Then, for the arm that ships, whether
distance from the training cells tells wrong calls: the area under the risk-coverage curve of ranking by
confidence, by distance and by both (Geifman and El-Yaniv 2017, arXiv 1705.08500), smaller being better.

Cells are outlined by the bundle's network. It learned from some of the marrow crops, which flatters the
marrow figures of all arms alike; the card's are out of fold.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from data_folder import add_data_option
from fields import FIELDS, Field, read_field, score
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import DEFAULT_CLASSES, ERYTHROID_STAGES
from erythron.classify.calls import prepare_cells
from erythron.classify.classifier import soften
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.differential.intervals import clopper_pearson
from erythron.pipeline.field import outline_field
from erythron.segment.segmenter import Segmenter, load_segmenter
from erythron.shape.measure import measure_cells
from erythron.train.classifier.frozen.augmentation import Sample, pool_features
from erythron.train.classifier.frozen.head import FittedHead, fit_head
from erythron.train.classifier.frozen.left_out import call_out_of_fold
from erythron.train.classifier.frozen.network import ShapeFeatures
from erythron.train.classifier.frozen.partial_labels import merge_logits
from erythron.train.classifier.frozen.sources import (
    FeatureMaker,
    Source,
    fold_set,
    join_examples,
    make_source,
)
from erythron.train.recipe import FrozenRecipe, FrozenSet, HeadSettings, SampleSettings
from erythron.train.recipe_file import load_recipe
from erythron.train.shared.backbones import ENCODER, find_scaling, load_encoder
from erythron.train.shared.calibration import Calibration, HeldOut, calibrate
from erythron.train.shared.novelty import fit_novelty
from erythron.train.shared.progress import no_progress
from erythron.train.shared.scores import find_figures, mark_erythroid
from erythron.train.shared.sets import open_sets

CLASSES = tuple(c.name for c in DEFAULT_CLASSES)
STAGES = len(ERYTHROID_STAGES)
MARROW, BLOOD, CROPS, MUNICH = "pathology-bites-cells", "pbc-acevedo", "bcisc", "matek-marrow"
USUAL = SampleSettings(scale=0.15, stain=0.6, colour=0.3, tint=0.15)
WIDE = SampleSettings(scale=0.25, stain=0.8, colour=0.5, tint=0.25)
LOOSE, FIRM, CUT = (HeadSettings(l2=l2, limit=at) for l2, at in ((3e-3, 6.0), (1e-2, 6.0), (1e-2, 3.0)))

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Arm:
    """A way to train: its name, its weight for sets beside marrow and blood, its samples and its head.

    ``lineage_weight`` is that of those further sets.
    """

    name: str
    more: dict[str, float]
    samples: SampleSettings
    head: HeadSettings
    lineage_weight: float = 1.0


SHIPPED = Arm("penalty 0.01, as shipped", {}, USUAL, FIRM)
ARMS = (
    Arm("penalty 0.003, as bundle 8", {}, USUAL, LOOSE),
    SHIPPED,
    Arm("penalty 0.01, cut at 3", {}, USUAL, CUT),
    Arm("wider stain", {}, WIDE, LOOSE),
    Arm("wider stain, penalty 0.01, cut at 3", {}, WIDE, CUT),
    Arm("penalty 0.01, crops of bcisc at 0.15", {CROPS: 0.15}, USUAL, FIRM),
    *(Arm(f"penalty 0.01, Munich set at {w:g}", {MUNICH: w}, USUAL, FIRM) for w in (0.02, 0.1, 0.5)),
    *(
        Arm(f"penalty 0.01, Munich set at 0.5, lineage weight {w:g}", {MUNICH: 0.5}, USUAL, FIRM, w)
        for w in (0.1, 0.02, 0.0)
    ),
)


@dataclass(frozen=True)
class FieldCells:
    """Cells of a field as features, and of its sure reference cells which call and whether erythroid."""

    features: NDArray[np.float32]
    calls: NDArray[np.int64]
    erythroid: NDArray[np.bool_]


def list_sure(field: Field, pairs: dict[int, int]) -> list[tuple[int, bool]]:
    """Return for every matched reference cell of sure label its call, and whether it is erythroid."""
    cells = field.reference
    known = [i for i in pairs if cells[i]["label"] != "unsure" and cells[i]["confidence"] != "low"]
    return [(pairs[i], cells[i]["label"] != "other") for i in known]


def make_field_cells(path: Path, segmenter: Segmenter, maker: FeatureMaker) -> FieldCells:
    """Outline a field as in use and return the features of its cells."""
    field, framing = read_field(path), load_bundle().card.framing
    outlined = outline_field(field.image, lambda: segmenter, framing)
    mpp = outlined.image.mpp or framing.field_mpp
    measured = measure_cells(outlined.image.rgb, outlined.outlines, mpp)
    cells = prepare_cells(outlined.image, outlined.outlines, measured, framing, is_field=True)
    sample = Sample(cells.crops.pixels, cells.crops.masks, cells.measurements)
    features = np.hstack([pool_features(sample, maker.encoder, maker.scaling), sample.inputs])
    _, pairs = score(field, measured.select("x_px", "y_px").rows())
    calls, erythroid = zip(*list_sure(field, pairs), strict=True)
    return FieldCells(features, np.array(calls), np.array(erythroid))


def call(features: NDArray[np.float32], head: FittedHead, chosen: Calibration) -> Floats:
    """Return calibrated probabilities (N, C)."""
    return soften(merge_logits(head.logits(features)), chosen.temperature)


def is_erythroid(probabilities: Floats) -> NDArray[np.bool_]:
    """Return which cells are called erythroid, (N,)."""
    return np.asarray(probabilities.argmax(axis=1) < STAGES)


def share(count: int, total: int) -> str:
    """Return a share with its exact 95 % interval."""
    low, high = clopper_pearson(count, total)
    return f"{count / total:.3f} ({low:.3f} to {high:.3f})"


def find_area(trust: Floats, wrong: NDArray[np.bool_]) -> float:
    """Return the area under the risk-coverage curve: the mean error of the surest k cells over all k."""
    ordered = wrong[np.argsort(-trust, kind="stable")]
    return float(np.mean(np.cumsum(ordered) / np.arange(1, len(ordered) + 1)))


class Bench:
    """Sets and fields with their features, made once for each variation of stain."""

    def __init__(self, data: Path) -> None:
        self.bundle = load_bundle()
        segmenter = load_segmenter(self.bundle)
        recipe = load_recipe("default")
        if not isinstance(recipe, FrozenRecipe):
            raise TypeError("the default recipe is of another kind")
        self.recipe = recipe
        by_fold = dict.fromkeys(range(recipe.folds), segmenter)
        self.maker = FeatureMaker(ShapeFeatures(load_encoder()).eval(), find_scaling(ENCODER), by_fold)
        self.fields = [make_field_cells(data / name, segmenter, self.maker) for name in FIELDS]
        self._made: dict[Any, Source] = {}

    def get_source(self, name: str, weight: float, samples: SampleSettings) -> Source:
        """Return a set ready to fit, its cells weighing ``weight`` together."""
        if (name, samples) not in self._made:
            known = {entry.data: entry for entry in self.recipe.sets}
            entry = known.get(name) or FrozenSet(data=name, samples=3)
            recipe = self.recipe.model_copy(update={"samples": samples})
            folded = fold_set(open_sets([entry])[0], recipe)
            self._made[name, samples] = make_source(folded, recipe, self.maker, no_progress)
        made = self._made[name, samples]
        return replace(made, weights=made.weights * (weight / made.weights.sum()))

    def run(self, arm: Arm) -> tuple[list[Source], FittedHead, Calibration]:
        """Fit an arm, print its row and return what it was fitted on, its head and its calibration."""
        weights = {entry.data: entry.weight for entry in self.recipe.sets} | arm.more
        sources = [
            replace(
                self.get_source(name, weight, arm.samples),
                lineage_weight=arm.lineage_weight if name in arm.more else 1.0,
            )
            for name, weight in weights.items()
        ]
        recipe = self.recipe.model_copy(update={"head": arm.head})
        logits = call_out_of_fold(sources, recipe)
        truth = np.array([CLASSES.index(name) for name in sources[0].rows["class"]])
        erythroid = mark_erythroid(CLASSES)
        chosen = calibrate(HeldOut(logits[0], truth, "out-of-fold cells"), erythroid, recipe.risk)
        figures = find_figures(truth, soften(logits[0], chosen.temperature), CLASSES)
        head = fit_head(join_examples(sources, None), arm.head)
        if MUNICH in weights:
            munich = soften(logits[list(weights).index(MUNICH)], chosen.temperature)
        else:
            munich = call(self.get_source(MUNICH, 1.0, arm.samples).samples[0], head, chosen)
        called = is_erythroid(munich)
        surely = called & (munich.max(axis=1) >= chosen.threshold)
        right, sure = 0, 0
        for cells in self.fields:
            found = is_erythroid(call(cells.features, head, chosen))[cells.calls]
            right, sure = right + int((found == cells.erythroid).sum()), sure + len(found)
        row = (
            arm.name,
            f"{figures['stage_accuracy_of_all_classes']:.3f}",
            f"{figures['five_way_macro_f1']:.3f}",
            share(int(called.sum()), len(called)),
            share(int(surely.sum()), len(called)),
            "out of fold" if MUNICH in weights else "not seen",
            f"{right} of {sure}: {share(right, sure)}",
        )
        print("| " + " | ".join(row) + " |", flush=True)
        return sources, head, chosen

    def judge_distance(self, sources: list[Source], head: FittedHead, chosen: Calibration) -> None:
        """Print whether distance from the training cells tells wrong calls of lineage in sources not seen."""

        def pool(features: NDArray[np.float32], fitted: FittedHead) -> Floats:
            return fitted.standardise(features)[:, : -len(MEASUREMENT_INPUTS)].astype(np.float64)

        examples = join_examples(sources, None)
        novelty = fit_novelty(pool(examples.features, head), examples.allowed.argmax(axis=1))
        scale = np.percentile(novelty.distances(pool(sources[0].samples[0], head)), 99, axis=0)
        munich = self.get_source(MUNICH, 1.0, SHIPPED.samples).samples[0]
        fields = [(c.features[c.calls], c.erythroid) for c in self.fields]
        parts = {
            "Munich set": (munich, np.zeros(len(munich), bool)),
            "fields": tuple(np.concatenate(part) for part in zip(*fields, strict=True)),
        }
        for name, (features, truth) in parts.items():
            probabilities = call(features, head, chosen)
            wrong = is_erythroid(probabilities) != truth
            trust = probabilities.max(axis=1)
            far = (novelty.distances(pool(features, head)) / scale).max(axis=1)
            both = np.log(trust / np.maximum(1 - trust, 1e-9)) - 0.5 * np.log(far)
            flagged = far > 1
            areas = " | ".join(f"{find_area(rank, wrong):.4f}" for rank in (trust, -far, both))
            rates = " | ".join(
                f"{int(wrong[some].sum())} of {int(some.sum())}" for some in (flagged, ~flagged)
            )
            print(f"| {name} | {wrong.mean():.3f} | {areas} | {rates} |", flush=True)


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bench = Bench(options.data)
    print("| training | stage right | five-way macro-F1 | Munich called | surely | set | lineage in fields |")
    print(f"|{'---|' * 7}")
    fitted = {arm.name: bench.run(arm) for arm in ARMS}
    print("\n| not seen | wrong | by confidence | by distance | by both | wrong, flagged | wrong, others |")
    print(f"|{'---|' * 7}")
    bench.judge_distance(*fitted[SHIPPED.name])


if __name__ == "__main__":
    main()
