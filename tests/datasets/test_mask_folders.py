from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.datasets.mask_folders import pair_masks
from erythron.datasets.masks import read_mask
from erythron.errors import DataError

from .conftest import save_flat


def save_mask(path: Path, levels: tuple[int, int] = (128, 255)) -> Path:
    """Save a round cell of two grey levels on black."""
    distance = np.hypot(*(np.mgrid[:16, :16] - 7.5))
    mask = np.where(distance < 3, levels[1], np.where(distance < 6, levels[0], 0)).astype(np.uint8)
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path)
    return path


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("images/early/1.png", "masks/early/1.png"),
        ("early/images/1.jpg", "early/masks/1.png"),
        ("train/images/early/1.png", "train/masks/early/1_mask.png"),
        ("train/early/1.png", "train_mask/early/1.png"),
        ("train/early/1.png", "train_convex_hull/early/1.png"),
        ("early/1.png", "early/1_mask.png"),
        ("raw/early/Cell 1.png", "Mask/early/cell 1.bmp"),
    ],
)
def test_masks_find_their_images_wherever_they_lie(tmp_path: Path, image: str, mask: str) -> None:
    paths = [save_flat(tmp_path / image, 9), save_mask(tmp_path / mask)]
    found = pair_masks(tmp_path, paths)
    assert found.images == (paths[0],)
    assert found.mask_of == {paths[0]: paths[1]}
    assert found.kind == "nucleus_255_cell_128"


@pytest.mark.parametrize(
    ("levels", "kind"),
    [
        ((255, 255), "cell"),
        ((1, 1), "cell_above_0"),
        ((155, 255), "nucleus_255_cell_155"),
        ((128, 255), "nucleus_255_cell_128"),
    ],
)
def test_the_grey_levels_say_how_masks_are_read(tmp_path: Path, levels: tuple[int, int], kind: str) -> None:
    image, mask = save_flat(tmp_path / "images" / "1.png", 9), save_mask(tmp_path / "masks" / "1.png", levels)
    assert pair_masks(tmp_path, [image, mask]).kind == kind
    read = read_mask(mask, kind)
    assert read.cell.sum() == (np.hypot(*(np.mgrid[:16, :16] - 7.5)) < 6).sum()
    assert (read.nucleus is not None) == kind.startswith("nucleus")


def test_masks_that_fit_no_image_or_two_are_refused_and_a_set_without_is_as_it_is(tmp_path: Path) -> None:
    image = save_flat(tmp_path / "images" / "1.png", 9)
    assert pair_masks(tmp_path, [image]).images == (image,)
    other = save_mask(tmp_path / "masks" / "2.png")
    with pytest.raises(DataError, match=r"none of its 1 masks, such as 2\.png"):
        pair_masks(tmp_path, [image, other])
    twins = [save_mask(tmp_path / "masks" / "1.png"), save_mask(tmp_path / "hulls" / "1.png")]
    with pytest.raises(DataError, match="the same image"):
        pair_masks(tmp_path, [image, *twins])
    (tmp_path / "masks" / "1.png").write_bytes(b"no image")
    with pytest.raises(DataError, match="cannot be read"):
        pair_masks(tmp_path, [image, twins[0]])
