"""Sets with outlines, laid out like the public ones and small, and the windows that are cut from them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from erythron.train.segmenter.windows import Windows, load_windows

from .images import make_cell, save

VOC = "<a>{}</a>"
BOX = "<bndbox><xmin>{}</xmin><ymin>{}</ymin><xmax>{}</xmax><ymax>{}</ymax></bndbox>"


def voc_object(name: str, *box: int) -> str:
    """Return one object of a VOC file."""
    return f"<object><name>{name}</name>{BOX.format(*box)}</object>"


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
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


@pytest.fixture(scope="session")
def windows(data: Path) -> Windows:
    return load_windows(data, 2, 0)
