"""What a network is made of, as a recipe states it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class Fusion(StrEnum):
    """How image and mask become logits.

    ``image`` and ``mask`` are one backbone with its own classifier. ``image_head``, ``concat`` and
    ``logits_gate`` take the ImageNet logits of the branches through the published head: of the image alone,
    of both, of both and the gated image (the published network). ``feature_concat`` and ``feature_gate``
    do the last two on pooled features with one linear layer.
    """

    IMAGE = "image"
    MASK = "mask"
    IMAGE_HEAD = "image_head"
    CONCAT = "concat"
    LOGITS_GATE = "logits_gate"
    FEATURE_CONCAT = "feature_concat"
    FEATURE_GATE = "feature_gate"

    @property
    def sees_image(self) -> bool:
        """Whether the image is an input."""
        return self is not Fusion.MASK

    @property
    def sees_mask(self) -> bool:
        """Whether the shape mask is an input."""
        return self not in (Fusion.IMAGE, Fusion.IMAGE_HEAD)


class MaskKind(StrEnum):
    """Which shape mask the mask branch sees.

    ``hull``: convex hull of the cell, as published. ``cell``: the cell. ``nucleus_cell``: nucleus and cell.
    """

    HULL = "hull"
    CELL = "cell"
    NUCLEUS_CELL = "nucleus_cell"


_PLANES = {MaskKind.HULL: (2,), MaskKind.CELL: (1,), MaskKind.NUCLEUS_CELL: (0, 1)}


class NormLayer(StrEnum):
    """What becomes of the backbones' BatchNorm layers.

    ``batch`` leaves them; ``frozen`` keeps their statistics as pretrained; ``group`` and ``layer`` put
    GroupNorm (Wu and He 2018, arXiv 1803.08494) or GroupNorm with one group in their place, with the
    pretrained scale and shift.
    """

    BATCH = "batch"
    FROZEN = "frozen"
    GROUP = "group"
    LAYER = "layer"


class Pretraining(StrEnum):
    """Where ImageNet weights come from.

    ``auto``: a package of weights where one is installed for the backbone, else timm's hub.
    """

    NONE = "none"
    AUTO = "auto"


class HeadStart(StrEnum):
    """How new linear layers start: ``published`` is N(0, 0.01) with zero bias, ``torch`` PyTorch's own."""

    PUBLISHED = "published"
    TORCH = "torch"


class NetworkSettings(BaseModel):
    """A network.

    Attributes:
        image_backbone: timm name.
        mask_backbone: timm name.
        fusion: how the branches meet.
        mask_kind: input of the mask branch.
        norm: normalisation layers of the backbones.
        pretraining: start of the backbones.
        head_start: start of the new layers.
        attention_hidden: hidden size of the shape attention.
        head_hidden: hidden sizes of the published head.
        dropout: before and in the head.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    image_backbone: str = "tf_efficientnet_lite0"
    mask_backbone: str = "tf_efficientnet_lite0"
    fusion: Fusion = Fusion.FEATURE_GATE
    mask_kind: MaskKind = MaskKind.NUCLEUS_CELL
    norm: NormLayer = NormLayer.FROZEN
    pretraining: Pretraining = Pretraining.AUTO
    head_start: HeadStart = HeadStart.TORCH
    attention_hidden: Annotated[int, Field(ge=1)] = 256
    head_hidden: tuple[int, int] = (512, 256)
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.2

    @property
    def mask_planes(self) -> tuple[int, ...]:
        """Return which of the stored planes, nucleus, cell and hull, the network takes."""
        return _PLANES[self.mask_kind] if self.fusion.sees_mask else ()
