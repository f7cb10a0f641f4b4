"""Fitting of the segmentation network, and running it in torch behind the package's own interface."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from erythron.train.segmenter.augment import Batch, Spread, make_batch
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.sets import DEFAULT_SETS, name_source
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.segmenter.windows import Windows
from erythron.train.shared.backbones import load_encoder

log = logging.getLogger(__name__)


def _default_shares() -> dict[str, float]:
    return {name_source(chosen.data): chosen.share for chosen in DEFAULT_SETS}


@dataclass(frozen=True)
class FitConfig:
    """What a batch is made of, how long and how fast to learn: what changes the network beside the windows.

    The rates, the batch and the warm-up are by hand; no other values are on record.

    Attributes:
        shares: how often a cell of each source is drawn, relative to the others and to ``empty_share``.
        empty_share: how often a window without a cell is drawn.
        spread: how far windows are varied.
        steps: batches.
        batch: windows a batch.
        rate: largest learning rate of the decoder; the encoder learns at ``encoder_share`` of it.
        encoder_share: see ``rate``.
        weight_decay: of AdamW (Loshchilov and Hutter 2019, arXiv 1711.05101).
        warm_up: batches over which the learning rate rises; then it falls along half a cosine.
        memory: most that the running mean of the weights, which is what is kept, keeps of itself at a batch.
        seed: of everything.
    """

    shares: Mapping[str, float] = field(default_factory=_default_shares)
    empty_share: float = 0.13
    spread: Spread = field(default_factory=Spread)
    steps: int = 600
    batch: int = 32
    rate: float = 2e-3
    encoder_share: float = 0.3
    weight_decay: float = 1e-2
    warm_up: int = 50
    memory: float = 0.99
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


def make_network(seed: int) -> SegmentationNetwork:
    """Return the network before it is fitted: its encoder from ImageNet, its decoder by chance.

    Args:
        seed: of the decoder.
    """
    torch.manual_seed(seed)
    return SegmentationNetwork(load_encoder())


def fit_network(windows: Windows, config: FitConfig) -> SegmentationNetwork:
    """Fit the network that outlines the cell in the middle of a window.

    Returns:
        The network with the running mean of its weights, ready for use.
    """
    rng = np.random.default_rng(config.seed)
    has_cell = windows.has_cell
    chance = np.zeros(len(has_cell))
    for source, share in config.shares.items():
        chosen = has_cell & (windows.source == source)
        chance[chosen] = share / max(chosen.sum(), 1)
    chance[~has_cell] = config.empty_share / max((~has_cell).sum(), 1)
    chance /= chance.sum()
    net = make_network(config.seed)
    # Depthwise convolutions on a CPU are several times faster with the channels last.
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
        pace = min(1.0, (step + 1) / config.warm_up) * 0.5 * (1 + np.cos(np.pi * step / config.steps))
        for group in solver.param_groups:
            group["lr"] = config.rate * group["share"] * pace
        index = rng.choice(len(chance), config.batch, p=chance)
        batch = make_batch(windows, index, WINDOW_PX, rng, config.spread)
        loss = outline_loss(net((batch.pixels * 2 - 1).contiguous(memory_format=torch.channels_last)), batch)
        solver.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        solver.step()
        keep = min(config.memory, (step + 1) / (step + 10))
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
