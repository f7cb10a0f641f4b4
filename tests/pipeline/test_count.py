"""A run does each thing once: pixels are decoded once, nothing written is read, done steps are kept."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from PIL import Image

from erythron.bundle.folder import DEFAULT_BUNDLE
from erythron.cells.flags import CellFlag
from erythron.differential.me_ratio import MERatio
from erythron.errors import UsageError
from erythron.files.hashing import hash_file
from erythron.pipeline import count as module
from erythron.pipeline import count_worker
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read import probe, source
from erythron.read.inputs import find_images
from erythron.results.field import read_cells
from erythron.results.record import read_record
from erythron.results.run import read_settings
from erythron.segment.segmenter import Segmenter
from erythron.synthetic.field import DrawnFieldSpec, draw_field

OPTIONS = RunOptions(mpp=0.25)
RANGES = '[erythroid_share]\nhigh = 0.01\npopulation = "our adults"\nsource = "our laboratory"\n'


@pytest.fixture(scope="module")
def counted(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "run"
    assert count_images(find_images([fields]), out, OPTIONS).failures == ()
    return out


@pytest.fixture
def run(counted: Path, tmp_path: Path) -> Path:
    """A finished run of one's own."""
    shutil.copytree(counted, tmp_path / "run")
    return tmp_path / "run"


def forbid(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(owner, name, refuse)


def times_of(run: Path, *names: str) -> dict[Path, int]:
    return {p: p.stat().st_mtime_ns for name in names for p in run.rglob(name)}


def test_a_cold_count_decodes_each_image_once_and_reads_nothing_that_it_wrote(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[Path] = []
    read: list[Path] = []
    real_read, real_open = source.read_image, Path.open

    def decode(path: str | Path, mpp: float | None = None) -> object:
        decoded.append(Path(path))
        return real_read(path, mpp)

    def open_file(self: Path, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        if "r" in mode and tmp_path in self.parents and self.exists():
            read.append(self)
        return real_open(self, mode, *args, **kwargs)

    monkeypatch.setattr(source, "read_image", decode)
    monkeypatch.setattr(Path, "open", open_file)  # read_text and read_bytes go through it
    out = tmp_path / "run"
    run = count_images(find_images([fields]), out, OPTIONS)
    assert [path.name for path in decoded] == ["f0.png", "f1.png", "f2.png"]
    # What is synchronised to the disk is opened for that, under its partial name's folder, and not read.
    assert [path for path in read if "partial" not in str(path)] == []
    assert run.report.is_file()


def test_the_background_of_a_field_is_estimated_and_the_model_read_once(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from erythron.bundle import folder
    from erythron.read import image

    shapes, hashed = [], []
    hash_part = folder._hash
    monkeypatch.setattr(folder, "_hash", lambda path: hashed.append(path) or hash_part(path))
    real = image.estimate_background
    monkeypatch.setattr(image, "estimate_background", lambda rgb: shapes.append(rgb.shape) or real(rgb))
    count_images(find_images([fields / "f0.png"]), tmp_path / "run", OPTIONS)
    assert shapes == [(150, 180, 3)]
    assert len(hashed) == len(set(hashed)) > 1


@pytest.mark.parametrize("change", ["reference", "width"])
def test_other_ranges_or_another_width_remake_the_page_alone(
    change: str, run: Path, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own.toml").write_text(RANGES)
    other = (
        RunOptions(mpp=0.25, reference=tmp_path / "own.toml")
        if change == "reference"
        else RunOptions(mpp=0.25, width=0.02)
    )
    kept = times_of(run, "cells.csv", "cells.geojson", "overlay.png", "page.json")
    before = {p: json.loads(p.read_text()) for p in run.rglob("differential.json")}
    with monkeypatch.context() as patch:
        forbid(patch, source, "read_image")
        forbid(patch, count_worker, "load_networks")
        again = count_images(find_images([fields]), run, other)
    assert again.failures == ()
    assert times_of(run, "cells.csv", "cells.geojson", "overlay.png", "page.json") == kept
    fresh = tmp_path / "fresh"
    count_images(find_images([fields]), fresh, other)
    for path, old in before.items():
        new = json.loads(path.read_text())
        assert new != old
        assert new == json.loads((fresh / path.relative_to(run)).read_text())
    assert ("our laboratory" in again.report.read_text()) == (change == "reference")
    assert (run / "summary.csv").read_text() == (fresh / "summary.csv").read_text()


def test_another_definition_of_me_is_taken_into_a_finished_run_and_kept_for_its_recount(
    run: Path, fields: Path
) -> None:
    again = count_images(find_images([fields]), run, RunOptions(mpp=0.25, me_ratio=MERatio.GRANULOCYTIC))
    for found in (again.differential, *(one for _, one in again.fields)):
        assert found.me_ratio is not None
        assert "without monocytes" in found.me_ratio.definition
    assert read_settings(run).me_ratio == MERatio.GRANULOCYTIC


def test_another_model_names_the_same_outlines_anew(
    run: Path, fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = tmp_path / "model"
    shutil.copytree(DEFAULT_BUNDLE, model)
    card = json.loads((model / "model.json").read_text())
    card["unclassified_below"] = 1.0
    (model / "model.json").write_text(json.dumps(card))
    outlines = {p: p.read_text() for p in run.rglob("cells.geojson")}
    with monkeypatch.context() as patch:
        forbid(patch, Segmenter, "segment_field")
        again = count_images(find_images([fields]), run, RunOptions(model=model, mpp=0.25))
    assert again.failures == ()
    cells = pl.concat([pl.read_csv(p) for p in sorted(run.rglob("cells.csv"))])
    assert cells["flags"].str.contains(CellFlag.UNCLASSIFIED).all()
    for path, text in outlines.items():
        now = json.loads(path.read_text())["features"]
        assert [f["geometry"] for f in now] == [f["geometry"] for f in json.loads(text)["features"]]
        assert [f["id"] for f in now] == [f["id"] for f in json.loads(text)["features"]]
    fresh = tmp_path / "fresh"
    count_images(find_images([fields]), fresh, RunOptions(model=model, mpp=0.25))
    for path in run.rglob("cells.csv"):
        assert path.read_text() == (fresh / path.relative_to(run)).read_text()


def repaint(run: Path, field: Path) -> RunOptions:
    image = Image.open(field)
    image.putpixel((0, 0), (1, 2, 3))
    image.save(field)
    return OPTIONS


def rescale(run: Path, field: Path) -> RunOptions:
    return RunOptions(mpp=0.3)


def edit(run: Path, field: Path) -> RunOptions:
    path = run / "f0" / "cells.csv"
    path.write_text(path.read_text().replace("granulocyte,", "monocyte,"))
    return OPTIONS


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (repaint, "was not made from"),
        (rescale, "was not made from"),
        (edit, "was changed after the count"),
    ],
)
def test_another_image_or_scale_and_an_edited_table_are_not_replaced_unasked(
    change: Callable[[Path, Path], RunOptions], reason: str, fields: Path, tmp_path: Path
) -> None:
    own, run = tmp_path / "f0.png", tmp_path / "run"
    shutil.copy(fields / "f0.png", own)
    count_images(find_images([own]), run, OPTIONS)
    options = change(run, own)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(UsageError, match=reason) as caught:
        count_images(find_images([own]), run, options)
    assert "--force" in str(caught.value)
    assert before == {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    forced = RunOptions(mpp=options.mpp, force=True)
    assert count_images(find_images([own]), run, forced).failures == ()


def test_a_field_whose_page_part_was_lost_gets_it_again(run: Path, fields: Path) -> None:
    (run / "f1" / "page.json").write_text("{")
    report = (run / "report.html").read_text()
    assert count_images(find_images([fields]), run, OPTIONS).failures == ()
    assert json.loads((run / "f1" / "page.json").read_text())["marks"]
    # The page differs in the time that it states alone.
    assert abs(len((run / "report.html").read_text()) - len(report)) < 20


def test_the_record_states_the_hash_of_the_table_that_was_written(run: Path) -> None:
    for folder in (run / "f0", run / "f1", run / "f2"):
        record = read_record(folder)
        assert record is not None
        assert record.cells_sha256 == hash_file(folder / "cells.csv")


def test_a_turned_copy_of_a_field_is_said_of_the_specimen(tmp_path: Path) -> None:
    """A crop, its JPEG and its turn gave the cells of one field three times, without a word."""
    (tmp_path / "in").mkdir()
    drawn = Image.fromarray(draw_field(DrawnFieldSpec(260, 220, seed=1)).rgb)
    drawn.save(tmp_path / "in" / "field.png")
    drawn.rotate(180).save(tmp_path / "in" / "turned.jpg", quality=90)
    for _ in range(2):  # counted, then taken from what is stored
        found = count_images(find_images([tmp_path / "in"]), tmp_path / "out", OPTIONS)
        [flag] = [flag for flag in found.differential.flags if flag.name == "images_overlap"]
        assert "turned.jpg as field.png" in flag.text
        assert flag.value == len(read_cells(tmp_path / "out" / "field"))
        assert "Images overlap" in found.report.read_text()


def test_the_page_has_as_many_fields_in_full_as_there_are_done(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_FIELDS_IN_FULL", 2)
    folder = tmp_path / "fields"
    shutil.copytree(fields, folder)
    (folder / "f0.png").write_text("no image")
    run = count_images(find_images([folder]), tmp_path / "run", OPTIONS)
    assert [Path(f.image).name for f in run.failures] == ["f0.png"]
    assert sorted(p.parent.name for p in (tmp_path / "run").rglob("page.json")) == ["f1", "f2"]


def test_a_slide_that_crashes_its_decoder_fails_alone(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("openslide")
    damaged = tmp_path / "a.mrxs"
    damaged.write_bytes(b"\xff\xd8\xff\xe0")
    monkeypatch.setattr(probe, "CHILD", "import os, signal; os.kill(os.getpid(), signal.SIGSEGV)")
    done = count_images(find_images([damaged, fields / "f0.png"]), tmp_path / "out", OPTIONS)
    assert [name for name, _ in done.fields] == [str(fields / "f0.png")]
    [failure] = done.failures
    assert failure.image == str(damaged)
    assert "crashed on it (SIGSEGV)" in failure.reason
