"""The drawn field: the same pixels for the same spec, a truth that holds, and pyramids that read back."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import tifffile
from tests.ahead import Ended

from erythron.cells import classes as stages
from erythron.cells.outline import render_labels
from erythron.errors import UsageError
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource
from erythron.shape.measure import measure_cells
from erythron.synthetic.cells import FORMS, make_textures
from erythron.synthetic.field import (
    MARROW_MIX,
    TILE_PX,
    TRUTH_SCHEMA,
    DrawnField,
    DrawnFieldSpec,
    draw_field,
    draw_tile,
    write_drawn_tiff,
)

SMALL = DrawnFieldSpec(width_px=640, height_px=500, seed=5)


@pytest.fixture(scope="module")
def field() -> DrawnField:
    return draw_field(DrawnFieldSpec(width_px=1024, height_px=1024, seed=2))


def test_same_spec_gives_the_same_field_and_another_seed_another() -> None:
    one, two = draw_field(SMALL), draw_field(SMALL)
    np.testing.assert_array_equal(one.rgb, two.rgb)
    for mine, theirs in zip(one.outlines, two.outlines, strict=True):
        assert (mine.left, mine.top) == (theirs.left, theirs.top)
        np.testing.assert_array_equal(mine.cell, theirs.cell)
        np.testing.assert_array_equal(mine.nucleus, theirs.nucleus)
    assert one.cells.equals(two.cells)
    other = draw_field(dataclasses.replace(SMALL, seed=6))
    assert (other.rgb != one.rgb).mean() > 0.5
    assert not other.cells.equals(one.cells)


def test_masks_keep_the_rules_of_outlines(field: DrawnField) -> None:
    nucleus, cell = render_labels(field.outlines, *field.rgb.shape[:2])
    assert field.rgb.shape == (1024, 1024, 3)
    assert field.rgb.dtype == np.uint8
    # None covers another, so that rendering loses no pixel.
    assert np.count_nonzero(cell) == sum(np.count_nonzero(o.cell) for o in field.outlines)
    assert np.count_nonzero(nucleus) == sum(np.count_nonzero(o.nucleus) for o in field.outlines)
    np.testing.assert_array_equal(cell[nucleus > 0], nucleus[nucleus > 0])
    ids = list(range(1, field.cells.height + 1))
    assert np.unique(nucleus)[1:].tolist() == ids
    assert np.unique(cell)[1:].tolist() == ids


def test_truth_is_what_measuring_the_masks_gives(field: DrawnField) -> None:
    assert dict(field.cells.schema) == TRUTH_SCHEMA
    measured = measure_cells(field.rgb, field.outlines, field.mpp)
    assert field.cells["cell_id"].to_list() == measured["cell_id"].to_list()
    assert field.cells["cell_id"].n_unique() == field.cells.height
    for column in ("x_px", "y_px", "cell_diameter_um", "nucleus_diameter_um"):
        np.testing.assert_allclose(field.cells[column], measured[column], atol=1e-6)
    assert not measured["touches_edge"].any()


def test_sizes_are_those_of_the_textbook(field: DrawnField) -> None:
    for form in FORMS:
        rows = field.cells.filter(form=form.name)
        assert (rows["label"] == form.cell_class.name).all()
        low, high = form.diameter_um
        assert rows["cell_diameter_um"].is_between(0.95 * low, 1.05 * high).all()
    fraction = (pl.col("nucleus_diameter_um") / pl.col("cell_diameter_um")) ** 2
    by_label = dict(field.cells.group_by("label").agg(fraction.mean()).iter_rows())
    for stage, expected in zip(stages.ERYTHROID_STAGES, (8 / 9, 6 / 7, 4 / 5, 1 / 3), strict=True):
        assert by_label[stage.name] == pytest.approx(expected, rel=0.04)


def test_nuclei_are_darker_than_cytoplasm_and_cytoplasm_pales_with_age(field: DrawnField) -> None:
    table = measure_cells(field.rgb, field.outlines, field.mpp).with_columns(field.cells["label"])
    assert (table["nucleus_mean_green"] < table["cytoplasm_mean_green"]).mean() > 0.98
    redness = pl.col("cytoplasm_mean_red") - pl.col("cytoplasm_mean_blue")
    means = dict(table.group_by("label").agg(redness.mean()).iter_rows())
    basophilic, polychromatic, orthochromatic = (means[s.name] for s in stages.ERYTHROID_STAGES[1:])
    assert basophilic < polychromatic < orthochromatic


def test_density_and_mix_are_as_asked() -> None:
    mix = ((stages.ORTHOCHROMATIC_ERYTHROBLAST, 3.0), (stages.LYMPHOCYTE, 1.0))
    spec = DrawnFieldSpec(width_px=2048, height_px=2048, cells_per_mm2=1500, mix=mix)
    cells = draw_field(spec).cells
    expected = 1500 * (2048 * 0.25e-3) ** 2
    assert abs(cells.height - expected) < 4 * expected**0.5
    share = (cells["label"] == "orthochromatic_erythroblast").mean()
    assert share == pytest.approx(0.75, abs=0.1)
    assert set(cells["label"]) == {"orthochromatic_erythroblast", "lymphocyte"}


def test_some_cells_touch(field: DrawnField) -> None:
    _, cell = render_labels(field.outlines, *field.rgb.shape[:2])
    pairs = [(cell[:, :-2], cell[:, 2:]), (cell[:-2], cell[2:])]
    assert any(((a > 0) & (b > 0) & (a != b)).any() for a, b in pairs)


def test_field_without_cells_has_an_empty_truth() -> None:
    empty = draw_field(dataclasses.replace(SMALL, cells_per_mm2=0))
    assert empty.cells.height == 0
    assert dict(empty.cells.schema) == TRUTH_SCHEMA
    assert empty.outlines == ()
    assert empty.rgb.std() > 5


def test_field_is_the_mosaic_of_its_tiles_in_any_order() -> None:
    spec = DrawnFieldSpec(width_px=TILE_PX + 300, height_px=TILE_PX + 200, seed=9, cells_per_mm2=800)
    whole = draw_field(spec)
    textures = make_textures(spec.seed, spec.mpp)
    _, cell = render_labels(whole.outlines, spec.height_px, spec.width_px)
    tables = []
    for row, column in ((1, 1), (0, 1), (1, 0), (0, 0)):
        tile = draw_tile(spec, row, column, textures)
        window = np.s_[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
        np.testing.assert_array_equal(whole.rgb[window], tile.rgb)
        _, in_tile = render_labels(tile.outlines, spec.height_px, spec.width_px)
        np.testing.assert_array_equal(cell[window] > 0, in_tile[window] > 0)
        assert np.count_nonzero(in_tile) == np.count_nonzero(in_tile[window])
        tables.append(tile.cells)
    assert pl.concat(reversed(tables)).sort("cell_id").equals(whole.cells.sort("cell_id"))
    assert whole.cells["cell_id"].n_unique() == whole.cells.height


def test_seams_do_not_show() -> None:
    spec = DrawnFieldSpec(width_px=TILE_PX + 200, height_px=300, seed=4, cells_per_mm2=0)
    rgb = draw_field(spec).rgb.astype(float)
    steps = np.abs(np.diff(rgb, axis=1)).mean(axis=(0, 2))
    assert steps[TILE_PX - 1] < np.percentile(steps, 99.5) * 1.1


@pytest.mark.parametrize("size", [(300, 200), (1100, 2100)])
def test_written_tiff_reads_back_exactly(tmp_path: Path, size: tuple[int, int]) -> None:
    spec = DrawnFieldSpec(width_px=size[1], height_px=size[0], mpp=0.2, seed=8)
    path = tmp_path / "field.tif"
    truth = write_drawn_tiff(path, spec)
    field = draw_field(spec)
    image = read_image(path)
    np.testing.assert_array_equal(image.rgb, field.rgb)
    assert image.mpp == pytest.approx(0.2, rel=1e-4)
    assert image.mpp_source is ScaleSource.METADATA
    assert truth.equals(field.cells)


def test_pyramid_levels_are_means_of_the_base(tmp_path: Path) -> None:
    spec = DrawnFieldSpec(width_px=4400, height_px=1100, seed=1, cells_per_mm2=500)
    path = tmp_path / "field.tif"
    write_drawn_tiff(path, spec)
    with tifffile.TiffFile(path) as tiff:
        levels = tiff.series[0].levels
        assert [level.shape for level in levels] == [(1100, 4400, 3), (275, 1100, 3), (69, 275, 3)]
        assert all(level.keyframe.is_tiled for level in levels)
        base, first, second = (level.asarray().astype(float) for level in levels)
    np.testing.assert_allclose(first, base.reshape(275, 4, 1100, 4, 3).mean(axis=(1, 3)), atol=0.51)
    np.testing.assert_allclose(
        second[:68], first[:272].reshape(68, 4, 275, 4, 3).mean(axis=(1, 3)), atol=0.51
    )


LARGE = """
import resource, sys
from erythron.synthetic.field import DrawnFieldSpec, write_drawn_tiff
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
write_drawn_tiff(sys.argv[1], DrawnFieldSpec(1024, 1024, cells_per_mm2=0))
before = peak()
write_drawn_tiff(sys.argv[1], DrawnFieldSpec(5000, 5000, cells_per_mm2=300))
print((peak() - before) // (1024 if sys.platform == 'darwin' else 1))
"""


def prepare(folder: Path) -> list[str | Path]:
    return [sys.executable, "-c", LARGE, folder / "a.tif"]


@pytest.mark.ahead(start=prepare)
def test_large_tiff_is_written_in_bounded_memory(ahead: Ended) -> None:
    assert ahead.returncode == 0, ahead.stderr
    # The whole image would be 73,000 KiB; the overview on disk is 4,600.
    assert int(ahead.stdout) < 40_000


def test_a_megapixel_is_drawn_in_seconds() -> None:
    start = time.process_time()
    draw_field(DrawnFieldSpec(width_px=1024, height_px=1024))
    assert time.process_time() - start < 3


@pytest.mark.parametrize(
    "change",
    [
        {"width_px": 8},
        {"mpp": 0.0},
        {"mpp": float("nan")},
        {"seed": -1},
        {"cells_per_mm2": -5.0},
        {"mix": ()},
        {"mix": ((stages.LYMPHOCYTE, 0.0),)},
        {"mix": ((stages.PLATELET, 1.0),)},
    ],
)
def test_impossible_spec_is_wrong_usage(change: dict[str, object]) -> None:
    with pytest.raises(UsageError, match="drawn field"):
        dataclasses.replace(SMALL, **change)


def test_every_class_of_the_default_mix_has_a_form() -> None:
    assert {c for c, _ in MARROW_MIX} == {form.cell_class for form in FORMS}
    assert sum(share for _, share in MARROW_MIX) == pytest.approx(1)
