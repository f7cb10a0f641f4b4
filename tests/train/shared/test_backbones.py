from __future__ import annotations

import pytest
import torch
from torch import nn

from erythron.errors import DataError, UsageError
from erythron.train.classifier.networks.settings import (
    Fusion,
    MaskKind,
    NetworkSettings,
    NormLayer,
    Pretraining,
)
from erythron.train.shared.backbones import create_backbone, find_packaged_weights, find_scaling

SMALL = NetworkSettings(
    image_backbone="test_efficientnet",
    mask_backbone="test_vit",
    pretraining=Pretraining.NONE,
    norm=NormLayer.BATCH,
    fusion=Fusion.LOGITS_GATE,
    mask_kind=MaskKind.HULL,
)
PX = 160


def test_unknown_backbone_is_named_with_close_ones() -> None:
    with pytest.raises(UsageError, match="resnet18"):
        create_backbone("resnet181", Pretraining.NONE, 64)


def test_missing_hub_weights_are_a_clear_error(monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create = timm.create_model

    def offline(name: str, pretrained: bool = False, **options: object) -> nn.Module:
        if pretrained:
            raise OSError("no route to host")
        model: nn.Module = create(name, pretrained=False, **options)
        return model

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(DataError, match=r"no route to host.*pretraining = 'none'"):
        create_backbone("resnet18", Pretraining.AUTO, 64)


def test_packaged_weights_are_those_of_imagenet() -> None:
    weights = find_packaged_weights("tf_efficientnet_lite0.in1k")
    assert weights is not None
    model = create_backbone("tf_efficientnet_lite0", Pretraining.AUTO, 96)
    first = next(iter(model.state_dict().values()))
    assert torch.equal(first, next(iter(weights.values())))
    assert find_packaged_weights("resnet18") is None
    assert find_scaling(NetworkSettings().image_backbone).mean == (0.5, 0.5, 0.5)
