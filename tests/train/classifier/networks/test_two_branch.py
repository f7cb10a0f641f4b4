from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from erythron.train.classifier.networks.fusion_head import FusionHead, initialise_published
from erythron.train.classifier.networks.normalisation import count_groups
from erythron.train.classifier.networks.settings import (
    Fusion,
    HeadStart,
    MaskKind,
    NetworkSettings,
    NormLayer,
    Pretraining,
)
from erythron.train.classifier.networks.shape_attention import ShapeAttention
from erythron.train.classifier.networks.two_branch import (
    CellNetwork,
    LogitsFusion,
    build_network,
    extract_features,
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


def layer(weights: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    return x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def test_the_published_forward_pass_equals_its_formula_in_float64() -> None:
    network = make_small().double().eval()
    pixels, masks = torch.randn(2, 3, PX, PX).double(), torch.rand(2, 1, PX, PX).double().round()
    core = network.core
    assert isinstance(core, LogitsFusion)
    weights = {k: v.detach() for k, v in core.state_dict().items()}
    with torch.no_grad():
        r = core.image_branch(pixels)
        m = core.mask_branch(torch.cat([masks, masks, masks], 1) * 2 - 1)  # type: ignore[misc]
        a = 1 / (
            1 + torch.exp(-layer(weights, "attention.fc2", layer(weights, "attention.fc1", m).clamp(min=0)))
        )
        fused = torch.cat([r, m, a * r], 1)
        assert fused.shape == (2, 3000)
        x = layer(weights, "head.fusion_layer", fused).clamp(min=0)
        x = layer(weights, "head.fc1", x).clamp(min=0)
        expected = layer(weights, "head.fc2", x)
        torch.testing.assert_close(network(pixels, masks), expected, rtol=1e-12, atol=1e-12)
    shapes = {k: tuple(v.shape) for k, v in weights.items() if k.startswith(("attention", "head"))}
    assert shapes["attention.fc1.weight"] == (256, 1000)
    assert shapes["attention.fc2.weight"] == (1000, 256)
    assert shapes["head.fusion_layer.weight"] == (512, 3000)
    assert shapes["head.fc1.weight"] == (256, 512)
    assert shapes["head.fc2.weight"] == (4, 256)


def test_published_start_is_narrow_and_without_bias() -> None:
    network = make_small(head_start=HeadStart.PUBLISHED)
    core = network.core
    assert isinstance(core, LogitsFusion)
    assert core.head.fusion_layer.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert core.attention is not None
    assert core.attention.fc1.weight.std().item() == pytest.approx(0.01, rel=0.02)
    assert core.head.fusion_layer.bias.abs().max() == 0
    plain = make_small().core
    assert isinstance(plain, LogitsFusion)
    assert plain.head.fc2.weight.std().item() == pytest.approx(1 / math.sqrt(3 * 256), rel=0.1)


def test_dropout_follows_both_hidden_layers_in_training_alone() -> None:
    head = FusionHead(8, 3, dropout=0.4)
    x = torch.randn(4, 8)
    assert torch.equal(head.eval()(x), head(x))
    head.train()
    assert not torch.equal(head(x), head(x))


@pytest.mark.parametrize("fusion", list(Fusion))
def test_every_fusion_gives_logits_and_learns_in_every_parameter(fusion: Fusion) -> None:
    network = make_small(
        fusion=fusion,
        mask_backbone="test_efficientnet",
        norm=NormLayer.GROUP,
        mask_kind=MaskKind.NUCLEUS_CELL,
    )
    pixels, masks = torch.randn(2, 3, 64, 64), torch.rand(2, len(network.planes), 64, 64)
    logits = network(pixels, masks)
    assert logits.shape == (2, 4)
    logits.square().sum().backward()
    # Distributed training fails on a parameter that the loss does not reach.
    assert [n for n, p in network.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("fusion", [Fusion.IMAGE, Fusion.IMAGE_HEAD])
def test_image_networks_do_not_see_the_mask_and_mask_networks_not_the_image(fusion: Fusion) -> None:
    network = make_small(fusion=fusion).eval()
    pixels, other, mask = torch.randn(1, 3, PX, PX), torch.randn(1, 3, PX, PX), torch.rand(1, 1, PX, PX)
    assert network.planes == ()
    assert torch.equal(network(pixels, mask[:, :0]), network(pixels, mask))
    blind = make_small(fusion=Fusion.MASK, mask_backbone="test_efficientnet").eval()
    assert torch.equal(blind(pixels, mask), blind(other, mask))
    assert not torch.equal(blind(pixels, mask), blind(pixels, 1 - mask))


def test_planes_are_those_of_the_mask_kind() -> None:
    planes = {kind: make_small(mask_kind=kind).planes for kind in MaskKind}
    assert planes == {MaskKind.NUCLEUS_CELL: (0, 1), MaskKind.CELL: (1,), MaskKind.HULL: (2,)}


def test_gate_of_one_half_at_zero_weights_halves_the_image() -> None:
    attention = ShapeAttention(3, 5, 2)
    for p in attention.parameters():
        nn.init.zeros_(p)
    image = torch.randn(2, 5)
    torch.testing.assert_close(attention(image, torch.randn(2, 3)), image / 2)


@pytest.mark.parametrize(
    ("norm", "left"), [("frozen", nn.BatchNorm2d), ("group", nn.GroupNorm), ("layer", nn.GroupNorm)]
)
def test_norms_are_converted_with_their_activation(norm: str, left: type[nn.Module]) -> None:
    network = make_small(fusion=Fusion.IMAGE, norm=NormLayer(norm))
    batch_norms = [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]
    assert any(isinstance(m, left) for m in network.modules())
    reference = make_small(fusion=Fusion.IMAGE)
    activations = sum("SiLU" in type(m).__name__ for m in network.modules())
    assert activations == sum("SiLU" in type(m).__name__ for m in reference.modules()) > 0
    if norm == "frozen":
        x = torch.randn(4, 3, PX, PX)
        before = [b.running_mean.clone() for b in batch_norms]  # type: ignore[union-attr]
        network.train()(x, x[:, :1])
        assert all(torch.equal(a, b.running_mean) for a, b in zip(before, batch_norms, strict=True))  # type: ignore[arg-type]
        torch.testing.assert_close(network.eval()(x, x[:, :1]), reference.eval()(x, x[:, :1]))
    else:
        assert batch_norms == []


def test_initialise_published_touches_linear_layers_alone() -> None:
    module = nn.Sequential(nn.Conv2d(3, 3, 3), nn.Linear(400, 400))
    before = module[0].weight.clone()  # type: ignore[union-attr,operator]
    initialise_published(module)
    assert torch.equal(before, module[0].weight)  # type: ignore[arg-type]
    assert module[1].weight.std().item() == pytest.approx(0.01, rel=0.05)  # type: ignore[union-attr,operator]


def test_pooled_features_have_the_size_the_classifier_expects() -> None:
    import timm

    from erythron.train.classifier.networks.two_branch import count_features

    for name in ("test_efficientnet", "test_vit", "test_convnext", "vgg11", "test_resnet"):
        # Its hidden layer of 4,096 would take half a gigabyte, and seconds.
        model = timm.create_model(name, **({"mlp_ratio": 1 / 16} if name == "vgg11" else {}))
        size = 160 if name == "test_vit" else 64
        assert extract_features(model, torch.randn(1, 3, size, size)).shape == (1, count_features(model))


@pytest.mark.parametrize(
    ("width", "groups"), [(32, 4), (16, 2), (8, 1), (40, 4), (112, 8), (320, 32), (7, 1)]
)
def test_groups_have_channels_enough_for_a_variance(width: int, groups: int) -> None:
    assert count_groups(width) == groups
