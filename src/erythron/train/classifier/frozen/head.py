"""The linear head: weighted multinomial regression on features, fitted to convergence."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from erythron.cells.classes import ERYTHROID_STAGES
from erythron.train.recipe import HeadSettings
from erythron.train.shared.framed_cells import LEAST_SD


@dataclass(frozen=True)
class Examples:
    """N examples.

    Attributes:
        features: (N, D) float32, not standardised.
        allowed: (N, C) bool; the classes that an example's label leaves open, one where it is fully labelled.
        weights: (N,) float64, positive.
        lineage_weights: (N,) float64, 0 to 1: how much of it tells erythroid cells from others.
    """

    features: NDArray[np.float32]
    allowed: NDArray[np.bool_]
    weights: NDArray[np.float64]
    lineage_weights: NDArray[np.float64]


@dataclass(frozen=True)
class FittedHead:
    """Standardisation and head.

    Attributes:
        mean: (D,) float32.
        sd: (D,) float32.
        weight: (C, D) float32, on standardised features.
        bias: (C,) float32.
        limit: standard deviations at which features are cut.
    """

    mean: NDArray[np.float32]
    sd: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    limit: float

    def logits(self, features: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return (N, C) float64."""
        return np.asarray(self.standardise(features) @ self.weight.T + self.bias, dtype=np.float64)

    def standardise(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return features in standard deviations, cut at ``limit``, (N, D) float32."""
        return np.asarray(np.clip((features - self.mean) / self.sd, -self.limit, self.limit), np.float32)


def fit_head(examples: Examples, settings: HeadSettings) -> FittedHead:
    """Fit by L-BFGS in float64; convex where every label is full, deterministic always.

    The loss of an example is minus the log of the summed probability of the classes its label allows: an
    erythroblast of unknown stage teaches the lineage and no stage. An example of lineage weight 0 takes that
    probability among the classes of its own lineage alone, so it teaches the kind and no lineage; in between
    the loss is the weighted mean of both.

    Args:
        examples: training examples.
        settings: penalty and limit.
    """
    mean, sd = examples.features.mean(0), examples.features.std(0) + LEAST_SD
    limit = settings.limit
    scaled = np.clip((examples.features - mean) / sd, -limit, limit)
    x = torch.from_numpy(scaled.astype(np.float64))
    allowed = torch.from_numpy(examples.allowed)
    share = torch.from_numpy(examples.weights / examples.weights.sum())
    head = nn.Linear(x.shape[1], allowed.shape[1]).double()
    nn.init.zeros_(head.weight)
    nn.init.zeros_(head.bias)
    solver = torch.optim.LBFGS(
        head.parameters(), max_iter=200, history_size=20, tolerance_grad=1e-6, line_search_fn="strong_wolfe"
    )

    untaught = torch.from_numpy(1 - examples.lineage_weights)
    is_weighed = bool(untaught.any())
    lineage = torch.from_numpy(find_lineage_classes(examples.allowed)) if is_weighed else allowed

    def closure() -> Tensor:
        solver.zero_grad()
        logits = head(x)
        each = partial_label_loss(logits, allowed)
        if is_weighed:
            each = each - untaught * partial_label_loss(logits, lineage)
        loss = (share * each).sum() + settings.l2 * head.weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    solver.step(closure)  # type: ignore[no-untyped-call]
    weight, bias = (p.detach().numpy().astype(np.float32) for p in (head.weight, head.bias))
    return FittedHead(mean.astype(np.float32), sd.astype(np.float32), weight, bias, limit)


def find_lineage_classes(allowed: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return the classes of the lineage of each label, (N, C): the erythroid stages, or all others.

    A label that leaves classes of both open has all of them.

    Args:
        allowed: (N, C), the erythroid stages first.
    """
    is_stage = np.arange(allowed.shape[1]) < len(ERYTHROID_STAGES)
    inside, outside = ((allowed & part).any(axis=1, keepdims=True) for part in (is_stage, ~is_stage))
    return np.asarray((inside & is_stage) | (outside & ~is_stage))


def partial_label_loss(logits: Tensor, allowed: Tensor) -> Tensor:
    """Return minus the log of the summed probability of the allowed classes, (N,)."""
    log_p = functional.log_softmax(logits, 1)
    return -torch.logsumexp(log_p.masked_fill(~allowed, -torch.inf), 1)
