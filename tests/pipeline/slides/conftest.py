"""A small slide in a PNG, which these tests read as a slide is read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.slides import open_png

from erythron.pipeline import count_worker, stream
from erythron.pipeline.slides import counter
from erythron.synthetic.field import DrawnFieldSpec, draw_field

GLASS = (232, 227, 239)


@pytest.fixture(scope="module")
def slide_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A slide of 1,500 by 1,000 px: its left half glass, the rest smear with some forty cells."""
    rgb = np.empty((1000, 1500, 3), np.uint8)
    rgb[:] = GLASS
    rgb[:, 740:] = draw_field(DrawnFieldSpec(760, 1000, seed=4, cells_per_mm2=900)).rgb
    path = tmp_path_factory.mktemp("slides") / "marrow.slide"
    # Each test opens it again and again, which takes longer where it is compressed.
    Image.fromarray(rgb).save(path, format="PNG", compress_level=0)
    return path


@pytest.fixture(scope="module")
def small_slide_path(slide_path: Path) -> Path:
    """A slide of 512 by 512 px, all of it smear."""
    path = slide_path.with_name("small.slide")
    Image.open(slide_path).crop((800, 0, 1312, 512)).save(path, format="PNG", compress_level=0)
    return path


@pytest.fixture(scope="module", autouse=True)
def slides_are_pngs() -> Iterator[None]:
    """Files with the suffix ``.slide`` are slides."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (count_worker, stream):
            patch.setattr(module, "is_slide", lambda path: Path(path).suffix == ".slide")
        patch.setattr(counter, "open_source", open_png)
        yield
