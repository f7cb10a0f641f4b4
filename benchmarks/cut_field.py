"""One real field dealt to several by place: the erythroid share must hardly move, nor its interval widen.

    python benchmarks/cut_field.py

Counts the marrow field once and deals its cells to equal parts. Prints the table of
``docs/results/intervals.md``: the corrected erythroid share with its interval, the width in points and in
widths of the whole field, the raw share, and whether both intervals hold the reference's share of cells of
known lineage. ``tests/differential/test_marrow_field.py`` asks the same with limits.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import polars as pl
from data_folder import add_data_option

from erythron.bundle.folder import load_bundle
from erythron.differential.assemble import DifferentialSettings, make_differential, merge_differentials
from erythron.differential.counts import Index
from erythron.pipeline.field import Model, count_field, load_networks
from erythron.pipeline.settings import choose_settings
from erythron.read.fields import read_image

CUTS = ((1, 1), (2, 1), (1, 2), (2, 2), (4, 1))
"""Rows and columns of parts."""


def find_share(path: Path) -> float:
    """Return the erythroid share of the reference, among its cells of known lineage."""
    labels = [cell["label"] for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]]
    sure = [label for label in labels if label != "unsure"]
    return sum(label != "other" for label in sure) / len(sure)


def cut(cells: pl.DataFrame, settings: DifferentialSettings, rows: int, columns: int) -> Index:
    """Return the erythroid share of the parts together, dealt by where the cells lie."""
    places = []
    for place, parts in (("x_px", columns), ("y_px", rows)):
        least, most = cells[place].min(), cells[place].max()
        places.append(((pl.col(place) - least) / (most - least) * parts).floor().clip(0, parts - 1))
    fields = cells.with_columns(field=places[0] * rows + places[1]).partition_by("field")
    share = merge_differentials((make_differential(f, settings) for f in fields), settings).erythroid_share
    if share is None:
        raise ValueError("the model has no erythroid class")
    return share


def main() -> None:
    """Count, cut and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    add_data_option(parser)
    folder = parser.parse_args().data / "marrow-field"
    bundle = load_bundle()
    settings, networks = choose_settings(bundle), load_networks(bundle)
    image = read_image(folder / "marrow-field-left.png")
    cells = count_field(image, Model(bundle, settings, lambda: networks)).cells
    reference = find_share(folder / "marrow-field-left.json")
    print(f"reference: {100 * reference:.1f} %\n")
    print("| fields, rows by columns | raw, % | corrected, % | width, points | times the width of one |")
    print("|---|---|---|---|---|")
    whole = 0.0
    for rows, columns in CUTS:
        share = cut(cells, settings, rows, columns)
        if share.interval is None or share.corrected is None or share.corrected.interval is None:
            raise ValueError("the field has no corrected share")
        (low, high), (first, last) = share.corrected.interval, share.interval
        width = 100 * ((high or 1.0) - low)
        whole = whole or width
        name = "1" if rows * columns == 1 else f"{rows} by {columns}"
        held = all(a <= reference <= (b or 1.0) for a, b in ((low, high), (first, last)))
        print(
            f"| {name} | {100 * (share.value or 0.0):.1f} ({100 * first:.1f}-{100 * last:.1f}) "
            f"| {100 * (share.corrected.value or 0.0):.1f} ({100 * low:.1f}-{100 * (high or 1.0):.1f}) "
            f"| {width:.1f} | {width / whole:.2f} |{'' if held else ' misses the reference'}"
        )


if __name__ == "__main__":
    main()
