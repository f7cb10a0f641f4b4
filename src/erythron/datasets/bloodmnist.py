"""Reader of BloodMNIST: one npz file of small images with a split of its own."""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from PIL import Image

from erythron.datasets.labelled import FoundCell
from erythron.errors import DataError
from erythron.files.writing import open_at

CLASSES = (
    "basophil",
    "eosinophil",
    "erythroblast",
    "immature granulocyte",
    "lymphocyte",
    "monocyte",
    "neutrophil",
    "platelet",
)
"""Classes in the order of the file's labels (Yang et al. 2023, doi 10.1038/s41597-022-01721-8)."""

_PARTS = {"train": "train", "val": "validation", "test": "test"}


def read_bloodmnist(folder: Path) -> list[FoundCell]:
    """Read images that :func:`unpack_bloodmnist` wrote: ``images/PART_NUMBER_CLASS.png``.

    The source's own parts are kept. It names no patient, and ``pbc-acevedo`` is where its cells come from.

    Raises:
        DataError: the images are not there, or a name is not of that form.
    """
    paths = sorted((folder / "images").glob("*.png"))
    if not paths:
        raise DataError(f"{folder}: no unpacked image; run erythron data fetch bloodmnist")
    cells = []
    for path in paths:
        part, _, code = path.stem.split("_") if path.stem.count("_") == 2 else ("", "", "")
        if part not in _PARTS or not code.isdigit() or int(code) >= len(CLASSES):
            raise DataError(f"{path}: the name is not PART_NUMBER_CLASS.png; fetch the set again")
        cells.append(FoundCell(path, CLASSES[int(code)], split=_PARTS[part]))
    return cells


def unpack_bloodmnist(archive: Path, folder: Path) -> None:
    """Write each image of a BloodMNIST npz as ``images/PART_NUMBER_CLASS.png`` into a folder.

    Raises:
        DataError: the file is not a BloodMNIST npz.
    """
    try:
        with np.load(archive, allow_pickle=False) as arrays:
            for part in _PARTS:
                pixels, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"].reshape(-1)
                if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) != len(labels):
                    raise DataError(f"{archive}: {part}_images is {pixels.dtype} {pixels.shape}")
                for i, (rgb, label) in enumerate(zip(pixels, labels, strict=True)):
                    with open_at(folder / "images" / f"{part}_{i:05d}_{int(label)}.png") as file:
                        Image.fromarray(rgb).save(file, "PNG")
    except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
        raise DataError(f"{archive}: is no BloodMNIST file ({error}); fetch it again") from error
