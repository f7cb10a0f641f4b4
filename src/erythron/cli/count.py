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
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print the report to report.pdf; needs Chromium.")
    ] = False,
) -> None:
    """Count the nucleated cells of marrow fields by class and stage.

    Writes DIR/NAME/ for each image (cells.csv, cells.geojson, differential.json, overlay.png) and, for the
    run, summary.csv, report.html, run.json and, with --pdf, report.pdf. An interrupted run continues when the
    same command is given again.
    """
    from erythron.engine.batch import RunOptions

    run = RunOptions(model, mpp, force, reference, width / 100)
    raise typer.Exit(run_count(images, out, run, as_json=as_json, pdf=pdf))


def run_count(
    images: Sequence[Path], out: Path, options: RunOptions, *, as_json: bool, pdf: bool = False
) -> int:
    """Count, print the differential of the run and return the exit status.

    Raises:
        BrowserError: a PDF is wanted and no browser can print it; one that is missing is noticed before work
            begins.
    """
    from erythron.models.loading import start_loading

    # OpenVINO compiles the networks while Python is still importing what the count needs.
    loading = start_loading(options.model)
    from erythron.cli.progress import show_failures, show_progress
    from erythron.engine.count_run import count_images
    from erythron.read.inputs import find_images

    browser = _find_browser() if pdf else None
    inputs = find_images(images)
    with show_progress("Counting", len(inputs)) as progress:
        run = count_images(inputs, out, options, progress, loading)
    show_failures([failure.reason for failure in run.failures])
    printed = run.report.with_suffix(".pdf")
    if browser is not None:
        _print_pdf(browser, run.report, printed)
    if as_json:
        typer.echo(run.to_json())
    else:
        _print_differential(run.differential, len(inputs) - len(run.failures))
        typer.echo(f"\nReport: {run.report}")
        if browser is not None:
            typer.echo(f"PDF: {printed}")
    return 1 if run.failures else 0


def _find_browser() -> Path:
    from erythron.report.pdf import find_chromium

    return find_chromium()


def _print_pdf(browser: Path, page: Path, pdf: Path) -> None:
    """Print the page; the PDF appears only when it is whole."""
    from erythron.engine.outputs import whole_file
    from erythron.report.pdf import print_pdf

    with whole_file(pdf) as partial:
        print_pdf(browser, page, partial)


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
