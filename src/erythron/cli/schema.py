"""``erythron schema``."""

from __future__ import annotations

from typing import Annotated, Literal

import typer


def schema(
    of: Annotated[
        Literal["differential", "record", "review", "run"],
        typer.Argument(help="The file, without .json.", show_default=False),
    ],
) -> None:
    """Print the JSON Schema of a file that a run leaves, such as differential.json."""
    from erythron.results.schemas import format_schema

    typer.echo(format_schema(of), nl=False)
