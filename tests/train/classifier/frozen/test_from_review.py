"""A bundle that learns from the cells that a reader called in a finished count."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.ahead import Ended
from tests.program import Done, run_program

from erythron.bundle.folder import Bundle, load_bundle
from erythron.compare.agreement import mcnemar
from erythron.errors import BundleError, DataError
from erythron.files.tables import read_csv
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.results.field import read_cells
from erythron.results.record import RECORD, SlideRecord
from erythron.review.record import DATABASE
from erythron.review.store.database import name_file, open_database
from erythron.review.store.events import EventLog
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from erythron.train.classifier.frozen import from_review
from erythron.train.classifier.frozen.from_review import (
    BEFORE_AFTER,
    SOURCE,
    Improvement,
    gather_reviewed,
    train_from_review,
    weigh_labels,
)
from erythron.train.classifier.frozen.memory import MEMORY, read_memory
from erythron.train.classifier.frozen.train import LEFT_OUT
from erythron.train.recipe import FrozenRecipe
from erythron.train.shared.evaluation import FOLDER
from erythron.train.shared.run_folder import read_record

from .small_run import prepare

pytestmark = pytest.mark.ahead(start=prepare)


@pytest.fixture(scope="module")
def run(small_run: Ended) -> Path:
    """A count of two fields in which every cell is called, one of each field as no cell."""
    return small_run.folder / "review" / "run"


def test_cells_that_were_called_are_framed_as_in_use(run: Path, small_frozen: FrozenRecipe) -> None:
    found = gather_reviewed([run], small_frozen)
    tables = pl.concat([read_cells(run / name) for name in ("f0", "f1")])
    called = tables.filter(pl.col("confirmed_as").fill_null("") != "")
    assert called.height > 30
    teaching = called.filter(~pl.col("confirmed_as").is_in(["not_a_cell", "unclassified"]))
    assert found.cells.rows.height == teaching.height
    assert found.left_out.height == called.height - teaching.height >= 2
    assert set(found.cells.rows["label"]) == {"lymphocyte", "orthochromatic_erythroblast"}
    assert found.left_out["reason"].str.contains("learns nothing from").all()
    assert found.cells.pixels.shape[1:] == (144, 144, 3)
    # The nucleus stands in the middle of its crop.
    assert (found.cells.masks[:, 72, 72, 1] == 255).mean() > 0.9
    assert found.cells.rows["sha256"].n_unique() == found.cells.rows.height


def test_a_bundle_learns_says_what_got_better_and_learns_again(
    run: Path, small_run: Ended, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = small_run.folder
    first, record = place / "learned", read_record(place / "learned")
    found = Improvement(**json.loads((place / "found.json").read_text()))
    assert [d.name for d in record.data] == ["pathology-bites-cells", "pbc-acevedo", SOURCE]
    assert record.data[2].cells == found.cells
    table = read_csv(first / FOLDER / BEFORE_AFTER)
    was, now = (table["reader"] == table[c] for c in ("before", "after"))
    assert table.height == found.cells
    assert (found.right_before, found.right_after) == (was.sum(), now.sum())
    assert (found.better, found.worse) == ((now & ~was).sum(), (was & ~now).sum())
    assert found.probability == mcnemar(found.better, found.worse)
    assert sum(cells for cells, _, _ in found.by_class.values()) == found.cells
    assert found.apart_by == "field"
    assert read_csv(first / LEFT_OUT).height >= 2

    learned = load_bundle(place / "learned-bundle")
    assert learned.card.outlines_from.startswith("taken from")
    assert learned.card.evaluation.cells == 20 + found.cells
    # It can learn again, by the command; the review of before is replaced by that of now.
    assert [s.name for s in read_memory(learned.path / MEMORY).sources][-1] == SOURCE
    out = place / "learned-again"
    done = Done(**json.loads((place / "said.json").read_text()))
    assert done.returncode == 0, done.stderr
    assert [d.name for d in read_record(out).data] == [d.name for d in record.data]
    # Who waits for minutes is told, also in a log, which step is done and of how many cells.
    assert f"Features of {found.cells} cells: 0 of " in done.stderr
    assert f"Cross-validation of {record.cells} cells: 0 of 2" in done.stderr
    assert "fields kept whole" in done.stdout
    assert "exact McNemar test" in done.stdout
    assert f"erythron export {out}" in done.stdout
    assert not list(out.rglob("*.onnx")) or [p.name for p in out.rglob("*.onnx")] == ["segmentation.onnx"]
    # What the command makes of it for a program; another fit would say the same.
    taken: list[list[Path]] = []
    monkeypatch.setattr(
        from_review, "train_from_review", lambda runs, *_: taken.append(runs) or (record, found)
    )
    # The database of a review stands for the run that it lies in.
    database = run / DATABASE
    log = EventLog(open_database(name_file(database)), run)
    log.close()
    words = ("train", "--from-review", database, "--model", learned.path, "--out", tmp_path / "run", "--json")
    done = run_program(*words)
    assert json.loads(done.stdout)["by_class"].keys() == found.by_class.keys()
    assert json.loads(done.stdout)["apart_by"] == "field"
    assert taken == [[run]]


def test_what_cannot_be_learned_from_is_refused_in_words(
    run: Path, exported: Bundle, small_frozen: FrozenRecipe, tmp_path: Path
) -> None:
    bare = tmp_path / "bare"
    bare.mkdir()
    with pytest.raises(BundleError, match="does not keep what it was trained on"):
        train_from_review([run], Bundle(bare, exported.card, exported.classes), tmp_path / "a", 1)
    picture = tmp_path / "field.png"
    Image.fromarray(draw_field(DrawnFieldSpec(300, 260, seed=4)).rgb).save(picture)
    out = tmp_path / "uncalled"
    count_images(find_images([picture]), out, RunOptions(mpp=0.25))
    with pytest.raises(DataError, match="nobody has called a cell"):
        gather_reviewed([out], small_frozen)
    done = run_program("train", "default", "--from-review", run, "--out", tmp_path / "b")
    assert done.returncode == 2
    assert "--from-review" in done.stderr
    done = run_program("train", "--model", exported.path, "--out", tmp_path / "b")
    assert done.returncode == 2
    assert not (tmp_path / "b").exists()


def test_every_label_of_a_review_counts_the_same() -> None:
    weights = weigh_labels(["a", "a", "a", "b"])
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(weights, [1 / 6, 1 / 6, 1 / 6, 1 / 2])


def test_a_slide_that_was_reviewed_is_named_and_not_learned_from(
    run: Path, small_frozen: FrozenRecipe, tmp_path: Path
) -> None:
    shutil.copytree(run, tmp_path / "run")
    path = tmp_path / "run" / "f0" / RECORD
    record = json.loads(path.read_text())
    slide = SlideRecord(
        scope="whole",
        cells_wanted=None,
        seed=0,
        block_px=512,
        working_mpp=0.3,
        areas=(),
        area_cells=(),
        counted_mm2=1.0,
        glass=(230, 230, 230),
    )
    path.write_text(json.dumps(record | {"slide": slide.model_dump()}))
    found = gather_reviewed([tmp_path / "run"], small_frozen)
    assert found.left_out.row(0) == (record["image"], "is a slide, and fields alone are learned from")
    assert 0 < found.cells.rows.height < gather_reviewed([run], small_frozen).cells.rows.height
