"""Probabilities of prepared cells from a trained network in torch."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from erythron.train.augmentation import cut_centre
from erythron.train.cellset import CellSet
from erythron.train.loader import make_plain_loader
from erythron.train.networks.backbones import PixelScaling
from erythron.train.networks.two_branch import CellNetwork

BATCH = 64


class InputScaling(nn.Module):
    """A network that takes pixels in 0..1: scaling is part of what is stored with the weights."""

    mean: Tensor
    sd: Tensor

    def __init__(self, network: CellNetwork, scaling: PixelScaling) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(scaling.mean).view(1, 3, 1, 1))
        self.register_buffer("sd", torch.tensor(scaling.sd).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return logits, (N, C), of pixels and the network's mask planes in 0..1."""
        logits: Tensor = self.network((pixels - self.mean) / self.sd, masks)
        return logits


def predict(network: CellNetwork, scaling: PixelScaling, cells: CellSet, size: int) -> NDArray[np.float64]:
    """Return class probabilities as in use, (N, C) float64.

    Args:
        network: in evaluation mode.
        scaling: of its pixels.
        cells: to call, with all their planes.
        size: side of the input.
    """
    device = next(network.parameters()).device
    whole = InputScaling(network, scaling).eval().to(device)
    parts = []
    with torch.inference_mode():
        for batch in make_plain_loader(cells.select_planes(network.planes), BATCH):
            pixels, masks = cut_centre(batch.to(device), size)
            parts.append(whole(pixels, masks).double().softmax(1).cpu())
    return np.asarray(torch.cat(parts).numpy())
