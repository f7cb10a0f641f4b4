"""``erythron convert``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from erythron.cli.options import Json


def convert(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="RUN", help="Output folder of erythron count, or one image's.", show_default=False
        ),
    ],
    to: Annotated[
        Literal["coco", "label-studio", "parquet", "xlsx", "csv"],
        typer.Option("--to", help="Format to write."),
    ],
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="File to write.")],
    image_prefix: Annotated[
        str,
        typer.Option(
            "--image-prefix", metavar="URL", help="Label Studio: what comes before an image's path."
        ),
    ] = "/data/local-files/?d=",
    decimal: Annotated[
        Literal[".", ","],
        typer.Option("--decimal", help="CSV: sign before decimals; with a comma, columns have semicolons."),
    ] = ".",
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file of this name, whoever wrote it.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write the cells of a finished run for another program, without counting again.

    QuPath needs no conversion: it opens the cells.geojson that count writes. xlsx is a workbook with the
    summary and all cells.
    """
    import json

    from erythron.results.convert import ExportFormat, FormatOptions, convert_run

    done = convert_run(run, ExportFormat(to), out, FormatOptions(image_prefix, decimal), force=force)
    files = [str(path) for path in done.files]
    if as_json:
        typer.echo(json.dumps({"files": files, "images": done.images, "cells": done.cells}))
    else:
        typer.echo(f"{done.cells} cells of {done.images} images in {' and '.join(files)}")
