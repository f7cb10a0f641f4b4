"""The published head: fused features through two hidden layers to the classes."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional


class FusionHead(nn.Module):
    """Linear 512, ReLU, dropout, linear 256, ReLU, dropout, linear C.

    Source: Wang et al. 2023, doi 10.1007/s10489-023-04465-z: 3000 inputs (image, mask and gated logits),
    dropout 0.4. The attributes have the published names.

    Args:
        features: size of the input.
        classes: C.
        hidden: sizes of the two hidden layers.
        dropout: share of the hidden values that training drops.
    """

    def __init__(
        self, features: int, classes: int, hidden: tuple[int, int] = (512, 256), dropout: float = 0.4
    ) -> None:
        super().__init__()
        self.fusion_layer = nn.Linear(features, hidden[0])
        self.fc1 = nn.Linear(hidden[0], hidden[1])
        self.fc2 = nn.Linear(hidden[1], classes)
        self.dropout = dropout

    def embed(self, fused: Tensor) -> Tensor:
        """Return what the last layer takes, (N, hidden[1])."""
        x = functional.dropout(torch.relu(self.fusion_layer(fused)), self.dropout, self.training)
        return functional.dropout(torch.relu(self.fc1(x)), self.dropout, self.training)

    def forward(self, fused: Tensor) -> Tensor:
        """Return logits, (N, C)."""
        logits: Tensor = self.fc2(self.embed(fused))
        return logits


def initialise_published(module: nn.Module) -> None:
    """Give every linear layer weights from N(0, 0.01) and zero biases, as published."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=0.01)
            nn.init.zeros_(layer.bias)
