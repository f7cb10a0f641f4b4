"""A recipe: everything that decides a training run but the data, read from TOML and checked."""

from __future__ import annotations

import tomllib
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from erythron.errors import UsageError
from erythron.files.hashing import hash_text
from erythron.train.networks.settings import NetworkSettings

FOLDER = Path(__file__).parent / "recipes"

Positive = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class InputSettings(_Settings):
    """How a cell becomes an input.

    Attributes:
        px: side of the input in pixels.
        mpp: microns per pixel of the input.
        crop_width_um: what the shorter side of a crop of unknown scale is taken to show, in microns.
    """

    px: Annotated[int, Field(ge=32, le=1024)] = 128
    mpp: Positive = 0.22
    crop_width_um: Positive = 32.0


class AugmentationKind(StrEnum):
    """``size_preserving``: turned by any angle, mirrored, hardly scaled. ``published``: as in the paper."""

    SIZE_PRESERVING = "size_preserving"
    PUBLISHED = "published"
    NONE = "none"


class AugmentationSettings(_Settings):
    """How training varies cells; geometry acts on image and mask together, colour on the image alone.

    Attributes:
        kind: which geometry and colour.
        scale: size-preserving: largest change of the size, as a share.
        shift: size-preserving: largest shift, as a share of the side.
        stain: size-preserving: spread of the stain's strength, in powers of the light.
        tint: size-preserving: spread of each channel's brightness, as a share.
        jitter: published: brightness, contrast and saturation.
        area: published: least and largest share of the area that a random crop keeps.
    """

    kind: AugmentationKind = AugmentationKind.SIZE_PRESERVING
    scale: Share = 0.1
    shift: Share = 0.03
    stain: Share = 0.25
    tint: Share = 0.06
    jitter: Share = 0.4
    area: tuple[Positive, Positive] = (0.08, 1.0)


class OptimiserKind(StrEnum):
    """The optimiser: ``sgd`` is SGD with Nesterov's momentum, ``adamw`` Loshchilov and Hutter 2019."""

    SGD = "sgd"
    ADAMW = "adamw"


class OptimiserSettings(_Settings):
    """The optimiser and its schedule: linear warm-up, then half a cosine, both in steps.

    Attributes:
        kind: which optimiser.
        rate: highest learning rate.
        final_rate: learning rate at the start of the warm-up and at the end of the cosine.
        warmup_epochs: length of the warm-up.
        momentum: of SGD.
        weight_decay: on weights, not on biases and normalisation where the optimiser is AdamW.
    """

    kind: OptimiserKind = OptimiserKind.ADAMW
    rate: Positive = 1e-3
    final_rate: Positive = 1e-5
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    momentum: Share = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.02


class Sampling(StrEnum):
    """``natural``: every cell once an epoch. ``balanced``: every class as often as every other."""

    NATURAL = "natural"
    BALANCED = "balanced"


class Selection(StrEnum):
    """Whose weights are the result: the last epoch's, or those of the least validation loss."""

    LAST = "last"
    BEST = "best"


class FitSettings(_Settings):
    """The course of training.

    Attributes:
        epochs: how many; an epoch draws as many cells as the training split has.
        batch_size: cells of one optimiser step over all processes.
        accumulate: forward passes that one optimiser step is the mean of.
        label_smoothing: of the cross-entropy.
        sampling: how an epoch draws cells.
        ema_decay: of the moving average of the weights, which then is the result; 0 turns it off.
        patience: epochs without a lower validation loss after which training stops; 0 turns it off.
        select: whose weights are the result.
        checkpoint_steps: optimiser steps between two checkpoints within an epoch; 0: only after epochs.
    """

    epochs: Annotated[int, Field(ge=1)] = 10
    batch_size: Annotated[int, Field(ge=1)] = 32
    accumulate: Annotated[int, Field(ge=1)] = 1
    label_smoothing: Share = 0.0
    sampling: Sampling = Sampling.NATURAL
    ema_decay: Share = 0.0
    patience: Annotated[int, Field(ge=0)] = 0
    select: Selection = Selection.LAST
    checkpoint_steps: Annotated[int, Field(ge=0)] = 50

    @model_validator(mode="after")
    def _check_batch(self) -> FitSettings:
        if self.batch_size % self.accumulate:
            raise ValueError(f"batch_size {self.batch_size} is no multiple of accumulate {self.accumulate}")
        return self


class Recipe(_Settings):
    """A recipe; the class defaults are a sound start for a few thousand cells.

    Attributes:
        name: what tables call it.
        seed: of weights, order and augmentation.
        label_column: column of the manifest that holds the classes to learn.
    """

    name: str = "custom"
    seed: int = 0
    label_column: str = "label"
    network: NetworkSettings = NetworkSettings()
    inputs: InputSettings = InputSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    fit: FitSettings = FitSettings()

    def digest(self) -> str:
        """Return the SHA-256 over all settings."""
        return hash_text(self.model_dump_json())


def load_recipe(name: str) -> Recipe:
    """Return the recipe of a name that ships, or of a TOML file.

    Raises:
        UsageError: no such recipe, or the file breaks the schema.
    """
    shipped = FOLDER / f"{name}.toml"
    path = shipped if shipped.is_file() else Path(name)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in FOLDER.glob("*.toml")))
        raise UsageError(f"'{name}' is no recipe; give the path of a TOML file or one of: {known}")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        return Recipe.model_validate({"name": path.stem, **content})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path}: is no TOML ({error})") from error
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise UsageError(f"{path}: {problems}") from error


def vary_recipe(recipe: Recipe, changes: dict[str, object]) -> Recipe:
    """Return a recipe with some settings changed, each named by its dotted path, such as ``fit.epochs``.

    Raises:
        UsageError: a setting does not exist or a value is not allowed.
    """
    content = recipe.model_dump(mode="json")
    for path, value in changes.items():
        *parents, leaf = path.split(".")
        place = content
        for parent in parents:
            place = place.get(parent, {})
        if leaf not in place:
            raise UsageError(f"'{path}' is no setting of a recipe")
        place[leaf] = value
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise UsageError(f"{recipe.name}: {error.errors()[0]['msg']}") from error


def parse_settings(texts: Sequence[str]) -> dict[str, object]:
    """Return settings by their dotted path from ``path=value`` texts; values are TOML, or else words.

    Raises:
        UsageError: a text has no equals sign.
    """
    changes: dict[str, object] = {}
    for text in texts:
        path, equals, value = text.partition("=")
        if not equals:
            raise UsageError(f"'{text}' is no setting; write it as path=value, such as fit.epochs=20")
        try:
            changes[path.strip()] = tomllib.loads(f"v = {value}")["v"]
        except tomllib.TOMLDecodeError:
            changes[path.strip()] = value.strip()
    return changes
