"""What persons say of the outlines of a count: cells that they drew, took away or accept.

In: folders of finished counts with a review. Out: a window of each such place as the network sees it in a
field. Cells outside the regions to count in, or inside those to leave out, are none of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from itertools import chain
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import Bundle
from erythron.bundle.schema import SegmenterCard
from erythron.cells.flags import CellFlag, has_flag
from erythron.cells.outline import CellOutline, clip_mask
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED
from erythron.classify.framing import choose_mpp
from erythron.errors import DataError
from erythron.pipeline.reviewed import find_outside
from erythron.read.image import ScaleSource, SmearImage
from erythron.read.source import open_source, read_whole
from erythron.results.field import FieldResult, need_record, read_field
from erythron.results.fingerprint import hash_image
from erythron.results.record import RECORD
from erythron.results.run import read_specimens
from erythron.review.record import Region
from erythron.segment.segmenter import adapt_to_field, find_candidate_points
from erythron.synthetic.field import DrawnFieldSpec, draw_field
from erythron.train.segmenter.use import WINDOW_MPP
from erythron.train.segmenter.windows import MOST_POINTS, STORE_PX, Windows, cut_cell, cut_point
from erythron.train.shared.progress import Progress, no_progress

Pixels = NDArray[np.uint8]

SAME_PLACE = 0.1
"""Part of an outline that was called no cell, above which another cell lies in it and stands in its place."""

MOST_KEPT = 150
"""Accepted cells of one field, and likewise places without a cell, that what the network knew is kept by:
more repeat what these say and cost time."""


class Kind(StrEnum):
    """What a person says of a place; the first two are corrections.

    Attributes:
        DRAWN: a cell that the person added, split, merged or drew.
        REMOVED: an outline of what is no cell, in whose place nothing was drawn.
        ACCEPTED: a cell whose class the person called and whose outline was left as it is.
        EMPTY: a dark place without an outline, of which the person said nothing.
        SYNTHETIC: a cell, or a dark place without one, of a drawn field.
    """

    DRAWN = "drawn"
    REMOVED = "removed"
    ACCEPTED = "accepted"
    EMPTY = "empty"
    SYNTHETIC = "synthetic"


CORRECTIONS = (Kind.DRAWN, Kind.REMOVED)

SYNTHETIC = "synthetic"
"""What stands for path and specimen of the drawn field."""

MEMORY_PX, MEMORY_MPP, MEMORY_CELLS_PER_MM2 = 900, 0.25, 5000.0
"""Side, microns per pixel and cells of the drawn field: some 110 cells, of which many touch."""


@dataclass(frozen=True)
class Picture:
    """A field that persons reviewed.

    Attributes:
        path: of the picture.
        mpp: microns per pixel at which it was counted, assumed where unknown.
        specimen: whose it is.
    """

    path: Path
    mpp: float
    specimen: str


@dataclass(frozen=True, eq=False)
class Place:
    """One place of a field, see :class:`ReviewedOutlines`."""

    kind: Kind
    x: float
    y: float
    outline: CellOutline | None


@dataclass(frozen=True, eq=False)
class ReviewedField:
    """A field with its places.

    Attributes:
        picture: where it lies.
        light: (H, W, 3) uint8, light relative to the empty smear.
        places: in it.
    """

    picture: Picture
    light: Pixels
    places: tuple[Place, ...]


@dataclass(frozen=True, eq=False)
class ReviewedOutlines:
    """N places of which persons said something.

    Attributes:
        pictures: the fields.
        windows: N, at the scale at which the network sees a field.
        kind: (N,) of :class:`Kind`.
        picture: (N,) int64, row of ``pictures``.
        places: (N, 2) x and y in pixels of the picture.
        outlines: N; None for an empty place.
        window_mpp: microns per pixel of ``windows``.
        left_out: ``path`` and ``reason`` of the fields of which nothing is learned.
    """

    pictures: tuple[Picture, ...]
    windows: Windows
    kind: NDArray[np.str_]
    picture: NDArray[np.int64]
    places: NDArray[np.float64]
    outlines: tuple[CellOutline | None, ...]
    window_mpp: float
    left_out: pl.DataFrame = field(default_factory=pl.DataFrame)

    @property
    def is_correction(self) -> NDArray[np.bool_]:
        """(N,) whether a person corrected an outline there."""
        return np.isin(self.kind, CORRECTIONS)

    @property
    def judged(self) -> NDArray[np.int64]:
        """(M,) rows of the places that a network can be judged by: a person says what is there."""
        return np.flatnonzero(np.isin(self.kind, [*CORRECTIONS, Kind.ACCEPTED]))


def gather_outlines(
    runs: Sequence[Path], bundle: Bundle, progress: Progress = no_progress
) -> ReviewedOutlines | None:
    """Return what persons say of the outlines of finished counts; None where they corrected none.

    Of a field in which no outline was corrected nothing is taken. A drawn field is among the fields, see
    :func:`draw_memory`.

    Args:
        runs: folders of the counts.
        bundle: whose network is to learn.
        progress: called after each field.

    Raises:
        UsageError: a folder is no finished count.
        DataError: a picture is not what was counted.
    """
    left_out: list[dict[str, str]] = []
    fields = _read_fields(runs, bundle, left_out, progress)
    first = next(fields, None)
    if first is None:
        return None
    # The drawn field comes last, so that the numbers of the others are those of the real ones.
    found = cut_places(chain([first], fields, [draw_memory(bundle.card.segmenter)]), bundle)
    schema = {"path": pl.String(), "reason": pl.String()}
    return replace(found, left_out=pl.DataFrame(left_out, schema))


def _read_fields(
    runs: Sequence[Path], bundle: Bundle, left_out: list[dict[str, str]], progress: Progress
) -> Iterator[ReviewedField]:
    """Yield the fields in which an outline was corrected; ``left_out`` gets those that come again."""
    folders = [
        (folder.parent, f"{run.resolve().name}/{specimen.name or ''}")
        for run in runs
        for specimen in read_specimens(run)
        for folder in sorted(specimen.folder.rglob(RECORD))
    ]
    seen: set[str] = set()
    for number, (folder, specimen) in enumerate(folders):
        progress("Reading outlines", number + 1, len(folders))
        if need_record(folder).slide is not None:
            continue
        result = read_field(folder)
        places = list(list_places(result))
        if not any(place.kind in CORRECTIONS for place in places):
            continue
        record = result.record
        if record.pixels_sha256 in seen:
            reason = "the same picture stands in another count; its outlines are learned from there"
            left_out.append({"path": record.image, "reason": reason})
            continue
        seen.add(record.pixels_sha256)
        path = Path(record.image)
        if hash_image(path) != record.sha256:
            raise DataError(f"{path}: is not the picture that was counted; put it back, or count it again")
        image = read_whole(open_source(path, record.mpp))
        mpp = choose_mpp(image, bundle.card.framing, is_field=True)
        regions = () if result.review is None else result.review.standing_regions
        empty = find_empty(image.light, mpp, result.outlines, regions, bundle.card.segmenter)
        yield ReviewedField(Picture(path, mpp, specimen), image.light, (*_choose_accepted(places), *empty))


def cut_places(fields: Iterable[ReviewedField], bundle: Bundle) -> ReviewedOutlines:
    """Return the windows of the places of fields, of which there is one at least.

    Args:
        fields: taken one at a time, so that their pixels need not be in memory together.
        bundle: says at which scale its network sees a field.
    """
    window_mpp = adapt_to_field(bundle.card.segmenter).window_mpp
    pictures: list[Picture] = []
    rows: list[tuple[int, Place, _Window]] = []
    for one in fields:
        number, mpp = len(pictures), one.picture.mpp
        rows += [(number, place, _cut(one.light, mpp, place, window_mpp)) for place in one.places]
        pictures.append(one.picture)
    pixels, masks, points, known = zip(*(window for _, _, window in rows), strict=True)
    kind = np.array([place.kind for _, place, _ in rows], np.str_)
    windows = Windows(
        np.stack(pixels),
        np.stack(masks),
        np.stack(points),
        np.array(known),
        kind,
        np.array([pictures[number].path.name for number, _, _ in rows]),
        np.zeros(len(rows), np.int64),
    )
    return ReviewedOutlines(
        tuple(pictures),
        windows,
        kind,
        np.array([number for number, _, _ in rows]),
        np.array([(place.x, place.y) for _, place, _ in rows]),
        tuple(place.outline for _, place, _ in rows),
        window_mpp,
    )


def list_places(result: FieldResult) -> Iterator[Place]:
    """Yield what persons say of the outlines of a counted field, in the order of its table."""
    review = result.review
    if review is None:
        return
    added = {cell.cell_id for cell in review.added}
    out = result.cells.select((has_flag(CellFlag.OUTSIDE_REGION) | has_flag(CellFlag.LEFT_OUT)).alias("out"))[
        "out"
    ]
    said = result.cells["confirmed_as"].fill_null("")
    cells = list(zip(result.cells["cell_id"], result.outlines, said, out, strict=True))
    standing = [outline for _, outline, called, _ in cells if called != NOT_A_CELL]
    for cell_id, outline, called, is_out in cells:
        x, y = outline.nucleus_mask.centre
        if is_out:
            continue
        if called == NOT_A_CELL:
            # What was split, merged or drawn anew is no cell any more, but one is there.
            if cell_id not in added and not _is_replaced(outline, standing):
                yield Place(Kind.REMOVED, x, y, outline)
        elif cell_id in added:
            yield Place(Kind.DRAWN, x, y, outline)
        elif called not in ("", UNCLASSIFIED):
            yield Place(Kind.ACCEPTED, x, y, outline)


def _is_replaced(outline: CellOutline, standing: Sequence[CellOutline]) -> bool:
    whole = outline.whole
    return any(whole.overlap_px(other.whole) > SAME_PLACE * whole.area_px for other in standing)


def _choose_accepted(places: Sequence[Place]) -> Iterator[Place]:
    """Yield all corrections and some of the accepted cells."""
    accepted = [place for place in places if place.kind is Kind.ACCEPTED]
    chosen = np.random.default_rng(0).permutation(len(accepted))[:MOST_KEPT]
    yield from (place for place in places if place.kind is not Kind.ACCEPTED)
    yield from (accepted[i] for i in np.sort(chosen))


def draw_memory(card: SegmenterCard) -> ReviewedField:
    """Return a drawn field, of whose cells the network keeps what it says of them.

    A reader's fields show one stain and often few cells that touch. The drawn one is crowded, so that a
    network which learns from few outlines does not forget to tell cells apart.

    Args:
        card: how the network is used.
    """
    spec = DrawnFieldSpec(MEMORY_PX, MEMORY_PX, MEMORY_MPP, cells_per_mm2=MEMORY_CELLS_PER_MM2)
    drawn = draw_field(spec)
    light = SmearImage(SYNTHETIC, drawn.rgb, MEMORY_MPP, ScaleSource.OPTION).light
    places = [Place(Kind.SYNTHETIC, *o.nucleus_mask.centre, o) for o in drawn.outlines]
    empty = find_empty(light, MEMORY_MPP, drawn.outlines, (), card)
    places += [replace(place, kind=Kind.SYNTHETIC) for place in empty]
    return ReviewedField(Picture(Path(SYNTHETIC), MEMORY_MPP, SYNTHETIC), light, tuple(places))


def find_empty(
    light: Pixels,
    mpp: float,
    outlines: Sequence[CellOutline],
    regions: Sequence[Region],
    card: SegmenterCard,
) -> Iterator[Place]:
    """Yield some of the places of a field that the network is asked at and that lie in no outline.

    Args:
        light: (H, W, 3) uint8, light relative to the empty smear.
        mpp: microns per pixel.
        outlines: all that are known in the field, removed ones too.
        regions: those that are drawn now; places that they leave out are none.
        card: how the network is used.
    """
    of_field = adapt_to_field(card)
    found = find_candidate_points(light, mpp, of_field) * (of_field.window_mpp / mpp) - 0.5
    height_px, width_px = light.shape[:2]
    free = np.ones((height_px, width_px), np.bool_)
    for outline in outlines:
        # A file of labels may outline cells beyond the picture.
        whole = clip_mask(outline.whole, width_px, height_px)
        if whole is not None:
            height, width = whole.mask.shape
            free[whole.top : whole.top + height, whole.left : whole.left + width] &= ~whole.mask
    rows, columns = np.clip(found.round().astype(np.int64), 0, np.array(free.shape) - 1).T
    table = pl.DataFrame({"x_px": found[:, 1], "y_px": found[:, 0]})
    places = found[free[rows, columns] & ~np.array(find_outside(table, regions), np.bool_)]
    for row in np.sort(np.random.default_rng(0).permutation(len(places))[:MOST_KEPT]):
        yield Place(Kind.EMPTY, float(places[row, 1]), float(places[row, 0]), None)


_Window = tuple[Pixels, Pixels, NDArray[np.float32], bool]


def _cut(light: Pixels, mpp: float, place: Place, window_mpp: float) -> _Window:
    """Return pixels, masks and candidate points of a window, and whether its nucleus is known."""
    # Windows are cut for crops; a field is seen larger, as if its pixels were.
    seen = mpp * WINDOW_MPP / window_mpp
    if place.outline is None:
        pixels = cut_point(light, seen, (place.x, place.y), STORE_PX)
        masks = np.zeros((STORE_PX, STORE_PX, 2), np.uint8)
        return pixels, masks, np.full((MOST_POINTS, 2), np.nan, np.float32), True
    pixels, masks, points = cut_cell(light, seen, place.outline)
    if place.kind is Kind.REMOVED:
        masks = np.zeros_like(masks)
    # A cell that was drawn without a nucleus, and in which the network saw none, is all nucleus.
    known = not (place.kind is Kind.DRAWN and bool((place.outline.nucleus == place.outline.cell).all()))
    return pixels, masks, points, known
