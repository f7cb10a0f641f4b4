"""``erythron recount``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erythron.cells.class_map import parse_class_map
from erythron.cli.options import ClassMap, Json

if TYPE_CHECKING:
    from erythron.pipeline.recount import Recount


def recount(
    run: Annotated[
        Path, typer.Argument(metavar="RUN_DIR", help="Output folder of erythron count.", show_default=False)
    ],
    labels: Annotated[
        list[Path],
        typer.Option(
            "--labels",
            metavar="FILE",
            help="Corrected labels: an edited cells.csv or workbook, QuPath GeoJSON, COCO, or Label Studio "
            "JSON; repeatable.",
        ),
    ],
    reader: Annotated[
        str | None,
        typer.Option("--reader", metavar="NAME", help="Who called the cells; your login by default."),
    ] = None,
    confirm_all: Annotated[
        bool,
        typer.Option(
            "--confirm-all",
            help="The reader has looked at every cell in the labels: those that agree are confirmed too.",
        ),
    ] = False,
    class_map: ClassMap = None,
    as_json: Json = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print the report to report.pdf; needs Chromium.")
    ] = False,
) -> None:
    """Count a finished run again with a person's calls.

    Differential, summary and report are made anew, with the calls of the model and of the reader side by
    side. Every call is kept in review.json of its image, with who made it and when, and goes into later
    counts of the same folder. A cell is known by its name (cell_id) or, in a file of outlines, by its place;
    a cell that was outlined and is none of the run's is added; not_a_cell takes one out. Outlines themselves
    are not changed. Run it where the count was run: the images are read again for the report's pictures.
    """
    import getpass
    from datetime import UTC, datetime

    from erythron.cli.progress import show_failures, show_progress
    from erythron.cli.show_counts import find_browser, show_counts
    from erythron.pipeline.recount import Reading
    from erythron.pipeline.recount import recount as take_labels

    name = (reader or getpass.getuser()).strip()
    browser = find_browser() if pdf else None
    reading = Reading(name, datetime.now(UTC), confirm_all, parse_class_map(class_map or ()))
    with show_progress("Recounting", None) as progress:
        done = take_labels(run, labels, reading, progress)
    show_failures(done.left_out)
    _say(done, name)
    status = show_counts(done.runs, done.names, run, as_json=as_json, browser=browser)
    raise typer.Exit(1 if done.left_out else status)


def _say(done: Recount, reader: str) -> None:
    """Say on stderr how many calls were taken, and which cells nobody named."""
    calls = "call" if done.changed == 1 else "calls"
    said = [f"{done.changed} {calls} changed ({done.added} of them cells that were missed)"]
    if done.confirmed:
        said.append(f"{done.confirmed} confirmed")
    typer.echo(f"{', '.join(said)} by {reader}", err=True)
    for other, count in done.replaced.items():
        typer.echo(f"of these {count} replaced what {other} had called; review.json keeps both", err=True)
    if done.unnamed:
        typer.echo(f"{done.unnamed} cells are not in the labels and keep their calls", err=True)
