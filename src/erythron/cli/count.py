"""``erythron count``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erythron.cli.options import Force, Images, Json, Model, Mpp, Reference, Width

if TYPE_CHECKING:
    from erythron.differential.counts import Differential
    from erythron.engine.batch import RunOptions


def count(
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")],
    mpp: Mpp = None,
    model: Model = None,
    force: Force = False,
    reference: Reference = None,
    width: Width = 5.0,
    as_json: Json = False,
) -> None:
    """Count the nucleated cells of marrow fields by class and stage.

    Writes DIR/NAME/ for each image (cells.csv, cells.geojson, differential.json, overlay.png) and, for the
    run, summary.csv, report.html and run.json. An interrupted run continues when the same command is given
    again.
    """
    from erythron.engine.batch import RunOptions

    raise typer.Exit(
        run_count(images, out, RunOptions(model, mpp, force, reference, width / 100), as_json=as_json)
    )


def run_count(images: Sequence[Path], out: Path, options: RunOptions, *, as_json: bool) -> int:
    """Count, print the differential of the run and return the exit status."""
    from erythron.cli.progress import show_failures, show_progress
    from erythron.engine.count_run import count_images
    from erythron.read.inputs import find_images

    inputs = find_images(images)
    with show_progress("Counting", len(inputs)) as progress:
        run = count_images(inputs, out, options, progress)
    show_failures([failure.reason for failure in run.failures])
    if as_json:
        typer.echo(run.to_json())
    else:
        _print_differential(run.differential, len(inputs) - len(run.failures))
        typer.echo(f"\nReport: {run.report}")
    return 1 if run.failures else 0


def _print_differential(differential: Differential, fields: int) -> None:
    """Print the table of a run on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if fields == 0:
        console.print("No image could be counted.")
        return
    if differential.nucleated_cells == 0:
        console.print(f"No nucleated cell in {fields} field(s).")
        return
    level = f"{differential.interval_level:.0%}"
    table = Table(
        box=SIMPLE_HEAD, title=f"{differential.nucleated_cells} nucleated cells in {fields} field(s)"
    )
    table.add_column("Class", no_wrap=True)
    for header in ("Cells", "%", f"{level} interval", "% of erythroid"):
        table.add_column(header, justify="right")
    for line in differential.classes:
        share, erythroid = line.of_nucleated, line.of_erythroid
        table.add_row(
            line.title,
            str(line.count),
            _percent(share.fraction) if share else "–",
            _interval(share.interval) if share else "",
            _percent(erythroid.fraction) if erythroid else "",
        )
    rest = differential.unclassified
    table.add_row("Unclassified", str(rest.count), _percent(rest.fraction), _interval(rest.interval), "")
    console.print(table)
    for index in differential.indices:
        is_share = index.kind == "share"
        value = _percent(index.value) + " %" if is_share else _ratio(index.value)
        limits = ""
        if index.interval is not None:
            low, high = index.interval
            limits = f" ({_interval((low, high))} %)" if is_share else f" ({_ratio(low)} – {_ratio(high)})"
        console.print(f"  {index.title}: {value}{limits}")


def _percent(fraction: float | None) -> str:
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def _ratio(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.2f}"


def _interval(interval: tuple[float | None, float | None]) -> str:
    low, high = interval
    return f"{_percent(low)} – {_percent(high)}"
