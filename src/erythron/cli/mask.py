"""``erythron mask``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cli.options import Force, Images, Json, Model, Mpp, Runtime
from erythron.shape.mask_shape import MaskShape


def mask(
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the masks.")],
    every_cell: Annotated[
        bool,
        typer.Option(
            "--all", help="Outline every nucleated cell of a field, not the central cell of a crop."
        ),
    ] = False,
    shape: Annotated[
        MaskShape,
        typer.Option("--shape", help="What the mask shows: nucleus and cell, the cell, or its convex hull."),
    ] = MaskShape.NUCLEUS_CELL,
    four_channels: Annotated[
        bool,
        typer.Option(
            "--four-channels",
            help="Write image and mask as one TIFF that states CMYK, the mask in its fourth channel.",
        ),
    ] = False,
    mpp: Mpp = None,
    model: Model = None,
    runtime: Runtime = RuntimeKind.OPENVINO,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Outline cells, one mask an image: 255 nucleus, 128 cytoplasm, 0 background, or whole cells or hulls.

    Of a picture of many cells without --all the cell at its centre alone is outlined, and that is said.
    """
    import json
    from dataclasses import asdict

    from erythron.cli.progress import gather_images, show_failures, show_flags, show_progress, show_runtime
    from erythron.pipeline.mask import MaskOptions, mask_images

    inputs = gather_images(images, out)
    show_runtime(runtime)
    with show_progress("Outlining", len(inputs)) as progress:
        options = MaskOptions(every_cell, model, mpp, force, runtime, shape, four_channels)
        run = mask_images(inputs, out, options, progress)
    show_failures([failure.reason for failure in run.failures])
    show_flags(run.flags, {})
    if as_json:
        typer.echo(json.dumps({"out": str(out), **asdict(run)}))
    else:
        typer.echo(f"{run.written} masks written to {out}, {run.kept} kept, {len(run.failures)} failed")
    raise typer.Exit(1 if run.failures else 0)
