"""Images of synthetic cells, alone and laid out like the public sets with outlines."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

VOC = "<a>{}</a>"
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def make_cell(side: tuple[int, int], radius: float, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a cell in the middle of an image, and its mask; no two seeds have the same form.

    The outlines of nucleus and cell are alike, the cell's being 1.4 times as large.
    """
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[: side[0], : side[1]]
    y, x = y - side[0] / 2, x - side[1] / 2
    angle, waves = np.arctan2(y, x), (2, 3, 4, 5)
    # Each seed has waves of its own, so that no image is another one turned.
    form = 1 + sum(rng.uniform(-0.06, 0.06) * np.cos(k * angle + rng.uniform(0, 2 * np.pi)) for k in waves)
    away = np.hypot(y, x) / (form * rng.uniform(0.9, 1))
    image = np.full((*side, 3), (238, 230, 215), float)
    image[away < radius * 1.4] = (175, 165, 205)
    image[away < radius] = (90, 40, 130)
    mask = np.where(away < radius, 255, np.where(away < radius * 1.4, 128, 0)).astype(np.uint8)
    return (image + rng.normal(0, 3, image.shape)).clip(0, 255).astype(np.uint8), mask


def save(path: Path, image: NDArray[np.uint8]) -> None:
    """Save an image in a folder that is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path)


def voc_object(name: str, *box: int) -> str:
    """Return one object of a VOC file."""
    return f"<object><name>{name}</name>{BOX.format(*box)}</object>"


def draw_sets(folder: Path) -> Path:
    """Draw a few images of each public set that the segmentation network learns from."""
    for k, label in enumerate(("proerythroblast", "basophilic", "band")):
        for i in range(4):
            image, mask = make_cell((137, 137), 28 - 5 * k, 10 * k + i)
            save(folder / "pathology-bites-cells" / "cells" / f"{label}_{i:03d}.png", image)
            save(folder / "marrow-masks" / f"{label}_{i:03d}.png", mask)
    (folder / "pathology-bites-cells" / "overlap_groups.json").write_text(
        json.dumps([["band_000.png", "band_001.png"]])
    )
    for i in range(4):
        image, mask = make_cell((256, 256), 45, 100 + i)
        name = f"{'baso' if i == 3 else 'neut'}_{i}-1_0"
        save(folder / "bcisc" / "sub-images" / "images" / f"{name}.jpg", image)
        save(folder / "bcisc" / "sub-images" / "masks" / f"{name}.png", (mask > 64).astype(np.uint8) * 255)
        image, mask = make_cell((480, 640), 60, 200 + i)
        save(folder / "bccd" / "BCCD" / "JPEGImages" / f"BloodImage_{i:05d}.jpg", image)
        save(folder / "bccd-masks" / f"BloodImage_Mask_{i:05d}.png", mask)
        annotation = folder / "bccd" / "BCCD" / "Annotations" / f"BloodImage_{i:05d}.xml"
        annotation.parent.mkdir(parents=True, exist_ok=True)
        boxes = voc_object("RBC", 20, 30, 120, 130) + voc_object("RBC", 270, 190, 370, 290)
        # The last field's white cell is outlined and has no box.
        boxes += voc_object("WBC", 236, 156, 404, 324) if i < 3 else ""
        annotation.write_text(VOC.format(boxes))
        for k, label in enumerate(("monocyte", "neutrophil")):
            image, _ = make_cell((360, 360), 50, 300 + 10 * k + i)
            save(folder / "pbc-acevedo" / "wbc" / label / f"{i}.jpg", image)
    return folder
