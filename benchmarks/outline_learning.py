"""What corrected outlines teach the segmentation network, and what it forgets over them.

    python benchmarks/outline_learning.py --data SETS [--seeds 3]

Nothing that is judged was learned from. (a) Another laboratory: a reader draws 25, 50 or 100 cells of
``segmentation_WBC`` as its masks have them; a hundred others judge. (b) The marrow field: a reader
adds the cells that the reference has and the network missed and takes away what it has outlined beside them,
in one half of the field, and accepts the rest; the other half judges, then the halves change places. The
reference has circles, so a missed cell is outlined as the page does at a click, or as a circle where the
network sees nothing there. (c) What is forgotten: F1 of the marrow fields of three laboratories, none of
which is learned from in (a); in (b) of the three others.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from data_folder import add_data_option
from fields import FIELDS, Field, Found, add, read_field, score
from numpy.typing import NDArray

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.runtime import OpenVinoRuntime
from erythron.cells.outline import CellOutline, outline_cell
from erythron.classify.framing import choose_mpp
from erythron.datasets.masks import read_mask
from erythron.pipeline.field import outline_field
from erythron.read.fields import read_image
from erythron.segment.segmenter import Segmenter
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.outline_comparison import measure_agreement
from erythron.train.segmenter.refit import RefitConfig, fit_decoder, make_samples
from erythron.train.segmenter.reviewed import (
    Kind,
    Picture,
    Place,
    ReviewedField,
    ReviewedOutlines,
    cut_places,
    draw_memory,
    find_empty,
)
from erythron.train.segmenter.stored import read_network, write_network

BUDGETS = (25, 50, 100)
JUDGED = 100
"""Of the 300 crops, how many judge."""

CROP_UM = 32.0
"""What a crop of unknown scale is taken to show (``Framing.crop_width_um``)."""


@dataclass(frozen=True)
class Learner:
    """The network before it learns, and a folder for what comes of it."""

    bundle: Bundle
    net: SegmentationNetwork
    folder: Path

    @property
    def before(self) -> Segmenter:
        """The segmenter of the bundle."""
        return Segmenter(self.bundle.card.segmenter, OpenVinoRuntime(self.bundle.segmentation_path))

    def learn(self, fields: Sequence[ReviewedField], seed: int) -> tuple[Segmenter, float]:
        """Return a segmenter that learned from fields as ``train --from-review`` does, and the seconds."""
        started = time.monotonic()
        config = RefitConfig(seed=seed)
        found = cut_places([*fields, draw_memory(self.bundle.card.segmenter)], self.bundle)
        samples = make_samples(self.net, found.windows, found.is_correction, config)
        fitted = fit_decoder(self.net, samples, np.ones(len(found.kind), np.bool_), config)
        path = self.folder / f"{time.monotonic_ns()}.onnx"
        write_network(fitted, self.bundle.segmentation_path, path)
        seconds = time.monotonic() - started
        return Segmenter(self.bundle.card.segmenter, OpenVinoRuntime(path)), seconds


def find_cells(field: Field, segmenter: Segmenter, bundle: Bundle) -> Found:
    """Return what a segmenter finds in a field."""
    outlines = outline_field(field.image, lambda: segmenter, bundle.card.framing).outlines
    return score(field, _list_centres(field, outlines))[0]


def _list_centres(field: Field, outlines: Sequence[CellOutline]) -> list[tuple[float, float]]:
    centres = [outline.nucleus_mask.centre for outline in outlines]
    return [(x, y) for x, y in centres if not field.ignored[int(y), int(x)]]


def read_crops(root: Path, bundle: Bundle) -> list[ReviewedField]:
    """Return the crops of ``segmentation_WBC`` as fields of one drawn cell."""
    crops = []
    for path in sorted((root / "segmentation_WBC" / "Dataset 1").glob("*.bmp")):
        mask = read_mask(path.with_suffix(".png"), "nucleus_255_cell_128")
        outline = None if mask.nucleus is None else outline_cell(mask.nucleus, mask.cell, 0, 0)
        if outline is None:
            continue
        mpp = CROP_UM / min(mask.cell.shape)
        light = read_image(path, mpp).light
        empty = find_empty(light, mpp, [outline], (), bundle.card.segmenter)
        place = Place(Kind.DRAWN, *outline.nucleus_mask.centre, outline)
        crops.append(ReviewedField(Picture(path, mpp, path.stem), light, (place, *empty)))
    return crops


def judge(found: ReviewedOutlines, segmenter: Segmenter) -> tuple[float, float, float]:
    """Return the share of cells that are found, and the mean Dice of cells and nuclei."""
    agreed = measure_agreement(found, found.judged, segmenter)
    return float(agreed.is_right.mean()), float(agreed.cell.mean()), float(agreed.nucleus.mean())


def report_other_laboratory(learner: Learner, root: Path, seeds: int) -> None:
    """Print (a), with (c) of the same networks."""
    crops = read_crops(root, learner.bundle)
    fields = [read_field(root / name) for name in FIELDS]
    print("| outlines | cells found | cell, mean Dice | nucleus, mean Dice | F1 of four marrow fields | s |")
    print("|---" * 6 + "|")
    for budget in (0, *BUDGETS):
        rows = []
        for seed in range(seeds):
            order = np.random.default_rng(seed).permutation(len(crops))
            judging = cut_places([crops[i] for i in order[:JUDGED]], learner.bundle)
            taught = [crops[i] for i in order[JUDGED : JUDGED + budget]]
            segmenter, seconds = learner.learn(taught, seed) if budget else (learner.before, 0.0)
            marrow = add([find_cells(field, segmenter, learner.bundle) for field in fields])
            rows.append((*judge(judging, segmenter), marrow.f1, seconds))
        table = np.array(rows)
        cells = (f"{c.mean():.3f} ({c.min():.3f}-{c.max():.3f})" for c in table[:, :4].T)
        print(f"| {budget} | {' | '.join(cells)} | {table[:, 4].mean():.0f} |", flush=True)


def review_half(
    field: Field, outlines: Sequence[CellOutline], inside: NDArray[np.bool_], learner: Learner
) -> ReviewedField:
    """Return what the reader of (b) says of one half of a field.

    Args:
        field: with its reference.
        outlines: what the network finds.
        inside: (H, W) the half.
        learner: whose network outlines missed cells.
    """
    image = field.image
    mpp = choose_mpp(image, learner.bundle.card.framing, is_field=True)
    here = [o for o in outlines if _is_at(inside & ~field.ignored, *o.nucleus_mask.centre)]
    pairs = score(field, [o.nucleus_mask.centre for o in here])[1]
    places = []
    for number, outline in enumerate(here):
        kind = Kind.ACCEPTED if number in pairs.values() else Kind.REMOVED
        places.append(Place(kind, *outline.nucleus_mask.centre, outline))
    for number, cell in enumerate(field.reference):
        if number in pairs or not _is_at(inside, cell["x"], cell["y"]):
            continue
        added = learner.before.segment_at(image.light, mpp, cell["x"], cell["y"]) or _draw_circle(cell)
        places.append(Place(Kind.DRAWN, *added.nucleus_mask.centre, added))
    known = [*outlines, *(p.outline for p in places if p.kind is Kind.DRAWN and p.outline is not None)]
    empty = find_empty(image.light, mpp, known, (), learner.bundle.card.segmenter)
    places += [p for p in empty if _is_at(inside & ~field.ignored, p.x, p.y)]
    return ReviewedField(Picture(Path(image.name), mpp, "marrow"), image.light, tuple(places))


def _is_at(area: NDArray[np.bool_], x: float, y: float) -> bool:
    return bool(area[min(int(y), len(area) - 1), min(int(x), area.shape[1] - 1)])


def _draw_circle(cell: dict[str, float]) -> CellOutline:
    side = int(cell["d"])
    y, x = np.mgrid[:side, :side]
    disc = np.hypot(y - side / 2 + 0.5, x - side / 2 + 0.5) <= side / 2
    drawn = outline_cell(disc, disc, round(cell["x"] - side / 2), round(cell["y"] - side / 2))
    if drawn is None:
        raise ValueError("the reference has a cell without a diameter")
    return drawn


def report_marrow_field(learner: Learner, root: Path) -> None:
    """Print (b), with (c) of the same networks."""
    marrow, *others = (read_field(root / name) for name in FIELDS)
    shape = marrow.image.rgb.shape[:2]
    outlines = outline_field(marrow.image, lambda: learner.before, learner.bundle.card.framing).outlines
    top = np.zeros(shape, np.bool_)
    top[: shape[0] // 2] = True
    was = add([find_cells(field, learner.before, learner.bundle) for field in others])
    print(f"before: the three other fields {was}")
    parts = []
    for name, learned in (("upper", top), ("lower", ~top)):
        reviewed = review_half(marrow, outlines, learned, learner)
        kinds = {kind: sum(p.kind is kind for p in reviewed.places) for kind in Kind}
        segmenter, seconds = learner.learn([reviewed], 0)
        now = outline_field(marrow.image, lambda s=segmenter: s, learner.bundle.card.framing).outlines
        judged = Field(
            marrow.image,
            [c for c in marrow.reference if not _is_at(learned, c["x"], c["y"])],
            marrow.ignored | learned,
        )
        pair = [score(judged, _list_centres(judged, found))[0] for found in (outlines, now)]
        parts.append(pair)
        print(
            f"learned from the {name} half ({kinds}, {seconds:.0f} s), the other half before {pair[0]}, "
            f"after {pair[1]}"
        )
        print(f"  the three other fields {add([find_cells(f, segmenter, learner.bundle) for f in others])}")
    for when, number in (("before", 0), ("after", 1)):
        print(f"both halves {when}: {add([pair[number] for pair in parts])}")


def main() -> None:
    """Print the tables of ``docs/results/active-learning.md``."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--only", choices=("a", "b"), help="one of the two")
    parser.add_argument("--threads", type=int, default=2, help="of torch")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    bundle = load_bundle()
    with TemporaryDirectory() as folder:
        learner = Learner(bundle, read_network(bundle.segmentation_path), Path(folder))
        if options.only != "a":
            report_marrow_field(learner, options.data)
        if options.only != "b":
            report_other_laboratory(learner, options.data, options.seeds)


if __name__ == "__main__":
    main()
