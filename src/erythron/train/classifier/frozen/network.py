"""The shape-attentive network: image features pooled over nucleus, cytoplasm and rim, with measurements."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.errors import DataError
from erythron.train.classifier.frozen.head import FittedHead
from erythron.train.classifier.frozen.partial_labels import class_of_fine
from erythron.train.classifier.networks.settings import Pretraining
from erythron.train.shared.backbones import ENCODER, create_backbone
from erythron.train.shared.novelty import Novelty, NoveltyLayer

POOLED_BLOCKS = (2, 4)
"""Blocks of EfficientNet-Lite0 whose output is pooled: strides 8 and 16, 40 and 112 channels."""


class ShapeFeatures(nn.Module):
    """EfficientNet-Lite0 (Tan and Le 2019, arXiv 1905.11946) whose attention is the cell's own shape mask.

    Feature maps are averaged over the nucleus, over the cytoplasm and over a rim around the cell, so that a
    linear head knows what lies where and neighbours beyond the rim have no direct say.

    Args:
        backbone: timm's EfficientNet-Lite0; the blocks after the last pooled one are dropped.
    """

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(backbone.get_submodule("conv_stem"), backbone.get_submodule("bn1"))
        self.blocks = nn.ModuleList(
            backbone.get_submodule(f"blocks.{i}") for i in range(POOLED_BLOCKS[-1] + 1)
        )

    def forward(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return the pooled features, (N, 456).

        Args:
            pixels: (N, 3, S, S), normalised; S a multiple of 16.
            masks: (N, 2, S, S), nucleus and cell in 0..1.
        """
        regions = make_regions(masks)
        x = self.stem(pixels)
        pooled = []
        for i, block in enumerate(self.blocks):
            x = block(x)
            if i in POOLED_BLOCKS:
                pooled.append(pool_regions(x, regions))
        return torch.cat(pooled, 1)


class ShapeAttentiveNet(nn.Module):
    """Features, their standardisation and a linear head in one graph.

    Args:
        features: the encoder.
        mean: (D,) float32, mean of the pooled features of the training cells.
        sd: (D,) float32, their standard deviation.
        head: from D + K to the classes, K measurements last.
        limit: standard deviations at which pooled features are cut.
        novelty: of the standardised pooled features.
        merge: (F,) class of each of the head's outputs, whose odds are summed to the class's.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self,
        features: ShapeFeatures,
        mean: Tensor,
        sd: Tensor,
        head: nn.Linear,
        limit: float,
        novelty: NoveltyLayer,
        merge: NDArray[np.int64],
    ) -> None:
        super().__init__()
        self.limit = limit
        self.novelty = novelty
        self.features = features
        self.register_buffer("mean", mean)
        self.register_buffer("sd", sd)
        self.head = head
        self.merge = MergeLayer(merge)

    def forward(self, pixels: Tensor, masks: Tensor, measurements: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits, (N, C), and novelty, (N,); measurements are (N, K), standardised."""
        pooled = ((self.features(pixels, masks) - self.mean) / self.sd).clamp(-self.limit, self.limit)
        fine = self.head(torch.cat([pooled, measurements], 1))
        return self.merge(fine), self.novelty(pooled)


class MergeLayer(nn.Module):
    """Logits of classes from those of their parts, whose odds are summed, as one sum over all of them.

    Args:
        merge: (F,) class of each part.
    """

    others: Tensor

    def __init__(self, merge: NDArray[np.int64]) -> None:
        super().__init__()
        others = torch.from_numpy(merge != np.arange(int(merge.max()) + 1)[:, None])
        self.register_buffer("others", torch.zeros(others.shape).masked_fill(others, -torch.inf))

    def forward(self, fine: Tensor) -> Tensor:
        """Return (N, C) from (N, F)."""
        return torch.logsumexp(fine[:, None] + self.others, 2)


def make_regions(masks: Tensor) -> Tensor:
    """Return nucleus, cytoplasm and rim, (N, 3, S, S) in 0..1; the rim is an eighteenth of S wide."""
    nucleus, cell = masks[:, :1], masks[:, 1:]
    reach = masks.shape[-1] // 18
    # A square window is a row of a column: two passes of 2 r + 1 instead of one of (2 r + 1)^2.
    size = 2 * reach + 1
    tall = functional.max_pool2d(cell, (size, 1), stride=1, padding=(reach, 0))
    grown = functional.max_pool2d(tall, (1, size), stride=1, padding=(0, reach))
    return torch.cat([nucleus, (cell - nucleus).clamp(min=0), (grown - cell).clamp(min=0)], 1)


def pool_regions(features: Tensor, regions: Tensor) -> Tensor:
    """Return the mean of each feature over each region, (N, 3 C); 0 where a region is empty.

    Args:
        features: (N, C, h, h).
        regions: (N, 3, S, S), S a multiple of h.
    """
    weight = functional.avg_pool2d(regions, regions.shape[-1] // features.shape[-1]).flatten(2)
    total = torch.bmm(weight, features.flatten(2).transpose(1, 2))
    return (total / (weight.sum(2, keepdim=True) + 1e-3)).flatten(1)


def assemble_network(encoder: ShapeFeatures, head: FittedHead, novelty: Novelty) -> ShapeAttentiveNet:
    """Return encoder, head and novelty as one network, measurements last among the head's features."""
    linear = nn.Linear(head.weight.shape[1], head.weight.shape[0])
    with torch.no_grad():
        linear.weight.copy_(torch.from_numpy(head.weight))
        linear.bias.copy_(torch.from_numpy(head.bias))
    mean, sd = (torch.from_numpy(v[: -len(MEASUREMENT_INPUTS)].copy()) for v in (head.mean, head.sd))
    layer = NoveltyLayer(novelty)
    return ShapeAttentiveNet(encoder, mean, sd, linear, head.limit, layer, class_of_fine()).eval()


def rebuild_network(weights: dict[str, Tensor], limit: float) -> ShapeAttentiveNet:
    """Return the network that stored weights are of.

    Args:
        weights: as ``state_dict`` returns them.
        limit: standard deviations at which features are cut.

    Raises:
        DataError: they are weights of something else.
    """
    try:
        head = FittedHead(
            np.zeros(weights["head.weight"].shape[1], np.float32),
            np.ones(weights["head.weight"].shape[1], np.float32),
            weights["head.weight"].numpy(),
            weights["head.bias"].numpy(),
            limit,
        )
        names = ("directions", "whiten", "centres", "limits")
        novelty = Novelty(*(weights[f"novelty.{name}"].numpy().astype(np.float64) for name in names))
        encoder = ShapeFeatures(create_backbone(ENCODER, Pretraining.NONE, 224))
        network = assemble_network(encoder, head, novelty)
        network.load_state_dict(weights)
    except (KeyError, RuntimeError, ValueError) as error:
        raise DataError(f"the stored weights are of another network ({error}); train again") from error
    return network
