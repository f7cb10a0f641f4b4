"""Masks of every kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.datasets.manifest import MASK_KINDS
from erythron.datasets.masks import read_mask
from erythron.errors import DataError


def save_mask(path: Path, kind: str) -> None:
    """Save 4 columns of background, 3 of cytoplasm and 2 of nucleus, as a kind of mask has them."""
    grey = np.repeat(np.array([[0, 1, 2, 0, 128, 128, 128, 255, 254]], np.uint8), 5, axis=0)
    if kind == "nucleus_255_cell_155":
        grey[grey == 128] = 155
    elif not kind.startswith("nucleus"):
        grey = np.where(grey > 100, 255, 0).astype(np.uint8)
    if kind == "fourth_channel":
        Image.fromarray(np.stack([grey * 0, grey * 0, grey * 0, grey], 2), "CMYK").save(path)
    else:
        Image.fromarray(grey).save(path)


@pytest.mark.parametrize("kind", MASK_KINDS)
def test_every_kind_shows_the_cell_and_the_nucleus_where_it_is_drawn(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("mask.tif" if kind == "fourth_channel" else "mask.png")
    save_mask(path, kind)
    mask = read_mask(path, kind)
    assert mask.cell[0].tolist() == [False] * 4 + [True] * 5
    if kind.startswith("nucleus"):
        assert mask.nucleus is not None
        assert mask.nucleus[0].tolist() == [False] * 7 + [True] * 2
    else:
        assert mask.nucleus is None


def test_what_is_no_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="mask kind 'ink'"):
        read_mask(tmp_path / "m.png", "ink")
    (tmp_path / "m.png").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"m\.png: the mask cannot be read"):
        read_mask(tmp_path / "m.png", "cell")
    Image.new("L", (4, 4)).save(tmp_path / "grey.png")
    with pytest.raises(DataError, match=r"grey\.png: has no fourth channel"):
        read_mask(tmp_path / "grey.png", "fourth_channel")
