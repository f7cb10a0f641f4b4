"""The decoder fitted anew to what a person corrected, the encoder as it is, and what it knew kept.

Where a person drew a cell or took one away the network learns that. At cells that the person accepts, and at
places without one, it learns what it said before (distillation, Hinton et al. 2015, arXiv 1503.02531), of
pixels whose stain is varied as far as in its first training. What comes out is the mean of the fitted weights
and those of before (Wortsman et al. 2022, arXiv 2109.01903), which forgets less of other laboratories.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from erythron.train.segmenter.augment import Spread, make_batch
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.segmenter.windows import Windows

LEARNED = Spread(log_scale=0.1, shift=0.2, stain=0.2, colour=0.1, mix=0.05, tint=0.05, noise=0.02, blur=0.5)
"""How far windows of corrections are varied: as fields of one laboratory differ, by hand."""

KEPT = Spread(log_scale=0.25)
"""How far windows that what the network knew is kept by are varied: in stain as in its first training."""


@dataclass(frozen=True)
class RefitConfig:
    """How the decoder is fitted anew.

    Of 50 cells of another laboratory, ``kept_weight`` of 1, 3 and 10 learned the same and left F1 0.902,
    0.930 and 0.931 of marrow fields that were not learned from (0.965 before); with 3, ``new_share`` of 0.25,
    0.5, 0.75 and 1 brought the mean Dice of its nuclei to 0.943, 0.967, 0.967 and 0.967 and left 0.955,
    0.953, 0.933 and 0.930. The others are by hand.

    Attributes:
        samples: augmented samples of each window.
        most_samples: of all windows together; windows of more give fewer each. It bounds memory: a sample
            takes 160 kB.
        steps: batches.
        batch: samples a batch, half of them of corrections.
        rate: largest learning rate; it falls along half a cosine.
        kept_weight: of what the network said before, relative to what a person says.
        new_share: of the fitted weights in the mean of these and those of before.
        seed: of everything.
    """

    samples: int = 6
    most_samples: int = 4000
    steps: int = 100
    batch: int = 32
    rate: float = 5e-4
    kept_weight: float = 3.0
    new_share: float = 0.5
    seed: int = 0


@dataclass(frozen=True)
class Samples:
    """M samples, as the frozen encoder sees them.

    Attributes:
        maps: the encoder's, (M, C, h, w) float16 each.
        targets: (M, 2, S, S) float16, nucleus and cell: 0 or 1 where a person says so, else probabilities.
        known: (M, 2) bool, which of the two are.
        by_person: (M,) bool, whether the target is a person's.
        window: (M,) int64, row of the window.
    """

    maps: tuple[Tensor, ...]
    targets: Tensor
    known: Tensor
    by_person: NDArray[np.bool_]
    window: NDArray[np.int64]


def make_samples(
    net: SegmentationNetwork, windows: Windows, by_person: NDArray[np.bool_], config: RefitConfig
) -> Samples:
    """Return augmented samples of windows; the encoder computes each once for all fits.

    Args:
        net: before it learns.
        windows: N.
        by_person: (N,) whether the masks of a window are to be learned; else what ``net`` says of it.
        config: how many.
    """
    rng = np.random.default_rng(config.seed)
    copies = max(1, min(config.samples, config.most_samples // max(len(by_person), 1)))
    order = np.repeat(np.arange(len(by_person)), copies)
    # Of one kind at a time, for each is varied by its own spread.
    order = np.concatenate([order[by_person[order]], order[~by_person[order]]])
    maps: list[list[Tensor]] = []
    targets, known = [], []
    for first in range(0, len(order), config.batch):
        for is_said in (True, False):
            index = order[first : first + config.batch]
            index = index[by_person[index] == is_said]
            if not len(index):
                continue
            batch = make_batch(windows, index, WINDOW_PX, rng, LEARNED if is_said else KEPT)
            with torch.no_grad():
                seen = net.encode(batch.pixels * 2 - 1)
                said = batch.masks if is_said else torch.sigmoid(net.decode(seen))
            maps.append([part.half() for part in seen])
            targets.append(said.half())
            sure = batch.nucleus_known | torch.tensor(not is_said)
            known.append(torch.stack([sure, torch.ones_like(sure)], 1))
    joined = tuple(torch.cat(parts) for parts in zip(*maps, strict=True))
    return Samples(joined, torch.cat(targets), torch.cat(known), by_person[order], order)


def fit_decoder(
    net: SegmentationNetwork, samples: Samples, allowed: NDArray[np.bool_], config: RefitConfig
) -> SegmentationNetwork:
    """Return the network with its decoder fitted to some of the samples.

    Args:
        net: as :func:`erythron.train.segmenter.stored.read_network` returns it; it stays as it is.
        samples: by it.
        allowed: (N,) which windows may be learned from.
        config: how.
    """
    fitted = copy.deepcopy(net).to(memory_format=torch.channels_last).eval()
    decoder = _list_decoder(fitted)
    for weight in fitted.parameters():
        weight.requires_grad = False
    for weight in decoder:
        weight.requires_grad = True
    rng = np.random.default_rng(config.seed)
    free = allowed[samples.window]
    parts = [
        part for said in (True, False) if len(part := np.flatnonzero(free & (samples.by_person == said)))
    ]
    solver = torch.optim.AdamW(decoder, lr=config.rate, weight_decay=0.0)
    for step in range(config.steps):
        for group in solver.param_groups:
            group["lr"] = config.rate * 0.5 * (1 + np.cos(np.pi * step / config.steps))
        chosen = np.concatenate([rng.choice(part, config.batch // len(parts)) for part in parts])
        row = torch.from_numpy(chosen)
        # Depthwise convolutions on a CPU are several times faster with the channels last.
        maps = [part[row].float().contiguous(memory_format=torch.channels_last) for part in samples.maps]
        logits = fitted.decode(maps)
        by_person = torch.from_numpy(samples.by_person[chosen])
        loss = _measure_loss(logits, samples.targets[row].float(), samples.known[row], by_person, config)
        solver.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        solver.step()
    with torch.no_grad():
        for new, old in zip(fitted.parameters(), net.parameters(), strict=True):
            new.lerp_(old, 1 - config.new_share)
    return fitted


def _list_decoder(net: SegmentationNetwork) -> Sequence[nn.Parameter]:
    """Return what is fitted of the decoder: convolutions, and what a normalisation adds to them."""
    parts = [*net.merges.modules(), net.widen, net.head]
    learned = [m for m in parts if isinstance(m, nn.Conv2d | nn.BatchNorm2d)]
    # A normalisation scales by what its convolution may scale by itself.
    return [
        weight
        for module in learned
        for name, weight in module.named_parameters(recurse=False)
        if name == "bias" or isinstance(module, nn.Conv2d)
    ]


def _measure_loss(
    logits: Tensor, targets: Tensor, known: Tensor, by_person: Tensor, config: RefitConfig
) -> Tensor:
    """Return the cross-entropy of all, plus one minus the soft Dice of the cells that a person drew."""
    entropy = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none").mean((2, 3))
    p = torch.sigmoid(logits)
    both, total = (p * targets).sum((2, 3)), (p + targets).sum((2, 3))
    there = ((targets.sum((2, 3)) > 0) & by_person[:, None]).float()
    dice = (1 - (2 * both + 1) / (total + 1)) * there
    weight = torch.where(by_person, 1.0, config.kept_weight)[:, None] * known
    return ((2 * entropy + dice) * weight).mean()
