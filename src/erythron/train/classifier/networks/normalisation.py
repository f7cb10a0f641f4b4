"""BatchNorm layers left, frozen, or replaced."""

from __future__ import annotations

import math

import torch
from torch import nn

from erythron.train.classifier.networks.settings import NormLayer

MOST_GROUPS = 32
FEWEST_CHANNELS = 8


class FrozenBatchNorm(nn.BatchNorm2d):
    """A BatchNorm whose running statistics training never uses or moves; scale and shift still learn."""

    def train(self, mode: bool = True) -> FrozenBatchNorm:  # noqa: ARG002 - torch's signature
        """Stay in evaluation mode."""
        super().train(False)  # noqa: FBT003
        return self


def convert_norms(module: nn.Module, norm: NormLayer) -> None:
    """Convert every BatchNorm below a module in place, its activation kept.

    timm joins BatchNorm and activation in one layer that subclasses BatchNorm; scale and shift are copied.
    """
    if norm is NormLayer.BATCH:
        return
    for name, child in list(module.named_children()):
        if isinstance(child, nn.BatchNorm2d):
            activation = getattr(child, "act", None)
            new = _replace(child, norm)
            setattr(
                module, name, nn.Sequential(new, activation) if isinstance(activation, nn.Module) else new
            )
        else:
            convert_norms(child, norm)


def count_groups(width: int) -> int:
    """Return the groups of a GroupNorm: at most ``MOST_GROUPS``, each of ``FEWEST_CHANNELS`` or more.

    A group of one channel on one pixel has no variance, and dividing by it would blow up rounding errors.
    """
    groups = math.gcd(MOST_GROUPS, width)
    while groups > 1 and width // groups < FEWEST_CHANNELS:
        groups //= 2
    return groups


def _replace(old: nn.BatchNorm2d, norm: NormLayer) -> nn.Module:
    width = old.num_features
    if norm is NormLayer.FROZEN:
        new: nn.Module = FrozenBatchNorm(width, eps=old.eps)
        new.load_state_dict({k: v for k, v in old.state_dict().items() if k in new.state_dict()}, strict=True)
        return new.eval()
    groups = 1 if norm is NormLayer.LAYER else count_groups(width)
    group_norm = nn.GroupNorm(groups, width, eps=old.eps)
    with torch.no_grad():
        group_norm.weight.copy_(old.weight)
        group_norm.bias.copy_(old.bias)
    return group_norm
