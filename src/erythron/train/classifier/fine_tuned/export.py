"""What the run of a fine-tuned network brings to its bundle."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from erythron.bundle.schema import MaskInput
from erythron.errors import UsageError
from erythron.quality.flags import in_percent
from erythron.train.classifier.fine_tuned.evaluate import LIMIT, FeatureNovelty, read_novelty
from erythron.train.classifier.fine_tuned.run import find_recipe, load_network
from erythron.train.classifier.networks.settings import Pretraining
from erythron.train.classifier.networks.two_branch import CellNetwork
from erythron.train.recipe import EvaluationCrop, FineTunedRecipe, Sampling
from erythron.train.shared.bundle_writer import ClassifierPart
from erythron.train.shared.novelty import NoveltyLayer
from erythron.train.shared.run_folder import RunRecord


class NetworkWithNovelty(nn.Module):
    """A network that also says how unlike the training cells the features of a cell are.

    Args:
        network: in evaluation mode.
        novelty: of its features.
        takes_masks: whether it takes masks.
    """

    mean: Tensor
    sd: Tensor

    def __init__(self, network: CellNetwork, novelty: FeatureNovelty, takes_masks: bool) -> None:
        super().__init__()
        self.network = network
        self.takes_masks = takes_masks
        self.novelty = NoveltyLayer(novelty.fitted)
        for name in ("mean", "sd"):
            self.register_buffer(name, torch.from_numpy(getattr(novelty, name).astype(np.float32)))

    def forward(self, pixels: Tensor, masks: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Return logits, (N, C), and novelty, (N,)."""
        features = self.network.embed(pixels, pixels[:, :0] if masks is None else masks)
        scaled = ((features - self.mean) / self.sd).clamp(-LIMIT, LIMIT)
        return self.network.classify(features), self.novelty(scaled)


def describe_fine_tuned(run: Path) -> ClassifierPart:
    """Return the classifier of a finished and evaluated run.

    Raises:
        UsageError: its network does not see the image.
        DataError: the run is not finished or not evaluated.
    """
    network, record = load_network(run)
    recipe = find_recipe(record)
    if not recipe.network.fusion.sees_image:
        raise UsageError(f"{run}: its network sees the mask alone, which is for comparison, not for use")
    if recipe.augmentation.evaluation_crop is not EvaluationCrop.WHOLE:
        raise UsageError(
            f"{run}: it was judged on the published evaluation crop, which no count sees; train it with "
            "augmentation.evaluation_crop = 'whole' to make a bundle"
        )
    side, planes = recipe.inputs.px, len(network.planes)
    generator = torch.Generator().manual_seed(0)
    inputs = {"pixels": torch.randn((3, 3, side, side), generator=generator).clamp(-1, 1)}
    if planes:
        inputs["masks"] = torch.rand((3, planes, side, side), generator=generator).round()
    return ClassifierPart(
        network=NetworkWithNovelty(network, read_novelty(run), bool(planes)).eval(),
        inputs=inputs,
        mask_input=find_mask_input(recipe),
        takes_measurements=False,
        limit=LIMIT,
        description=_describe(recipe),
        limits=_list_limits(recipe, record),
    )


def find_mask_input(recipe: FineTunedRecipe) -> MaskInput:
    """Return which mask planes the exported network takes."""
    settings = recipe.network
    return MaskInput(settings.mask_kind) if settings.fusion.sees_mask else MaskInput.NONE


def _describe(recipe: FineTunedRecipe) -> str:
    network = recipe.network
    start = "from ImageNet weights" if network.pretraining is Pretraining.AUTO else "from random weights"
    branches = f"{network.image_backbone} on the image"
    if network.fusion.sees_mask:
        branches += f" and {network.mask_backbone} on the shape mask ({network.mask_kind}), {network.fusion}"
    return f"The classifier is {branches}, trained {start} for up to {recipe.fit.epochs} epochs."


def _list_limits(recipe: FineTunedRecipe, record: RunRecord) -> tuple[str, ...]:
    mix = f"the mix of the training cells, of which the largest class has {in_percent(max(record.priors))}"
    if recipe.fit.sampling is Sampling.BALANCED:
        mix = "classes of like frequency, as training drew them"
    return (f"Probabilities assume {mix}; that of a smear is another.",)
