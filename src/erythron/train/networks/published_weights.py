"""Weights saved from modules with the published names, into our network."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from erythron.errors import DataError
from erythron.train.networks.two_branch import LogitsFusion

_WRAPPERS = ("state_dict", "model", "model_state", "net")


def read_published_weights(network: LogitsFusion, file: Path, allow_missing: bool = False) -> tuple[str, ...]:
    """Load a checkpoint of the published network.

    Parts are known by the names inside them, whatever the prefix in front: ``fc1`` and ``fc2`` of the
    attention, ``fusion_layer``, ``fc1`` and ``fc2`` of the head, timm's names in the branches.

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
    loaded = []
    for name, part in network.named_children():
        found = _find_part(tensors, part)
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


def _find_part(tensors: dict[str, Tensor], part: nn.Module) -> dict[str, Tensor] | None:
    """Return the tensors of one part without the prefix that they share, None where a part is not in."""
    wanted = {name: tensor.shape for name, tensor in part.state_dict().items()}
    anchor = next(iter(wanted))
    prefixes = [
        name.removesuffix(anchor) for name in tensors if name == anchor or name.endswith(f".{anchor}")
    ]
    for prefix in prefixes:
        inside = {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
        renamed = _rename_old_timm(inside, part)
        if all(k in renamed and renamed[k].shape == shape for k, shape in wanted.items()):
            return {k: renamed[k] for k in wanted}
    return None


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
