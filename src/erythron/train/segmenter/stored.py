"""A bundle's segmentation network back in torch, and a refitted decoder back into the bundle's ONNX file.

A bundle keeps no weights but those of its ONNX file. Its exporter folds each normalisation into the
convolution before it, so what is read is the folded network: it computes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from torch import Tensor, nn

from erythron.bundle.runtime import OpenVinoRuntime
from erythron.errors import BundleError
from erythron.files.writing import write_file
from erythron.train.classifier.networks.settings import Pretraining
from erythron.train.segmenter.fit import TorchRuntime
from erythron.train.segmenter.network import SegmentationNetwork
from erythron.train.segmenter.use import WINDOW_PX
from erythron.train.shared.backbones import load_encoder

MAX_DIFFERENCE = 1e-4
"""Largest difference of a probability between torch and OpenVINO that is taken for rounding; of the shipped
network it is 2e-6."""

_PREFIX = "net."
"""Of the names of weights in the file: the exported module holds the network by this name."""

_FOLDED = "_bias"
"""Ending of the name that the exporter gives the bias that a normalisation was folded into."""


def read_network(path: Path) -> SegmentationNetwork:
    """Return the network of an ONNX file in torch, ready for use, each normalisation in its convolution.

    Args:
        path: of the file, as ``erythron train`` writes it.

    Raises:
        BundleError: the file holds another network, or torch does not say what OpenVINO says of it.
    """
    net = SegmentationNetwork(load_encoder(Pretraining.NONE))
    stored = {i.name: numpy_helper.to_array(i) for i in onnx.load(path).graph.initializer}
    with torch.no_grad():
        _fold_norms(net)
        for name, value in _list_weights(net):
            if name not in stored or stored[name].shape != tuple(value.shape):
                raise BundleError(
                    f"{path}: holds another segmentation network than erythron trains ({name} is missing or "
                    "of another size), so it cannot be refitted"
                )
            value.copy_(torch.from_numpy(stored[name].copy()))
    _check_agreement(path, net)
    return net


def write_network(net: SegmentationNetwork, origin: Path, path: Path) -> float:
    """Write a network that :func:`read_network` returned, with other weights, as the file that it came from.

    Args:
        net: the network.
        origin: ONNX file that it was read from.
        path: where to.

    Returns:
        The largest difference of a probability between torch and OpenVINO.

    Raises:
        BundleError: it is larger than ``MAX_DIFFERENCE``.
    """
    model = onnx.load(origin)
    weights = {name: value.detach().numpy() for name, value in _list_weights(net)}
    for stored in model.graph.initializer:
        if stored.name in weights:
            stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(weights[stored.name]), stored.name))
    write_file(path, model.SerializeToString())
    return _check_agreement(path, net)


def _list_weights(net: SegmentationNetwork) -> Iterator[tuple[str, Tensor]]:
    """Yield each weight of a network whose normalisations only add their bias, by its name in the file."""
    norms = _pair_norms(net)
    for name, module in net.named_modules():
        if not isinstance(module, nn.Conv2d):
            continue
        yield f"{_PREFIX}{name}.weight", module.weight
        if module.bias is not None:
            yield f"{_PREFIX}{name}.bias", module.bias
        if name in norms:
            yield f"{_PREFIX}{name}.weight{_FOLDED}", norms[name].bias


def _fold_norms(net: SegmentationNetwork) -> None:
    """Make every normalisation add its bias and no more."""
    for norm in _pair_norms(net).values():
        norm.running_mean, norm.running_var = torch.zeros_like(norm.bias), torch.ones_like(norm.bias)
        norm.weight.fill_((1.0 + norm.eps) ** 0.5)


def _pair_norms(net: SegmentationNetwork) -> dict[str, nn.BatchNorm2d]:
    """Return by the name of a convolution the normalisation that takes what it gives."""
    names = {module: name for name, module in net.named_modules()}
    made: dict[int, str] = {}
    kept: list[Tensor] = []  # so that no other tensor takes the place of one in memory
    pairs: dict[str, nn.BatchNorm2d] = {}

    def see(module: nn.Module, taken: tuple[Tensor, ...], given: Tensor) -> None:
        if isinstance(module, nn.Conv2d):
            made[id(given)] = names[module]
            kept.append(given)
        elif isinstance(module, nn.BatchNorm2d) and id(taken[0]) in made:
            pairs[made[id(taken[0])]] = module

    hooks = [module.register_forward_hook(see) for module in names]
    try:
        with torch.no_grad():
            net.eval()(torch.zeros(1, 3, 32, 32))
    finally:
        for hook in hooks:
            hook.remove()
    return pairs


def _check_agreement(path: Path, net: SegmentationNetwork) -> float:
    """Return the largest difference of a probability between torch and OpenVINO on noise.

    Raises:
        BundleError: it is larger than ``MAX_DIFFERENCE``.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (2, WINDOW_PX, WINDOW_PX, 3), np.uint8)
    # Noise alone would leave most of the network at its bounds: the half of it is smooth.
    pixels[1] = pixels[1, ::12, ::12].repeat(12, 0).repeat(12, 1)
    said, expected = (
        runtime.run({"pixels": pixels})["probabilities"]
        for runtime in (OpenVinoRuntime(path), TorchRuntime(net))
    )
    difference = float(np.abs(said - expected).max())
    if not difference <= MAX_DIFFERENCE:
        raise BundleError(
            f"{path}: torch's probabilities differ from OpenVINO's by {difference:.2g}, more than "
            f"{MAX_DIFFERENCE:g}, so the segmentation network cannot be refitted here; use the versions of "
            "torch and timm that the card of the bundle names"
        )
    return difference
