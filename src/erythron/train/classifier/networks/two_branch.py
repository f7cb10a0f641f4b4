"""The published network and the same parts put together otherwise."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from erythron.train.classifier.networks.fusion_head import FusionHead, initialise_published
from erythron.train.classifier.networks.normalisation import convert_norms
from erythron.train.classifier.networks.settings import Fusion, HeadStart, NetworkSettings
from erythron.train.classifier.networks.shape_attention import ShapeAttention
from erythron.train.shared.backbones import IMAGENET_CLASSES, create_backbone


class OneBranch(nn.Module):
    """A backbone with a linear classifier, on the image or on the mask alone."""

    def __init__(self, backbone: nn.Module, classes: int, fusion: Fusion, dropout: float) -> None:
        super().__init__()
        self.backbone = backbone
        self.sees_image = fusion.sees_image
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(count_features(backbone), classes)

    def embed(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return what the last linear layer takes, (N, D)."""
        x = extract_features(self.backbone, pixels if self.sees_image else masks)
        dropped: Tensor = self.dropout(x)
        return dropped

    @property
    def last(self) -> nn.Module:
        """The last linear layer."""
        return self.classifier


class LogitsFusion(nn.Module):
    """The published network where the fusion is ``logits_gate``: 1000 logits of each branch are fused.

    ``R = image branch``, ``M = mask branch``, ``G = shape attention``, ``head(concat[R, M, G])``; ``concat``
    leaves G out and ``image_head`` leaves M out too.

    Source: Wang et al. 2023, doi 10.1007/s10489-023-04465-z.
    """

    def __init__(
        self, image: nn.Module, mask: nn.Module | None, settings: NetworkSettings, classes: int
    ) -> None:
        super().__init__()
        gated = settings.fusion is Fusion.LOGITS_GATE
        self.image_branch = image
        self.mask_branch = mask
        self.attention = ShapeAttention(hidden=settings.attention_hidden) if gated else None
        parts = 1 + (mask is not None) + gated
        self.head = FusionHead(parts * IMAGENET_CLASSES, classes, settings.head_hidden, settings.dropout)

    def embed(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return what the last linear layer takes, (N, D)."""
        image = self.image_branch(pixels)
        fused = [image]
        if self.mask_branch is not None:
            mask = self.mask_branch(masks)
            fused.append(mask)
            if self.attention is not None:
                fused.append(self.attention(image, mask))
        return self.head.embed(torch.cat(fused, 1))

    @property
    def last(self) -> nn.Module:
        """The last linear layer."""
        return self.head.fc2


class FeatureFusion(nn.Module):
    """Pooled features of both branches, gated or not, under one linear layer.

    The logits of ImageNet's classes are a 1000-way bottleneck that was trained to forget what does not tell
    dogs from cars; pooled features are what plain fine-tuning classifies from.
    """

    def __init__(self, image: nn.Module, mask: nn.Module, settings: NetworkSettings, classes: int) -> None:
        super().__init__()
        self.image_branch, self.mask_branch = image, mask
        image_size, mask_size = count_features(image), count_features(mask)
        gated = settings.fusion is Fusion.FEATURE_GATE
        self.attention = ShapeAttention(mask_size, image_size, settings.attention_hidden) if gated else None
        self.dropout = nn.Dropout(settings.dropout)
        self.classifier = nn.Linear(image_size * (2 if gated else 1) + mask_size, classes)

    def embed(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return what the last linear layer takes, (N, D)."""
        image = extract_features(self.image_branch, pixels)
        mask = extract_features(self.mask_branch, masks)
        fused = [image, mask]
        if self.attention is not None:
            fused.append(self.attention(image, mask))
        dropped: Tensor = self.dropout(torch.cat(fused, 1))
        return dropped

    @property
    def last(self) -> nn.Module:
        """The last linear layer."""
        return self.classifier


Core = OneBranch | LogitsFusion | FeatureFusion
"""A network of pixels and masks, in two steps: ``embed`` to features, ``last`` to logits."""


class CellNetwork(nn.Module):
    """A network with its mask input: planes of nucleus, cell and hull to the three channels of a branch.

    One plane is repeated, as published; nucleus and cell get their difference, the cytoplasm, as the third.
    Values become -1 outside and 1 inside.

    Args:
        core: takes (N, 3, S, S) pixels and (N, 3, S, S) masks, (N, 0, S, S) where it sees the image alone.
        planes: which of the stored planes it takes.
    """

    def __init__(self, core: Core, planes: tuple[int, ...]) -> None:
        super().__init__()
        self.core = core
        self.planes = planes

    def forward(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return logits, (N, C); the arguments are those of :meth:`embed`."""
        return self.classify(self.embed(pixels, masks))

    def classify(self, features: Tensor) -> Tensor:
        """Return logits, (N, C), of what :meth:`embed` returns."""
        logits: Tensor = self.core.last(features)
        return logits

    def embed(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return the features that the last linear layer takes, (N, D).

        Args:
            pixels: (N, 3, S, S), normalised.
            masks: (N, K, S, S) in 0..1, one for each of ``planes``.
        """
        if len(self.planes) == 2:
            nucleus, cell = masks[:, :1], masks[:, 1:]
            masks = torch.cat([nucleus, cell, cell - nucleus], 1)
        elif self.planes:
            masks = masks.expand(-1, 3, -1, -1)
        return self.core.embed(pixels, masks * 2 - 1)


def build_network(settings: NetworkSettings, classes: int, image_px: int) -> CellNetwork:
    """Return the network of a recipe.

    Args:
        settings: what it is made of.
        classes: number of classes.
        image_px: side of its inputs.

    Raises:
        UsageError: timm knows no such backbone.
        DataError: no ImageNet weights can be had for a backbone.
    """
    fusion = settings.fusion
    image, mask = (
        create_backbone(name, settings.pretraining, image_px) if seen else None
        for name, seen in (
            (settings.image_backbone, fusion.sees_image),
            (settings.mask_backbone, fusion.sees_mask),
        )
    )
    for branch in (image, mask):
        if branch is not None:
            convert_norms(branch, settings.norm)
    core: Core
    if image is not None and mask is not None and fusion in (Fusion.FEATURE_CONCAT, Fusion.FEATURE_GATE):
        core = FeatureFusion(image, mask, settings, classes)
        new: list[nn.Module | None] = [core.attention, core.classifier]
    elif image is not None and fusion in (Fusion.IMAGE_HEAD, Fusion.CONCAT, Fusion.LOGITS_GATE):
        core = LogitsFusion(image, mask, settings, classes)
        new = [core.attention, core.head]
    else:
        only = image if image is not None else mask
        if only is None:
            raise ValueError(f"fusion '{fusion}' has no branch")
        core = OneBranch(only, classes, fusion, settings.dropout)
        new = [core.classifier]
    if settings.head_start is HeadStart.PUBLISHED:
        for part in new:
            if part is not None:
                initialise_published(part)
    for branch in (image, mask):
        if branch is not None and not isinstance(core, LogitsFusion):
            _drop_classifier(branch)
    return CellNetwork(core, settings.mask_planes)


def count_features(backbone: nn.Module) -> int:
    """Return the size of the pooled features of a timm network."""
    return int(getattr(backbone, "head_hidden_size", None) or backbone.num_features)  # type: ignore[arg-type]


def extract_features(backbone: nn.Module, x: Tensor) -> Tensor:
    """Return pooled features of a timm network, (N, D)."""
    features: Tensor = backbone.forward_head(backbone.forward_features(x), pre_logits=True)  # type: ignore[operator]
    return features


def _drop_classifier(backbone: nn.Module) -> None:
    # Weights that no gradient reaches would stop distributed training and swell the checkpoint.
    classifier = backbone.get_classifier()  # type: ignore[operator]
    for name, module in backbone.named_modules():
        if module is classifier:
            backbone.set_submodule(name, nn.Identity())
            return
