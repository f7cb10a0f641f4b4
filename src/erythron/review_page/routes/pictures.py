"""Pixels: regions of fields, crops of cells, outlines."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response

from erythron.review_page.access import find_visitor
from erythron.review_page.pixels import cut_region, pack
from erythron.review_page.routes.cells import CellList, group_by_field, split_list
from erythron.review_page.routes.shared import (
    REFUSALS,
    FieldNumber,
    get_book,
    get_crops,
    get_images,
    need_field,
)
from erythron.review_page.schemas import Point

router = APIRouter(prefix="/api", tags=["pictures"], responses=REFUSALS, dependencies=[Depends(find_visitor)])

_KEPT = {"cache-control": "private, max-age=3600"}
_BINARY = {"schema": {"type": "string", "format": "binary"}}
_JPEG: dict[int | str, dict[str, Any]] = {200: {"content": {"image/jpeg": _BINARY}}}
_PACK: dict[int | str, dict[str, Any]] = {200: {"content": {"application/octet-stream": _BINARY}}}

Pixel = Annotated[int, Query(ge=0, le=10_000_000)]
Side = Annotated[int, Query(ge=1, le=10_000_000)]


@router.get("/fields/{number}/region", response_class=Response, responses=_JPEG)
def show_region(
    request: Request,
    number: FieldNumber,
    *,
    left: Pixel,
    top: Pixel,
    width: Side,
    height: Side,
    out: Annotated[int, Query(ge=1, le=2048, description="Width of the picture; never enlarged.")] = 512,
) -> Response:
    """Return a region of a field as JPEG."""
    source = get_images(request).open(need_field(request, number))
    picture = cut_region(source, (left, top, width, height), out)
    return Response(picture, media_type="image/jpeg", headers=_KEPT)


@router.get("/crops", response_class=Response, responses=_PACK)
def show_crops(request: Request, cells: CellList) -> Response:
    """Return crops of cells as JPEG, each after its length as four bytes; 0 is that of an unknown cell."""
    wanted = split_list(cells)
    made: dict[tuple[int, str], bytes] = {}
    for field, names in group_by_field(get_book(request), wanted):
        rows = field.find_cells(names)
        pictures = get_crops(request).cut(field, rows)
        made |= {(field.number, n): p for n, p in zip(rows["cell_id"], pictures, strict=True)}
    content = pack([made.get(key, b"") for key in wanted])
    return Response(content, media_type="application/octet-stream", headers=_KEPT)


@router.get("/fields/{number}/outlines")
def show_outlines(request: Request, number: FieldNumber) -> dict[str, list[list[Point]]]:
    """Return the outlines of all cells of a field by name, outer rings in pixels of the image."""
    return {name: outline.cell for name, outline in need_field(request, number).trace().items()}
