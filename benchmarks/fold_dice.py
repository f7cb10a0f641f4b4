"""Cross-validated Dice of the segmentation network, as docs/results/segmentation.md prints it.

    python benchmarks/fold_dice.py --out FOLDER [--steps N] [--share SET=SHARE ...] [--spread NAME=VALUE ...]

Fits a network for each fold of the sets that the shipped network learns from, outlines every image that has a
mask by the network that had not seen its cross-validation group, through the whole path as in use, and prints
mean and tenth percentile of Dice with 95 % intervals from resampled groups. The networks stay in
FOLDER/networks, so that a second run takes them from there, and so does ``erythron train default --out RUN``
where FOLDER is ``RUN/segmentation``. Outlines and scores of each image stay there too.

``--share`` and ``--spread`` fit with another share of a set or other bounds of the augmentation, to see if a
value that was chosen by hand matters. Two processor cores fit 900 steps of five networks in about 20
minutes; ``--steps 3`` only tries that everything runs.
"""

from __future__ import annotations

import argparse
import logging
from dataclasses import replace
from pathlib import Path

import torch
from data_folder import add_data_option

from erythron.bundle.folder import load_bundle
from erythron.files.writing import write_file
from erythron.segment.segmenter import Segmenter
from erythron.train.segmenter.augment import Spread
from erythron.train.segmenter.evaluate import estimate_dice, outline_out_of_fold
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.recipe import SegmenterConfig, fit_folds
from erythron.train.segmenter.sets import DEFAULT_SETS, SegmenterSet
from erythron.train.segmenter.use import CARD


def read_pair(text: str) -> tuple[str, float]:
    """Return name and number of NAME=NUMBER."""
    name, _, value = text.partition("=")
    return name, float(value)


def change_shares(changed: dict[str, float]) -> tuple[SegmenterSet, ...]:
    """Return the shipped network's sets with other shares."""
    unknown = changed.keys() - {chosen.data for chosen in DEFAULT_SETS}
    if unknown:
        raise SystemExit(f"no set {', '.join(unknown)}; there are {', '.join(s.data for s in DEFAULT_SETS)}")
    return tuple(replace(chosen, share=changed.get(chosen.data, chosen.share)) for chosen in DEFAULT_SETS)


def main() -> None:
    """Fit, outline and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--out", type=Path, required=True, help="folder for networks, outlines and scores")
    parser.add_argument("--steps", type=int, default=900, help="batches of each network")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--share", type=read_pair, action="append", default=[], metavar="SET=SHARE")
    parser.add_argument("--spread", type=read_pair, action="append", default=[], metavar="NAME=VALUE")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(options.threads)
    config = SegmenterConfig(
        options.data,
        options.out / "networks",
        sets=change_shares(dict(options.share)),
        folds=options.folds,
        seed=options.seed,
        fold_steps=options.steps,
        spread=replace(Spread(), **dict(options.spread)),
    )
    segmenters = {fold: Segmenter(CARD, TorchRuntime(net)) for fold, net in fit_folds(config).items()}
    scores = outline_out_of_fold(config, segmenters, load_bundle().card.framing, options.out / "outlines")
    write_file(options.out / "cv_outlines.csv", scores.write_csv())
    for (source,), part in scores.group_by("source", maintain_order=True):
        print(f"{source}: {part.height} images in {part['group'].n_unique()} groups")
    print("| set, part, mean or tenth percentile of Dice | value | 95 % interval |\n|---|---|---|")
    for name, figure in estimate_dice(scores, options.seed).items():
        print(f"| {name.replace('_', ' ')} | {figure.value:.3f} | {figure.low:.3f} to {figure.high:.3f} |")


if __name__ == "__main__":
    main()
