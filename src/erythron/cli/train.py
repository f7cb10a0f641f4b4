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
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Run folder: results, calls and the bundle.")],
    folds: Annotated[int, typer.Option(min=2, max=20, help="Folds of the grouped cross-validation.")] = 5,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    cross_validate_only: Annotated[
        bool, typer.Option("--cross-validate-only", help="Measure, but make no bundle.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Train a model and measure it by grouped cross-validation (needs the extra 'train')."""
    from erythron.errors import MissingExtraError

    try:
        from erythron.train.default_model import DefaultTrainingConfig, train_default
    except ModuleNotFoundError as error:
        raise MissingExtraError("train", "train models") from error
    raise NotImplementedError
