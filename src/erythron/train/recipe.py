"""A recipe: what is trained, how, and on which sets.

There are two kinds. ``frozen_encoder`` fits a convex head on the features of an encoder that is not trained,
and judges it out of fold. ``fine_tuned`` trains a network by gradient steps on the training part of a split.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, model_validator

from erythron.train.classifier.networks.settings import NetworkSettings

Positive = Annotated[float, Field(gt=0)]
NotNegative = Annotated[float, Field(ge=0)]
Share = Annotated[float, Field(ge=0, lt=1)]


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class SetEntry(_Settings):
    """A labelled set of a recipe.

    Attributes:
        data: name of a registered set, path of a manifest (``.parquet``, ``.csv``) or of a folder of class
            folders. A path in a recipe's file is relative to that file, or else to the working directory.
        class_map: what a label of the source means, where the names of cells do not know it; with an empty
            name its cells are left out.
        licence: of a set that is not registered, as the bundle's card shall state it.
        source: where a set that is not registered comes from, as the bundle's card shall state it.
    """

    data: Annotated[str, Field(min_length=1)]
    class_map: dict[str, str] = {}
    licence: str = "not stated"
    source: str = "a set of one's own"


class FrozenSet(SetEntry):
    """A labelled set that a head is fitted on.

    Attributes:
        weight: of all its cells together, against that of the other sets. Within a set every label counts the
            same.
        per_label: most cells of each label that are used, drawn at random; without it all of them.
        samples: augmented samples of each cell, beside the cell as it is.
        judged: whether the figures, the temperature, the threshold and the confusion matrix are of its
            out-of-fold cells.
        lineage_weight: with which share of their weight its cells teach whether a cell is erythroid; the
            whole of it they teach which kind of their own lineage they are. In a set that holds only
            erythroid cells, or none, whatever marks its stain and its camera would become a sign of one.
    """

    weight: Positive = 1.0
    per_label: Annotated[int, Field(ge=1)] | None = None
    samples: Annotated[int, Field(ge=0)] = 12
    judged: bool = False
    lineage_weight: Annotated[float, Field(ge=0, le=1)] = 1.0


class SegmenterSet(_Settings):
    """A set that the segmentation network learns from, and its share of every batch."""

    data: Annotated[str, Field(min_length=1)]
    share: Positive


class SegmenterSettings(_Settings):
    """Where the segmentation network comes from.

    Attributes:
        fit: whether one is fitted for each fold and one for use. Otherwise that of a bundle is taken, whose
            outlines are not out of fold.
        bundle: folder of the bundle whose network is taken; without it the one that ships.
        sets: what is fitted on, where a network is fitted; none stands for those of the network that ships.
    """

    fit: bool = False
    bundle: str | None = None
    sets: tuple[SegmenterSet, ...] = ()

    @model_validator(mode="after")
    def _check_use(self) -> SegmenterSettings:
        if self.fit and self.bundle is not None:
            raise ValueError("a segmentation network is fitted or taken from a bundle, not both")
        return self


class InputSettings(_Settings):
    """How a cell becomes an input.

    Attributes:
        px: side of the input in pixels.
        mpp: microns per pixel of the input.
        crop_width_um: what the shorter side of a crop of unknown scale is taken to show, in microns.
        crop_max_px: an image of unknown scale whose shorter side is longer is taken for a field.
        field_mpp: microns per pixel that a field of unknown scale is taken at.
    """

    px: Annotated[int, Field(ge=32, le=1024)] = 128
    mpp: Positive = 0.22
    crop_width_um: Positive = 32.0
    crop_max_px: Annotated[int, Field(gt=0)] = 420
    field_mpp: Positive = 0.25


class SampleSettings(_Settings):
    """How the augmented samples of a frozen encoder vary; each is a spread of the logarithm of a factor.

    Attributes:
        scale: of the size, uniform.
        stain: of the power of the light that all channels share, uniform.
        colour: of the power of each channel, normal.
        tint: of the brightness of each channel, normal.
    """

    scale: NotNegative = 0.15
    stain: NotNegative = 0.6
    colour: NotNegative = 0.3
    tint: NotNegative = 0.15


class HeadSettings(_Settings):
    """The convex head.

    Attributes:
        l2: penalty on squared weights, against a mean loss.
        limit: standard deviations at which features are cut, so that none outside the training range decides
            alone.
    """

    l2: Positive = 3e-3
    limit: Positive = 6.0


class AugmentationKind(StrEnum):
    """``size_preserving``: turned by any angle, mirrored, hardly scaled. ``published``: as in the paper."""

    SIZE_PRESERVING = "size_preserving"
    PUBLISHED = "published"
    NONE = "none"


class CropLaw(StrEnum):
    """Which random crops the published augmentation takes.

    ``clamped``: width and height that the frame does not hold are cut to it. ``published``: such crops are
    drawn anew, as torchvision's ``RandomResizedCrop`` and timm do, so that small areas are more frequent: the
    median area is 0.478 of the frame, clamped it is 0.547.
    """

    CLAMPED = "clamped"
    PUBLISHED = "published"


class Interpolation(StrEnum):
    """How augmentation samples pixels: ``bilinear``, or as ``published`` that or bicubic at random (timm)."""

    BILINEAR = "bilinear"
    PUBLISHED = "published"


class EvaluationCrop(StrEnum):
    """What validation and test see of a cell.

    ``whole``: the input as in use. ``published``: timm's way, the middle nine tenths of it enlarged by
    bicubic interpolation.
    """

    WHOLE = "whole"
    PUBLISHED = "published"


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
        crop: published: which law random crops follow.
        interpolation: published: how pixels are sampled.
        rotated: published: whether cells are turned by any angle before they are cropped; size-preserving
            augmentation always turns them.
        copies: rotated copies of every training cell, at even angles, that an epoch sees beside the cell.
        evaluation_crop: what validation and test see; a bundle can only be made of ``whole``.
    """

    kind: AugmentationKind = AugmentationKind.SIZE_PRESERVING
    scale: Share = 0.1
    shift: Share = 0.03
    stain: Share = 0.25
    tint: Share = 0.06
    jitter: Share = 0.4
    area: tuple[Positive, Positive] = (0.08, 1.0)
    crop: CropLaw = CropLaw.CLAMPED
    interpolation: Interpolation = Interpolation.BILINEAR
    rotated: bool = False
    copies: Annotated[int, Field(ge=0, le=35)] = 0
    evaluation_crop: EvaluationCrop = EvaluationCrop.WHOLE

    @model_validator(mode="after")
    def _check_area(self) -> AugmentationSettings:
        if not self.area[0] <= self.area[1] <= 1:
            raise ValueError(f"area {list(self.area)} is not the least and the largest share, at most 1")
        return self


class OptimiserKind(StrEnum):
    """The optimiser: ``sgd`` is SGD with Nesterov's momentum, ``adamw`` Loshchilov and Hutter 2019."""

    SGD = "sgd"
    ADAMW = "adamw"


class Schedule(StrEnum):
    """When the learning rate moves.

    ``step``: with every step; half a cosine follows the warm-up. ``published``: once an epoch, as timm does:
    the cosine counts from the first epoch, under the warm-up, and ten further epochs at the final rate follow
    it, so that 300 epochs are 310.
    """

    STEP = "step"
    PUBLISHED = "published"


PUBLISHED_FURTHER_EPOCHS = 10
"""Epochs at the final rate after the cosine: the default of timm's training script (cooldown epochs)."""


class OptimiserSettings(_Settings):
    """The optimiser and its schedule: linear warm-up, then half a cosine.

    Attributes:
        kind: which optimiser.
        schedule: when the rate moves.
        rate: highest learning rate.
        final_rate: learning rate at the start of the warm-up and at the end of the cosine.
        warmup_epochs: length of the warm-up.
        momentum: of SGD.
        weight_decay: on weights, not on biases and normalisation where the optimiser is AdamW.
    """

    kind: OptimiserKind = OptimiserKind.ADAMW
    schedule: Schedule = Schedule.STEP
    rate: Positive = 1e-3
    final_rate: Positive = 1e-5
    warmup_epochs: Annotated[float, Field(ge=0)] = 1.0
    momentum: Share = 0.9
    weight_decay: Annotated[float, Field(ge=0)] = 0.02

    @model_validator(mode="after")
    def _check_rates(self) -> OptimiserSettings:
        if self.rate < self.final_rate:
            raise ValueError(f"rate {self.rate:g} is the highest and is below final_rate {self.final_rate:g}")
        return self


class Sampling(StrEnum):
    """``natural``: every cell once an epoch. ``balanced``: every class as often as every other."""

    NATURAL = "natural"
    BALANCED = "balanced"


class Selection(StrEnum):
    """Whose weights are the result.

    ``last``: the last epoch's. ``best``: those of the least validation loss. ``published``: those of the
    highest validation accuracy; on the part that is judged as well this flatters.
    """

    LAST = "last"
    BEST = "best"
    PUBLISHED = "published"


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


class BaseRecipe(_Settings):
    """What recipes of both kinds state.

    Attributes:
        name: what tables and bundles call it.
        version: of the bundle that is made of it.
        seed: of folds, weights, order and augmentation.
        risk: share of wrong calls that is accepted at or above the confidence under which a call is
            unclassified.
        limits: sentences for the bundle's card on what only those who know the data can say.
        inputs: size and scale of a cell.
    """

    name: str = "custom"
    version: str = "1"
    seed: Annotated[int, Field(ge=0)] = 0
    risk: Annotated[float, Field(gt=0, lt=1)] = 0.05
    limits: tuple[str, ...] = ()
    inputs: InputSettings = InputSettings()


class FrozenRecipe(BaseRecipe):
    """A frozen encoder with a convex head.

    Attributes:
        folds: of the grouped cross-validation.
        leave_one_out: whether training is also done without each source in turn, which says what each adds;
            for every source one fit more, and one for each fold where others of them are judged.
        sets: what is fitted on, and of which of them the figures are.
        segmenter: what outlines the cells.
        samples: how cells are varied.
        head: how the head is fitted.
    """

    kind: Literal["frozen_encoder"] = "frozen_encoder"
    folds: Annotated[int, Field(ge=2, le=20)] = 5
    leave_one_out: bool = True
    sets: tuple[FrozenSet, ...] = ()
    segmenter: SegmenterSettings = SegmenterSettings()
    samples: SampleSettings = SampleSettings()
    head: HeadSettings = HeadSettings()

    @model_validator(mode="after")
    def _check_size(self) -> FrozenRecipe:
        if self.inputs.px % 16:
            raise ValueError(f"inputs.px {self.inputs.px} is no multiple of 16, the encoder's largest stride")
        return self


class FineTunedRecipe(BaseRecipe):
    """A network that is fine-tuned; the class defaults are a sound start for a few thousand cells.

    Attributes:
        sets: what is trained and judged on, each with its split.
        label_column: column of the manifest that holds the classes to learn.
        network: what it is made of.
        augmentation: how cells are varied.
        optimiser: how its weights move.
        fit: the course of training.
    """

    kind: Literal["fine_tuned"] = "fine_tuned"
    sets: tuple[SetEntry, ...] = ()
    label_column: str = "label"
    network: NetworkSettings = NetworkSettings()
    augmentation: AugmentationSettings = AugmentationSettings()
    optimiser: OptimiserSettings = OptimiserSettings()
    fit: FitSettings = FitSettings()

    @property
    def all_epochs(self) -> int:
        """Epochs that a whole run takes, those after the cosine included."""
        is_published = self.optimiser.schedule is Schedule.PUBLISHED
        return self.fit.epochs + (PUBLISHED_FURTHER_EPOCHS if is_published else 0)


Recipe = FrozenRecipe | FineTunedRecipe
AnyRecipe = TypeVar("AnyRecipe", bound=FrozenRecipe | FineTunedRecipe)
