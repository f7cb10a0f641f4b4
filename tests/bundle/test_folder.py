from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from erythron.bundle.folder import DEFAULT_BUNDLE, load_bundle
from erythron.cells.classes import DEFAULT_CLASSES
from erythron.classify.classifier import Classifier
from erythron.classify.selftest import verify_bundle
from erythron.errors import BundleError


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))


def edit(folder: Path, **changes: object) -> None:
    path = folder / "model.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_the_shipped_bundle_loads_and_reproduces_its_stored_cell() -> None:
    bundle = load_bundle()
    assert tuple(c.name for c in bundle.classes) == tuple(c.name for c in DEFAULT_CLASSES)
    assert verify_bundle(bundle) <= bundle.card.self_test.tolerance
    assert sum(bundle.card.self_test.probabilities) == pytest.approx(1, abs=1e-6)
    assert sum(p.stat().st_size for p in DEFAULT_BUNDLE.iterdir()) < 16e6


def test_an_altered_file_is_named(copy: Path) -> None:
    with (copy / "classifier.onnx").open("r+b") as f:
        f.seek(1000)
        f.write(b"\0\1\2")
    with pytest.raises(BundleError, match=r"classifier\.onnx: differs"):
        load_bundle(copy)


def test_a_missing_and_an_extra_file_are_named(copy: Path) -> None:
    (copy / "notes.txt").write_text("x")
    with pytest.raises(BundleError, match=r"notes\.txt: does not belong"):
        load_bundle(copy)
    (copy / "notes.txt").unlink()
    (copy / "card.md").unlink()
    with pytest.raises(BundleError, match=r"card\.md: is missing"):
        load_bundle(copy)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"model\.json: cannot be read"):
        load_bundle(tmp_path)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"schema_version": 99}, "schema_version"),
        ({"temperature": -1.0}, "temperature"),
        ({"surprise": 1}, "surprise"),
        ({"classes": []}, "at classes"),
        ({"measurements": []}, "measurements"),
        ({"data": []}, "data"),
        ({"schema_version": 2}, "schema_version"),
    ],
)
def test_a_broken_schema_names_the_place(copy: Path, change: dict[str, object], place: str) -> None:
    edit(copy, **change)
    with pytest.raises(BundleError, match=place):
        load_bundle(copy)


def test_broken_json_is_refused(copy: Path) -> None:
    (copy / "model.json").write_text("{")
    with pytest.raises(BundleError, match=r"model\.json"):
        load_bundle(copy)


def test_other_probabilities_fail_the_self_test(copy: Path) -> None:
    stored = json.loads((copy / "model.json").read_text())["self_test"]
    stored["probabilities"] = list(np.roll(stored["probabilities"], 1))
    edit(copy, self_test=stored)
    with pytest.raises(BundleError, match="stored cell has prob_"):
        verify_bundle(load_bundle(copy))


def test_unknown_measurements_are_refused(copy: Path) -> None:
    stated = json.loads((copy / "model.json").read_text())["measurements"]
    edit(copy, measurements=stated[:-1])
    with pytest.raises(BundleError, match="its measurements are not those"):
        Classifier(load_bundle(copy))


def test_a_link_out_of_the_bundle_is_not_read(copy: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.md"
    secret.write_text((copy / "card.md").read_text())
    (copy / "card.md").unlink()
    (copy / "card.md").symlink_to(secret)
    with pytest.raises(BundleError, match=r"card\.md: is a link out of the bundle"):
        load_bundle(copy)


def test_a_pipe_in_a_bundle_is_refused_at_once(copy: Path) -> None:
    for name in ("card.md", "model.json"):
        (copy / name).unlink()
        os.mkfifo(copy / name)
        with pytest.raises(BundleError, match="not a regular file"):
            load_bundle(copy)
        (copy / name).unlink()
        shutil.copy(DEFAULT_BUNDLE / name, copy)
