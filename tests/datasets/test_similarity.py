from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.datasets.features import compute_features
from erythron.datasets.similarity import TURNS, find_similar, group_similar, turn_image

from .conftest import draw_smear, save


def compare(*paths: Path) -> pl.DataFrame:
    return find_similar(compute_features([str(p) for p in paths], workers=1))


def test_different_pieces_of_smear_are_not_similar(tmp_path: Path) -> None:
    assert compare(*(save(tmp_path / f"{i}.png", draw_smear(i)) for i in range(25))).is_empty()


@pytest.mark.parametrize(
    ("suffix", "options"), [("png", {}), ("bmp", {}), ("jpg", {"quality": 75}), ("jpg", {"quality": 40})]
)
def test_a_copy_is_found_after_another_encoding(
    tmp_path: Path, suffix: str, options: dict[str, object]
) -> None:
    rgb = draw_smear(1)
    pairs = compare(
        save(tmp_path / "a.png", rgb),
        save(tmp_path / "other.png", draw_smear(2)),
        save(tmp_path / f"b.{suffix}", rgb, **options),
    )
    assert pairs.select("first", "second", "kind", "turn").rows() == [(0, 2, "copy", "none")]


@pytest.mark.parametrize("turn", range(8))
def test_a_turned_or_mirrored_copy_is_found(tmp_path: Path, turn: int) -> None:
    rgb = draw_smear(3, 140, 150)
    turned = np.stack([turn_image(rgb[..., c], turn) for c in range(3)], 2)
    pairs = compare(save(tmp_path / "a.png", rgb), save(tmp_path / "b.png", np.ascontiguousarray(turned)))
    assert pairs["kind"].to_list() == ["copy"]
    assert pairs["overlap"].item() == 1.0
    # What turns the second image back.
    back = {5: 6, 6: 5}.get(turn, turn)
    assert pairs["turn"].item() == TURNS[back]


@pytest.mark.parametrize(("y", "x"), [(3, -2), (0, 40), (-35, 28), (60, -50)])
def test_shifted_crops_of_one_field_are_found_with_their_overlap(tmp_path: Path, y: int, x: int) -> None:
    field = draw_smear(4, 320, 320)
    a = save(tmp_path / "a.jpg", field[90:230, 90:230], quality=90)
    b = save(tmp_path / "b.jpg", field[90 + y : 230 + y, 90 + x : 230 + x], quality=90)
    pairs = compare(a, b)
    expected = (140 - abs(y)) * (140 - abs(x)) / 140**2
    assert pairs["overlap"].item() == pytest.approx(expected, abs=0.02)
    assert pairs["kind"].item() == ("copy" if expected >= 0.8 else "overlap")


def test_large_and_tiny_images_are_compared_too(tmp_path: Path) -> None:
    large = draw_smear(5, 400, 400)
    small = np.asarray(Image.fromarray(draw_smear(6)).resize((28, 28)))
    pairs = compare(
        save(tmp_path / "a.png", large),
        save(tmp_path / "b.jpg", large),
        save(tmp_path / "c.png", small),
        save(tmp_path / "d.bmp", small),
    )
    assert pairs.select("first", "second").rows() == [(0, 1), (2, 3)]


def test_the_mask_of_a_four_channel_image_does_not_count(tmp_path: Path) -> None:
    rgb = draw_smear(7)
    for name, mask in (("a", 0), ("b", 255)):
        four = np.dstack([rgb, np.full(rgb.shape[:2], mask, np.uint8)])
        Image.fromarray(four, mode="CMYK").save(tmp_path / f"{name}.tif")
    assert compare(tmp_path / "a.tif", tmp_path / "b.tif")["kind"].to_list() == ["copy"]


def test_groups_join_over_any_number_of_steps() -> None:
    pairs = pl.DataFrame({"first": [0, 1, 4], "second": [1, 2, 5]})
    groups = group_similar(7, pairs)
    assert groups[0] == groups[1] == groups[2]
    assert groups[4] == groups[5]
    assert len(set(groups.tolist())) == 4


def test_blank_and_broken_images_have_no_points(tmp_path: Path) -> None:
    blank = save(tmp_path / "blank.png", np.full((60, 60, 3), 230, np.uint8))
    (tmp_path / "junk.png").write_bytes(b"\x89PNG\r\n\x1a\njunk")
    (tmp_path / "empty.png").touch()
    features = compute_features(
        [str(p) for p in (blank, tmp_path / "junk.png", tmp_path / "empty.png", tmp_path / "none.png")], 1
    )
    assert [len(f.points) for f in features] == [0, 0, 0, 0]
    assert features[0].error is None
    assert "decoded" in str(features[1].error)
    assert features[2].error == "the file is empty"
    assert features[3].error == "there is no such file"
    assert find_similar(features).is_empty()
