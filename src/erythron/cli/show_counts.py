"""What a count prints: the differential of a run, or a line a specimen; flags and failures before it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from erythron.pipeline.count import CountRun
    from erythron.pipeline.specimens import NotListed


def show_counts(
    runs: Sequence[CountRun],
    names: Sequence[str] | None,
    out: Path,
    *,
    as_json: bool,
    browser: Path | None = None,
    not_listed: NotListed | None = None,
) -> int:
    """Print what was counted and return the exit status.

    Args:
        runs: one a specimen.
        names: of the specimens; None for one run that has none.
        out: folder of the run.
        as_json: print JSON in place of a table.
        browser: that prints each report to a PDF; None for no PDF.
        not_listed: images that belong to no specimen; None where all do.
    """
    from erythron.cli.progress import show_failures, show_flags, show_notice
    from erythron.files.naming import as_text

    pdfs = {run.report: run.report.with_suffix(".pdf") for run in runs}
    # The count has removed every print of before: what is left is a person's, such as a signed one.
    kept = [pdf for pdf in pdfs.values() if browser is not None and pdf.exists()]
    failed = [failure.reason for run in runs for failure in run.failures]
    failed += [
        f"{as_text(pdf)}: is not as a browser printed it and stays; move it away to print" for pdf in kept
    ]
    if not_listed is not None:
        failed.append(str(not_listed))
    show_failures(failed)
    for number, run in enumerate(runs):
        name = None if names is None else names[number]
        if not run.fields:
            continue  # of no image at all there is nothing to say
        show_flags(run.differential.flags, {image: found.flags for image, found in run.fields}, name)
    for run in runs:
        if browser is None and run.old_pdf:
            show_notice(run.old_pdf)
        if browser is not None and pdfs[run.report] not in kept:
            _print_pdf(browser, run.report, pdfs[run.report])
    if as_json:
        typer.echo(_dump(runs, names, () if not_listed is None else not_listed.images))
    elif names is not None:
        _print_specimens(names, runs)
        typer.echo(f"\nReports: {out / 'SPECIMEN' / 'report.html'}\nSummary: {out / 'summary.csv'}")
    else:
        run = runs[0]
        _print_differential(run)
        if run.report.is_file():
            typer.echo(f"\nReport: {run.report}")
        if browser is not None and not kept:
            typer.echo(f"PDF: {pdfs[run.report]}")
    return 1 if failed else 0


def _dump(runs: Sequence[CountRun], names: Sequence[str] | None, not_listed: Sequence[str]) -> str:
    """Return a run as JSON, or an object with those of the specimens and the images that are of none."""
    import json

    if names is None:
        return runs[0].to_json()
    listed = [{"specimen": name, **json.loads(run.to_json())} for name, run in zip(names, runs, strict=True)]
    return json.dumps({"specimens": listed, "not_listed": not_listed})


def _print_specimens(names: Sequence[str], runs: Sequence[CountRun]) -> None:
    """Print one line a specimen on stdout: cells, erythroid share, M:E ratio, how far it is to be trusted."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from erythron.quality.flags import is_provisional
    from erythron.report.numbers import NOTHING, format_index, format_index_limits
    from erythron.report.wording import explain_nothing

    table = Table(box=SIMPLE_HEAD, show_edge=False, padding=(0, 1, 0, 0))
    table.add_column("Specimen", overflow="fold")
    for header in ("Fields", "Cells", "Erythroid share", "M:E ratio"):
        table.add_column(header, justify="right", no_wrap=True)
    table.add_column("State", no_wrap=True)
    reasons = []
    for name, run in zip(names, runs, strict=True):
        found = run.differential
        indices = [
            NOTHING if index is None else f"{format_index(index)} ({format_index_limits(index)})"
            for index in (found.erythroid_share, found.me_ratio)
        ]
        cells = (str(_count_fields(run)), str(found.nucleated_cells), *indices)
        doubtful = is_provisional(found.flags)
        state = ("provisional", "dim") if doubtful else ("", None)
        if nothing := explain_nothing(found):
            state = ("no cells", "dim")
            reasons.append(f"Nothing was counted of {name}: {nothing}")
        table.add_row(name, *cells, state[0], style=state[1])
    console = Console(highlight=False, markup=False)
    console.print(table)
    for reason in reasons:
        console.print(reason, markup=False, soft_wrap=True)


def find_browser() -> Path:
    """Return the browser that prints reports.

    Raises:
        BrowserError: there is none.
    """
    from erythron.report.pdf import find_chromium

    return find_chromium()


def _print_pdf(browser: Path, page: Path, pdf: Path) -> None:
    """Print the page; the PDF appears only when it is whole."""
    from erythron.files.writing import whole_file
    from erythron.report.pdf import print_pdf

    with whole_file(pdf) as partial:
        print_pdf(browser, page, partial)


def _count_fields(run: CountRun) -> int:
    """Return of how many fields the cells are counted."""
    from erythron.report.wording import is_counted

    return sum(is_counted(found) for _, found in run.fields)


def _print_differential(run: CountRun) -> None:
    """Print the table of a run on stdout."""
    from rich.box import SIMPLE_HEAD
    from rich.console import Console
    from rich.table import Table

    from erythron.quality.flags import in_percent, is_provisional
    from erythron.report.lines import drop_untold, order_lines, sum_lines
    from erythron.report.numbers import (
        NOTHING,
        TOO_FEW,
        format_estimate_with_limits,
        format_percent,
        format_with_limits,
    )
    from erythron.report.wording import explain_left_out, remark_index

    console = Console(highlight=False, markup=False)
    differential, fields = drop_untold(run.differential), _count_fields(run)
    if not run.fields:
        console.print("No image could be counted.")
        return
    if differential.nucleated_cells == 0:
        if differential.left_out_cells:
            reasons = explain_left_out(found for _, found in run.fields)
            console.print(f"No cell is counted: {' '.join(reasons)}", soft_wrap=True)
        else:
            console.print(f"No nucleated cell in {len(run.fields)} field(s).")
        return
    level = in_percent(differential.interval_level)
    is_doubtful = is_provisional(differential.flags)
    is_corrected = differential.correction.method is not None
    what = "PROVISIONAL, not to be reported as it stands: " if is_doubtful else ""
    # Not as the table's title, which would wrap at its width.
    console.print(
        f"{what}{differential.nucleated_cells} nucleated cells in {fields} field(s)\n", soft_wrap=True
    )
    table = Table(
        box=SIMPLE_HEAD,
        show_edge=False,
        padding=(0, 1, 0, 0),
        row_styles=["dim"] if is_doubtful else None,
    )
    table.add_column("Class", overflow="fold")  # figures are whole on a narrow terminal; names may wrap
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
        if estimate:
            value += f", corrected {estimate}" + ("" if estimate == TOO_FEW else unit)
        if remark := remark_index(index):
            value += f", {remark}"
        console.print(
            f"  {index.title}: {value}",
            soft_wrap=True,
            style="dim" if is_doubtful else None,
        )
    if reason := differential.correction.reason:
        console.print(f"\nNo corrected figures: {reason}.", markup=False, soft_wrap=True)
    else:
        console.print(
            "\nRaw shares are of calls, with the error of sampling; corrected ones estimate what was there, "
            "with the error of the model too.",
            soft_wrap=True,
        )
