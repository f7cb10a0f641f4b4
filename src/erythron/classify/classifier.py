"""A bundle's network with its preprocessing: prepared cells to calibrated probabilities."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from erythron.bundle.folder import CARD, Bundle
from erythron.bundle.runtime import OpenVinoRuntime, Runtime
from erythron.bundle.schema import MaskInput
from erythron.classify.crops import CellCrops
from erythron.classify.framing import MEASUREMENT_INPUTS
from erythron.errors import BundleError
from erythron.shape.mask import hull_plane

BATCH = 256
"""Cells that are prepared and named at once; it limits memory and changes no probability."""


@dataclass(frozen=True)
class CellInputs:
    """N cells as the classifier takes them.

    Attributes:
        crops: pixels and masks at the bundle's size and scale.
        measurements: (N, K) float32, columns of ``MEASUREMENT_INPUTS``.
    """

    crops: CellCrops
    measurements: NDArray[np.float32]


@dataclass(frozen=True)
class Predictions:
    """What the network says of N cells.

    Attributes:
        probabilities: (N, C) float64, calibrated; every row sums to 1.
        novelty: (N,) float64, how unlike the training cells each is; 99 % of those lie below 1.
    """

    probabilities: NDArray[np.float64]
    novelty: NDArray[np.float64]


def join_predictions(parts: Sequence[Predictions]) -> Predictions:
    """Return what is said of the cells of one or more parts, in order."""
    return Predictions(
        np.concatenate([part.probabilities for part in parts]),
        np.concatenate([part.novelty for part in parts]),
    )


class Classifier:
    """The classifier of a bundle.

    Args:
        bundle: a loaded bundle.
        runtime: where to run its network; None is OpenVINO on all cores.

    Raises:
        BundleError: the network cannot be loaded, or takes measurements that this version does not make.
    """

    def __init__(self, bundle: Bundle, runtime: Runtime | None = None) -> None:
        inputs = bundle.card.measurements
        names = tuple(m.name for m in inputs)
        if names != MEASUREMENT_INPUTS:
            raise BundleError(
                f"{bundle.path / CARD}: its measurements are not those of this version of erythron "
                f"({', '.join(MEASUREMENT_INPUTS)}); train or export it again"
            )
        self.bundle = bundle
        self._runtime = OpenVinoRuntime(bundle.classifier_path) if runtime is None else runtime
        self._mean = np.array([m.mean for m in inputs], np.float32)
        self._sd = np.array([m.sd for m in inputs], np.float32)

    def predict(self, cells: CellInputs) -> Predictions:
        """Return calibrated probabilities and novelty of cells."""
        count = len(cells.measurements)
        logits = np.zeros((count, len(self.bundle.classes)), np.float64)
        novelty = np.full(count, np.nan)
        for i in range(0, count, BATCH):
            part = slice(i, i + BATCH)
            inputs = {"pixels": self._normalise(cells.crops.pixels[part])}
            if self.bundle.card.mask_input is not MaskInput.NONE:
                planes = select_planes(cells.crops.masks[part], self.bundle.card.mask_input)
                inputs["masks"] = _channels_first(planes, np.full(1, 1 / 255, np.float32))
            if self.bundle.card.takes_measurements:
                inputs["measurements"] = self._standardise(cells.measurements[part])
            found = self._runtime.run(inputs)
            logits[part] = found["logits"]
            if "novelty" in found:
                novelty[part] = found["novelty"]
        return Predictions(soften(logits, self.bundle.card.temperature), novelty)

    def _normalise(self, pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
        rule = self.bundle.card.normalisation
        mean, sd = (np.array(v, np.float32).reshape(1, 3, 1, 1) for v in (rule.mean, rule.sd))
        planes = _channels_first(pixels, np.asarray(1 / (255 * sd), np.float32))
        planes -= mean / sd
        return planes

    def _standardise(self, values: NDArray[np.float32]) -> NDArray[np.float32]:
        limit = self.bundle.card.measurement_limit
        return np.asarray(np.clip((values - self._mean) / self._sd, -limit, limit), np.float32)


def select_planes(masks: NDArray[np.uint8], wanted: MaskInput) -> NDArray[np.uint8]:
    """Return the planes that a network takes, (N, S, S, K) uint8.

    Args:
        masks: (N, S, S, 2) uint8, nucleus and cell.
        wanted: which.
    """
    if wanted is MaskInput.NUCLEUS_CELL:
        return masks
    if wanted is MaskInput.CELL:
        return masks[..., 1:]
    return np.stack([hull_plane(m[..., 1]) for m in masks])[..., None]


def soften(logits: NDArray[np.float64], temperature: float) -> NDArray[np.float64]:
    """Return softmax of logits over the temperature, (N, C) (Guo et al. 2017, arXiv 1706.04599)."""
    scaled = logits / temperature
    if not len(scaled):
        return scaled
    power = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(power / power.sum(axis=1, keepdims=True))


def _channels_first(image: NDArray[np.uint8], factor: NDArray[np.float32]) -> NDArray[np.float32]:
    # In place: each further copy of a batch costs as much as a layer of the network.
    planes = image.transpose(0, 3, 1, 2).astype(np.float32, order="C")
    planes *= factor
    return planes
