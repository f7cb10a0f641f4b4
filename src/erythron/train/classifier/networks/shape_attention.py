"""Shape attention: what the mask says decides how much of each image feature counts."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class ShapeAttention(nn.Module):
    """Gate an image feature by a mask feature: ``A = sigmoid(W2 relu(W1 M))``, ``G = A * R``.

    Source: Wang et al. 2023, doi 10.1007/s10489-023-04465-z, where both features are the 1000 ImageNet
    logits of their branch and the hidden size is 256. The squeeze-and-excitation form (Hu et al. 2018,
    arXiv 1709.01507), except that the gate comes from another branch than what it gates.

    Args:
        mask_features: size of M.
        image_features: size of R.
        hidden: size between the two layers.
    """

    def __init__(self, mask_features: int = 1000, image_features: int = 1000, hidden: int = 256) -> None:
        super().__init__()
        self.fc1 = nn.Linear(mask_features, hidden)
        self.fc2 = nn.Linear(hidden, image_features)

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return G, (N, image_features), of R ``image`` and M ``mask``."""
        gated: Tensor = torch.sigmoid(self.fc2(torch.relu(self.fc1(mask)))) * image
        return gated
