"""One optimiser step, its schedule and the validation figures, as Lightning runs them."""

from __future__ import annotations

import math
from typing import Any

import lightning.pytorch as lightning
import torch
from torch import Tensor, nn
from torch.nn import functional

from erythron.train.classifier.fine_tuned.augmentation import Batch, augment, cut_centre
from erythron.train.classifier.networks.two_branch import CellNetwork
from erythron.train.recipe import FineTunedRecipe, OptimiserKind, OptimiserSettings, Schedule
from erythron.train.shared.backbones import PixelScaling


class CellFitting(lightning.LightningModule):
    """A network in training.

    Args:
        network: to train.
        recipe: how.
        scaling: of the pixels.
        steps: optimiser steps of one epoch.
    """

    mean: Tensor
    sd: Tensor

    def __init__(
        self, network: CellNetwork, recipe: FineTunedRecipe, scaling: PixelScaling, steps: int
    ) -> None:
        super().__init__()
        self.network = network
        self.recipe = recipe
        self.steps = steps
        self.register_buffer("mean", torch.tensor(scaling.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("sd", torch.tensor(scaling.sd).view(1, 3, 1, 1), persistent=False)

    def forward(self, pixels: Tensor, masks: Tensor) -> Tensor:
        """Return logits, (N, C), of pixels and the network's mask planes in 0..1."""
        scaled = ((pixels - self.mean) / self.sd).to(memory_format=torch.channels_last)
        logits: Tensor = self.network(scaled, masks)
        return logits

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:  # noqa: ARG002
        """Move a batch."""
        return batch.to(device, non_blocking=True)

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Seed dropout by step and process, so that a resumed run drops the same values."""
        step = self.trainer.fit_loop.epoch_loop.total_batch_idx
        torch.manual_seed(hash((self.recipe.seed, step, self.global_rank)) & 0x7FFF_FFFF)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:  # noqa: ARG002
        """Return the cross-entropy of an augmented batch."""
        pixels, masks = augment(batch, self.recipe.augmentation, self.recipe.inputs.px)
        logits = self(pixels, masks)
        loss = functional.cross_entropy(
            logits.float(), batch.labels, label_smoothing=self.recipe.fit.label_smoothing
        )
        self.log("train_loss", loss.detach(), on_step=False, on_epoch=True, batch_size=len(batch.labels))
        right = (logits.detach().argmax(1) == batch.labels).float().mean()
        self.log("train_accuracy", right, on_step=False, on_epoch=True, batch_size=len(batch.labels))
        return loss

    def validation_step(self, batch: Batch, batch_idx: int) -> None:  # noqa: ARG002
        """Log loss and accuracy of a batch as in use."""
        crop = self.recipe.augmentation.evaluation_crop
        logits = self(*cut_centre(batch, self.recipe.inputs.px, crop)).float()
        count = len(batch.labels)
        loss = functional.cross_entropy(logits, batch.labels)
        right = (logits.argmax(1) == batch.labels).float().mean()
        # Every process sees every validation cell, so there is nothing to average over processes.
        self.log("validation_loss", loss, batch_size=count, sync_dist=False)
        self.log("validation_accuracy", right, batch_size=count, sync_dist=False)

    def configure_optimizers(self) -> Any:
        """Return optimiser and schedule."""
        optimiser = make_optimiser(self.network, self.recipe.optimiser)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimiser,
            lambda step: find_rate(step, self.steps, self.recipe) / self.recipe.optimiser.rate,
        )
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def make_optimiser(network: nn.Module, settings: OptimiserSettings) -> torch.optim.Optimizer:
    """Return the optimiser of the parameters that learn."""
    learning = [p for p in network.parameters() if p.requires_grad]
    if settings.kind is OptimiserKind.SGD:
        return torch.optim.SGD(
            learning,
            settings.rate,
            momentum=settings.momentum,
            nesterov=settings.momentum > 0,
            weight_decay=settings.weight_decay,
        )
    groups = [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": settings.weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]
    # One pass over all weights: on a CPU six times as fast as one by one.
    return torch.optim.AdamW([g for g in groups if g["params"]], settings.rate, fused=True)


def find_rate(step: int, steps: int, recipe: FineTunedRecipe) -> float:
    """Return the learning rate of an optimiser step.

    Linear from ``final_rate`` to ``rate`` over the warm-up, then half a cosine back (Loshchilov and Hutter
    2017, arXiv 1608.03983). By the published schedule it is the same for all steps of an epoch, and as timm's
    ``CosineLRScheduler`` has it: the cosine counts from epoch 0, and after it the rate is ``final_rate``.

    Args:
        step: from 0.
        steps: of one epoch.
        recipe: states rates, warm-up and epochs.
    """
    high, low = recipe.optimiser.rate, recipe.optimiser.final_rate
    if recipe.optimiser.schedule is Schedule.PUBLISHED:
        epoch, warm_epochs = step // steps, recipe.optimiser.warmup_epochs
        if epoch < warm_epochs:
            return low + (high - low) * epoch / warm_epochs
        return low + (high - low) * (1 + math.cos(math.pi * min(epoch / recipe.fit.epochs, 1.0))) / 2
    warmup = round(recipe.optimiser.warmup_epochs * steps)
    total = recipe.fit.epochs * steps
    if step < warmup:
        return low + (high - low) * (step + 1) / (warmup + 1)
    done = min((step - warmup) / max(total - warmup - 1, 1), 1.0)
    return low + (high - low) * (1 + math.cos(math.pi * done)) / 2
