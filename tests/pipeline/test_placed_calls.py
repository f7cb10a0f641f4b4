"""Where calls and outlines of persons belong after a field was outlined anew."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import polars as pl

from erythron.cells.outline import CellOutline
from erythron.cells.table import NOT_A_CELL
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.placed_calls import PlacedCalls, place_calls
from erythron.pipeline.recount import recount_reviews
from erythron.read.inputs import find_images
from erythron.results.field import read_cells, read_field
from erythron.review.record import Review, Verdict
from erythron.review_page.edits import describe_added, name_apart

NOW = datetime(2026, 5, 4, 12, 30, tzinfo=UTC)


def outline_at(left: int, top: int = 0) -> CellOutline:
    """Return a cell of 10 x 10 pixels with a nucleus of 6 x 6 in its middle."""
    nucleus = np.zeros((10, 10), np.bool_)
    nucleus[2:8, 2:8] = True
    return CellOutline(left, top, np.ones((10, 10), np.bool_), nucleus, 1.0)


def verdict(cell_id: str, called: str) -> Verdict:
    return Verdict(cell_id=cell_id, called=called, was="other", reader="A. Reader", at=NOW, source="test")


def place(
    calls: dict[str, str], model: Sequence[CellOutline], added: Sequence[CellOutline] = ()
) -> PlacedCalls:
    centres = [outline.nucleus_mask.centre for outline in model]
    cells = pl.DataFrame(
        {
            "cell_id": [outline.cell_id for outline in model],
            "x_px": [x for x, _ in centres],
            "y_px": [y for _, y in centres],
            "width_px": [10] * len(model),
            "height_px": [10] * len(model),
        }
    )

    def read(names: Collection[str]) -> dict[str, CellOutline]:
        return {outline.cell_id: outline for outline in model if outline.cell_id in names}

    return place_calls([verdict(name, called) for name, called in calls.items()], added, cells, read)


def test_a_call_goes_by_name_and_else_by_place() -> None:
    first, second = outline_at(0), outline_at(30)
    found = place({first.cell_id: "monocyte", "x36y6": "lymphocyte", "x99y9": "other"}, [first, second])
    assert found.called == {first.cell_id: "monocyte", second.cell_id: "lymphocyte"}
    assert found.lost == 1


def test_what_was_drawn_in_the_place_of_an_outline_keeps_its_own_call() -> None:
    """The call that took the old outline away went to the new one, which was in no count then."""
    drawn = outline_at(1)
    calls = {drawn.cell_id: "monocyte", "x4y4": NOT_A_CELL}
    for model, added in (([], [drawn]), ([drawn], [])):  # the model has nothing there, or just that cell
        found = place(calls, model, added)
        assert found.called == {drawn.cell_id: "monocyte"}
        assert (found.added, found.lost) == (tuple(added), 0)
    # The model has the outline that was taken away, some pixels off.
    found = place(calls, [outline_at(0)], [drawn])
    assert found.called == {drawn.cell_id: "monocyte", outline_at(0).cell_id: NOT_A_CELL}
    assert found.added == (drawn,)


def test_an_added_cell_that_the_model_outlines_now_counts_once() -> None:
    drawn, there, beside = outline_at(1), outline_at(0), outline_at(9)
    found = place({drawn.cell_id: "monocyte"}, [there, beside], [drawn])
    assert (found.called, found.added, found.lost) == ({there.cell_id: "monocyte"}, (), 0)
    assert place({}, [beside], [drawn]).added == (drawn,)
    # A call of the model's cell by its own name goes before.
    found = place({there.cell_id: "other", drawn.cell_id: "monocyte"}, [there], [drawn])
    assert (found.called, found.added, found.lost) == ({there.cell_id: "other"}, (), 1)


def test_two_calls_of_what_is_one_cell_now_are_said() -> None:
    whole = outline_at(0)
    found = place({"x3y4": "monocyte", "x7y4": "lymphocyte"}, [whole])
    assert (found.called, found.lost) == ({whole.cell_id: "lymphocyte"}, 1)
    assert place({"x3y4": "monocyte", "x7y4": "monocyte"}, [whole]).lost == 0


def test_redrawn_cells_keep_their_calls_at_another_scale(data_dir: Path, tmp_path: Path) -> None:
    """Of 25 cells that a reader had outlined anew three were not counted, without a word."""
    image = Path(shutil.copy(data_dir / "marrow-fields" / "bmac_3316.jpg", tmp_path))
    run, inputs = tmp_path / "run", find_images([image])
    count_images(inputs, run, RunOptions(mpp=0.25))
    field = read_field(run / "bmac_3316")
    names = set(field.cells["cell_id"])
    added, verdicts = [], []
    for old in field.outlines[5:80:3]:
        new = name_apart(old, names.__contains__)
        names.add(new.cell_id)
        added.append(describe_added(new))
        verdicts += [verdict(new.cell_id, "plasma_cell"), verdict(old.cell_id, NOT_A_CELL)]
    review = Review(image=field.record.image, verdicts=tuple(verdicts), added=tuple(added))
    recount_reviews(run, {image: review}, "")
    for mpp in (0.25, 0.27):
        if mpp != 0.25:
            count_images(inputs, run, RunOptions(mpp=mpp, force=True))
        confirmed = read_cells(run / "bmac_3316")["confirmed_as"]
        assert (confirmed == "plasma_cell").sum() == len(added) == 25
