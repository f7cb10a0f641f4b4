"""Grey and inverted pictures are refused, stained smears and empty fields never."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from erythron.errors import ImageReadError
from erythron.read.fields import read_image, take_array
from erythron.read.stained import check_stained
from erythron.synthetic.field import DrawnFieldSpec, draw_field

FIELD = draw_field(DrawnFieldSpec(400, 300, seed=1)).rgb
REAL = (
    "marrow-fields/*.jpg", "marrow-fields/*.png", "marrow-field/*.png", "cases/images/*",
    "pathology-bites-cells/*_1.png", "blood-films/*/*", "matek-samples/*.jpg",
)  # fmt: skip


def grey(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(Image.fromarray(rgb).convert("L").convert("RGB"))


def test_a_grey_picture_is_refused_and_an_empty_field_is_not(tmp_path: Path) -> None:
    check_stained(take_array(FIELD))
    with pytest.raises(ImageReadError, match="grey"):
        check_stained(take_array(grey(FIELD)))
    Image.fromarray(grey(FIELD)).save(tmp_path / "a.jpg", quality=60)
    with pytest.raises(ImageReadError, match="grey"):
        check_stained(read_image(tmp_path / "a.jpg"))
    check_stained(take_array(np.full((60, 60, 3), 240, np.uint8)))
    check_stained(take_array(np.zeros((60, 60, 3), np.uint8)))


def test_an_inverted_picture_is_refused() -> None:
    with pytest.raises(ImageReadError, match="inverted"):
        check_stained(take_array(255 - FIELD))


@pytest.mark.real_data
def test_real_smears_pass_and_their_inverse_does_not(data_dir: Path) -> None:
    paths = [path for pattern in REAL for path in data_dir.glob(pattern)]
    assert len(paths) > 20
    refused = 0
    for path in paths:
        image = read_image(path)
        check_stained(image)
        with pytest.raises(ImageReadError, match="grey"):
            check_stained(take_array(grey(image.rgb)))
        try:
            check_stained(take_array(255 - image.rgb))
        except ImageReadError:
            refused += 1
    assert refused > 0.6 * len(paths)
