"""Weights saved from modules with the published names, into our network."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erythron.errors import DataError
from erythron.train.classifier.networks.two_branch import LogitsFusion

_WRAPPERS = ("state_dict", "model", "model_state", "net")


def read_published_weights(network: LogitsFusion, file: Path, allow_missing: bool = False) -> tuple[str, ...]:
    """Load a checkpoint of the published network.

    Parts are known by the names inside them, whatever the prefix in front: ``fc1`` and ``fc2`` of the
    attention, ``fusion_layer``, ``fc1`` and ``fc2`` of the head, timm's names in the branches. Where both
    branches are of one architecture, a prefix that is a part's own name decides, else the order in the file:
    the image branch first, as the published network has it. No tensor is loaded into two parts.

    Args:
        network: of the published structure, same backbones and number of classes; changed in place.
        file: a ``.pth`` file; only tensors are unpickled.
        allow_missing: whether a file without some part is accepted, such as the Swin alone that the
            published training saves.

    Returns:
        The parts that were loaded: ``image_branch``, ``mask_branch``, ``attention``, ``head``.

    Raises:
        DataError: the file is no checkpoint, a part is missing, or shapes differ.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DataError(f"{file}: is no checkpoint that holds tensors alone ({error})") from error
    tensors = _unwrap(content, file)
    loaded: list[str] = []
    names = {name for name, _ in network.named_children()}
    used: set[str] = set()
    for name, part in network.named_children():
        prefix, found = _find_part(tensors, name, part, used, names - {name})
        if found is None:
            if not allow_missing:
                raise DataError(
                    f"{file}: holds no weights for the {name} ({len(tensors)} tensors, such as "
                    f"{', '.join(list(tensors)[:3])}); check the backbones and the number of classes, or "
                    "allow missing parts"
                )
            continue
        try:
            part.load_state_dict(found)
        except RuntimeError as error:
            raise DataError(f"{file}: the {name} does not fit: {error}") from error
        used.add(prefix)
        loaded.append(name)
    if not loaded:
        raise DataError(f"{file}: no part of the published network is in it")
    return tuple(loaded)


def _unwrap(content: Any, file: Path) -> dict[str, Tensor]:
    for key in _WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        raise DataError(f"{file}: holds a {type(content).__name__}, not named tensors")
    return {str(k): v for k, v in content.items() if isinstance(v, Tensor)}


def _find_part(
    tensors: dict[str, Tensor], name: str, part: nn.Module, used: set[str], others: set[str]
) -> tuple[str, dict[str, Tensor] | None]:
    """Return the prefix of one part's tensors, and these tensors without it; None where none fit.

    Args:
        tensors: of the whole file.
        name: of the part.
        part: its module.
        used: prefixes of parts that are loaded.
        others: names of the other parts.
    """
    wanted = {key: tensor.shape for key, tensor in part.state_dict().items()}
    anchor = next(iter(wanted))
    prefixes = [key.removesuffix(anchor) for key in tensors if key == anchor or key.endswith(f".{anchor}")]
    free = [p for p in prefixes if p not in used and _last_name(p) not in others]
    for prefix in sorted(free, key=lambda p: _last_name(p) != name):
        inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        renamed = _rename_old_timm(inside, part)
        if all(k in renamed and renamed[k].shape == shape for k, shape in wanted.items()):
            return prefix, {k: renamed[k] for k in wanted}
    return "", None


def _last_name(prefix: str) -> str:
    return prefix.rstrip(".").rpartition(".")[2]


def _rename_old_timm(inside: dict[str, Tensor], part: nn.Module) -> dict[str, Tensor]:
    # timm renamed layers of some networks since the paper, and carries the function that follows.
    convert = getattr(sys.modules[type(part).__module__], "checkpoint_filter_fn", None)
    if convert is None or not type(part).__module__.startswith("timm."):
        return inside
    try:
        converted: dict[str, Tensor] = convert(dict(inside), part)
    except (KeyError, RuntimeError, AttributeError):
        return inside
    return converted
