"""``erythron draw-field``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def draw_field(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", help="A .png, or a .tif for a tiled pyramid of any size.")
    ],
    width: Annotated[int, typer.Option(min=256, help="Width in pixels.")] = 1024,
    height: Annotated[int, typer.Option(min=256, help="Height in pixels.")] = 1024,
    seed: Annotated[int, typer.Option(min=0, help="The same seed draws the same field.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the files of these names, whoever wrote them.")
    ] = False,
) -> None:
    """Draw a marrow field with known cells: a test instrument, not a measure of accuracy.

    Beside OUT, the truth is written: NAME.cells.csv and, for a PNG, NAME.mask.png (255 nucleus, 128
    cytoplasm).
    """
    from erythron.synthetic.drawing import write_drawn_field
    from erythron.synthetic.field import DrawnFieldSpec

    for path in write_drawn_field(out, DrawnFieldSpec(width, height, seed=seed), force=force):
        typer.echo(path)
