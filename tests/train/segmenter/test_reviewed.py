"""What a review says of outlines: drawn, taken away and accepted, and nothing of what was left out."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.cells.outline import CellOutline
from erythron.interchange.outlines import trace_mask
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.pipeline.recount import recount_reviews
from erythron.read.inputs import find_images
from erythron.results.field import read_field
from erythron.review.record import AddedCell, Region, Review, Verdict
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from erythron.train.segmenter.reviewed import Kind, find_empty, gather_outlines

from .reviews import enlarge

AT = datetime(2026, 5, 4, tzinfo=UTC)


def call(cell_id: str, called: str) -> Verdict:
    return Verdict(cell_id=cell_id, called=called, was="", reader="A. Reader", at=AT, source="review page")


def add(outline: CellOutline) -> AddedCell:
    return AddedCell(
        cell_id=outline.cell_id,
        cell=tuple(trace_mask(outline.whole)),
        nucleus=tuple(trace_mask(outline.nucleus_mask)),
    )


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A count of one field, of which nobody has said anything yet."""
    folder = tmp_path_factory.mktemp("outlines")
    Image.fromarray(draw_field(DrawnFieldSpec(420, 360, seed=5)).rgb).save(folder / "field.png")
    count_images(find_images([folder / "field.png"]), folder / "run", RunOptions(mpp=0.25))
    return folder / "run"


def test_corrected_outlines_are_found_and_what_was_left_out_is_not(run: Path) -> None:
    bundle = load_bundle()
    assert gather_outlines([run], bundle) is None  # nobody has corrected one
    result = read_field(run / "field")
    inside = [o for o in result.outlines if min(o.left, o.top) > 4]
    assert len(inside) >= 6
    by_place = sorted(inside, key=lambda o: o.nucleus_mask.centre[0])
    left, wrong, redrawn, whole, hidden = (*by_place[:4], by_place[-1])
    wider, bare = enlarge(redrawn, 2), enlarge(whole, 1)
    bare = CellOutline(bare.left, bare.top, bare.cell, bare.cell, np.nan)
    x = hidden.nucleus_mask.centre[0] - 3
    ring = ((x, 0.0), (420.0, 0.0), (420.0, 360.0), (x, 360.0), (x, 0.0))
    out = [o for o in result.outlines if o.nucleus_mask.centre[0] > x]
    image = Path(result.record.image)
    review = Review(
        image=str(image),
        verdicts=(
            call(wrong.cell_id, "not_a_cell"),
            call(redrawn.cell_id, "not_a_cell"),
            call(whole.cell_id, "not_a_cell"),
            *(call(o.cell_id, "lymphocyte") for o in (left, *out[:-1])),
            call(out[-1].cell_id, "not_a_cell"),
        ),
        added=(add(wider), add(bare)),
        regions=(Region(region_id="region-1", mode="leave_out", ring=ring, reader="A. Reader", at=AT),),
    )
    recount_reviews(run, {image: review}, "")
    found = gather_outlines([run, run], bundle)
    assert found is not None
    # What was drawn anew is one correction, not a cell and a place without one.
    drawn = found.kind == Kind.DRAWN
    assert drawn.sum() == 2
    assert [o.cell_id for o in np.array(found.outlines, object)[found.kind == Kind.REMOVED]] == [
        wrong.cell_id
    ]
    assert [o.cell_id for o in np.array(found.outlines, object)[found.kind == Kind.ACCEPTED]] == [
        left.cell_id
    ]
    assert found.is_correction.sum() == 3
    assert (found.kind == Kind.SYNTHETIC).sum() > 50
    # Nothing of the region that was left out, not even a dark place.
    real = found.kind != Kind.SYNTHETIC
    assert (found.places[real, 0] < x).all()
    # A cell that is all nucleus says nothing of the nucleus; a removed one is a window without a cell.
    assert found.windows.nucleus_known[drawn].sum() == 1
    assert not found.windows.masks[found.kind == Kind.REMOVED].any()
    middle = found.windows.masks[drawn][:, 72, 72]
    assert (middle == 255).all()
    # The field is seen at the scale of fields: the window of the wider cell holds its area at 0.30 um.
    area = (found.windows.masks[drawn, :, :, 1] > 127).sum(
        axis=(1, 2)
    ) * bundle.card.segmenter.field_window_mpp**2
    wanted = np.array([o.whole.area_px for o in np.array(found.outlines, object)[drawn]]) * 0.25**2
    np.testing.assert_allclose(area, wanted, rtol=0.03)
    # The same run twice is the same picture twice.
    assert found.left_out["reason"].str.contains("same picture").all()
    assert found.left_out.height == 1


def test_an_outline_that_reaches_beyond_the_picture_is_no_harm() -> None:
    light = draw_field(DrawnFieldSpec(200, 160, seed=5)).rgb
    card = load_bundle().card.segmenter
    everywhere = list(find_empty(light, 0.25, (), (), card))
    assert everywhere
    cover = np.ones((300, 300), np.bool_)
    assert not list(find_empty(light, 0.25, [CellOutline(-50, -60, cover, cover, 1.0)], (), card))
    beyond = CellOutline(190, 150, cover, cover, 1.0)
    assert len(list(find_empty(light, 0.25, [beyond], (), card))) >= len(everywhere) - 1
