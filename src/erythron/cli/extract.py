"""``erythron extract``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cli.options import Force, Images, Json, Model, Mpp, Runtime


def extract(
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for crops, masks and tables.")],
    mpp: Mpp = None,
    model: Model = None,
    runtime: Runtime = RuntimeKind.OPENVINO,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Cut one square crop and mask for every cell of a field: a data set ready for labelling."""
    import json
    from dataclasses import asdict

    from erythron.cli.progress import gather_images, show_failures, show_progress, show_runtime
    from erythron.pipeline.extract import extract_cells
    from erythron.pipeline.options import RunOptions

    inputs = gather_images(images, out)
    show_runtime(runtime)
    with show_progress("Extracting", len(inputs)) as progress:
        run = extract_cells(inputs, out, RunOptions(model, mpp, force, runtime=runtime), progress)
    show_failures([failure.reason for failure in run.failures])
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "out": str(out),
                    "cells": run.cells,
                    "failures": [asdict(failure) for failure in run.failures],
                }
            )
        )
    else:
        typer.echo(f"{run.cells} cells of {run.images} images in {out}, {len(run.failures)} inputs failed")
    raise typer.Exit(1 if run.failures else 0)
