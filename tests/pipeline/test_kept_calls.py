"""A person's calls are of one picture: no count puts them on the cells of another one."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from erythron.errors import UsageError
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import Reading, recount
from erythron.read.inputs import InputImage, find_images
from erythron.results.field import read_cells
from erythron.review.record import DATABASE

FORCE = RunOptions(mpp=0.25, force=True)


@pytest.fixture
def picture(fields: Path, tmp_path: Path) -> Path:
    shutil.copy(fields / "f0.png", tmp_path / "f0.png")
    return tmp_path / "f0.png"


@pytest.fixture
def called(picture: Path, tmp_path: Path) -> tuple[Path, list[InputImage]]:
    """A run of one field whose first cells a person called monocytes."""
    run, inputs = tmp_path / "run", find_images([picture])
    count_images(inputs, run, RunOptions(mpp=0.25))
    cells = read_cells(run / "f0").head(3)
    labels = tmp_path / "labels.csv"
    cells.select("image", "cell_id", pl.lit("monocyte").alias("counted_as")).write_csv(labels)
    reading = Reading("A. Reader", datetime(2026, 5, 4, tzinfo=UTC), confirms_all=True)
    recount(run, [labels], reading)
    return run, inputs


def read_all(run: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_calls_do_not_go_to_the_cells_of_a_picture_that_was_turned(
    called: tuple[Path, list[InputImage]], picture: Path
) -> None:
    """With --force half of them did, without a word."""
    run, inputs = called
    before = read_all(run)
    with Image.open(picture) as whole:
        whole.transpose(Image.Transpose.ROTATE_180).save(picture)
    with pytest.raises(UsageError, match=r"is not the picture of which .*review.json may hold calls"):
        count_images(inputs, run, FORCE)
    assert read_all(run) == before
    (run / "f0/review.json").unlink()
    (run / DATABASE).touch()  # calls that are on the review page alone
    with pytest.raises(UsageError, match=r"is not the picture of which .*review.sqlite may hold calls"):
        count_images(inputs, run, FORCE)
    (run / DATABASE).unlink()
    assert count_images(inputs, run, FORCE).failures == ()
    assert read_cells(run / "f0")["confirmed_as"].null_count() == read_cells(run / "f0").height


def test_a_picture_that_was_saved_anew_keeps_its_calls(
    called: tuple[Path, list[InputImage]], picture: Path
) -> None:
    run, inputs = called
    with Image.open(picture) as whole:
        whole.save(picture, compress_level=1, dpi=(300, 300))
    assert count_images(inputs, run, FORCE).failures == ()
    assert (read_cells(run / "f0")["confirmed_as"] == "monocyte").sum() == 3
