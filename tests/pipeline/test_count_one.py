"""One specimen is counted again as a count of the whole run has it, and nothing of the others is done."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from PIL import Image

from erythron.pipeline import count
from erythron.pipeline.count import count_specimens
from erythron.pipeline.finished import count_again, find_run
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import recount_reviews
from erythron.pipeline.specimens import group_images
from erythron.read.inputs import find_images
from erythron.report.model import RunReport
from erythron.results.field import need_record, read_cells
from erythron.review.record import Review, Verdict
from erythron.synthetic.field import DrawnFieldSpec, draw_field

AT = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three specimens: one of a field, one with the same picture, one that holds no picture."""
    folder = tmp_path_factory.mktemp("one")
    for name in ("001", "002", "=b"):
        (folder / "in" / name).mkdir(parents=True)
    Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=4)).rgb).save(folder / "in" / "001" / "f.png")
    shutil.copy(folder / "in" / "001" / "f.png", folder / "in" / "002" / "g.png")
    (folder / "in" / "=b" / "f.png").write_text("no picture")
    (folder / "s.csv").write_text(
        "image,specimen,stain\n001/f.png,001,0012\n002/g.png,002,\n=b/f.png,=b,=x\n"
    )
    specimens = group_images(find_images([folder / "in"]), str(folder / "s.csv"))
    count_specimens(specimens, folder / "run", RunOptions(mpp=0.25))
    return folder / "run"


def make_review(run: Path, field: str) -> tuple[Path, Review]:
    """Return a review of the first cell of a field, by the path of its image."""
    record = need_record(run / field)
    cell = read_cells(run / field)["cell_id"][0]
    call = Verdict(cell_id=cell, called="plasma_cell", was="", reader="A. Reader", at=AT, source="test")
    return Path(record.image), Review(image=record.image, verdicts=(call,))


def test_it_says_what_a_count_of_the_whole_run_says(counted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(counted, run)
    made: list[str] = []
    render = count.render_report

    def watch(page: RunReport) -> str:
        made.append(page.specimen)
        return render(page)

    image, review = make_review(run, "002/002/g")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(count, "render_report", watch)
        found = recount_reviews(run, {image: review}, "002")
    assert made == ["002"]
    # The picture that another specimen shows too is still said.
    assert "image_of_another_specimen" in [flag.name for flag in found.differential.flags]
    summary, failures = (
        (run / "summary.csv").read_bytes(),
        json.loads((run / "run.json").read_text())["failures"],
    )
    assert pl.read_csv(summary)["confirmed_cells"].to_list() == [0, 1, 0]
    assert len(failures) == 1
    again = count_again(find_run(run), run)
    assert again[1].differential == found.differential
    assert (run / "summary.csv").read_bytes() == summary
    assert json.loads((run / "run.json").read_text())["failures"] == failures


def test_a_run_that_is_not_whole_is_counted_again_as_one(counted: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(counted, run)
    whole = (run / "summary.csv").read_bytes()
    (run / "summary.csv").write_text("specimen,fields\n001,1\n")
    image, review = make_review(run, "002/002/g")
    assert recount_reviews(run, {image: review}, "002").review is not None
    names = pl.read_csv(run / "summary.csv", schema_overrides={"specimen": pl.String})["specimen"].to_list()
    assert names == ["001", "002", "'=b"]
    assert (run / "summary.csv").read_bytes() != whole
