"""Which runs an experiment is made of: every arm is a base recipe with some settings changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from erythron.errors import UsageError

_PUBLISHED_FIT: dict[str, object] = {
    "optimiser.kind": "sgd",
    "optimiser.rate": 1e-3,
    "optimiser.final_rate": 1e-4,
    "optimiser.weight_decay": 2e-5,
    "fit.ema_decay": 0.0,
    "fit.label_smoothing": 0.0,
    "augmentation.kind": "published",
    "network.norm": "batch",
    "network.dropout": 0.4,
    "network.head_start": "published",
}

_PUBLISHED: dict[str, object] = {
    **_PUBLISHED_FIT,
    "network.fusion": "logits_gate",
    "network.mask_kind": "hull",
}


AS_PUBLISHED: dict[str, object] = {
    "augmentation.crop": "published",
    "augmentation.interpolation": "published",
    "augmentation.evaluation_crop": "published",
    "optimiser.schedule": "published",
}
"""What the recipe ``paper`` does otherwise than the published code, put back, but for the choice of the
epoch: a published split is judged by both choices."""


@dataclass(frozen=True)
class Arm:
    """One row of an experiment's table.

    Attributes:
        name: as the table has it.
        changes: settings by their dotted path, on top of the base recipe.
        against: name of the arm that it differs from in one thing, whose paired difference the table states.
    """

    name: str
    changes: dict[str, object] = field(default_factory=dict)
    against: str | None = None


@dataclass(frozen=True)
class Experiment:
    """An experiment.

    Attributes:
        name: of the command line.
        base: the recipe that its arms change, where no other is given.
        arms: rows of its table.
    """

    name: str
    base: str
    arms: tuple[Arm, ...]


def _image_only(backbone: str) -> dict[str, object]:
    return {"network.fusion": "image", "network.image_backbone": backbone}


BASELINES = Experiment(
    "baselines",
    "comparison",
    (
        Arm("ResNet-18", _image_only("resnet18")),
        Arm("ResNet-50", _image_only("resnet50"), "ResNet-18"),
        Arm("ResNeSt-50", _image_only("resnest50d"), "ResNet-18"),
        Arm("DenseNet-121", _image_only("densenet121"), "ResNet-18"),
        Arm("Swin-B", _image_only("swin_base_patch4_window7_224"), "ResNet-18"),
        Arm(
            "published network",
            {
                "network.fusion": "logits_gate",
                "network.mask_kind": "hull",
                "network.image_backbone": "swin_base_patch4_window7_224",
                "network.mask_backbone": "vgg19_bn",
                "network.head_start": "published",
                "network.dropout": 0.4,
            },
            "Swin-B",
        ),
        Arm("EfficientNetV2-S", _image_only("tf_efficientnetv2_s.in21k_ft_in1k"), "ResNet-18"),
        Arm("ConvNeXt-T", _image_only("convnext_tiny.fb_in22k_ft_in1k"), "ResNet-18"),
        Arm("DINOv2 ViT-S/14", _image_only("vit_small_patch14_dinov2.lvd142m"), "ResNet-18"),
        Arm("EfficientNet-Lite0", _image_only("tf_efficientnet_lite0"), "ResNet-18"),
        Arm("EfficientNet-Lite1", _image_only("tf_efficientnet_lite1"), "EfficientNet-Lite0"),
        Arm("EfficientNet-Lite2", _image_only("tf_efficientnet_lite2"), "EfficientNet-Lite0"),
    ),
)

ABLATION = Experiment(
    "ablation",
    "small",
    (
        Arm("image only", {"network.fusion": "image"}),
        Arm("mask only", {"network.fusion": "mask"}, "image only"),
        Arm("concatenation", {"network.fusion": "feature_concat"}, "image only"),
        Arm("feature gate", {}, "image only"),
        Arm("logits gate", {"network.fusion": "logits_gate"}, "feature gate"),
        Arm("published", _PUBLISHED, "image only"),
        Arm(
            "published, 10 x rate",
            {**_PUBLISHED, "optimiser.rate": 1e-2, "optimiser.final_rate": 1e-3},
            "published",
        ),
        Arm(
            "published, our optimiser",
            {
                **{k: v for k, v in _PUBLISHED.items() if not k.startswith(("optimiser.", "fit."))},
            },
            "published",
        ),
        Arm(
            "published, size-preserving", {**_PUBLISHED, "augmentation.kind": "size_preserving"}, "published"
        ),
        Arm("published, frozen BatchNorm", {**_PUBLISHED, "network.norm": "frozen"}, "published"),
        Arm("published, PyTorch's head start", {**_PUBLISHED, "network.head_start": "torch"}, "published"),
        Arm("published, nucleus and cell", {**_PUBLISHED, "network.mask_kind": "nucleus_cell"}, "published"),
        Arm(
            "published, image alone in its head", {**_PUBLISHED, "network.fusion": "image_head"}, "published"
        ),
        Arm("published, image alone, plain head", {**_PUBLISHED, "network.fusion": "image"}, "published"),
        Arm("feature gate, hull", {"network.mask_kind": "hull"}, "feature gate"),
        Arm("feature gate, cell", {"network.mask_kind": "cell"}, "feature gate"),
        Arm(
            "image only, published augmentation",
            {"network.fusion": "image", "augmentation.kind": "published"},
            "image only",
        ),
        Arm("image only, BatchNorm", {"network.fusion": "image", "network.norm": "batch"}, "image only"),
        Arm("image only, GroupNorm", {"network.fusion": "image", "network.norm": "group"}, "image only"),
    ),
)

GENERALISATION = Experiment(
    "generalisation",
    "small",
    (
        Arm("image only", {"network.fusion": "image"}),
        Arm("concatenation", {"network.fusion": "feature_concat"}, "image only"),
        Arm("feature gate", {}, "image only"),
        Arm("published", _PUBLISHED, "image only"),
    ),
)

PAPER = Experiment(
    "paper",
    "paper",
    (
        Arm("published network", {}, "Swin-B"),
        Arm("published network, all as published", AS_PUBLISHED, "published network"),
        Arm("published network, rotated", {"augmentation.rotated": True}, "published network"),
        Arm("published network, rotated copies", {"augmentation.copies": 3}, "published network"),
        Arm("ResNet-18", _image_only("resnet18")),
        Arm("ResNet-50", _image_only("resnet50"), "ResNet-18"),
        Arm("ResNeSt-50", _image_only("resnest50d"), "ResNet-18"),
        Arm("DenseNet-121", _image_only("densenet121"), "ResNet-18"),
        Arm("Swin-B", _image_only("swin_base_patch4_window7_224"), "ResNet-18"),
        Arm("VGG19-BN on the hull", {"network.fusion": "mask"}, "published network"),
        Arm("without the gate", {"network.fusion": "concat"}, "published network"),
        Arm("nucleus and cell mask", {"network.mask_kind": "nucleus_cell"}, "published network"),
        Arm("size-preserving augmentation", {"augmentation.kind": "size_preserving"}, "published network"),
    ),
)

EXPERIMENTS = {e.name: e for e in (BASELINES, ABLATION, GENERALISATION, PAPER)}


def choose_arms(experiment: Experiment, names: tuple[str, ...]) -> tuple[Arm, ...]:
    """Return the named arms in the experiment's order, all where none is named.

    Raises:
        UsageError: an arm is unknown.
    """
    known = [arm.name for arm in experiment.arms]
    for name in names:
        if name not in known:
            raise UsageError(
                f"'{name}' is no arm of the experiment {experiment.name}; its arms: {'; '.join(known)}"
            )
    return tuple(arm for arm in experiment.arms if not names or arm.name in names)
