"""A person's calls go into a finished count: only what they change is done again, and nothing is lost."""

from __future__ import annotations

import csv
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from erythron.cells.class_map import parse_class_map
from erythron.cli import app
from erythron.errors import DataError, UsageError
from erythron.pipeline.count import count_images, count_specimens
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, Recount, recount
from erythron.pipeline.specimens import group_images
from erythron.read.inputs import find_images
from erythron.results.convert import ExportFormat, convert_run
from erythron.results.edited import EDITED
from erythron.results.field import read_cells, read_differential, read_field
from erythron.results.review import read_review

OPTIONS = RunOptions(mpp=0.25)
NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)
READING = Reading("A. Reader", NOW)


@pytest.fixture(scope="module")
def counted(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "run"
    assert count_images(find_images([fields])[:2], out, OPTIONS).failures == ()
    return out


@pytest.fixture
def run(counted: Path, tmp_path: Path) -> Path:
    """A finished run of one's own over two fields."""
    shutil.copytree(counted, tmp_path / "run")
    return tmp_path / "run"


def edit(source: Path, target: Path, changes: dict[str, dict[str, str]], delimiter: str = ",") -> Path:
    """Write a table of cells with other values in some columns of some cells, as a spreadsheet would."""
    with source.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        row.update(changes.get(row["cell_id"], {}))
    with target.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return target


def pick(run: Path, count: int, field: str = "f0") -> list[tuple[str, str]]:
    """Return name and line of some classified cells of a field."""
    cells = read_cells(run / field).filter(pl.col("counted_as") == pl.col("label"))
    return list(cells.select("cell_id", "counted_as").head(count).iter_rows())


def other_class(called: str) -> str:
    return "lymphocyte" if called != "lymphocyte" else "monocyte"


def counts_of(folder: Path) -> dict[str, int]:
    return {line.name: line.count for line in read_differential(folder).classes}


def test_one_corrected_call_changes_just_what_it_should(run: Path) -> None:
    [(cell, called)] = pick(run, 1)
    new, before = other_class(called), counts_of(run / "f0")
    untouched = {p: p.stat().st_mtime_ns for p in (run / "f1").iterdir() if p.name != "page.json"}
    labels = edit(run / "f0/cells.csv", run.parent / "edited.csv", {cell: {"counted_as": new}})
    done = recount(run, [labels], READING)
    assert (done.changed, done.confirmed, done.added, done.unnamed, done.left_out) == (1, 0, 0, 0, ())
    after = counts_of(run / "f0")
    assert {n: after[n] - before[n] for n in after if after[n] != before[n]} == {called: -1, new: 1}
    row = read_cells(run / "f0").filter(pl.col("cell_id") == cell).to_dicts()[0]
    assert (row["label"], row["confirmed_as"], row["counted_as"]) == (called, new, new)
    assert {p: p.stat().st_mtime_ns for p in untouched} == untouched
    summary = pl.read_csv((run / "summary.csv").read_bytes())
    assert summary["confirmed_cells"].to_list() == [1, 0]
    assert summary[f"count_{new}"].to_list()[0] == before[new] + 1
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "A. Reader called 1 cell, 1 otherwise than the model" in page
    assert f"1 from {called.replace('_', ' ')} to {new.replace('_', ' ')}." in page
    review = read_review(run / "f0")
    assert review is not None
    [verdict] = review.verdicts
    assert (verdict.cell_id, verdict.called, verdict.was) == (cell, new, called)
    assert (verdict.reader, verdict.at, verdict.source) == ("A. Reader", NOW, str(labels))
    assert read_review(run / "f1") is None


def test_a_call_survives_every_later_count_and_is_never_rewritten(run: Path, fields: Path) -> None:
    [(cell, called), (next_cell, next_called)] = pick(run, 2)
    new, next_new = other_class(called), other_class(next_called)
    recount(run, [edit(run / "f0/cells.csv", run.parent / "a.csv", {cell: {"counted_as": new}})], READING)
    labels = edit(run / "f0/cells.csv", run.parent / "b.csv", {next_cell: {"counted_as": next_new}})
    recount(run, [labels], Reading("B. Reader", NOW))
    kept = counts_of(run / "f0")
    review = (run / "f0/review.json").read_bytes()
    assert [(v["reader"], v["called"]) for v in json.loads(review)["verdicts"]] == [
        ("A. Reader", new),
        ("B. Reader", next_new),
    ]
    # A field is added; then everything is outlined and named anew.
    inputs = find_images([fields])
    count_images(inputs, run, OPTIONS)
    assert counts_of(run / "f0") == kept
    count_images(inputs, run, RunOptions(mpp=0.25, force=True))
    assert counts_of(run / "f0") == kept
    assert (run / "f0/review.json").read_bytes() == review
    # Back to what the model says: the calls before stay in the record.
    back = edit(run / "f0/cells.csv", run.parent / "c.csv", {cell: {"counted_as": called}})
    recount(run, [back], READING)
    found = read_review(run / "f0")
    assert found is not None
    assert [v.called for v in found.verdicts if v.cell_id == cell] == [new, called]
    assert counts_of(run / "f0")[called] == kept[called] + 1


def test_a_table_that_was_edited_in_its_place_is_read_and_restored(run: Path, fields: Path) -> None:
    [(cell, called)] = pick(run, 1)
    table = run / "f0/cells.csv"
    model_label = read_cells(run / "f0").filter(pl.col("cell_id") == cell)["label"].item()
    edit(table, table, {cell: {"label": other_class(called)}}, delimiter=";")
    other = edit(run / "f1/cells.csv", run.parent / "other.csv", {})
    with pytest.raises(UsageError, match="was changed after the count; give it with --labels too"):
        recount(run, [other], READING)
    with pytest.raises(UsageError, match="was changed after the count"):
        count_images(find_images([fields])[:2], run, OPTIONS)
    assert recount(run, [table], READING).changed == 1
    row = read_cells(run / "f0").filter(pl.col("cell_id") == cell).to_dicts()[0]
    assert (row["label"], row["counted_as"]) == (model_label, other_class(called))


def test_edits_are_not_lost_with_a_recount_that_fails(run: Path) -> None:
    [(cell, called), (odd, _)] = pick(run, 2)
    table = run / "f0/cells.csv"
    edit(table, table, {cell: {"counted_as": other_class(called)}, odd: {"counted_as": "Zellchen"}})
    edited = table.read_bytes()
    with pytest.raises(DataError, match="'Zellchen' is no class"):
        recount(run, [table], READING)
    assert table.read_bytes() == edited
    assert not (run / "f0" / EDITED).exists()
    assert read_review(run / "f0") is None
    names = parse_class_map(["Zellchen="])
    assert recount(run, [table], Reading("A. Reader", NOW, class_map=names)).changed == 1
    assert not (run / "f0" / EDITED).exists()


def test_files_that_contradict_one_another_leave_all_as_it_was(run: Path) -> None:
    """The order of the files decided, without a word."""
    [(cell, _)] = pick(run, 1)
    image = read_field(run / "f0").record.image
    files = [run.parent / f"{called}.csv" for called in ("monocyte", "plasma_cell")]
    for file in files:
        file.write_text(f"image,cell_id,label\n{image},{cell},{file.stem}\n", encoding="utf-8")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match=f"cell {cell} is monocyte in the one and plasma_cell in the other"):
        recount(run, files, READING)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    # One after the other they are two calls of the cell, and the review keeps both.
    for file in files:
        recount(run, [file], READING)
    review = read_review(run / "f0")
    assert review is not None
    assert [verdict.called for verdict in review.verdicts] == ["monocyte", "plasma_cell"]


def test_edits_are_not_lost_with_a_recount_that_is_killed(
    run: Path, fields: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    [(cell, called)] = pick(run, 1)
    table = run / "f0/cells.csv"
    edit(table, table, {cell: {"counted_as": other_class(called)}})
    edited = table.read_bytes()

    with monkeypatch.context() as killed:  # nothing after the field is counted again is done any more
        killed.setattr("erythron.pipeline.recount.refuse_moved", _raise_interrupt)
        killed.setattr("erythron.pipeline.recount.put_back_edited", Path.exists)
        with pytest.raises(KeyboardInterrupt):
            recount(run, [table], READING)
    assert table.read_bytes() != edited
    with pytest.raises(UsageError, match="was changed after the count: erythron recount takes it"):
        count_images(find_images([fields])[:2], run, OPTIONS)
    assert table.read_bytes() == edited
    assert recount(run, [table], READING).changed == 1


def _raise_interrupt(_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.real_data
def test_a_column_that_was_sorted_alone_is_no_correction(data_dir: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    count_images(find_images([data_dir / "marrow-fields" / "bmac_3316.jpg"]), run, OPTIONS)
    table = run / "bmac_3316" / "cells.csv"
    with table.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    calls = sorted(row["counted_as"] for row in rows)
    edit(table, table, {row["cell_id"]: {"counted_as": call} for row, call in zip(rows, calls, strict=True)})
    edited = table.read_bytes()
    with pytest.raises(DataError, match=r"counted_as differs from the count in \d+ of \d+ cells, and yet"):
        recount(run, [table], READING)
    assert table.read_bytes() == edited


def test_the_edited_table_of_another_count_is_refused(data_dir: Path, tmp_path: Path) -> None:
    """24 of 86 calls were taken from a reader who had changed one: the others were of the model before."""
    inputs = find_images([data_dir / "marrow-fields" / "bmac_3316.jpg"])
    count_images(inputs, tmp_path / "run", OPTIONS)
    table = tmp_path / "run/bmac_3316/cells.csv"
    [(cell, called)] = pick(tmp_path / "run", 1, "bmac_3316")
    labels = edit(table, tmp_path / "edited.csv", {cell: {"counted_as": other_class(called)}})
    count_images(inputs, tmp_path / "run", RunOptions(mpp=0.27, force=True))
    before = {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()}
    with pytest.raises(DataError, match="the table is of another count of the image"):
        recount(tmp_path / "run", [labels], READING)
    assert {p: p.read_bytes() for p in (tmp_path / "run").rglob("*") if p.is_file()} == before
    count_images(inputs, tmp_path / "run", RunOptions(mpp=0.25, force=True))
    assert recount(tmp_path / "run", [labels], READING).changed == 1


def test_what_other_programs_hand_back_is_taken_and_a_missed_cell_is_added(run: Path) -> None:
    [(cell, called)] = pick(run, 1)
    whole = read_field(run / "f0")
    gone = whole.outlines[-1]
    document = json.loads((run / "f0/cells.geojson").read_text(encoding="utf-8"))
    lost = 0
    for feature in document["features"]:
        if feature["properties"]["name"] == cell:
            feature["properties"]["classification"]["name"] = other_class(called)
            feature["properties"]["name"] = "renamed"  # its place tells which cell it is
            lost += 1
    assert lost == 1
    # A cell far from every other, with its nucleus.
    square = [[[2, 2], [14, 2], [14, 14], [2, 14], [2, 2]]]
    inner = [[[5, 5], [11, 5], [11, 11], [5, 11], [5, 5]]]
    document["features"] = [f for f in document["features"] if f["properties"]["name"] != gone.cell_id]
    free = all(o.left > 14 or o.top > 14 for o in whole.outlines)
    document["features"].append(
        {
            "type": "Feature",
            "geometry": {"type": "Polygon", "coordinates": square},
            "nucleusGeometry": {"type": "Polygon", "coordinates": inner},
            "properties": {
                "objectType": "cell",
                "classification": {"name": "Proerythroblast"},
                "metadata": {"image": whole.record.image},
            },
        }
    )
    labels = run.parent / "f0.geojson"
    labels.write_text(json.dumps(document), encoding="utf-8")
    before = counts_of(run / "f0")
    done = recount(run, [labels], READING)
    assert free
    assert (done.changed, done.added, done.unnamed) == (2, 1, 1)
    after = counts_of(run / "f0")
    assert after["proerythroblast"] == before["proerythroblast"] + 1
    assert after[other_class(called)] == before[other_class(called)] + 1
    row = read_cells(run / "f0").filter(pl.col("confirmed_as") == "proerythroblast").to_dicts()[0]
    assert row["nucleus_area_px"] == 36
    assert row["cell_area_px"] == 144
    report = (run / "report.html").read_text(encoding="utf-8")
    assert "1 from missed to proerythroblast" in report
    assert "1 cell was added by a person." in report
    # The added cell stays where everything is counted again, and is not added twice.
    recount(run, [labels], READING)
    assert counts_of(run / "f0") == after


def test_what_of_a_missed_cell_reaches_beyond_the_image_is_none_of_it(run: Path) -> None:
    def draw(left: int, top: int, right: int, bottom: int) -> dict[str, object]:
        ring = [[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]
        return {"type": "Polygon", "coordinates": [ring]}

    classification = {"classification": {"name": "Proerythroblast"}}
    features = [
        {"type": "Feature", "geometry": cell, "nucleusGeometry": nucleus, "properties": classification}
        for cell, nucleus in (
            (draw(-6, 2, 8, 14), draw(-2, 5, 6, 11)),
            (draw(-60, 2, -46, 14), draw(-56, 5, -50, 11)),
            (draw(2, 40, 14, 52), draw(5, 43, 11, 49)),
        )
    ]
    labels = run.parent / "f0.geojson"
    labels.write_text(json.dumps(features[:2]), encoding="utf-8")
    with pytest.raises(DataError, match="2 of 2 outlines reach beyond its"):
        recount(run, [labels], READING)
    labels.write_text(json.dumps({"type": "FeatureCollection", "features": features[::2]}), encoding="utf-8")
    assert recount(run, [labels], READING).added == 2
    row = read_cells(run / "f0").filter((pl.col("confirmed_as") == "proerythroblast") & (pl.col("y_px") < 20))
    assert row.select("x_px", "y_px", "nucleus_area_px", "cell_area_px").rows() == [(2.5, 7.5, 36, 96)]
    assert row["touches_edge"].to_list() == [True]


@pytest.mark.parametrize("kind", [ExportFormat.COCO, ExportFormat.LABEL_STUDIO])
def test_labels_that_were_drawn_on_an_image_of_another_size_are_refused(
    run: Path, kind: ExportFormat
) -> None:
    def halve(value: object) -> object:
        if isinstance(value, list):
            return [halve(one) for one in value]
        if not isinstance(value, dict):
            return value
        sizes = ("width", "height", "original_width", "original_height")
        return {k: v // 2 if k in sizes else halve(v) for k, v in value.items()}

    labels = run.parent / "labels.json"
    convert_run(run / "f0", kind, labels)
    document = json.loads(labels.read_text(encoding="utf-8"))
    if kind is ExportFormat.LABEL_STUDIO:  # as if a person had taken the predictions
        document = [{"data": t["data"], "annotations": t["predictions"]} for t in document]
    else:  # masks would be left out one by one
        for annotation in document["annotations"]:
            x, y, width, height = annotation["bbox"]
            corners = [x, y, x + width, y, x + width, y + height, x, y + height]
            annotation["segmentation"] = [[corner / 2 for corner in corners]]
    labels.write_text(json.dumps(halve(document)), encoding="utf-8")
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    with pytest.raises(DataError, match="its labels were drawn on an image of"):
        recount(run, [labels], READING)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("kind", [ExportFormat.COCO, ExportFormat.LABEL_STUDIO])
def test_an_export_that_comes_back_unchanged_changes_nothing(run: Path, kind: ExportFormat) -> None:
    before = counts_of(run / "f0"), counts_of(run / "f1")
    labels = run.parent / "labels.json"
    convert_run(run, kind, labels)
    if kind is ExportFormat.LABEL_STUDIO:  # a person submits what is predicted
        tasks = json.loads(labels.read_text(encoding="utf-8"))
        for task in tasks:
            task["annotations"] = task.pop("predictions")
        labels.write_text(json.dumps(tasks), encoding="utf-8")
    done = recount(run, [labels], READING)
    assert (done.changed, done.added, done.unnamed, done.left_out) == (0, 0, 0, ())
    assert (counts_of(run / "f0"), counts_of(run / "f1")) == before


def test_cells_that_are_all_confirmed_are_not_corrected(run: Path) -> None:
    table = read_cells(run / "f0")
    sure = {row["cell_id"]: {"counted_as": row["label"]} for row in table.iter_rows(named=True)}
    whole = edit(run / "f0/cells.csv", run.parent / "all.csv", sure)
    done = recount(run, [whole], Reading("A. Reader", NOW, confirms_all=True))
    assert done.changed + done.confirmed == table.height
    found = read_differential(run / "f0")
    for line in found.classes:
        if line.of_nucleated is not None and line.corrected_of_nucleated is not None:
            assert line.confirmed == line.count
            assert line.corrected_of_nucleated.value == pytest.approx(line.of_nucleated.fraction, abs=1e-9)


def test_a_cell_that_is_none_is_in_no_count(run: Path) -> None:
    [(cell, called)] = pick(run, 1)
    before = read_differential(run / "f0")
    labels = edit(run / "f0/cells.csv", run.parent / "x.csv", {cell: {"counted_as": "not_a_cell"}})
    recount(run, [labels], READING)
    after = read_differential(run / "f0")
    assert after.nucleated_cells == before.nucleated_cells - 1
    assert counts_of(run / "f0")[called] == {c.name: c.count for c in before.classes}[called] - 1
    convert_run(run, ExportFormat.COCO, run.parent / "coco.json")
    names = [
        a["attributes"]["cell_id"] for a in json.loads((run.parent / "coco.json").read_text())["annotations"]
    ]
    assert cell not in names


def test_calls_go_to_the_specimen_that_they_are_of(fields: Path, tmp_path: Path) -> None:
    table = tmp_path / "specimens.csv"
    table.write_text("image,specimen\n" + "".join(f"{fields}/f{n}.png,00{n + 1}\n" for n in range(2)))
    specimens = group_images(find_images([fields])[:2], str(table))
    count_specimens(specimens, tmp_path / "run", OPTIONS)
    [(cell, called)] = pick(tmp_path / "run", 1, "002/f1")
    before = counts_of(tmp_path / "run/001/f0")
    edited = edit(
        tmp_path / "run/002/f1/cells.csv", tmp_path / "e.csv", {cell: {"counted_as": other_class(called)}}
    )
    done = recount(tmp_path / "run", [edited], READING)
    assert done.names == ("001", "002")
    summary = pl.read_csv((tmp_path / "run/summary.csv").read_bytes(), infer_schema=False)
    assert summary["specimen"].to_list() == ["001", "002"]
    assert summary["changed_cells"].to_list() == ["0", "1"]
    assert counts_of(tmp_path / "run/001/f0") == before


def test_nothing_is_written_where_a_picture_is_gone_or_another(
    fields: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(fields, tmp_path / "in")
    out = tmp_path / "run"
    count_images(find_images([tmp_path / "in"])[:2], out, OPTIONS)
    [(cell, called)] = pick(out, 1)
    labels = edit(out / "f0/cells.csv", tmp_path / "e.csv", {cell: {"counted_as": other_class(called)}})
    before = {p: p.read_bytes() for p in out.rglob("*") if p.is_file()}
    for step in ("gone", "another"):
        if step == "gone":
            (tmp_path / "in/f1.png").rename(tmp_path / "kept.png")
        else:
            shutil.copy(tmp_path / "in/f2.png", tmp_path / "in/f1.png")
        with pytest.raises(UsageError, match=r"f1\.png: is not the picture that was counted"):
            recount(out, [labels], READING)
        assert {p: p.read_bytes() for p in out.rglob("*") if p.is_file()} == before
    (tmp_path / "kept.png").replace(tmp_path / "in/f1.png")
    assert recount(out, [labels], READING).changed == 1


def test_readers_who_differ_are_named_on_the_page_and_when_one_replaces_the_other(run: Path) -> None:
    [(cell, called), (second, second_called)] = pick(run, 2)
    new = other_class(called)
    older = edit(run / "f0/cells.csv", run.parent / "older.csv", {})
    both = {cell: {"counted_as": new}, second: {"counted_as": other_class(second_called)}}
    recount(run, [edit(run / "f0/cells.csv", run.parent / "a.csv", both)], READING)
    last = edit(run / "f0/cells.csv", run.parent / "b.csv", {cell: {"counted_as": "proerythroblast"}})
    done = recount(run, [last], Reading("B. Reader", NOW))
    assert done.replaced == {"A. Reader": 1}
    page = (run / "report.html").read_text(encoding="utf-8")
    assert "By reader: A. Reader 2, B. Reader 1." in page
    assert "They differ on 1 cell; the last call counts." in page
    assert f"Cell {cell}: A. Reader {new}, B. Reader proerythroblast." in page
    # Labels from before, which say again what the model said.
    again = recount(run, [older], Reading("C. Reader", NOW))
    assert (again.changed, again.replaced) == (2, {"A. Reader": 1, "B. Reader": 1})


def test_one_specimen_is_recounted_with_its_run(fields: Path, tmp_path: Path) -> None:
    table = tmp_path / "specimens.csv"
    table.write_text(f"image;specimen\n{fields}/f0.png;001\n")
    count_specimens(group_images(find_images([fields])[:1], str(table)), tmp_path / "run", OPTIONS)
    with pytest.raises(UsageError, match="is one specimen of the run"):
        recount(tmp_path / "run/001", [tmp_path / "run/001/f0/cells.csv"], READING)


def test_a_cell_that_two_parts_of_a_file_name_is_named(run: Path) -> None:
    """A file of outlines may state some of its cells without their image."""
    document = json.loads((run / "f0/cells.geojson").read_text(encoding="utf-8"))
    for feature in document["features"][:2]:
        feature["properties"].pop("metadata")
    labels = run.parent / "f0.geojson"
    labels.write_text(json.dumps(document), encoding="utf-8")
    assert recount(run, [labels], READING).unnamed == 0


def test_labels_that_cannot_be_taken_are_refused_before_anything_changes(run: Path) -> None:
    [(cell, _)] = pick(run, 1)
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}

    def refuse(name: str, text: str, error: type[Exception], match: str) -> None:
        path = run.parent / name
        path.write_text(text, encoding="utf-8")
        with pytest.raises(error, match=match):
            recount(run, [path], READING)

    image = read_field(run / "f0").record.image
    refuse("odd.csv", f"image,cell_id,label\n{image},{cell},Zellchen\n", DataError, "'Zellchen' is no class")
    refuse(
        "far.csv", f"image,cell_id,label\nother.png,{cell},lymphocyte\n", DataError, "no image of this run"
    )
    refuse("none.csv", f"cell_id,label\n{cell},lymphocyte\n", DataError, "has no column image")
    refuse(
        "two.csv",
        f"image,cell_id,label\n{image},{cell},lymphocyte\n{image},{cell},other\n",
        DataError,
        "two rows",
    )
    refuse("empty.csv", "", DataError, "is no table")
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file()} == before
    with pytest.raises(UsageError, match="holds no finished count"):
        recount(run / "f0", [run / "f0/cells.csv"], READING)


def test_a_class_map_says_what_names_stand_for_and_what_is_to_stay(run: Path) -> None:
    [(cell, called), (kept, _)] = pick(run, 2)
    image = read_field(run / "f0").record.image
    labels = run.parent / "map.csv"
    labels.write_text(
        f"image,cell_id,label\n{image},{cell},Zelle\n{image},{kept},egal\n{image},x9999y1,Zelle\n"
    )
    near = Reading("A. Reader", NOW, class_map=parse_class_map(["ZELLE=lymphocyte", "egal="]))
    with pytest.raises(
        UsageError, match="no cell of the labels is called 'ZELLE', and one is called 'Zelle'"
    ):
        recount(run, [labels], near)
    names = parse_class_map([f"Zelle={other_class(called)}", "egal="])
    done: Recount = recount(run, [labels], Reading("A. Reader", NOW, class_map=names))
    assert done.changed == 1
    assert done.left_out == (f"{labels}: cell x9999y1 is no cell of {image}",)


def test_the_command_says_what_was_taken_and_by_whom(run: Path) -> None:
    [(cell, called)] = pick(run, 1)
    labels = edit(run / "f0/cells.csv", run.parent / "e.csv", {cell: {"counted_as": other_class(called)}})
    (run / "report.pdf").write_bytes(b"%PDF-1.4\n<</Producer (Skia/PDF m120)>>\n%%EOF\n")
    arguments = ["recount", str(run), "--labels", str(labels), "--reader", "A. Reader", "--json"]
    done = CliRunner().invoke(app, arguments)
    assert done.exit_code == 0, done.output
    assert "1 call changed (0 of them cells that were missed) by A. Reader" in done.stderr
    assert f"{run / 'report.pdf'} was of the page before and was removed; give --pdf" in done.stderr
    assert not (run / "report.pdf").exists()
    report = (run / "report.html").read_text(encoding="utf-8")
    model_label = read_cells(run / "f0").filter(pl.col("cell_id") == cell)["label"][0].replace("_", " ")
    assert f"<span>by reader; model: {model_label} 0." in report
    lines = {line["name"]: line for line in json.loads(done.stdout)["differential"]["classes"]}
    assert lines[other_class(called)]["confirmed"] == 1
