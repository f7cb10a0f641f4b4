"""Proof that a bundle works here: its stored cell, classified anew, has its stored probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.folder import CARD, Bundle
from erythron.cells.outline import outline_cell
from erythron.classify.calls import prepare_cells
from erythron.classify.classifier import Classifier
from erythron.errors import BundleError
from erythron.read.image import ScaleSource, SmearImage
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE
from erythron.shape.measure import measure_cells

MOST_PX = 4096
"""Sides of a stored picture: as the largest single-cell crop that a bundle may state."""


def classify_stored_cell(bundle: Bundle, classifier: Classifier) -> tuple[float, ...]:
    """Return the probabilities that a classifier gives the bundle's stored cell, one for each class.

    Raises:
        BundleError: the stored image or mask cannot be read.
    """
    test = bundle.card.self_test
    try:
        rgb = _read_png(bundle.path / test.image, "RGB")
        mask = _read_png(bundle.path / test.mask, "L")
    except (OSError, Image.DecompressionBombError) as error:
        raise BundleError(
            f"{bundle.path}: the stored cell cannot be read ({error}); export it again"
        ) from error
    outline = outline_cell(mask == NUCLEUS_VALUE, mask >= CYTOPLASM_VALUE)
    if outline is None or mask.shape != rgb.shape[:2]:
        raise BundleError(f"{bundle.path / test.mask}: is not the mask of a cell; export the bundle again")
    image = SmearImage(test.image, rgb, test.mpp, ScaleSource.METADATA)
    measured = measure_cells(rgb, [outline], test.mpp)
    cells = prepare_cells(image, [outline], measured, bundle.card.framing)
    return tuple(float(p) for p in classifier.predict(cells).probabilities[0])


def _read_png(path: Path, mode: str) -> NDArray[np.uint8]:
    """Return the pixels of a stored picture; a larger one than of a cell is not unpacked."""
    with Image.open(path, formats=["PNG"]) as picture:
        if max(picture.size) > MOST_PX:
            raise OSError(f"{path.name} is no picture of a cell, with a side of {max(picture.size)} pixels")
        return np.asarray(picture.convert(mode))


def verify_bundle(bundle: Bundle, classifier: Classifier | None = None) -> float:
    """Check that the stored cell has its stored probabilities, and return the largest difference.

    Args:
        bundle: a loaded bundle.
        classifier: one made from it; None makes one.

    Raises:
        BundleError: a probability differs by more than the stated tolerance.
    """
    test = bundle.card.self_test
    got = classify_stored_cell(bundle, Classifier(bundle) if classifier is None else classifier)
    differences = np.abs(np.array(got) - np.array(test.probabilities))
    worst = int(differences.argmax())
    if not differences[worst] <= test.tolerance:
        raise BundleError(
            f"{bundle.path / CARD}: the stored cell has prob_{bundle.classes[worst].name} {got[worst]:.6f} "
            f"here and {test.probabilities[worst]:.6f} in the bundle (tolerance {test.tolerance:g}); the "
            "runtime or preprocessing differs, so reinstall erythron or use the version that made the bundle"
        )
    return float(differences[worst])
