"""A drawn bone-marrow field of known cells, of any size: a TEST INSTRUMENT.

It shows that the program runs, counts what is there and bears large images. Accuracy on it says nothing about
real smears and must never be reported as the program's accuracy.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.cells import classes as stages
from erythron.cells.classes import CellClass
from erythron.cells.outline import CellOutline, outline_cell
from erythron.errors import UsageError
from erythron.synthetic.backdrop import Window, draw_backdrop, make_light
from erythron.synthetic.cells import FORMS, REACH, CellForm, DrawnCell, Textures, draw_cell, make_textures

if TYPE_CHECKING:
    from tifffile import TiffWriter

Floats = NDArray[np.float32]

TILE_PX = 1024
"""Side of the tiles that a field is the mosaic of."""

OVERVIEW_STEP = 4
"""How much smaller each level of a pyramid is than the one before."""

MARROW_MIX: tuple[tuple[CellClass, float], ...] = (
    (stages.PROERYTHROBLAST, 0.02),
    (stages.BASOPHILIC_ERYTHROBLAST, 0.05),
    (stages.POLYCHROMATIC_ERYTHROBLAST, 0.18),
    (stages.ORTHOCHROMATIC_ERYTHROBLAST, 0.20),
    (stages.GRANULOCYTE, 0.38),
    (stages.LYMPHOCYTE, 0.11),
    (stages.MONOCYTE, 0.03),
    (stages.PLASMA_CELL, 0.03),
)
"""Shares of the classes drawn by default: every class often enough to be tested, not a patient's marrow."""

TRUTH_SCHEMA: dict[str, pl.DataType] = {
    "cell_id": pl.String(),
    "x_px": pl.Float64(),
    "y_px": pl.Float64(),
    "label": pl.String(),
    "form": pl.String(),
    "cell_diameter_um": pl.Float64(),
    "nucleus_diameter_um": pl.Float64(),
}
"""Truth, one row a cell: centre of the nucleus, class, form within it, diameters of circles of equal area."""

_TOUCHING = 0.3
_TRIES = 40
_NOISE_SD = 2.2


@dataclass(frozen=True)
class DrawnFieldSpec:
    """What to draw; the same spec always gives the same pixels.

    Attributes:
        width_px: of the field.
        height_px: of the field.
        mpp: microns per pixel, 0.05 to 1.
        seed: 0 or more.
        cells_per_mm2: mean number of nucleated cells; crowded tiles get as many as find room.
        mix: classes and their shares, which need not sum to 1.

    Raises:
        UsageError: a value is outside its range, or the mix names a class that is not drawn.
    """

    width_px: int
    height_px: int
    mpp: float = 0.25
    seed: int = 0
    cells_per_mm2: float = 2500.0
    mix: tuple[tuple[CellClass, float], ...] = MARROW_MIX

    def __post_init__(self) -> None:
        drawn = {form.cell_class for form in FORMS}
        for name, fine in (
            ("width_px and height_px must be 16 or more", min(self.width_px, self.height_px) >= 16),
            ("mpp must be from 0.05 to 1", 0.05 <= self.mpp <= 1),
            ("seed must be 0 or more", self.seed >= 0),
            ("cells_per_mm2 must be from 0 to 10000", 0 <= self.cells_per_mm2 <= 10_000),
            (
                f"mix may name {', '.join(c.name for c, _ in MARROW_MIX)}",
                all(c in drawn for c, _ in self.mix),
            ),
            ("mix must hold shares of 0 or more, one of them over 0", _is_mix(self.mix)),
        ):
            if not fine:
                raise UsageError(f"the drawn field cannot be made: {name}")


def _is_mix(mix: tuple[tuple[CellClass, float], ...]) -> bool:
    shares = [share for _, share in mix]
    return all(math.isfinite(s) and s >= 0 for s in shares) and sum(shares) > 0


@dataclass(frozen=True)
class DrawnField:
    """A field and its truth.

    Attributes:
        rgb: (H, W, 3) uint8.
        outlines: the nucleated cells as drawn; none covers another.
        cells: their table, in the same order, columns of ``TRUTH_SCHEMA``.
        mpp: microns per pixel.
    """

    rgb: NDArray[np.uint8]
    outlines: tuple[CellOutline, ...]
    cells: pl.DataFrame
    mpp: float


@dataclass(frozen=True)
class _Placed:
    """A cell that found its place: centre in pixels of the tile, radius, form."""

    x: float
    y: float
    radius: float
    form: CellForm


def draw_field(spec: DrawnFieldSpec) -> DrawnField:
    """Draw a field with its truth in memory."""
    rgb = np.empty((spec.height_px, spec.width_px, 3), np.uint8)
    outlines: list[CellOutline] = []
    tables = [pl.DataFrame(schema=TRUTH_SCHEMA)]
    textures = make_textures(spec.seed, spec.mpp)
    for row, column in _tiles(spec):
        tile = draw_tile(spec, row, column, textures)
        window = np.s_[row * TILE_PX : (row + 1) * TILE_PX, column * TILE_PX : (column + 1) * TILE_PX]
        rgb[window] = tile.rgb
        outlines += tile.outlines
        tables.append(tile.cells)
    return DrawnField(rgb, tuple(outlines), pl.concat(tables), spec.mpp)


def write_drawn_tiff(path: str | Path, spec: DrawnFieldSpec) -> pl.DataFrame:
    """Write a field as a tiled, pyramidal, losslessly compressed TIFF without ever holding it whole.

    The base level comes first, smaller levels are its SubIFDs, each a quarter of the side of the one before
    down to a tile; the resolution tags state the scale. The first overview waits in a temporary file.

    Returns:
        the truth as in :class:`DrawnField`.
    """
    import tifffile

    tables = [pl.DataFrame(schema=TRUTH_SCHEMA)]
    sizes = _overview_sizes(spec)
    big = spec.width_px * spec.height_px * 3 > 2**31
    with tempfile.TemporaryFile() as store, tifffile.TiffWriter(path, bigtiff=big) as writer:
        level: NDArray[np.uint8] = np.memmap(store, np.uint8, "w+", shape=(*(sizes or [(1, 1)])[0], 3))
        base = _draw_base(spec, level if sizes else None, tables)
        _write_level(writer, base, (spec.height_px, spec.width_px), spec.mpp, len(sizes))
        for number, size in enumerate(sizes, start=1):
            if number > 1:
                level = np.concatenate([_shrink(strip) for strip in _strips(level)])
            _write_level(writer, _cut_tiles(level), size, spec.mpp * OVERVIEW_STEP**number, None)
        # The map must be closed before its file is.
        del base, level
    return pl.concat(tables)


def _write_level(
    writer: TiffWriter,
    tiles: Iterator[NDArray[np.uint8]],
    size: tuple[int, int],
    mpp: float,
    overviews: int | None,
) -> None:
    """Write one level; ``overviews`` is how many follow the base, None for an overview itself."""
    writer.write(
        tiles,
        shape=(*size, 3),
        dtype=np.uint8,
        tile=(TILE_PX, TILE_PX),
        photometric="rgb",
        compression="zlib",
        compressionargs={"level": 1},  # noise leaves little to gain from more effort
        resolution=(1e4 / mpp, 1e4 / mpp),
        resolutionunit="CENTIMETER",
        metadata=None,
        subifds=overviews,
        subfiletype=1 if overviews is None else 0,
    )


def _draw_base(
    spec: DrawnFieldSpec, overview: NDArray[np.uint8] | None, tables: list[pl.DataFrame]
) -> Iterator[NDArray[np.uint8]]:
    """Yield the base level's tiles; fill the first overview and the truth on the way."""
    textures = make_textures(spec.seed, spec.mpp)
    side = TILE_PX // OVERVIEW_STEP
    for row, column in _tiles(spec):
        tile = draw_tile(spec, row, column, textures)
        tables.append(tile.cells)
        if overview is not None:
            small = _shrink(tile.rgb)
            y, x = row * side, column * side
            overview[y : y + small.shape[0], x : x + small.shape[1]] = small
        yield _pad(tile.rgb, TILE_PX)


def _overview_sizes(spec: DrawnFieldSpec) -> list[tuple[int, int]]:
    sizes = [(spec.height_px, spec.width_px)]
    while max(sizes[-1]) > TILE_PX:
        height, width = sizes[-1]
        sizes.append((-(-height // OVERVIEW_STEP), -(-width // OVERVIEW_STEP)))
    return sizes[1:]


def _strips(level: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for y in range(0, level.shape[0], TILE_PX):
        yield level[y : y + TILE_PX]


def _cut_tiles(level: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
    for strip in _strips(level):
        for x in range(0, level.shape[1], TILE_PX):
            yield _pad(strip[:, x : x + TILE_PX], TILE_PX)


def _pad(tile: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    height, width = tile.shape[:2]
    if (height, width) == (side, side):
        return np.ascontiguousarray(tile)
    return np.pad(tile, ((0, side - height), (0, side - width), (0, 0)), mode="edge")


def _shrink(tile: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return means of blocks of 4x4 pixels; blocks that the edge cuts are filled up with its pixels."""
    height, width = (-(-n // OVERVIEW_STEP) for n in tile.shape[:2])
    grow = ((0, height * OVERVIEW_STEP - tile.shape[0]), (0, width * OVERVIEW_STEP - tile.shape[1]), (0, 0))
    blocks = np.pad(tile, grow, mode="edge").reshape(height, OVERVIEW_STEP, width, OVERVIEW_STEP, 3)
    total: NDArray[np.uint16] = blocks.sum(axis=(1, 3), dtype=np.uint16)
    return ((total + OVERVIEW_STEP**2 // 2) // OVERVIEW_STEP**2).astype(np.uint8)


def _tiles(spec: DrawnFieldSpec) -> Iterator[tuple[int, int]]:
    for row in range(-(-spec.height_px // TILE_PX)):
        for column in range(-(-spec.width_px // TILE_PX)):
            yield row, column


def draw_tile(spec: DrawnFieldSpec, row: int, column: int, textures: Textures) -> DrawnField:
    """Draw one tile of a field from its own random numbers, so that tiles may be drawn in any order.

    Nucleated cells lie wholly within their tile; red cells, platelets and dirt cross its seams.

    Args:
        spec: of the whole field.
        row: of the tile.
        column: of the tile.
        textures: of the field, by :func:`~erythron.synthetic.cells.make_textures`.

    Returns:
        the tile; its cells have their places in the field.
    """
    y0, x0 = row * TILE_PX, column * TILE_PX
    height, width = min(TILE_PX, spec.height_px - y0), min(TILE_PX, spec.width_px - x0)
    window = Window(y0, x0, height, width)
    rng = np.random.default_rng([spec.seed, 1, row, column])
    canvas = draw_backdrop(spec.seed, spec.mpp, window)
    taken = np.zeros((height, width), np.bool_)
    outlines: list[CellOutline] = []
    rows: list[tuple[float | str, ...]] = []
    for placed in _place_cells(spec, (height, width), rng):
        drawn = draw_cell(placed.form, placed.radius, spec.mpp, textures, rng)
        outline = _lay_cell(canvas, taken, placed, drawn)
        if outline is None:
            continue
        outline = replace(outline, left=outline.left + x0, top=outline.top + y0)
        outlines.append(outline)
        nucleus = outline.nucleus_mask
        diameters = (math.sqrt(4 * m.area_px / math.pi) * spec.mpp for m in (outline.whole, nucleus))
        names = (placed.form.cell_class.name, placed.form.name)
        rows.append((outline.cell_id, *nucleus.centre, *names, *diameters))
    canvas *= make_light(spec.seed, window)[..., None]
    canvas += np.float32(_NOISE_SD) * rng.standard_normal(canvas.shape, dtype=np.float32)
    rgb = np.clip(np.rint(canvas), 0, 255).astype(np.uint8)
    cells = pl.DataFrame(rows, schema=TRUTH_SCHEMA, orient="row")
    return DrawnField(rgb, tuple(outlines), cells, spec.mpp)


def _lay_cell(
    canvas: Floats, taken: NDArray[np.bool_], placed: _Placed, drawn: DrawnCell
) -> CellOutline | None:
    """Blend a cell into the canvas and return its outline, None where neighbours hide its nucleus."""
    half = drawn.cell.shape[0] // 2
    top, left = round(placed.y) - half, round(placed.x) - half
    y, x = max(top, 0), max(left, 0)
    window = np.s_[y : top + 2 * half + 1, x : left + 2 * half + 1]
    height, width = taken[window].shape
    part = np.s_[y - top : y - top + height, x - left : x - left + width]
    # A neighbour drawn before keeps its pixels, so masks never overlap.
    free = ~taken[window]
    mine, core = drawn.cell[part] & free, drawn.nucleus[part] & free
    taken[window] |= mine
    share = (drawn.alpha[part] * free)[..., None]
    canvas[window] += share * (drawn.rgb[part] - canvas[window])
    return outline_cell(core, mine, x, y)


def _place_cells(spec: DrawnFieldSpec, size: tuple[int, int], rng: np.random.Generator) -> list[_Placed]:
    height, width = size
    wanted = rng.poisson(spec.cells_per_mm2 * height * width * spec.mpp**2 * 1e-6)
    shares = np.array([share for _, share in spec.mix])
    placed: list[_Placed] = []
    for index in rng.choice(len(spec.mix), wanted, p=shares / shares.sum()):
        forms = [form for form in FORMS if form.cell_class is spec.mix[index][0]]
        form = forms[rng.integers(len(forms))]
        radius = rng.uniform(*form.diameter_um) / 2 / spec.mpp
        margin = radius * REACH + 2
        if 2 * margin >= min(height, width):
            continue
        known = np.array([(p.x, p.y, p.radius) for p in placed]).reshape(-1, 3)
        for _ in range(_TRIES):
            x, y, gap = rng.uniform(margin, width - margin), rng.uniform(margin, height - margin), 1.12
            if placed and rng.random() < _TOUCHING:
                beside = placed[rng.integers(len(placed))]
                angle = rng.uniform(0, 2 * math.pi)
                x = beside.x + (radius + beside.radius) * math.cos(angle)
                y = beside.y + (radius + beside.radius) * math.sin(angle)
                gap = 0.995
            inside = margin <= x <= width - margin and margin <= y <= height - margin
            if inside and np.all(np.hypot(known[:, 0] - x, known[:, 1] - y) >= gap * (known[:, 2] + radius)):
                placed.append(_Placed(x, y, radius, form))
                break
    return placed
