"""``erythron train``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from erythron.cli.options import Json


class Recipe(StrEnum):
    """Recipes that can be trained."""

    DEFAULT = "default"


def train(
    recipe: Annotated[Recipe, typer.Argument(help="What to train: 'default' is the model that ships.")],
    data: Annotated[
        Path, typer.Option("--data", envvar="ERYTHRON_DATA_DIR", help="Folder that holds the public sets.")
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="BUNDLE", help="Folder of the bundle; results go beside it.")
    ],
    segmenter: Annotated[
        Path | None,
        typer.Option("--segmenter", metavar="BUNDLE", help="Take this bundle's segmenter; fit none."),
    ] = None,
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the grouped cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0, help="Seed of folds, sampling and augmentation.")] = 0,
    cross_validate_only: Annotated[
        bool, typer.Option("--cross-validate-only", help="Measure, but make no bundle.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model and measure it by grouped cross-validation (needs the extra 'train')."""
    import json

    from erythron.errors import MissingExtraError

    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "train models") from error
    from erythron.train.default_model import DefaultTrainingConfig, train_default

    del recipe  # one recipe so far; Typer has checked its name
    result = train_default(
        DefaultTrainingConfig(
            data, out, segmenter, folds=folds, seed=seed, cross_validate_only=cross_validate_only
        )
    )
    if as_json:
        figures = {name: figure.model_dump() for name, figure in result.figures.items()}
        bundle = None if result.bundle is None else str(result.bundle)
        typer.echo(json.dumps({"figures": figures, "results": str(result.results), "bundle": bundle}))
        return
    for name, figure in result.figures.items():
        typer.echo(f"{name:<24} {figure.value:.3f}  ({figure.low:.3f} – {figure.high:.3f})")
    typer.echo(f"Results: {result.results}")
    if result.bundle is not None:
        typer.echo(f"Bundle: {result.bundle}")
