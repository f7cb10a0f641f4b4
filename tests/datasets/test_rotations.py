from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.datasets.features import compute_features
from erythron.datasets.rotations import ANGLES, RINGS, find_rotated, sample_rings
from erythron.datasets.similarity import find_similar

from .conftest import draw_smear, save


@pytest.mark.parametrize(
    ("turn", "options"),
    [
        ({"angle": 37}, {}),
        ({"angle": 123, "fillcolor": (255, 255, 255)}, {"quality": 60}),
        ({"angle": 45, "expand": True}, {}),
        ({"angle": 4, "resample": Image.Resampling.BICUBIC}, {"quality": 75}),
    ],
)
@pytest.mark.parametrize("is_mirrored", [False, True])
def test_a_copy_turned_by_any_angle_is_found(
    tmp_path: Path, turn: dict[str, object], options: dict[str, object], is_mirrored: bool
) -> None:
    """As sets with copies made beforehand hold them: filled black or white, within the frame or not."""
    image = Image.fromarray(draw_smear(11))
    copy = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if is_mirrored else image
    paths = [save(tmp_path / f"{i}.jpg", draw_smear(i)) for i in range(3)]
    image.save(tmp_path / "a.png")
    copy.rotate(**turn).save(tmp_path / "b.jpg", **options)  # type: ignore[arg-type]
    paths += [tmp_path / "a.png", tmp_path / "b.jpg"]
    pairs = find_similar(compute_features([str(p) for p in paths], 1))
    assert pairs.select("first", "second", "kind").rows() == [(3, 4, "copy")]
    found = find_rotated([f.rings for f in compute_features([str(p) for p in paths], 1)])
    assert ("mirrored" in found["turn"].item()) == is_mirrored


def test_the_angle_is_said_and_a_copy_of_another_size_is_one(tmp_path: Path) -> None:
    image = Image.fromarray(draw_smear(12, 150, 150))
    image.save(tmp_path / "a.png")
    image.rotate(90).resize((97, 97), Image.Resampling.BICUBIC).save(tmp_path / "b.png")
    rings = [f.rings for f in compute_features([str(tmp_path / n) for n in ("a.png", "b.png")], 1)]
    assert rings[0].shape == (RINGS, ANGLES)
    assert find_rotated(rings)["turn"].to_list() == ["turned by 90 degrees"]


def test_round_things_alike_are_no_copies() -> None:
    """A bare disc on even ground has nothing along its rings; unreadable images have no rings."""
    yy, xx = np.mgrid[:80, :80]
    rng = np.random.default_rng(0)
    discs = [
        np.where(np.hypot(yy - 39.5, xx - 39.5) < r, 90, 230) + rng.normal(0, 3, (80, 80))
        for r in (20, 20, 24)
    ]
    rings = [sample_rings(d.astype(np.float32)) for d in discs]
    assert find_rotated([*rings, np.zeros((0, 0), np.float16)]).is_empty()
    assert find_rotated([]).is_empty()
