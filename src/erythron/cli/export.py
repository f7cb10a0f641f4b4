"""``erythron export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Json


def export(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished and evaluated run.")],
    out: Annotated[Path, typer.Option("--out", metavar="BUNDLE", help="Folder of the bundle.")],
    as_json: Json = False,
) -> None:
    """Make a bundle of a run, for count and classify without torch (needs the extra 'train')."""
    import json

    from erythron.cli.train import require_torch

    require_torch()
    from erythron.train.trainer import export as export_run

    bundle = export_run(run, out)
    difference = bundle.card.export_difference
    if as_json:
        typer.echo(json.dumps({"bundle": str(out), "export_difference": difference}))
        return
    typer.echo(f"Bundle: {out} ({len(bundle.classes)} classes; exported outputs differ by {difference:.1e})")
