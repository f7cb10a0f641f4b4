from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from erythron.errors import DataError
from erythron.train.classifier.networks.published_weights import read_published_weights
from erythron.train.classifier.networks.settings import (
    Fusion,
    MaskKind,
    NetworkSettings,
    NormLayer,
    Pretraining,
)
from erythron.train.classifier.networks.two_branch import (
    CellNetwork,
    LogitsFusion,
    build_network,
)

SMALL = NetworkSettings(
    image_backbone="test_efficientnet",
    mask_backbone="test_vit",
    pretraining=Pretraining.NONE,
    norm=NormLayer.BATCH,
    fusion=Fusion.LOGITS_GATE,
    mask_kind=MaskKind.HULL,
)
PX = 160


def make_small(**changes: object) -> CellNetwork:
    torch.manual_seed(0)
    return build_network(SMALL.model_copy(update=changes), 4, PX)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_with_the_published_names_load(tmp_path: Path, prefix: str) -> None:
    """As saved by modules called otherwise, wrapped or not, with whatever names in front of the parts."""
    source, target = make_small().core, make_small().core
    assert isinstance(source, LogitsFusion)
    assert isinstance(target, LogitsFusion)
    for p in target.parameters():
        nn.init.normal_(p)
    names = {
        "image_branch": "swin",
        "mask_branch": "vgg",
        "attention": "shape_attention",
        "head": "classifier.fusion",
    }
    stored = {}
    for key, value in source.state_dict().items():
        part, _, rest = key.partition(".")
        stored[f"{prefix}{names[part]}.{rest}"] = value
    file = tmp_path / "model_best.pth"
    torch.save({"state_dict": stored, "epoch": 7}, file)
    assert read_published_weights(target, file) == ("image_branch", "mask_branch", "attention", "head")
    assert all(
        torch.equal(a, b)
        for a, b in zip(source.state_dict().values(), target.state_dict().values(), strict=True)
    )


def test_a_checkpoint_of_the_image_branch_alone_is_refused_unless_allowed(tmp_path: Path) -> None:
    source, target = make_small().core, make_small().core
    assert isinstance(source, LogitsFusion)
    assert isinstance(target, LogitsFusion)
    file = tmp_path / "swin_only.pth"
    torch.save(source.image_branch.state_dict(), file)
    with pytest.raises(DataError, match="mask_branch"):
        read_published_weights(target, file)
    assert read_published_weights(target, file, allow_missing=True) == ("image_branch",)


def test_branches_of_one_architecture_get_their_own_weights(tmp_path: Path) -> None:
    """The mask branch got the image's weights: both have the same names and shapes inside."""
    source, target = (make_small(mask_backbone="test_efficientnet").core for _ in range(2))
    assert isinstance(source, LogitsFusion)
    assert isinstance(target, LogitsFusion)
    for p in source.parameters():
        nn.init.normal_(p)
    own = source.state_dict()
    renamed = {
        key.replace("image_branch", "swin").replace("mask_branch", "shape"): value
        for key, value in own.items()
    }
    reversed_order = dict(sorted(own.items(), key=lambda item: not item[0].startswith("mask_branch")))
    for name, stored in (("own", own), ("renamed", renamed), ("reversed", reversed_order)):
        for p in target.parameters():
            nn.init.zeros_(p)
        torch.save(stored, tmp_path / name)
        read_published_weights(target, tmp_path / name)
        for key, value in target.state_dict().items():
            assert torch.equal(value, own[key]), (name, key)


def test_one_branch_in_a_file_is_not_loaded_into_both(tmp_path: Path) -> None:
    source, target = (make_small(mask_backbone="test_efficientnet").core for _ in range(2))
    assert isinstance(source, LogitsFusion)
    assert isinstance(target, LogitsFusion)
    assert source.mask_branch is not None
    torch.save({f"mask_branch.{k}": v for k, v in source.mask_branch.state_dict().items()}, tmp_path / "mask")
    assert read_published_weights(target, tmp_path / "mask", allow_missing=True) == ("mask_branch",)
    torch.save(source.image_branch.state_dict(), tmp_path / "image")
    assert read_published_weights(target, tmp_path / "image", allow_missing=True) == ("image_branch",)


def test_a_file_that_unpickles_code_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "evil.pth"
    torch.save({"state_dict": nn.Linear(2, 2)}, file)
    target = make_small().core
    assert isinstance(target, LogitsFusion)
    with pytest.raises(DataError, match="tensors alone"):
        read_published_weights(target, file)


def test_old_timm_names_of_swin_load(tmp_path: Path) -> None:
    import timm

    network = timm.create_model("swin_tiny_patch4_window7_224", num_classes=1000)
    current = network.state_dict()
    old = {k.replace("head.fc.", "head."): v for k, v in current.items()}
    for i in range(1, 4):
        old = {k.replace(f"layers.{i}.downsample", f"layers.{i - 1}.downsample"): v for k, v in old.items()}
    core = LogitsFusion(network, None, SMALL.model_copy(update={"fusion": Fusion.IMAGE_HEAD}), 4)
    stored = {f"swin.{k}": v for k, v in old.items()}
    stored |= {f"head.{k}": v for k, v in core.head.state_dict().items()}
    assert set(old) != set(current)
    file = tmp_path / "old.pth"
    torch.save(stored, file)
    assert read_published_weights(core, file) == ("image_branch", "head")
