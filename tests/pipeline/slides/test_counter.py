"""A slide counted whole, by region and by its best areas: the same cells, whatever was interrupted."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.cells.flags import CellFlag, has_flag
from erythron.errors import UsageError
from erythron.pipeline.count import CountRun, count_images, count_specimens
from erythron.pipeline.executor import PartsDone
from erythron.pipeline.options import RunOptions, SlideOptions
from erythron.pipeline.slides import counter
from erythron.pipeline.slides.counter import SlideCounter
from erythron.pipeline.specimens import Specimen
from erythron.read.box import Box
from erythron.read.inputs import InputImage, find_images
from erythron.results.field import read_cells, read_differential, read_field
from erythron.results.record import read_record
from erythron.results.run import read_settings
from erythron.synthetic.field import DrawnFieldSpec, draw_field

WHOLE = RunOptions(slides=SlideOptions(whole=True, tile_px=512))


def count(path: Path, out: Path, slides: SlideOptions, **options: object) -> CountRun:
    return count_images(find_images([path]), out, RunOptions(slides=slides, **options))  # type: ignore[arg-type]


def read_all(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def whole(slide_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the whole slide."""
    out = tmp_path_factory.mktemp("whole")
    assert count_images(find_images([slide_path]), out, WHOLE).failures == ()
    return out


def test_tiles_of_another_size_give_the_same_bytes(whole: Path, slide_path: Path, tmp_path: Path) -> None:
    told: list[PartsDone | None] = []
    options = RunOptions(slides=SlideOptions(whole=True, tile_px=1024))
    count_images(find_images([slide_path]), tmp_path, options, lambda _, part=None: told.append(part))
    assert read_all(tmp_path / "marrow") == read_all(whole / "marrow")
    tiles, last = len(told) - 1, told[-2]
    assert [part and (part.kind, part.done, part.total) for part in told] == [
        *(("tile", n + 1, tiles) for n in range(tiles)),
        None,
    ]
    assert tiles > 1
    assert last is not None
    assert last.cells == read_differential(tmp_path / "marrow").nucleated_cells


def test_a_slide_has_the_files_of_a_field_and_nothing_else_is_left(whole: Path) -> None:
    assert sorted(path.name for path in whole.iterdir()) == [
        "marrow",
        "report.html",
        "run.json",
        "summary.csv",
    ]
    assert sorted(read_all(whole / "marrow")) == [
        "cells.csv",
        "cells.geojson",
        "differential.json",
        "overlay.png",
        "page.json",
        "record.json",
    ]


def test_the_cells_are_those_of_the_slide_read_as_one_field(
    whole: Path, slide_path: Path, tmp_path: Path
) -> None:
    field = tmp_path / "field.png"
    shutil.copyfile(slide_path, field)
    count_images(find_images([field]), tmp_path / "out", RunOptions(mpp=0.25))
    one = read_cells(tmp_path / "out" / "field").select("x_px", "y_px", "cell_area_px").to_numpy()
    cells = read_cells(whole / "marrow")
    parts = cells.select("x_px", "y_px", "cell_area_px").to_numpy()
    assert cells["cell_id"].is_unique().all()
    apart = np.hypot(*(one[:, None, :2] - parts[None, :, :2]).transpose(2, 0, 1))
    assert len(parts) == len(one) > 30
    assert apart.min(axis=1).max() < 4
    assert np.median(np.abs(one[:, 2] - parts[apart.argmin(axis=1), 2]) / one[:, 2]) < 0.01


def test_outlines_and_table_are_of_the_same_cells_in_the_slide(whole: Path) -> None:
    found = read_field(whole / "marrow")
    assert [o.cell_id for o in found.outlines] == found.cells["cell_id"].to_list()
    centres = [o.nucleus_mask.centre for o in found.outlines]
    assert np.allclose(centres, found.cells.select("x_px", "y_px").to_numpy(), atol=0.5)
    slide = Box(0, 0, 1500, 1000)
    touching = [
        min(o.left, o.top) == 0
        or o.left + o.cell.shape[1] == slide.right
        or o.top + o.cell.shape[0] == slide.bottom
        for o in found.outlines
    ]
    assert found.cells["touches_edge"].to_list() == touching
    assert found.cells.select(has_flag(CellFlag.TOUCHES_EDGE)).to_series().to_list() == touching


KILLED = """
import os, sys
from pathlib import Path
from erythron.pipeline import count_worker, stream
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions, SlideOptions
from erythron.pipeline.slides import counter
from erythron.read.inputs import find_images
from tests.slides import open_png
count_worker.is_slide = stream.is_slide = lambda path: True
counter.open_source = open_png
real, done = counter.SlideCounter.count, []
def count(self, job):
    if len(done) == 2:
        os.kill(os.getpid(), 9)
    done.append(job)
    return real(self, job)
counter.SlideCounter.count = count
options = RunOptions(slides=SlideOptions(whole=True, tile_px=512))
count_images(find_images([Path(sys.argv[1])]), Path(sys.argv[2]), options)
"""


def test_a_killed_count_leaves_its_tiles_and_ends_the_same(
    whole: Path, slide_path: Path, tmp_path: Path
) -> None:
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", KILLED, str(slide_path), str(tmp_path)]
    assert subprocess.run(command, cwd=root).returncode == -signal.SIGKILL
    [ledger] = tmp_path.glob("*.tiles")
    kept = {path.name: path.stat().st_mtime_ns for path in ledger.iterdir()}
    assert len(kept) == 2
    assert count_images(find_images([slide_path]), tmp_path, WHOLE).failures == ()
    assert read_all(tmp_path / "marrow") == read_all(whole / "marrow")
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


def test_tiles_are_kept_where_an_image_of_the_same_stem_joins_the_run(
    whole: Path, slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, beside = tmp_path / "run", (tmp_path / slide_path.name).with_suffix(".png")
    Image.fromarray(draw_field(DrawnFieldSpec(120, 100, seed=2)).rgb).save(beside)
    root = Path(__file__).parents[3]
    command = [sys.executable, "-c", KILLED, str(slide_path), str(out)]
    assert subprocess.run(command, cwd=root).returncode == -signal.SIGKILL
    left: list[int] = []
    divide = SlideCounter.divide

    def note(self: SlideCounter, work: counter.SlideWork) -> counter.DividedSlide:
        divided = divide(self, work)
        left.append(len(divided.tiles) - len(divided.jobs))
        return divided

    monkeypatch.setattr(SlideCounter, "divide", note)
    assert count_images(find_images([beside, slide_path]), out, WHOLE).failures == ()
    assert left == [2]
    cells = out / slide_path.name / "cells.csv"
    assert cells.read_bytes() == (whole / "marrow" / "cells.csv").read_bytes()
    assert not [path for path in out.iterdir() if path.name.startswith(".")]


def test_a_counted_slide_is_kept_and_other_ranges_take_no_pixel(
    whole: Path, slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    before = read_all(tmp_path / "run" / "marrow")

    def refuse(*_: object) -> None:
        raise AssertionError("the slide was opened")

    monkeypatch.setattr(counter, "open_source", refuse)
    assert count_images(find_images([slide_path]), tmp_path / "run", WHOLE).failures == ()
    assert read_all(tmp_path / "run" / "marrow") == before
    assert count(slide_path, tmp_path / "run", WHOLE.slides, width=0.01).failures == ()
    after = read_all(tmp_path / "run" / "marrow")
    assert {name for name in before if after[name] != before[name]} == {"differential.json", "record.json"}


def test_the_best_areas_are_counted_until_there_are_cells_enough(
    whole: Path, slide_path: Path, tmp_path: Path
) -> None:
    run = count(slide_path, tmp_path / "few", SlideOptions(cells=10))
    record = read_record(tmp_path / "few" / "marrow")
    assert record is not None
    assert record.slide is not None
    assert record.slide.cells_wanted == 10
    counted = run.differential.nucleated_cells
    assert 10 <= counted < read_cells(whole / "marrow").height
    # Without the last area there would not have been enough.
    cells = read_cells(tmp_path / "few" / "marrow")
    left, top, right, bottom = record.slide.areas[-1]
    last = cells.filter(cells["x_px"].is_between(left, right) & cells["y_px"].is_between(top, bottom)).height
    assert counted - last < 10
    # They are cells of the whole slide.
    assert set(cells["cell_id"]) <= set(read_cells(whole / "marrow")["cell_id"])
    told: list[PartsDone | None] = []
    options = RunOptions(slides=SlideOptions(cells=10))
    again = count_images(
        find_images([slide_path]), tmp_path / "again", options, lambda _, part=None: told.append(part)
    )
    areas = len(record.slide.areas)
    assert [part and part.done for part in told] == [*range(1, areas + 1), None]
    assert str(told[-2]) == f"{areas} {'area' if areas == 1 else 'areas'}, {counted} of 10 cells"
    assert again.differential == run.differential
    assert read_all(tmp_path / "again" / "marrow") == read_all(tmp_path / "few" / "marrow")
    assert read_settings(tmp_path / "few").cells == 10


def test_a_region_holds_the_cells_of_the_slide_that_lie_in_it(
    whole: Path, slide_path: Path, tmp_path: Path
) -> None:
    ring = [[800, 100], [1300, 160], [1200, 800], [860, 700], [800, 100]]
    region = tmp_path / "region.geojson"
    region.write_text(json.dumps({"type": "Polygon", "coordinates": [ring]}))
    assert count(slide_path, tmp_path / "out", SlideOptions(region=region)).failures == ()
    told, x, y = read_record(tmp_path / "out" / "marrow"), *np.array(ring).T
    assert told is not None
    assert told.slide is not None
    assert told.mpp is not None
    area_px = abs((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2
    assert told.slide.counted_mm2 == pytest.approx(area_px * told.mpp**2 * 1e-6, rel=0.01)
    inside = read_cells(tmp_path / "out" / "marrow")
    every = read_cells(whole / "marrow")
    assert 0 < inside.height < every.height
    assert set(inside["cell_id"]) <= set(every["cell_id"])
    middle = every.filter(every["x_px"].is_between(900, 1150) & every["y_px"].is_between(250, 650))
    assert set(middle["cell_id"]) <= set(inside["cell_id"])
    field = tmp_path / "field.png"
    Image.fromarray(draw_field(DrawnFieldSpec(60, 60)).rgb).save(field)
    [failure] = count(field, tmp_path / "field", SlideOptions(region=region)).failures
    assert "is a field" in failure.reason
    region.write_text("{}")
    [failure] = count(slide_path, tmp_path / "bad", SlideOptions(region=region)).failures
    assert "holds no polygon" in failure.reason


def test_slides_and_fields_stand_in_one_run_and_in_specimens(small_slide_path: Path, tmp_path: Path) -> None:
    field = tmp_path / "field.png"
    Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=1)).rgb).save(field)
    lost = tmp_path / "lost.slide"
    images = tuple(InputImage(path, Path(path.name)) for path in (lost, small_slide_path, field))
    options = RunOptions(mpp=0.25, slides=SlideOptions(whole=True, tile_px=2048))
    [run] = count_specimens([Specimen("one", images, Path("one"))], tmp_path / "out", options)
    assert [name for name, _ in run.fields] == [str(small_slide_path), str(field)]
    assert [failure.image for failure in run.failures] == [str(lost)]
    assert "no such file" in run.failures[0].reason
    each = sum(found.nucleated_cells for _, found in run.fields)
    assert run.differential.nucleated_cells == each
    page = (tmp_path / "out" / "one" / "report.html").read_text()
    assert "small.slide" in page


def test_a_tile_that_cannot_be_read_fails_the_slide_and_is_tried_again(
    small_slide_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(
            SlideCounter, "count", lambda *_: (_ for _ in ()).throw(OSError(5, "Input/output error"))
        )
        run = count_images(find_images([small_slide_path]), tmp_path, WHOLE)
    [failure] = run.failures
    assert "Input/output error" in failure.reason
    assert not (tmp_path / "small").exists()
    assert count_images(find_images([small_slide_path]), tmp_path, WHOLE).failures == ()


def test_a_slide_of_other_settings_is_not_replaced_unasked(
    whole: Path, slide_path: Path, tmp_path: Path
) -> None:
    shutil.copytree(whole, tmp_path / "run")
    with pytest.raises(UsageError, match="--force"):
        count(slide_path, tmp_path / "run", SlideOptions(cells=10))
