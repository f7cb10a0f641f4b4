"""How unlike the training cells a cell's features are.

Two distances together: from the nearest class in the space in which the training cells vary (Mahalanobis
distance with one covariance for all classes, Lee et al. 2018, arXiv 1807.03888), and from that space itself.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

COMPONENTS = 48
"""Directions in which the training cells are taken to vary, where they have as many."""

SHRINKAGE = 0.1
"""Share of the mean variance that is added to each, so that no rare direction decides."""

PERCENTILE = 99
"""Of the distances of cells that were not trained on, which becomes a limit."""

LEAST_LIMIT = 0.1
"""A distance under a tenth of one feature's standard deviation is rounding, not a sign of another cell."""

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Novelty:
    """A fitted measure; ``limits`` are what each of its two distances is divided by.

    Attributes:
        directions: (K, D) float64, orthonormal; the space in which training cells vary.
        whiten: (K, K) float64, to unit covariance within classes.
        centres: (F, K) float64, class means after whitening.
        limits: (2,) float64.
    """

    directions: Floats
    whiten: Floats
    centres: Floats
    limits: Floats

    def distances(self, features: Floats) -> Floats:
        """Return both distances over their limits, (N, 2), of standardised features (N, D)."""
        inner = features @ self.directions.T
        placed = inner @ self.whiten.T
        to_class = np.sqrt(((placed[:, None] - self.centres) ** 2).sum(2)).min(1)
        outer = np.sqrt(np.maximum((features**2).sum(1) - (inner**2).sum(1), 0))
        return np.stack([to_class, outer], 1) / self.limits


def fit_novelty(features: Floats, labels: NDArray[np.int64]) -> Novelty:
    """Fit both distances, with limits of 1.

    Args:
        features: (N, D), standardised.
        labels: (N,) class of each row.
    """
    _, _, axes = np.linalg.svd(features, full_matrices=False)
    directions = axes[:COMPONENTS]
    inner = features @ directions.T
    present = np.unique(labels)
    means = np.stack([inner[labels == c].mean(0) for c in present])
    within = inner - means[np.searchsorted(present, labels)]
    covariance = within.T @ within / len(within)
    covariance += SHRINKAGE * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    values, vectors = np.linalg.eigh(covariance)
    whiten = (vectors / np.sqrt(values)).T
    return Novelty(directions, whiten, means @ whiten.T, np.ones(2))


def set_limits(fitted: Novelty, distances: Floats) -> Novelty:
    """Return the measure with the limits that 99 of 100 cells lie under.

    Args:
        fitted: with limits of 1.
        distances: (N, 2), of cells that were not trained on.
    """
    limits = np.maximum(np.percentile(distances, PERCENTILE, axis=0), LEAST_LIMIT)
    return replace(fitted, limits=limits)


class NoveltyLayer(nn.Module):
    """A fitted :class:`Novelty` in a network's graph."""

    directions: Tensor
    whiten: Tensor
    centres: Tensor
    limits: Tensor

    def __init__(self, fitted: Novelty) -> None:
        super().__init__()
        for name in ("directions", "whiten", "centres", "limits"):
            self.register_buffer(name, torch.from_numpy(getattr(fitted, name).astype(np.float32)))

    def forward(self, features: Tensor) -> Tensor:
        """Return the larger of both distances over its limit, (N,), of standardised features (N, D)."""
        inner = features @ self.directions.T
        placed = inner @ self.whiten.T
        to_class = (placed[:, None] - self.centres).square().sum(2).amin(1).sqrt()
        outer = (features.square().sum(1) - inner.square().sum(1)).clamp(min=0).sqrt()
        novelty: Tensor = (torch.stack([to_class, outer], 1) / self.limits).amax(1)
        return novelty
