"""``erythron demo``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Force


def demo(
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")] = Path(
        "demo-out"
    ),
    force: Force = False,
) -> None:
    """Count a real marrow field where one can be had, else a drawn one, and say which."""
    from erythron.cli.count import run_count
    from erythron.pipeline.options import RunOptions
    from erythron.synthetic.demo_field import find_demo_field

    field = find_demo_field(out / "field")
    typer.echo(f"Counting a {field.origin}\n")
    raise typer.Exit(run_count([field.path], out, RunOptions(force=force), as_json=False))
