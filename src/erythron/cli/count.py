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
    from erythron.pipeline.count import CountRun
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
    specimen: Annotated[
        str | None,
        typer.Option(
            "--specimen",
            metavar="folder|FILE.csv",
            help="One report a specimen: each folder of images is one, or a table says which image is whose "
            "(columns image, specimen and any further ones).",
        ),
    ] = None,
    as_json: Json = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print the report to report.pdf; needs Chromium.")
    ] = False,
) -> None:
    """Count the nucleated cells of marrow fields by class and stage.

    Writes DIR/NAME/ for each image (cells.csv, cells.geojson, differential.json, overlay.png) and, for the
    run, summary.csv, report.html, run.json and, with --pdf, report.pdf. An interrupted run continues when the
    same command is given again, and images may be added to it. With --specimen each specimen has its own
    folder DIR/SPECIMEN with its report, and DIR/summary.csv has a row a specimen.
    """
    from erythron.pipeline.options import RunOptions

    run = RunOptions(model, mpp, force, reference, width / 100, runtime)
    raise typer.Exit(run_count(images, out, run, as_json=as_json, pdf=pdf, specimen=specimen))


def run_count(
    images: Sequence[Path],
    out: Path,
    options: RunOptions,
    *,
    as_json: bool,
    pdf: bool = False,
    specimen: str | None = None,
) -> int:
    """Count, print the differential of the run, or a line a specimen, and return the exit status.

    Raises:
        BrowserError: a PDF is wanted and no browser can print it; one that is missing is noticed before work
            begins.
    """
    # NumPy and SciPy each start a pool of threads, for which a count has no use.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from erythron.bundle.loading import start_loading

    # OpenVINO compiles the networks while Python is still importing what the count needs; a run that is there
    # mostly needs none.
    loading = (
        None
        if (out / "run.json").exists() and not options.force
        else start_loading(options.model, options.runtime)
    )
    import numpy as np

    # 0.07 s of 2: SciPy takes up every name of NumPy, among them its compiler of Fortran.
    vars(np).setdefault("f2py", None)
    from erythron.cli.progress import gather_images, show_failures, show_flags, show_progress, show_runtime
    from erythron.pipeline.count import count_images, count_specimens
    from erythron.pipeline.specimens import group_images

    browser = _find_browser() if pdf else None
    inputs = gather_images(images, out)
    show_runtime(options.runtime)
    specimens = None if specimen is None else group_images(inputs, specimen)
    with show_progress("Counting", len(inputs)) as progress:
        if specimens is None:
            runs = [count_images(inputs, out, options, progress, loading)]
        else:
            runs = list(count_specimens(specimens, out, options, progress, loading))
    show_failures([failure.reason for run in runs for failure in run.failures])
    for number, run in enumerate(runs):
        name = None if specimens is None else specimens[number].name
        show_flags(run.differential.flags, {image: found.flags for image, found in run.fields}, name)
    if browser is not None:
        for run in runs:
            _print_pdf(browser, run.report, run.report.with_suffix(".pdf"))
    if as_json:
        names = None if specimens is None else [s.name for s in specimens]
        typer.echo(_dump(runs, names))
    elif specimens is not None:
        _print_specimens([s.name for s in specimens], runs)
        typer.echo(f"\nSummary: {out / 'summary.csv'}")
    else:
        run = runs[0]
        _print_differential(run.differential, len(run.fields))
        typer.echo(f"\nReport: {run.report}")
        if browser is not None:
            typer.echo(f"PDF: {run.report.with_suffix('.pdf')}")
    return 1 if any(run.failures for run in runs) else 0


def _dump(runs: Sequence[CountRun], names: Sequence[str] | None) -> str:
    """Return a run as JSON, or an object with a list of those of the specimens."""
    import json

    if names is None:
        return runs[0].to_json()
    listed = [{"specimen": name, **json.loads(run.to_json())} for name, run in zip(names, runs, strict=True)]
    return json.dumps({"specimens": listed})


def _print_specimens(names: Sequence[str], runs: Sequence[CountRun]) -> None:
    """Print one line a specimen on stdout: its cells, erythroid share, M:E ratio, and report."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from erythron.quality.flags import is_provisional
    from erythron.report.numbers import NOTHING, format_index, format_index_limits

    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Specimen")
    for header in ("Fields", "Nucleated", "Erythroid share", "M:E ratio"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("Report", overflow="fold")
    for name, run in zip(names, runs, strict=True):
        found = run.differential
        indices = [
            NOTHING if index is None else f"{format_index(index)} ({format_index_limits(index)})"
            for index in (found.erythroid_share, found.me_ratio)
        ]
        cells = (str(len(run.fields)), str(found.nucleated_cells), *indices, str(run.report))
        doubtful = is_provisional(found.flags)
        table.add_row(
            f"{name} (provisional)" if doubtful else name, *cells, style="dim" if doubtful else None
        )
    Console(highlight=False).print(table)


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

    from erythron.quality.flags import is_provisional
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
    is_doubtful = is_provisional(differential.flags)
    is_corrected = differential.correction.method is not None
    what = "PROVISIONAL, not to be reported as it stands: " if is_doubtful else ""
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        title=f"{what}{differential.nucleated_cells} nucleated cells in {fields} field(s)",
        row_styles=["dim"] if is_doubtful else None,
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
            style="dim" if is_doubtful else None,
        )
    if is_corrected:
        console.print(
            "\nRaw shares are of calls, with the error of sampling; corrected ones estimate what was there, "
            "with the error of the model too.",
            soft_wrap=True,
        )
