"""``erythron count``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cli.options import Force, Images, Json, Model, Mpp, Reference, Runtime, Width

if TYPE_CHECKING:
    from erythron.differential.counts import Differential
    from erythron.pipeline.options import RunOptions


def count(
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")],
    mpp: Mpp = None,
    model: Model = None,
    runtime: Runtime = RuntimeKind.OPENVINO,
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
    from erythron.pipeline.options import RunOptions

    run = RunOptions(model, mpp, force, reference, width / 100, runtime)
    raise typer.Exit(run_count(images, out, run, as_json=as_json, pdf=pdf))


def run_count(
    images: Sequence[Path], out: Path, options: RunOptions, *, as_json: bool, pdf: bool = False
) -> int:
    """Count, print the differential of the run and return the exit status.

    Raises:
        BrowserError: a PDF is wanted and no browser can print it; one that is missing is noticed before work
            begins.
    """
    # NumPy and SciPy each start a pool of threads, for which a count has no use.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    import numpy as np

    # SciPy copies every name of NumPy and so loads its Fortran tools, which no count uses; who imports
    # these by their name still gets them.
    vars(np).setdefault("f2py", None)
    from erythron.bundle.loading import start_loading

    # OpenVINO compiles the networks while Python is still importing what the count needs; a run that is there
    # mostly needs none.
    loading = (
        None
        if (out / "run.json").exists() and not options.force
        else start_loading(options.model, options.runtime)
    )
    from erythron.cli.progress import show_failures, show_flags, show_progress, show_runtime
    from erythron.pipeline.count import count_images
    from erythron.read.inputs import find_images

    browser = _find_browser() if pdf else None
    inputs = find_images(images)
    show_runtime(options.runtime)
    with show_progress("Counting", len(inputs)) as progress:
        run = count_images(inputs, out, options, progress, loading)
    show_failures([failure.reason for failure in run.failures])
    show_flags(run.differential.flags, {image: found.flags for image, found in run.fields})
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
    from erythron.files.writing import whole_file
    from erythron.report.pdf import print_pdf

    with whole_file(pdf) as partial:
        print_pdf(browser, page, partial)


def _print_differential(differential: Differential, fields: int) -> None:
    """Print the table of a run on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from erythron.quality.flags import PROVISIONAL
    from erythron.report.lines import order_lines, sum_lines
    from erythron.report.numbers import (
        NOTHING,
        format_estimate_with_limits,
        format_percent,
        format_with_limits,
    )

    console = Console(highlight=False)
    if fields == 0:
        console.print("No image could be counted.")
        return
    if differential.nucleated_cells == 0:
        console.print(f"No nucleated cell in {fields} field(s).")
        return
    level = f"{differential.interval_level:.0%}"
    is_provisional = any(flag.name in PROVISIONAL for flag in differential.flags)
    is_corrected = differential.correction.method is not None
    what = "PROVISIONAL, not to be reported as it stands: " if is_provisional else ""
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title=f"{what}{differential.nucleated_cells} nucleated cells in {fields} field(s)",
        row_styles=["dim"] if is_provisional else None,
    )
    table.add_column("Class", no_wrap=True)
    headers = ["Cells", f"raw\n% ({level})", "% of\neryth."]
    if is_corrected:
        headers.append(f"corrected\n% ({level})")
    for header in headers:
        table.add_column(header, justify="right", no_wrap=True)
    for line in order_lines(differential.classes):
        share, erythroid = line.of_nucleated, line.of_erythroid
        table.add_row(
            line.title,
            str(line.count),
            format_with_limits(share.fraction, share.interval, is_share=True) if share else NOTHING,
            format_percent(erythroid.fraction) if erythroid else "",
            *([format_estimate_with_limits(line.corrected_of_nucleated, is_share=True)] * is_corrected),
        )
    rest = differential.unclassified
    share_of_rest = format_with_limits(rest.fraction, rest.interval, is_share=True)
    table.add_row("Unclassified", str(rest.count), share_of_rest, end_section=True)
    for total in sum_lines(differential):
        estimate = format_estimate_with_limits(total.corrected, is_share=True)
        table.add_row(
            total.title, str(total.count), format_percent(total.fraction), "", *([estimate] * is_corrected)
        )
    console.print(table)
    for index in differential.indices:
        is_share = index.kind == "share"
        unit = " %" if is_share else ""
        value = format_with_limits(index.value, index.interval, is_share=is_share) + unit
        estimate = format_estimate_with_limits(index.corrected, is_share=is_share)
        console.print(
            f"  {index.title}: {value}{f', corrected {estimate}{unit}' if estimate else ''}",
            soft_wrap=True,
            style="dim" if is_provisional else None,
        )
    if is_corrected:
        console.print(
            "\nRaw shares are of calls, with the error of sampling; corrected ones estimate what was there, "
            "with the error of the model too.",
            soft_wrap=True,
        )
