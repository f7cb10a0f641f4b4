"""A finished run to other programs' files and back to labelled data, without loss and without counting."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import openpyxl
import polars as pl
import pytest
from PIL import Image
from polars.testing import assert_frame_equal
from pycocotools.coco import COCO
from shapely.geometry import shape
from typer.testing import CliRunner

import erythron
from erythron.cells.class_map import parse_class_map
from erythron.cells.outline import render_labels
from erythron.cli import app
from erythron.datasets.import_labels import ImportOptions, ImportRun, import_labels
from erythron.datasets.manifest import read_manifest
from erythron.errors import DataError, UsageError
from erythron.files.hashing import hash_file
from erythron.files.tables import read_csv
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.results.convert import ExportFormat, FormatOptions, _name_specimens, convert_run
from erythron.results.field import read_field
from erythron.results.run import read_settings, write_specimens
from erythron.synthetic.field import DrawnFieldSpec, draw_field

KINDS = list(ExportFormat)
PLAIN = ImportOptions({}, mpp=0.25)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "fields"
    folder.mkdir()
    for seed in range(2):
        Image.fromarray(draw_field(DrawnFieldSpec(220, 180, seed=seed)).rgb).save(folder / f"f{seed}.png")
    Image.new("RGB", (300, 200), (236, 230, 228)).save(folder / "empty.png")
    return folder


@pytest.fixture(scope="module")
def run(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("out") / "run"
    assert count_images(find_images([fields]), out, RunOptions(mpp=0.25)).failures == ()
    return out


@pytest.fixture(scope="module")
def results(fields: Path) -> dict[str, erythron.Result]:
    with erythron.Counter(mpp=0.25) as counter:
        return {path.stem: counter.count(path) for path in sorted(fields.iterdir())}


def import_file(file: Path, fields: Path, out: Path, options: ImportOptions = PLAIN) -> ImportRun:
    return import_labels([file], fields, out, options)


def edit(path: Path, change: Any, out: Path) -> Path:
    """Change a JSON file as a person would in another program."""
    document = json.loads(path.read_text())
    change(document)
    out.write_text(json.dumps(document))
    return out


def test_a_folder_read_back_is_what_was_counted(run: Path, results: dict[str, erythron.Result]) -> None:
    for name, result in results.items():
        found = read_field(run / name)
        assert (found.record.height_px, found.record.width_px) == result.rgb.shape[:2]
        assert_frame_equal(found.cells, result.cells)
        assert found.differential == result.differential
        for back, sent in zip(found.outlines, result.outlines, strict=True):
            assert (back.left, back.top, back.score) == (sent.left, sent.top, pytest.approx(sent.score))
            assert np.array_equal(back.cell, sent.cell)
            assert np.array_equal(back.nucleus, sent.nucleus)


def test_coco_of_a_run(run: Path, results: dict[str, erythron.Result], fields: Path, tmp_path: Path) -> None:
    done = convert_run(run, ExportFormat.COCO, tmp_path / "coco.json")
    cells = sum(r.cells.height for r in results.values())
    assert (done.images, done.cells) == (3, cells)
    coco = COCO(tmp_path / "coco.json")
    assert len(coco.anns) == 2 * cells
    for image in coco.imgs.values():
        assert image["file_name"] == str(fields / Path(image["file_name"]).name)
        result = results[Path(image["file_name"]).stem]
        nuclei, cells_of = render_labels(result.outlines, *result.rgb.shape[:2])
        number = {outline.cell_id: i for i, outline in enumerate(result.outlines, start=1)}
        for annotation in coco.loadAnns(coco.getAnnIds(imgIds=image["id"])):
            is_nucleus = coco.cats[annotation["category_id"]]["name"] == "nucleus"
            labels = nuclei if is_nucleus else cells_of
            wanted = number[annotation["attributes"]["cell_id"]]
            assert np.array_equal(coco.annToMask(annotation), labels == wanted)


def test_parquet_of_a_run(run: Path, results: dict[str, erythron.Result], tmp_path: Path) -> None:
    convert_run(run, ExportFormat.PARQUET, tmp_path / "cells.parquet")
    cells = pl.read_parquet(tmp_path / "cells.parquet")
    counted = pl.concat([r.cells for r in results.values() if r.cells.height])
    assert_frame_equal(cells, counted)
    convert_run(run / "empty", ExportFormat.PARQUET, tmp_path / "none.parquet")
    assert pl.read_parquet(tmp_path / "none.parquet").columns == cells.columns


def test_a_workbook_of_a_run_has_its_summary_and_all_cells(
    run: Path, results: dict[str, erythron.Result], tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=r"name it \.xlsx"):
        convert_run(run, ExportFormat.XLSX, tmp_path / "run.txt")
    convert_run(run, ExportFormat.XLSX, tmp_path / "run.xlsx")
    book = openpyxl.load_workbook(tmp_path / "run.xlsx")
    cells = list(book["cells"].iter_rows(values_only=True))
    counted = pl.concat([r.cells for r in results.values() if r.cells.height])
    assert list(cells[0]) == counted.columns
    assert [row[1] for row in cells[1:]] == counted["cell_id"].to_list()
    assert [row[0] for row in book["summary"].iter_rows(values_only=True)][1:] == [
        r.image for r in results.values()
    ]


def test_csv_with_decimal_commas_opens_where_they_are_used(
    run: Path, results: dict[str, erythron.Result], tmp_path: Path
) -> None:
    convert_run(run, ExportFormat.CSV, tmp_path / "cells.csv", FormatOptions(decimal=","))
    with (tmp_path / "cells.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file, delimiter=";"))
    counted = pl.concat([r.cells for r in results.values() if r.cells.height])
    assert [float(row["x_px"].replace(",", ".")) for row in rows] == counted["x_px"].to_list()


def test_tables_of_several_specimens_say_of_which_each_cell_is(
    run: Path, results: dict[str, erythron.Result], tmp_path: Path
) -> None:
    """Cells of two patients stood in one table with nothing but paths to tell them apart."""
    several, names = tmp_path / "several", {"f0": "001", "f1": "001/left", "empty": "B"}
    for field, specimen in names.items():
        shutil.copytree(run / field, several / specimen / field)
    given = {specimen: [str(results[field].image)] for field, specimen in names.items()}
    write_specimens(several, given, (), read_settings(run), finished=True)
    for kind in (ExportFormat.CSV, ExportFormat.PARQUET, ExportFormat.XLSX):
        convert_run(several, kind, tmp_path / f"cells.{kind.value}")
    text = read_csv(tmp_path / "cells.csv", {"specimen": pl.String()})
    assert text.columns[:3] == ["image", "specimen", "cell_id"]
    of_field = {results[field].image: specimen for field, specimen in names.items()}
    assert text["specimen"].to_list() == [of_field[image] for image in text["image"]]
    assert set(text["specimen"]) == {"001", "001/left"}
    assert pl.read_parquet(tmp_path / "cells.parquet")["specimen"].equals(text["specimen"])
    sheet = openpyxl.load_workbook(tmp_path / "cells.xlsx")["cells"]
    assert [cell.value for cell in sheet["B"]] == ["specimen", *text["specimen"]]
    assert sheet.freeze_panes == "D2"
    convert_run(several / "001", ExportFormat.CSV, tmp_path / "one.csv")
    assert "specimen" not in read_csv(tmp_path / "one.csv").columns


def test_label_studio_of_a_run_has_its_configuration_beside_it(run: Path, tmp_path: Path) -> None:
    done = convert_run(run, ExportFormat.LABEL_STUDIO, tmp_path / "tasks.json", FormatOptions("http://x/"))
    assert done.files == (tmp_path / "tasks.json", tmp_path / "tasks.xml")
    tasks = json.loads((tmp_path / "tasks.json").read_text())
    assert [t["data"]["image"].rsplit("/", 1)[1] for t in tasks] == ["empty.png", "f0.png", "f1.png"]
    assert "orthochromatic_erythroblast" in (tmp_path / "tasks.xml").read_text()
    with pytest.raises(UsageError, match=r"\.json"):
        convert_run(run, ExportFormat.LABEL_STUDIO, tmp_path / "other.xml")


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_replaced_unasked(kind: ExportFormat, run: Path, tmp_path: Path) -> None:
    out = tmp_path / ("out.xlsx" if kind is ExportFormat.XLSX else "out.json")
    out.write_text("mine")
    with pytest.raises(UsageError, match="--force"):
        convert_run(run, kind, out)
    assert out.read_text() == "mine"
    convert_run(run, kind, out, force=True)
    assert out.read_bytes() != b"mine"


def test_what_is_no_run_or_is_damaged_is_named(run: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no counted image"):
        convert_run(tmp_path, ExportFormat.COCO, tmp_path / "a.json")
    copy = tmp_path / "copy"
    shutil.copytree(run / "f0", copy)
    document = json.loads((copy / "cells.geojson").read_text())
    document["features"].pop()
    (copy / "cells.geojson").write_text(json.dumps(document))
    with pytest.raises(DataError, match="are not those"):
        convert_run(copy, ExportFormat.COCO, tmp_path / "a.json")
    (copy / "cells.csv").unlink()
    with pytest.raises(DataError, match="count the image again with --force"):
        convert_run(copy, ExportFormat.COCO, tmp_path / "a.json")
    assert not (tmp_path / "a.json").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("change", ["another", "twice"])
def test_a_table_with_other_cells_than_outlined_is_refused(change: str, run: Path, tmp_path: Path) -> None:
    """As many cells of other names, and one cell in two rows."""
    copy = tmp_path / "copy"
    shutil.copytree(run / "f0", copy)
    head, first, *rest = (copy / "cells.csv").read_text().splitlines(keepends=True)
    cell_id = first.split(",")[1]
    rows = [first, first] if change == "twice" else [first.replace(cell_id, "x0y0", 1)]
    (copy / "cells.csv").write_text("".join([head, *rows, *rest]))
    with pytest.raises(DataError, match=r"cells\.geojson: its cells are not those of cells\.csv"):
        read_field(copy)


def accept(tasks: list[dict[str, Any]]) -> None:
    """Label every cell that the model left open, and confirm the rest, as in Label Studio."""
    for task in tasks:
        for region in task["predictions"][0]["result"]:
            labels = region["value"][region["type"]]
            labels[:] = ["Lymphocyte" if n == "unclassified" else n for n in labels]
        task["annotations"] = [{"result": task.pop("predictions")[0]["result"]}]


def rename_category(document: dict[str, Any]) -> None:
    for category in document["categories"]:
        if category["name"] == "unclassified":
            category["name"] = "Lymphocyte"


def reclassify(document: dict[str, Any]) -> None:
    for feature in document["features"]:
        if feature["properties"]["classification"]["name"] == "unclassified":
            feature["properties"]["classification"] = {"name": "Lymphocyte"}


def test_each_format_comes_back_as_the_same_labelled_data(
    run: Path, fields: Path, results: dict[str, erythron.Result], tmp_path: Path
) -> None:
    convert_run(run, ExportFormat.COCO, tmp_path / "coco")
    convert_run(run, ExportFormat.LABEL_STUDIO, tmp_path / "tasks")
    files = {
        "coco": [edit(tmp_path / "coco", rename_category, tmp_path / "coco.json")],
        "label studio": [edit(tmp_path / "tasks", accept, tmp_path / "tasks.json")],
        "qupath": [
            edit(run / name / "cells.geojson", reclassify, tmp_path / f"{name}.geojson")
            for name in ("f0", "f1")
        ],
    }
    counted = pl.concat([r.cells for r in results.values() if r.cells.height])
    tables = []
    for name, given in files.items():
        out = tmp_path / f"set from {name}"
        done = import_labels(given, fields, out, PLAIN)
        assert (done.cells, done.images, done.failures) == (counted.height, 2, ())
        cells = pl.read_csv(out / "cells.csv")
        assert cells.columns[:8] == counted.columns[:8]
        tables.append(cells)
        unclassified = counted["flags"].str.contains("unclassified")
        expected = pl.select(pl.when(unclassified).then(pl.lit("lymphocyte")).otherwise(counted["label"]))
        assert cells["label"].to_list() == expected.to_series().to_list()
        place = ["image", "cell_id", "x_px", "y_px", "width_px", "height_px"]
        assert_frame_equal(cells.select(place), counted.select(place), check_exact=False, abs_tol=1e-6)
        manifest = read_manifest(out / "manifest.csv")
        assert [hash_file(Path(p)) for p in manifest["path"]] == manifest["sha256"].to_list()
        assert manifest.height == counted.height
        assert manifest["group"].n_unique() == 2
        assert set(manifest["mask_kind"]) == {"nucleus_255_cell_128"}
        assert manifest["mpp"].to_list() == [PLAIN.mpp] * manifest.height
        for image, cell_id, crop, mask in cells.select("image", "cell_id", "crop", "mask").iter_rows():
            outlines = {o.cell_id: o for o in results[Path(image).stem].outlines}
            values = np.asarray(Image.open(out / mask))
            with Image.open(out / crop) as cut:
                assert cut.size == values.shape[::-1]
            assert (values == 255).sum() == outlines[cell_id].nucleus.sum()
            assert (values > 0).sum() == outlines[cell_id].cell.sum()
    for table in tables[1:]:
        assert_frame_equal(table.drop("crop", "mask"), tables[0].drop("crop", "mask"))


def test_a_crop_shows_the_cell_at_its_centre(run: Path, fields: Path, tmp_path: Path) -> None:
    import_file(run / "f0" / "cells.geojson", fields, tmp_path / "out", PLAIN)
    field = np.asarray(Image.open(fields / "f0.png").convert("RGB"))
    for x, y, crop in pl.read_csv(tmp_path / "out" / "cells.csv").select("x_px", "y_px", "crop").iter_rows():
        pixels = np.asarray(Image.open(tmp_path / "out" / crop))
        half = pixels.shape[0] // 2
        assert np.array_equal(pixels[half, half], field[round(y), round(x)])


def test_the_commands(run: Path, fields: Path, tmp_path: Path) -> None:
    cli = CliRunner()
    coco = tmp_path / "coco.json"
    done = cli.invoke(app, ["convert", str(run), "--to", "coco", "--out", str(coco), "--json"])
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said["files"] == [str(coco)]
    arguments = ["import", str(coco), "--images", str(fields), "--out", str(tmp_path / "set"), "--json"]
    done = cli.invoke(app, [*arguments, "--class-map", "unclassified=other"])
    assert done.exit_code == 0
    imported = json.loads(done.stdout)
    assert imported["cells"] == said["cells"]
    assert imported["failures"] == []
    done = cli.invoke(app, [*arguments, "--force", "--class-map", "nonsense"])
    assert isinstance(done.exception, UsageError)
    assert cli.invoke(app, ["convert", str(run), "--to", "word", "--out", str(coco)]).exit_code == 2


@pytest.mark.real_data
def test_a_real_field_survives_every_format(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    image = tmp_path / "in" / "piece.png"
    with Image.open(data_dir / "marrow-field" / "marrow-field-left.png") as field:
        field.convert("RGB").crop((100, 100, 400, 500)).save(image)
    result = erythron.count(image)
    run = result.save(tmp_path / "run")
    features = json.loads((run / "cells.geojson").read_text())["features"]
    assert len(features) == result.cells.height > 5
    for feature in features:
        cell, nucleus = shape(feature["geometry"]), shape(feature["nucleusGeometry"])
        assert cell.is_valid
        assert nucleus.is_valid
        assert cell.covers(nucleus)
        left, top, right, bottom = cell.bounds
        assert min(left, top) >= 0
        assert right <= result.rgb.shape[1]
        assert bottom <= result.rgb.shape[0]
    convert_run(run, ExportFormat.COCO, tmp_path / "coco.json")
    convert_run(run, ExportFormat.LABEL_STUDIO, tmp_path / "tasks")
    edit(tmp_path / "tasks", accept, tmp_path / "tasks.json")
    keep = ImportOptions(parse_class_map(["unclassified=other"]))
    outs = []
    for name in ("coco.json", "tasks.json", "run/cells.geojson"):
        outs.append(tmp_path / f"set {name.replace('/', ' ')}")
        assert import_file(tmp_path / name, image.parent, outs[-1], keep).cells == result.cells.height
    for mask in pl.read_csv(outs[0] / "cells.csv")["mask"]:
        assert (outs[0] / mask).read_bytes() == (outs[1] / mask).read_bytes() == (outs[2] / mask).read_bytes()


def test_what_an_earlier_run_left_beside_specimens_is_of_none(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"specimens": {"P": ["f.png"]}}')
    assert _name_specimens(tmp_path, [tmp_path / "P" / "f", tmp_path / "old"]) == ["P", None]
