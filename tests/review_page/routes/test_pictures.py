"""Pixels go out as they are in the image, region by region, and crops many at a time."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from erythron.interchange.outlines import fill_parts
from tests.review_page.conftest import Desk, Visit


def split_pack(content: bytes) -> list[bytes]:
    parts, at = [], 0
    while at < len(content):
        length = int.from_bytes(content[at : at + 4], "big")
        parts.append(content[at + 4 : at + 4 + length])
        at += 4 + length
    return parts


def test_a_region_shows_the_pixels_of_the_image(desk: Desk, visit: Visit) -> None:
    box = {"left": 20, "top": 30, "width": 200, "height": 100}
    answer = visit.client.get("/api/fields/0/region", params={**box, "out": 100})
    assert answer.headers["content-type"] == "image/jpeg"
    picture = Image.open(io.BytesIO(answer.content))
    assert picture.size == (100, 50)
    path = desk.app.state.book.run.fields[0].path
    true = Image.open(path).convert("RGB").crop((20, 30, 220, 130)).resize((100, 50), Image.Resampling.BOX)
    assert np.abs(np.asarray(picture, float) - np.asarray(true, float)).mean() < 5


def test_a_region_beyond_the_image_is_refused(visit: Visit) -> None:
    for left, width in ((200, 200), (0, 5000), (9_000_000, 1)):
        box = {"left": left, "top": 0, "width": width, "height": 10}
        assert visit.client.get("/api/fields/0/region", params=box).status_code == 422
    assert visit.client.get("/api/fields/7/region", params=box).status_code == 404


def test_crops_come_in_the_order_that_was_asked(visit: Visit) -> None:
    first, second = visit.names(2)
    wanted = f"0:{second},0:x999999y1,0:{first}"
    parts = split_pack(visit.client.get("/api/crops", params={"cells": wanted}).content)
    assert parts[1] == b""
    sizes = [Image.open(io.BytesIO(parts[i])).size for i in (0, 2)]
    assert len(set(sizes)) == 1
    assert sizes[0][0] == sizes[0][1]
    again = split_pack(visit.client.get("/api/crops", params={"cells": f"0:{first}"}).content)
    assert again == parts[2:]


def test_outlines_are_of_the_cells(desk: Desk, visit: Visit) -> None:
    outlines = visit.client.get("/api/fields/0/outlines").json()
    cells = visit.cells()
    assert set(outlines) == {n for n, f in zip(cells["cell_id"], cells["field"], strict=True) if f == 0}
    field = desk.app.state.book.run.fields[0]
    rings = outlines[cells["cell_id"][0]]
    whole = field.get_outlines(cells["cell_id"][:1])[cells["cell_id"][0]].whole
    filled = fill_parts([[ring] for ring in rings])
    assert filled is not None
    assert filled.overlap_px(whole) > 0.97 * max(filled.area_px, whole.area_px)
    assert all(ring[0] == ring[-1] for ring in rings)
