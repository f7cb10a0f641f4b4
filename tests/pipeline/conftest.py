"""Fields that the tests of counting share."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of three synthetic fields of two or three cells; no test writes into it."""
    folder = tmp_path_factory.mktemp("in")
    for seed in range(3):
        Image.fromarray(draw_field(DrawnFieldSpec(180, 150, seed=seed + 2)).rgb).save(folder / f"f{seed}.png")
    return folder
