"""``erythron import``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.cells.class_map import parse_class_map
from erythron.cli.options import ClassMap, Force, Json, Mpp


def import_labels(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...", help="QuPath GeoJSON, COCO, or Label Studio JSON.", show_default=False
        ),
    ],
    images: Annotated[Path, typer.Option("--images", metavar="DIR", help="Folder of the labelled images.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the data set.")],
    class_map: ClassMap = None,
    mpp: Mpp = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a data set of cells that were outlined and labelled in another program.

    Writes crops, masks, manifest.csv for training, cells.csv with the labels as calls, and left_out.csv.
    """
    import json
    from dataclasses import asdict

    from erythron.cli.progress import show_failures, show_progress
    from erythron.datasets.import_labels import ImportOptions
    from erythron.datasets.import_labels import import_labels as run_import

    names = parse_class_map(class_map or ())
    with show_progress("Importing", None) as progress:
        run = run_import(files, images, out, ImportOptions(names, mpp, force), progress)
    show_failures([failure.reason for failure in run.failures])
    if as_json:
        typer.echo(json.dumps({"out": str(out), **asdict(run)}))
    else:
        typer.echo(
            f"{run.cells} cells of {run.images} images in {out}, {run.left_out} objects left out, "
            f"{len(run.failures)} images failed"
        )
    raise typer.Exit(1 if run.failures else 0)
