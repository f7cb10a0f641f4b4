from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.datasets.pixels import read_labelled_image
from erythron.errors import ImageReadError

from .conftest import draw_smear, save


@pytest.mark.parametrize(("suffix", "tolerance"), [("tif", 0), ("jpg", 12)])
def test_colour_of_a_four_channel_file_is_not_taken_for_ink(
    tmp_path: Path, suffix: str, tolerance: int
) -> None:
    """The published layout keeps RGB and mask as a CMYK file."""
    rgb = draw_smear(0)
    mask = np.zeros(rgb.shape[:2], np.uint8)
    mask[40:100, 40:100] = 255
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(np.dstack([rgb, mask]), mode="CMYK").save(path, **({"quality": 98} if tolerance else {}))
    read = read_labelled_image(path, None, "fourth_channel")
    assert np.abs(read.rgb.astype(int) - rgb).mean() <= tolerance
    assert read.rgb.shape == rgb.shape
    assert read.mpp is None


def test_other_images_read_as_everywhere(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", draw_smear(1))
    assert np.array_equal(read_labelled_image(path, 0.2, None).rgb, draw_smear(1))
    with pytest.raises(ImageReadError, match="no fourth channel"):
        read_labelled_image(path, None, "fourth_channel")
    path.write_bytes(b"junk")
    with pytest.raises(ImageReadError, match="cannot be decoded"):
        read_labelled_image(path, None, "fourth_channel")
