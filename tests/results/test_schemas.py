"""The published schemas are those of the code, and what a run leaves keeps to them."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

import jsonschema
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from erythron.cli import app
from erythron.pipeline.count import count_specimens
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.pipeline.specimens import group_images
from erythron.read.inputs import find_images
from erythron.results.schemas import ResultFile, format_schema
from erythron.synthetic.field import DrawnFieldSpec, draw_field

PUBLISHED = Path(__file__).parents[2] / "docs" / "schemas"
NAMES = get_args(ResultFile)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over two specimens, one with a file that is no image, and a call by a person in the other."""
    folder = tmp_path_factory.mktemp("in")
    for specimen in ("a", "b"):
        (folder / specimen).mkdir()
        rgb = draw_field(DrawnFieldSpec(220, 200, seed=3)).rgb
        Image.fromarray(rgb).save(folder / specimen / f"{specimen}.png")
    (folder / "b" / "broken.png").write_bytes(b"no picture")
    out = tmp_path_factory.mktemp("out") / "run"
    count_specimens(group_images(find_images([folder]), "folder"), out, RunOptions(mpp=0.25))
    table = next((out / "a").rglob("cells.csv"))
    cells = pl.read_csv(table, infer_schema=False)
    edited = cells.with_columns(
        counted_as=pl.when(pl.int_range(pl.len()) == 0).then(pl.lit("not_a_cell")).otherwise("counted_as")
    )
    labels = tmp_path_factory.mktemp("labels") / "cells.csv"
    edited.write_csv(labels)
    recount(out, [labels], Reading("A. Reader", datetime(2026, 5, 4, tzinfo=UTC)))
    return out


def validate(content: Any, name: ResultFile) -> None:
    schema = json.loads(format_schema(name))
    jsonschema.Draft202012Validator(schema, format_checker=jsonschema.FormatChecker()).validate(content)


@pytest.mark.parametrize("name", NAMES)
def test_the_published_schema_is_that_of_the_code(name: ResultFile) -> None:
    published = PUBLISHED / f"{name}.schema.json"
    assert published.read_text(encoding="utf-8") == format_schema(name), (
        f"make it anew: erythron schema {name} > {published}"
    )
    assert {path.name for path in PUBLISHED.glob("*.json")} == {f"{one}.schema.json" for one in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_a_schema_is_one_and_states_its_version(name: ResultFile) -> None:
    result = CliRunner().invoke(app, ["schema", name])
    assert (result.exit_code, result.stdout) == (0, format_schema(name))
    schema = json.loads(result.stdout)
    jsonschema.Draft202012Validator.check_schema(schema)
    version = schema["$id"].rpartition(":")[2]
    assert schema["$id"] == f"urn:erythron:{name}:{version}"
    assert f"version {version}" in schema["title"]


@pytest.mark.parametrize(("name", "least"), [("differential", 2), ("record", 2), ("review", 1), ("run", 3)])
def test_what_a_run_leaves_keeps_to_its_schema(name: ResultFile, least: int, run: Path) -> None:
    written = sorted(run.rglob(f"{name}.json"))
    assert len(written) >= least
    for path in written:
        content = json.loads(path.read_text(encoding="utf-8"))
        validate(content, name)
        assert content["schema_version"] == int(json.loads(format_schema(name))["$id"].rpartition(":")[2])


@pytest.mark.parametrize("name", NAMES)
def test_another_version_and_an_unknown_key_break_the_schema(name: ResultFile, run: Path) -> None:
    content = json.loads(next(run.rglob(f"{name}.json")).read_text(encoding="utf-8"))
    for change in ({"schema_version": 99}, {"surprise": 1}):
        with pytest.raises(jsonschema.ValidationError):
            validate(content | change, name)
