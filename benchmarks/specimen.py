"""Marrow or blood: the cells in view of each set, what is said of it, and that with its own source held out.

    python benchmarks/specimen.py [--bccd N]

Pictures of marrow and of blood are counted. Printed is, of each source: the nucleated cells to a red cell,
the share called erythroid, and how many pictures, and all of them as one specimen, look like blood or are not
told. The limit of the nucleated cells to a red cell is also set by the other sources alone, half way on a
logarithmic scale between their densest blood (all pictures of a source together) and their most diluted
picture of marrow. Last, red cells by area over the boxes drawn by hand in ``bccd``.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from data_folder import add_data_option
from scale import (
    BCCD_MPP,
    SIDES_PX,
    Pixels,
    cut_crops,
    list_fields,
    make_image,
    read_rgb,
)

from erythron.bundle.folder import load_bundle
from erythron.differential.assemble import DifferentialSettings
from erythron.differential.counts import CellCounts
from erythron.differential.specimen import judge_specimen
from erythron.differential.tally import count_cells
from erythron.pipeline.field import Model, count_field, load_networks
from erythron.quality.flags import THRESHOLDS, CellsInView, QualityThresholds
from erythron.segment.scale import RED_CELL_UM

BLOOD = ("blood-films", "bccd")
RED_BOX = re.compile(
    "<name>RBC</name>" + "".join(rf".*?<{end}>(\d+)</{end}>" for end in ("xmin", "ymin", "xmax", "ymax")),
    re.DOTALL,
)
CROPS = {"marrow-field": 20, "hy": 8, "bmac": 8}


@dataclass(frozen=True)
class Seen:
    """A picture of a source, and what was counted on it."""

    source: str
    is_whole: bool
    path: str
    counts: CellCounts
    view: CellsInView

    @property
    def ratio(self) -> float:
        """Nucleated cells to a red cell."""
        return self.view.nucleated / max(self.view.red, 1.0)


def list_pictures(data: Path, every: int) -> Iterator[tuple[str, bool, str, Pixels]]:
    """Yield the pictures: source, whether it is a whole one, its name, pixels."""
    rng = np.random.default_rng(11)
    for source, rgb, _ in list_fields(data):
        yield source, True, source, rgb
        if min(rgb.shape[:2]) > SIDES_PX[1]:
            for number, (crop, _) in enumerate(cut_crops(rgb, CROPS[source], rng)):
                yield source, False, f"{source}, crop {number}", crop
    text = data / "cases/images/burned_in_text_called_cells.png"
    yield "by telephone", True, text.name, read_rgb(text)
    for path in sorted((data / "blood-films").rglob("*.JPG")):
        yield "blood-films", True, str(path), read_rgb(path)
    for path in sorted((data / "bccd").rglob("JPEGImages/*.jpg"))[::every]:
        yield "bccd", True, str(path), read_rgb(path)


def say(pictures: list[Seen], limits: QualityThresholds) -> str:
    """Return what is said of pictures together: blood, not told or marrow."""
    flag = judge_specimen([p.counts for p in pictures], [p.view for p in pictures], limits)
    return "marrow" if flag is None else {"looks_like_blood": "blood"}.get(flag.name, "not told")


def pool(pictures: list[Seen]) -> float:
    """Return the nucleated cells to a red cell of pictures together."""
    return sum(p.view.nucleated for p in pictures) / max(sum(p.view.red for p in pictures), 1.0)


def set_limit(others: list[Seen]) -> QualityThresholds:
    """Return thresholds with the limit that these sources set."""
    blood = max(
        pool([p for p in others if p.source == s]) for s in BLOOD if any(p.source == s for p in others)
    )
    marrow = min(p.ratio for p in others if p.source not in BLOOD and p.is_whole)
    return replace(THRESHOLDS, most_in_blood=float(np.sqrt(blood * marrow)))


def show(seen: list[Seen]) -> None:
    """Print a line for each source."""
    print(
        "| source | pictures | nucleated to a red cell | erythroid | each picture | all as one "
        "| limit by the others | each | all as one |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for source in dict.fromkeys(p.source for p in seen):
        own = [p for p in seen if p.source == source]
        ratios = [p.ratio for p in own]
        total = sum(p.counts.nucleated for p in own)
        erythroid = sum(
            sum(n for n, c in zip(p.counts.counts, p.counts.classes, strict=True) if c.lineage == "erythroid")
            for p in own
        )
        columns = [
            source,
            str(len(own)),
            f"{min(ratios):.3f} to {max(ratios):.2f}",
            f"{erythroid} of {total}",
        ]
        held = set_limit([p for p in seen if p.source != source])
        for limits in (THRESHOLDS, held):
            if limits is held:
                columns.append(f"{held.most_in_blood:.3f}")
            each = [say([p], limits) for p in own]
            told = ("blood", "not told", "marrow")
            columns.append(", ".join(f"{kind} {each.count(kind)}" for kind in told if each.count(kind)))
            columns.append(say([p for p in own if p.is_whole], limits))
        print(f"| {' | '.join(columns)} |")


def show_boxes(seen: list[Seen]) -> None:
    """Print the red cells by area over those by the area of the boxes drawn by hand."""
    ratios = []
    for picture in (p for p in seen if p.source == "bccd"):
        boxes = Path(picture.path.replace("JPEGImages", "Annotations")).with_suffix(".xml")
        found = np.array(RED_BOX.findall(boxes.read_text()), np.float64).reshape(-1, 4)
        area = float((np.pi / 4 * (found[:, 2] - found[:, 0]) * (found[:, 3] - found[:, 1])).sum())
        if area:
            ratios.append(picture.view.red / (area / (np.pi / 4 * (RED_CELL_UM / BCCD_MPP) ** 2)))
    ends = ", ".join(f"{end:.2f}" for end in np.percentile(ratios, [0, 10, 50, 90, 100]))
    print(f"red cells over the boxes of {len(ratios)} fields (least, 10 %, middle, 90 %, most): {ends}")


def main() -> None:
    """Count, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parser.add_argument("--bccd", type=int, default=5, help="every so manieth field of bccd")
    options = parser.parse_args()
    bundle = load_bundle()
    networks = load_networks(bundle)
    model = Model(bundle, DifferentialSettings(bundle.card.classes), lambda: networks)
    seen = []
    for source, is_whole, path, rgb in list_pictures(options.data, options.bccd):
        field = count_field(make_image(rgb), model)
        if field.quality.in_view is not None:
            counts = count_cells(field.cells, bundle.card.classes)
            seen.append(Seen(source, is_whole, path, counts, field.quality.in_view))
    show(seen)
    show_boxes(seen)


if __name__ == "__main__":
    main()
