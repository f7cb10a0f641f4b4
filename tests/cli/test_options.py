"""Options that several commands share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from PIL import Image
from typer.testing import CliRunner

from erythron.cells.class_map import CLASS_MAP_HELP
from erythron.cli import app
from erythron.cli.options import read_within
from erythron.errors import MissingExtraError
from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("in") / "field.png"
    Image.fromarray(draw_field(DrawnFieldSpec(240, 200, seed=0)).rgb).save(path)
    return path


def test_a_count_says_on_stderr_and_in_its_record_where_its_networks_were_computed(
    field: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["count", str(field), "--out", str(out), "--mpp", "0.25", "--json"]
    done = CliRunner().invoke(app, [*arguments, "--runtime", "onnxruntime"])
    assert done.exit_code == 0
    assert "networks computed in ONNX Runtime, " in done.stderr
    json.loads(done.stdout)
    device = json.loads((out / "run.json").read_text())["settings"]["Networks computed in"]
    assert f"networks computed in {device}" in done.stderr
    first = json.loads((out / "field" / "record.json").read_text())["fingerprints"]
    again = CliRunner().invoke(app, [*arguments, "--force"])
    assert "networks computed" not in again.stderr
    assert json.loads((out / "run.json").read_text())["settings"]["Networks computed in"] == "OpenVINO, CPU"
    assert json.loads((out / "field" / "record.json").read_text())["fingerprints"] != first


@pytest.mark.parametrize("command", ["count", "classify", "mask", "extract"])
def test_every_command_that_loads_networks_takes_a_runtime(
    command: str, field: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> None:
        raise MissingExtraError("onnxruntime", "run networks in ONNX Runtime")

    monkeypatch.setattr("erythron.bundle.loading.describe_device", lambda _: refuse())
    words = [command, str(field), "--out", str(tmp_path / "out"), "--runtime", "onnxruntime"]
    done = CliRunner().invoke(app, words)
    assert isinstance(done.exception, MissingExtraError)
    assert not (tmp_path / "out").exists()
    assert CliRunner().invoke(app, [*words[:-1], "paper"]).exit_code == 2


def test_class_maps_are_explained_alike() -> None:
    def list_options(command: Any) -> Iterator[Any]:
        yield from command.params
        for inner in getattr(command, "commands", {}).values():
            yield from list_options(inner)

    texts = [
        option.help for option in list_options(typer.main.get_command(app)) if "--class-map" in option.opts
    ]
    assert texts == [CLASS_MAP_HELP] * 6  # recount, import, experiment, and fetch, audit and split of data


def test_numbers_may_have_a_decimal_comma(field: Path, tmp_path: Path) -> None:
    """``--mpp 2,5`` was no number, and nothing said what was wrong with it."""
    number = read_within(0.01, 10.0)
    assert number("0,25") == number("0.25") == number(0.25) == 0.25
    for text in ("0,2,5", "1,234.5", "a", "nan", "25,0"):
        with pytest.raises(typer.BadParameter):
            number(text)
    words = ["count", str(field), "--out", str(tmp_path / "out"), "--width", "5,0", "--mpp"]
    refused = CliRunner().invoke(app, [*words, "0,2,5"])
    assert (refused.exit_code, "'0,2,5' is no number; write it as 2.5" in refused.stderr) == (2, True)
    assert CliRunner().invoke(app, [*words, "0,25"]).exit_code == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["told"]["mpp"] == 0.25
