"""Fitting of the outliner, and running it in torch behind the interface that the package runs it by."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from erythron.train.segmenter.augment import Batch, Spread, make_batch
from erythron.train.segmenter.network import OutlineNet
from erythron.train.segmenter.samples import Windows
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.shared.backbones import load_encoder

log = logging.getLogger(__name__)

SHARES = {"marrow": 0.45, "bcisc": 0.15, "bccd": 0.13, "pbc": 0.14}
EMPTY_SHARE = 0.13
"""How often each source, and a window without a cell, is drawn."""


@dataclass(frozen=True)
class FitConfig:
    """How long and how fast to learn.

    Attributes:
        steps: batches.
        batch: windows a batch of the outliner.
        rate: largest learning rate of the decoder; the encoder learns at ``encoder_share`` of it.
        encoder_share: see ``rate``.
        weight_decay: of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
        seed: of everything.
    """

    steps: int = 600
    batch: int = 32
    rate: float = 2e-3
    encoder_share: float = 0.3
    weight_decay: float = 1e-2
    seed: int = 0


class Probabilities(nn.Module):
    """A network as it is exported: bytes in, probabilities out.

    Args:
        net: takes normalised pixels and returns logits.
    """

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = net

    def forward(self, pixels: Tensor) -> Tensor:
        """Return (N, C, H, W) float32 of pixels (N, H, W, 3) uint8."""
        scaled = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1
        probabilities: Tensor = torch.sigmoid(self.net(scaled))
        return probabilities


class TorchRuntime:
    """A network in torch as a :class:`~erythron.bundle.runtime.Runtime`."""

    def __init__(self, net: nn.Module) -> None:
        self._net = Probabilities(net).eval()

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Return the outputs by name for a batch of any size from 1."""
        with torch.no_grad():
            found: NDArray[np.float32] = self._net(
                torch.from_numpy(np.ascontiguousarray(inputs["pixels"]))
            ).numpy()
        return {"probabilities": found}


def fit_outliner(windows: Windows, config: FitConfig) -> OutlineNet:
    """Fit the network that outlines the cell in the middle of a window.

    Returns:
        The network with the running mean of its weights, ready for use.
    """
    rng = np.random.default_rng(config.seed)
    has_cell = windows.has_cell
    chance = np.zeros(len(has_cell))
    for source, share in SHARES.items():
        chosen = has_cell & (windows.source == source)
        chance[chosen] = share / max(chosen.sum(), 1)
    chance[~has_cell] = EMPTY_SHARE / max((~has_cell).sum(), 1)
    chance /= chance.sum()
    torch.manual_seed(config.seed)
    # Depthwise convolutions on a CPU are several times faster with the channels last.
    net: OutlineNet = OutlineNet(load_encoder())
    net.to(memory_format=torch.channels_last)
    net.train()
    # ImageNet's statistics of the encoder stay: batches are small, and frozen ones cost a third less time.
    for module in (net.stem, net.blocks):
        module.eval()
    encoder = [*net.stem.parameters(), *net.blocks.parameters()]
    known = {id(p) for p in encoder}
    decoder = [p for p in net.parameters() if id(p) not in known]
    groups = [{"params": encoder, "share": config.encoder_share}, {"params": decoder, "share": 1.0}]
    solver = torch.optim.AdamW(groups, lr=config.rate, weight_decay=config.weight_decay, fused=True)
    mean = {name: value.clone() for name, value in net.state_dict().items()}
    for step in range(config.steps):
        pace = min(1.0, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / config.steps))
        for group in solver.param_groups:
            group["lr"] = config.rate * group["share"] * pace
        batch = make_batch(windows, rng.choice(len(chance), config.batch, p=chance), WINDOW_PX, rng, Spread())
        loss = outline_loss(net((batch.pixels * 2 - 1).contiguous(memory_format=torch.channels_last)), batch)
        solver.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        solver.step()
        keep = min(0.99, (step + 1) / (step + 10))
        for name, value in net.state_dict().items():
            if value.dtype.is_floating_point:
                mean[name].mul_(keep).add_(value, alpha=1 - keep)
            else:
                mean[name].copy_(value)
        if (step + 1) % 100 == 0:
            log.info("step %d of %d, loss %.4f", step + 1, config.steps, float(loss.detach()))
    net.load_state_dict(mean)
    net.eval()
    return net


def outline_loss(logits: Tensor, batch: Batch) -> Tensor:
    """Return cross-entropy of all pixels plus one minus the soft Dice of the cells that are there."""
    known = torch.stack([batch.nucleus_known, torch.ones_like(batch.nucleus_known)], 1).float()
    entropy = functional.binary_cross_entropy_with_logits(logits, batch.masks, reduction="none").mean((2, 3))
    p = torch.sigmoid(logits)
    both, total = (p * batch.masks).sum((2, 3)), (p + batch.masks).sum((2, 3))
    there = (batch.masks.sum((2, 3)) > 0).float()
    dice = (1 - (2 * both + 1) / (total + 1)) * there
    return ((2 * entropy + dice) * known).mean()
