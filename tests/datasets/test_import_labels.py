"""Labels of other programs as a data set: what is written, left out and refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.cells.class_map import parse_class_map
from erythron.datasets.import_labels import ImportOptions, ImportRun, import_labels
from erythron.datasets.manifest import read_manifest
from erythron.errors import DataError, UsageError
from erythron.synthetic.field import DrawnFieldSpec, draw_field

PLAIN = ImportOptions({}, mpp=0.25)


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("in") / "fields"
    folder.mkdir()
    Image.fromarray(draw_field(DrawnFieldSpec(400, 300, seed=0)).rgb).save(folder / "f0.png")
    return folder


def import_file(file: Path, fields: Path, out: Path, options: ImportOptions = PLAIN) -> ImportRun:
    return import_labels([file], fields, out, options)


def qupath(*names: str) -> list[dict[str, Any]]:
    """Squares of 20 pixels in a row, as drawn in QuPath."""
    features = []
    for i, name in enumerate(names):
        left = 40 * i + 10
        ring = [[left, 10], [left + 20, 10], [left + 20, 30], [left, 30], [left, 10]]
        geometry = {"type": "Polygon", "coordinates": [ring]}
        features.append(
            {"type": "Feature", "geometry": geometry, "properties": {"classification": {"name": name}}}
        )
    return features


def test_a_cell_drawn_without_its_nucleus_has_a_mask_of_the_cell(fields: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("Lymphocyte", "NRBC")))
    done = import_file(tmp_path / "f0.geojson", fields, tmp_path / "out")
    assert (done.cells, done.left_out) == (2, 0)
    manifest = read_manifest(tmp_path / "out" / "manifest.csv")
    assert set(manifest["mask_kind"]) == {"cell"}
    assert manifest["class"].to_list() == ["lymphocyte", None]
    assert manifest["source_label"].to_list() == ["Lymphocyte", "NRBC"]
    mask = np.asarray(Image.open(manifest["mask_path"][0]))
    assert (mask == 128).sum() == 400
    assert set(np.unique(mask)) == {0, 128}
    assert pl.read_csv(tmp_path / "out" / "cells.csv")["cell_id"].to_list() == ["x19y19", "x59y19"]


def test_unknown_names_stop_the_import_before_anything_is_written(fields: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("lymphocyte", "mystery")))
    with pytest.raises(DataError, match="'mystery'"):
        import_file(tmp_path / "f0.geojson", fields, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    mapped = ImportOptions(parse_class_map(["mystery="]))
    assert import_file(tmp_path / "f0.geojson", fields, tmp_path / "out", mapped).cells == 1
    reasons = pl.read_csv(tmp_path / "out" / "left_out.csv")
    assert reasons["reason"].to_list() == ["cell x59y19: is mystery"]


def test_an_image_that_is_not_there_fails_alone(fields: Path, tmp_path: Path) -> None:
    for name in ("f0", "absent"):
        (tmp_path / f"{name}.geojson").write_text(json.dumps(qupath("lymphocyte")))
    files = [tmp_path / "absent.geojson", tmp_path / "f0.geojson"]
    done = import_labels(files, fields, tmp_path / "out", PLAIN)
    assert done.cells == 1
    assert [f.image for f in done.failures] == ["absent"]
    with pytest.raises(DataError, match="no labelled cell"):
        import_labels(files[:1], fields, tmp_path / "none", PLAIN)
    assert not (tmp_path / "none").exists()


def test_an_import_replaces_only_an_import_and_only_when_told(fields: Path, tmp_path: Path) -> None:
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath("lymphocyte")))
    file, out = tmp_path / "f0.geojson", tmp_path / "out"
    import_file(file, fields, out)
    with pytest.raises(UsageError, match="--force"):
        import_file(file, fields, out)
    import_file(file, fields, out, ImportOptions({}, force=True))
    with pytest.raises(UsageError, match="no import wrote it"):
        import_file(file, fields, fields, ImportOptions({}, force=True))


def test_a_cell_outside_its_image_is_left_out(fields: Path, tmp_path: Path) -> None:
    names = ["lymphocyte"] * 12  # the image is 400 pixels wide: ten squares fit
    (tmp_path / "f0.geojson").write_text(json.dumps(qupath(*names)))
    done = import_file(tmp_path / "f0.geojson", fields, tmp_path / "out")
    assert (done.cells, done.left_out) == (10, 2)
    assert "outside" in pl.read_csv(tmp_path / "out" / "left_out.csv")["reason"][0]
