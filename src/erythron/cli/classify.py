"""``erythron classify``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cli.options import Force, Images, Json, Model, Mpp, Runtime


def classify(
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="FILE.csv", help="The calls, one row an image.")],
    mpp: Mpp = None,
    model: Model = None,
    runtime: Runtime = RuntimeKind.OPENVINO,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Name the central cell of single-cell crops.

    Cells that are unlike the training (novelty over 1 in the table) and pictures of more than one cell (flag
    not_one_cell) are said; sections and photographs are refused. Fields are counted by erythron count.
    """
    import json
    from dataclasses import asdict

    from erythron.cli.progress import gather_images, show_failures, show_flags, show_progress, show_runtime
    from erythron.pipeline.classify import classify_images
    from erythron.pipeline.options import RunOptions

    inputs = gather_images(images)
    show_runtime(runtime)
    with show_progress("Classifying", len(inputs)) as progress:
        run = classify_images(inputs, out, RunOptions(model, mpp, force, runtime=runtime), progress)
    show_failures([failure.reason for failure in run.failures])
    show_flags(run.flags, {})
    if as_json:
        typer.echo(
            json.dumps(
                {
                    "out": str(out),
                    "calls": run.calls.to_dicts(),
                    "failures": [asdict(failure) for failure in run.failures],
                    "flags": [asdict(flag) for flag in run.flags],
                }
            )
        )
    else:
        typer.echo(f"{run.calls.height} calls written to {out}, {len(run.failures)} inputs failed")
    raise typer.Exit(1 if run.failures else 0)
