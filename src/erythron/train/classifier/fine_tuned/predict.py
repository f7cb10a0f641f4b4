"""Features and logits of prepared cells from a trained network in torch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from erythron.classify.classifier import soften
from erythron.train.classifier.fine_tuned.augmentation import cut_centre
from erythron.train.classifier.fine_tuned.cell_set import CellSet
from erythron.train.classifier.fine_tuned.loader import make_plain_loader
from erythron.train.classifier.networks.two_branch import CellNetwork
from erythron.train.recipe import FineTunedRecipe
from erythron.train.shared.backbones import PixelScaling

BATCH = 64


@dataclass(frozen=True)
class Predicted:
    """What a network says of N cells, float64: logits, (N, C), and features before its last layer, (N, D)."""

    logits: NDArray[np.float64]
    features: NDArray[np.float64]


def predict_features(
    network: CellNetwork, scaling: PixelScaling, cells: CellSet, recipe: FineTunedRecipe
) -> Predicted:
    """Return features and logits of what evaluation sees of the cells.

    Args:
        network: in evaluation mode.
        scaling: of its pixels.
        cells: to call, with all their planes.
        recipe: states the side of the input and what evaluation sees of it.
    """
    device = next(network.parameters()).device
    mean, sd = (torch.tensor(v, device=device).view(1, 3, 1, 1) for v in (scaling.mean, scaling.sd))
    logits, features = [], []
    with torch.inference_mode():
        for batch in make_plain_loader(cells.select_planes(network.planes), BATCH):
            pixels, masks = cut_centre(
                batch.to(device), recipe.inputs.px, recipe.augmentation.evaluation_crop
            )
            found = network.embed((pixels - mean) / sd, masks)
            features.append(found.double().cpu())
            logits.append(network.classify(found).double().cpu())
    return Predicted(np.asarray(torch.cat(logits)), np.asarray(torch.cat(features)))


def predict(
    network: CellNetwork, scaling: PixelScaling, cells: CellSet, recipe: FineTunedRecipe
) -> NDArray[np.float64]:
    """Return class probabilities, not calibrated, (N, C) float64.

    Takes what :func:`predict_features` does.
    """
    return soften(predict_features(network, scaling, cells, recipe).logits, 1.0)
