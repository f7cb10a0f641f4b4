"""``erythron compare``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erythron.cli.options import Json

if TYPE_CHECKING:
    from rich.console import Console

    from erythron.compare.comparison import CellComparison, ShareComparison


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="cells.csv, a classify CSV, a run's folder, ...")],
    b: Annotated[Path, typer.Argument(metavar="B", help="... summary.csv or differential.json; as A.")],
    as_json: Json = False,
) -> None:
    """Compare two readers or models over the same cells or specimens.

    Images and specimens are matched by path, or by the ends of their paths where the folders differ. Cells
    are matched by their place in the image, else by cell_id, else by image. Printed are the table of
    calls, kappa, agreement within one stage, McNemar's test for each class and, over specimens, the binomial
    limits of CLSI H20-A2 and, of three specimens or more, bias with limits of agreement and the
    Passing-Bablok line. A run without specimens is one.
    """
    from erythron.compare.results import compare_results

    found = compare_results(a, b)
    if as_json:
        import json

        from pydantic import TypeAdapter

        from erythron.compare.comparison import Comparison

        typer.echo(json.dumps(TypeAdapter(Comparison).dump_python(found, mode="json"), allow_nan=False))
        return
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    console.print(f"A: {found.a}\nB: {found.b}", soft_wrap=True)
    if found.renamed:
        of_a, of_b = found.renamed[0]
        count = len(found.renamed)
        what = "One image or specimen is" if count == 1 else f"{count} images or specimens are"
        console.print(
            f"{what} matched by the end of the path, such as {of_a} of A with {of_b} of B", soft_wrap=True
        )
    if found.cells is not None:
        _print_cells(console, found.cells)
    _print_shares(console, found.shares, is_by_image=found.is_by_image)


def _print_cells(console: Console, cells: CellComparison) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from erythron.report.numbers import format_coefficient

    console.print(
        f"\n{cells.matched} cells matched in {cells.images} image(s); {cells.only_a} only in A, "
        f"{cells.only_b} only in B"
    )
    table = Table(box=SIMPLE_HEAD, title="Calls of A (rows) and B (columns)")
    table.add_column("")
    for number in range(1, len(cells.names) + 1):
        table.add_column(str(number), justify="right")
    for number, (name, row) in enumerate(zip(cells.names, cells.table, strict=True), 1):
        table.add_row(f"{number} {name}", *(str(count) for count in row))
    console.print(table)
    for title, agreement in (
        ("Same call", cells.same_call),
        (f"Kappa of the class ({cells.classified} cells, the unclassified left out)", cells.class_kappa),
        (f"Same stage ({cells.staged} cells staged by both)", cells.same_stage),
        ("Within one stage", cells.within_one_stage),
        ("Quadratic kappa of the stage", cells.stage_kappa),
    ):
        console.print(f"  {title}: {format_coefficient(agreement.value, agreement.interval)}")
    table = Table(box=SIMPLE_HEAD, title="Called by one only (exact McNemar, p adjusted by Holm)")
    for header in ("Class", "only A", "only B", "p", "p adjusted"):
        table.add_column(header, justify="left" if header == "Class" else "right")
    for line in cells.differences:
        chances = (format_coefficient(line.p), format_coefficient(line.p_adjusted))
        table.add_row(line.name, str(line.only_a), str(line.only_b), *chances)
    console.print(table)


def _print_shares(console: Console, shares: tuple[ShareComparison, ...], *, is_by_image: bool) -> None:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from erythron.compare.methods import FEWEST_SPECIMENS
    from erythron.report.numbers import NOTHING, format_limits, format_with_limits

    table = Table(box=SIMPLE_HEAD, title="Shares of nucleated cells by specimen, percentage points")
    for header in ("Class", "within limits", "bias B - A", "limits of agreement", "slope", "intercept"):
        table.add_column(header, justify="left" if header == "Class" else "right")
    for line in shares:
        found, fit = line.bland_altman, line.passing_bablok
        bias = limits = slope = intercept = NOTHING
        if found is not None:
            bias = format_with_limits(found.bias, found.bias_interval, is_share=True)
            limits = format_limits(found.limits)
        if fit is not None:
            slope = format_with_limits(fit.slope, fit.slope_interval, is_share=False)
            intercept = format_with_limits(fit.intercept, fit.intercept_interval, is_share=True)
        within = f"{line.within_limits} of {line.specimens}"
        table.add_row(line.name, within, bias, limits, slope, intercept)
    console.print(table)
    specimens = max((line.specimens for line in shares), default=0)
    if shares and specimens < FEWEST_SPECIMENS:
        console.print(
            f"Bias, limits of agreement and the line are of {FEWEST_SPECIMENS} specimens or more; here they "
            f"are {specimens}. Fields of one specimen are added up.",
            soft_wrap=True,
        )
    elif is_by_image and specimens:
        console.print(
            "Each image stands for a specimen. Where several are of one, count them with --specimen: limits "
            "over fields of one specimen say nothing of others.",
            soft_wrap=True,
        )
