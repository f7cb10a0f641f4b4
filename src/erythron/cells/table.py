"""The table of cells: the one home of its columns, their order, types and units.

A column's unit is in its name: ``_px`` pixels of the image, ``_um`` micrometres, ``_px`` and ``_um2`` areas;
columns without a unit are ratios, counts, colours from 0 to 255, probabilities or text.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from erythron.cells.classes import CellClass
from erythron.cells.flags import CellFlag, has_flag
from erythron.errors import DataError

PROBABILITY = "prob_"
"""What the column of a class's probability begins with."""

UNCLASSIFIED, LEFT_OUT = CellFlag.UNCLASSIFIED.value, CellFlag.LEFT_OUT.value
NOT_A_CELL = "not_a_cell"
"""What ``counted_as`` holds besides the names of classes; the last where a person says so."""

PLACE_COLUMNS: dict[str, pl.DataType] = {
    "cell_id": pl.String(),
    "x_px": pl.Float64(),
    "y_px": pl.Float64(),
    "width_px": pl.Int64(),
    "height_px": pl.Int64(),
}
"""Which cell and where: centre of the nucleus (0 is the centre of the first pixel), box of the whole cell."""

MEASUREMENT_COLUMNS: dict[str, pl.DataType] = {
    "cell_area_px": pl.Int64(),
    "nucleus_area_px": pl.Int64(),
    "cytoplasm_area_px": pl.Int64(),
    "cell_diameter_px": pl.Float64(),
    "nucleus_diameter_px": pl.Float64(),
    "cell_area_um2": pl.Float64(),
    "nucleus_area_um2": pl.Float64(),
    "cytoplasm_area_um2": pl.Float64(),
    "cell_diameter_um": pl.Float64(),
    "nucleus_diameter_um": pl.Float64(),
    "nc_ratio": pl.Float64(),
    "nucleus_fraction": pl.Float64(),
    "cell_eccentricity": pl.Float64(),
    "nucleus_eccentricity": pl.Float64(),
    "cell_solidity": pl.Float64(),
    "nucleus_solidity": pl.Float64(),
    "cell_circularity": pl.Float64(),
    "nucleus_circularity": pl.Float64(),
    "nucleus_lobes": pl.Int64(),
    "nucleus_mean_red": pl.Float64(),
    "nucleus_mean_green": pl.Float64(),
    "nucleus_mean_blue": pl.Float64(),
    "nucleus_sd_grey": pl.Float64(),
    "cytoplasm_mean_red": pl.Float64(),
    "cytoplasm_mean_green": pl.Float64(),
    "cytoplasm_mean_blue": pl.Float64(),
    "touches_edge": pl.Boolean(),
    "outline_score": pl.Float64(),
}
"""What :func:`erythron.shape.measure.measure_cells` says of each cell beyond its place."""

CALL_COLUMNS: dict[str, pl.DataType] = {"label": pl.String(), "confidence": pl.Float64()}
"""The most probable class and its probability."""

NOVELTY = "novelty"
"""How unlike the cells of the training a cell is: above 1 it is farther from them than 99 % of those are.

Many such cells tell another stain or another kind of picture. Of a single cell it does not tell whether its
call is wrong (``docs/results/other-laboratories.md``), so it is no flag. Empty where the model does not say.
"""

VERDICT_COLUMNS: dict[str, pl.DataType] = {
    "confirmed_as": pl.String(),
    "counted_as": pl.String(),
    "flags": pl.String(),
}
"""What a person has called the cell, empty where nobody has; the line of the differential that counts it; and
its flags, a space between them."""


def list_cell_columns(classes: Iterable[CellClass | str]) -> dict[str, pl.DataType]:
    """Return the columns of a table of cells with their types, in order.

    Args:
        classes: of the model, in the order of its outputs.
    """
    names = [c if isinstance(c, str) else c.name for c in classes]
    return {
        "image": pl.String(),
        **PLACE_COLUMNS,
        **CALL_COLUMNS,
        **{f"{PROBABILITY}{name}": pl.Float64() for name in names},
        **MEASUREMENT_COLUMNS,
        NOVELTY: pl.Float64(),
        **VERDICT_COLUMNS,
    }


def list_probability_classes(columns: Iterable[str]) -> tuple[str, ...]:
    """Return the classes of the model that made a table of cells, in the order of its outputs."""
    return tuple(name.removeprefix(PROBABILITY) for name in columns if name.startswith(PROBABILITY))


def type_columns(columns: Iterable[str]) -> dict[str, pl.DataType]:
    """Return the type of every column of a table that was written as text.

    Raises:
        DataError: a column is none of a table of cells, or one is missing.
    """
    names = list(columns)
    wanted = list_cell_columns(list_probability_classes(names))
    if list(wanted) != names:
        odd = sorted(set(names) ^ set(wanted)) or names
        raise DataError(f"its columns are not those of a table of cells ({', '.join(odd[:5])}); count again")
    return wanted


def count_as() -> pl.Expr:
    """Return the expression of the column ``counted_as`` by the model alone, from ``label`` and ``flags``.

    A cell that is left out is in no line, an unclassified one in that of its own; every other in its label's.
    """
    return (
        pl.when(has_flag(CellFlag.LEFT_OUT) | has_flag(CellFlag.OUTSIDE_REGION))
        .then(pl.lit(LEFT_OUT))
        .when(has_flag(CellFlag.UNCLASSIFIED))
        .then(pl.lit(UNCLASSIFIED))
        .otherwise(pl.col("label"))
        .alias("counted_as")
    )


def count_as_confirmed() -> pl.Expr:
    """Return the expression of the column ``counted_as``: what a person has called the cell goes before.

    Of cells outside a region that a person drew none is counted, whatever it is called.
    """
    called = pl.col("confirmed_as").fill_null("")
    is_counted = (called != "") & ~has_flag(CellFlag.OUTSIDE_REGION)
    return pl.when(is_counted).then(called).otherwise(count_as()).alias("counted_as")


def name_groups(cells: pl.DataFrame) -> list[str]:
    """Return what each cell of a table is called on pictures and in other programs.

    What a person has called it, ``not_a_cell`` among that; else ``unclassified``, or its label. A cell in an
    area that is left out of the count has its name too.
    """
    called = pl.when(has_flag(CellFlag.UNCLASSIFIED)).then(pl.lit(UNCLASSIFIED)).otherwise(pl.col("label"))
    if "confirmed_as" in cells.columns:
        confirmed = pl.col("confirmed_as").fill_null("")
        called = pl.when(confirmed != "").then(confirmed).otherwise(called)
    return cells.select(called).to_series().to_list()


def is_counted() -> pl.Expr:
    """Return the expression, bool, whether the differential counts a row in one of its lines."""
    return ~pl.col("counted_as").is_in([LEFT_OUT, NOT_A_CELL])


def is_classified() -> pl.Expr:
    """Return the expression, bool, whether the differential counts a row in the line of a class."""
    return ~pl.col("counted_as").is_in([LEFT_OUT, NOT_A_CELL, UNCLASSIFIED])


def is_unlike_training() -> pl.Expr:
    """Return the expression, bool, whether a row is less like the training cells than 99 % of those."""
    return (pl.col(NOVELTY) > 1).fill_null(value=False)


def find_near(cells: pl.DataFrame, left: float, top: float, right: float, bottom: float) -> list[str]:
    """Return the names of the cells that may reach into a box; some of them end just beside it.

    A table states the size of a cell and the centre of its nucleus, which lies somewhere in the cell.

    Args:
        cells: the table.
        left: edge of the box, in pixels of the image.
        top: as ``left``.
        right: as ``left``.
        bottom: as ``left``.
    """
    across, down = pl.col("width_px"), pl.col("height_px")
    beside = (pl.col("x_px") + across < left) | (pl.col("x_px") - across > right)
    above = (pl.col("y_px") + down < top) | (pl.col("y_px") - down > bottom)
    return cells.filter(~(beside | above))["cell_id"].to_list()


def make_empty_table(classes: Sequence[CellClass]) -> pl.DataFrame:
    """Return a table of no cells."""
    return pl.DataFrame(schema=list_cell_columns(classes))
