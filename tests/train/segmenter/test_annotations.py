"""What masks and stain say of the cells of an image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from erythron.datasets.labelled import FoundCell, make_set
from erythron.datasets.manifest import write_manifest
from erythron.errors import DataError
from erythron.train.folded_sets import BLOOD_SET, read_folded
from erythron.train.segmenter.annotations import read_annotated
from erythron.train.segmenter.windows import Windows

from .images import make_cell, save


def test_nuclei_that_no_mask_shows_are_taken_from_the_stain_but_not_in_basophils(windows: Windows) -> None:
    cells = windows.take(np.flatnonzero(windows.has_cell & (windows.source == "bcisc")))
    assert cells.nucleus_known.tolist() == [not name.startswith("baso") for name in cells.name]
    area = (cells.masks[cells.nucleus_known] > 127).sum((1, 2))
    np.testing.assert_allclose(np.sqrt(area[:, 0] / area[:, 1]), 1 / 1.4, rtol=0.03)


def test_lone_granulocytes_are_outlined_by_their_stain_and_held_out_with_their_fold(
    windows: Windows, data: Path
) -> None:
    cells = windows.take(np.flatnonzero(windows.source == "pbc"))
    assert cells.nucleus_known.all()
    area = (cells.masks > 127).sum((1, 2))
    np.testing.assert_allclose(np.sqrt(area[:, 0] / area[:, 1]), 1 / 1.4, rtol=0.05)
    blood = read_folded(BLOOD_SET, 2, 0, data)
    expected = dict(zip([Path(p).name for p in blood.rows["path"]], blood.fold.tolist(), strict=True))
    neutrophils = blood.rows["source_label"] == "neutrophil"
    assert len(cells.name) == neutrophils.sum()
    assert cells.fold.tolist() == [expected[name] for name in cells.name]


def test_a_field_of_a_cell_without_a_box_keeps_its_outline(data: Path) -> None:
    images = list(read_annotated(read_folded("bccd", 2, 0, data), 0, np.random.default_rng(0)))
    assert [int(image.cells.max()) for image in images] == [1, 1, 1, 1]


def test_the_empty_places_of_a_field_are_its_red_cells_that_no_outline_covers(data: Path) -> None:
    for image in read_annotated(read_folded("bccd", 2, 0, data), 0, np.random.default_rng(0)):
        assert image.empty == [(70, 80)]


def make_own_set(folder: Path, mpp: float | None) -> Path:
    """Write a manifest as an import does: crops with a mask each, the last of the cell alone."""
    found = []
    for i in range(6):
        image, mask = make_cell((96, 96), 14 + 2 * i, 400 + i)
        if i == 5:
            mask = (mask > 0).astype(np.uint8) * 255
        save(folder / "crops" / f"{i}.png", image)
        save(folder / "masks" / f"{i}.png", mask)
        crop, mask_path = folder / "crops" / f"{i}.png", folder / "masks" / f"{i}.png"
        kind = "cell" if i == 5 else "nucleus_255_cell_128"
        found.append(FoundCell(crop, "monocyte", f"field_{i // 2}", None, mask_path, kind, mpp=mpp))
    write_manifest(make_set("own", found).rows, folder / "manifest.csv")
    return folder


@pytest.mark.parametrize("file", ["manifest.csv", ""])
def test_a_set_of_ones_own_is_read_from_its_manifest(tmp_path: Path, file: str) -> None:
    own = make_own_set(tmp_path / "own", 0.25)
    images = list(read_annotated(read_folded(str(own / file), 3, 0), 0, np.random.default_rng(0)))
    assert [(image.name, image.source, image.mpp) for image in images] == [
        (f"{i}.png", "own", 0.25) for i in range(6)
    ]
    nuclei = [(image.nucleus & (image.cells == 1)).sum() for image in images]
    drawn = [make_cell((96, 96), 14 + 2 * i, 400 + i)[1] == 255 for i in range(6)]
    assert nuclei[:5] == [mask.sum() for mask in drawn[:5]]
    np.testing.assert_allclose(nuclei[5], drawn[5].sum(), rtol=0.03)
    assert all(len(image.empty) == 1 and not image.unknown for image in images)
    assert len({image.fold for image in images[:2]}) == 1


def test_a_crop_of_unknown_scale_shows_what_counting_takes_it_to_show(tmp_path: Path) -> None:
    own = make_own_set(tmp_path / "own", None)
    images = read_annotated(read_folded(str(own), 3, 0), 0, np.random.default_rng(0))
    assert {image.mpp for image in images} == {32 / 96}


def test_a_set_without_a_mask_is_refused(data: Path, tmp_path: Path) -> None:
    rows = read_folded("bcisc", 2, 0, data).rows
    bare = rows.with_columns(mask_path=pl.lit(None, pl.String), mask_kind=pl.lit(None, pl.String))
    write_manifest(bare, tmp_path / "bare.csv")
    with pytest.raises(DataError, match="no cell of this set has a mask"):
        list(read_annotated(read_folded(str(tmp_path / "bare.csv"), 2, 0), 0, np.random.default_rng(0)))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    own = make_own_set(tmp_path / "own", None)
    save(own / "masks" / "3.png", np.zeros((20, 20), np.uint8))
    with pytest.raises(DataError, match=r"3\.png: the mask is of another size"):
        list(read_annotated(read_folded(str(own), 3, 0), 0, np.random.default_rng(0)))
