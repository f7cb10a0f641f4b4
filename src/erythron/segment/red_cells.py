"""Red cells of a smear as circles, found by their rims, so that they may overlap.

Every point of a rim votes for the centres that lie inward of it (Hough transform with the direction of the
gradient: Kimme, Ballard and Sklansky 1975, doi 10.1145/360666.360677); a circle is fitted to the rim points
that agree (Kasa 1976, doi 10.1109/TIM.1976.6312298). A circle is a red cell where enough of its rim is seen,
most rim points near it point to its centre, and no nucleus is in it. Each rim point counts for one circle
only.

``benchmarks/constants.py`` measures what each constant is worth; ``docs/results/constants.md`` has its
tables.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.read.light import estimate_background
from erythron.segment.stain import MIN_CONTRAST, otsu

Pixels = NDArray[np.uint8]
Bools = NDArray[np.bool_]
Integers = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SMOOTHING_PX = 1.2
"""Standard deviation of the blur before gradients are taken; ``benchmarks/constants.py`` measures it."""

NUCLEAR = 0.25
"""Share of blue light without green beside it from which a pixel is nuclear.

``benchmarks/constants.py`` measures it.
"""

NUCLEAR_LOOSE = 0.4
"""The same on a second try: red cells that are stained strongly pink or purple pass the first.

Of eight films whose red cells the first try finds none of, the second finds all; two marrow fields get worse,
so the first goes first. ``benchmarks/scale.py`` measures it.
"""

RIM_CONTRAST = 0.05
"""Least change of green absorption a pixel on a rim, over the contrast of the image.

``benchmarks/constants.py`` measures it.
"""

RADII_PX = 7.0 * 1.12 ** np.arange(22)
"""Radii that votes are counted for, 7 to 76 px; fits move between them.

``benchmarks/constants.py`` measures the step.
"""

MIN_RADIUS_PX = 8.0
"""Least radius of a red cell: the rim of a smaller one is too few pixels.

``benchmarks/constants.py`` measures it.
"""

CELLS_A_RADIUS = 6.0
"""Squares a radius in which votes are counted; ``benchmarks/constants.py`` measures it."""

MIN_VOTES = 0.3
"""Votes for a centre, over the pixels of its rim, from which a circle is fitted.

``benchmarks/constants.py`` measures it.
"""

SECTORS = 24
"""Parts of a circle that are looked at one by one for a rim; ``benchmarks/constants.py`` measures it."""

MIN_RIM = 0.45
"""Share of the sectors of a circle that must have a rim; ``benchmarks/constants.py`` measures it."""

MIN_DENSITY = 0.5
"""Rim points that a sector must have, a pixel of its arc; ``benchmarks/constants.py`` measures it."""

RIM_WIDTH = 0.12
"""Distance from the circle, in radii, up to which a rim point may support it.

``benchmarks/constants.py`` measures it.
"""

FIRST_FIT = 1.5
"""Factor by which that is wider in the first of two fits; ``benchmarks/constants.py`` measures it."""

INWARD = 0.85
"""Cosine of the angle between the gradient of a rim point and the centre, at least.

``benchmarks/constants.py`` measures it.
"""

MIN_PURITY = 0.5
"""Share of the rim points near a circle that must point to its centre.

``benchmarks/constants.py`` measures it.
"""

INNER = 0.65
"""Half side, in radii, of the square inside a circle in which nucleus and colour are looked for.

Little less than the largest that lies in the circle, 0.71; ``benchmarks/constants.py`` measures it.
"""

MAX_NUCLEAR = 0.02
"""Share of that square that may be nuclear; ``benchmarks/constants.py`` measures it."""

MAX_RED_TO_GREEN = 0.85
"""Red light absorbed, as a share of green, that a red cell has at most: haemoglobin and eosin take green.

``benchmarks/constants.py`` measures it.
"""


class RedCellColour(Enum):
    """What colour a red cell may have.

    Attributes:
        USUAL: of haemoglobin and eosin, which take green light and little blue.
        PURPLE: of pale nuclei as well.
        ANY: of nuclei; only where there are very many of one size is it sure that they are none.
    """

    USUAL = auto()
    PURPLE = auto()
    ANY = auto()


@dataclass(frozen=True)
class RedCells:
    """N red cells of one image.

    Attributes:
        centre: (N, 2) float64, row and column in pixels.
        diameter_px: (N,) float64.
        rim: (N,) float64, share of the rim that was seen, 0 to 1.
    """

    centre: Doubles
    diameter_px: Doubles
    rim: Doubles


@dataclass(frozen=True)
class _Smear:
    """Transmitted light (H, W, 3), green absorption (H, W), nuclear pixels (H, W), and the contrast.

    ``most_nuclear`` is the share of a circle that may be nuclear.
    """

    light: Floats
    dark: Floats
    nuclear: Bools
    contrast: float
    most_nuclear: float


@dataclass(frozen=True)
class _Rims:
    """M rim points: (M,) rows in rising order, columns, and the unit vector to the darker side."""

    row: Floats
    column: Floats
    down: Floats
    right: Floats


@dataclass(frozen=True)
class _Circles:
    """K circles, and P pairs of a circle and a rim point that supports it, sorted by circle."""

    row: Doubles
    column: Doubles
    radius: Doubles
    circle: Integers
    point: Integers


def find_red_cells(rgb: Pixels, colour: RedCellColour = RedCellColour.USUAL) -> RedCells:
    """Find the round red cells of an image, 16 to about 160 pixels across.

    Args:
        rgb: (H, W, 3) uint8.
        colour: that they may have.
    """
    smear = _read_smear(rgb, colour)
    none = RedCells(np.zeros((0, 2)), np.zeros(0), np.zeros(0))
    if smear is None:
        return none
    rims = _find_rims(smear)
    circles = _vote(rims, smear.dark.shape)
    if circles is None:
        return none
    return _choose(_fit(circles, rims), rims, smear)


def _read_smear(rgb: Pixels, colour: RedCellColour) -> _Smear | None:
    nuclear_from = NUCLEAR if colour is RedCellColour.USUAL else NUCLEAR_LOOSE
    light = np.minimum(rgb / estimate_background(rgb), np.float32(1))
    green, blue = (ndimage.gaussian_filter(light[..., i], SMOOTHING_PX, truncate=3) for i in (1, 2))
    nuclear = green < (1 - nuclear_from) * blue
    dark = 1 - green
    rest = dark[~nuclear]
    if not len(rest) or float(np.ptp(rest)) < MIN_CONTRAST:
        return None
    darker = rest > otsu(rest)
    contrast = float(rest[darker].mean() - rest[~darker].mean())
    most_nuclear = 1.0 if colour is RedCellColour.ANY else MAX_NUCLEAR
    return _Smear(light, dark, nuclear, contrast, most_nuclear)


def _find_rims(smear: _Smear) -> _Rims:
    """Return where green absorption is steepest along its own gradient, away from nuclei."""
    dark = smear.dark
    down, right = np.zeros_like(dark), np.zeros_like(dark)
    down[1:-1] = (dark[2:] - dark[:-2]) / 2
    right[:, 1:-1] = (dark[:, 2:] - dark[:, :-2]) / 2
    steep = down * down + right * right
    candidate = steep > (RIM_CONTRAST * smear.contrast) ** 2
    candidate &= ~ndimage.binary_dilation(smear.nuclear, iterations=2)
    candidate[:1] = candidate[-1:] = candidate[:, :1] = candidate[:, -1:] = False
    row, column = np.nonzero(candidate)
    here = steep[row, column]
    unit_down, unit_right = down[row, column] / np.sqrt(here), right[row, column] / np.sqrt(here)
    dy, dx = np.rint(unit_down).astype(np.int64), np.rint(unit_right).astype(np.int64)
    crest = (here >= steep[row + dy, column + dx]) & (here > steep[row - dy, column - dx])
    return _Rims(
        row[crest].astype(np.float32),
        column[crest].astype(np.float32),
        unit_down[crest],
        unit_right[crest],
    )


def _vote(rims: _Rims, shape: tuple[int, ...]) -> _Circles | None:
    """Let every rim point vote at every radius; return the maxima with the points that voted for them."""
    found: list[tuple[Doubles, Doubles, Doubles]] = []
    pairs: list[tuple[Integers, Integers]] = []
    count = 0
    for radius in RADII_PX[min(shape) / 2 >= RADII_PX]:
        side = max(1.5, radius / CELLS_A_RADIUS)
        rows, columns = int(shape[0] / side) + 4, int(shape[1] / side) + 4
        at_row = ((rims.row + rims.down * radius) / side + 1).astype(np.int64)
        at_column = ((rims.column + rims.right * radius) / side + 1).astype(np.int64)
        point = np.flatnonzero(
            (at_row > 0) & (at_column > 0) & (at_row < rows - 1) & (at_column < columns - 1)
        )
        place = at_row[point] * columns + at_column[point]
        votes = np.bincount(place, minlength=rows * columns).reshape(rows, columns).astype(np.float32)
        share = ndimage.uniform_filter(votes, 3) * np.float32(9 / (2 * np.pi * radius))
        row, column = _maxima(share)
        if not len(row):
            continue
        owner = np.full(rows * columns, -1, np.int64)
        for dy in (-1, 0, 1):
            for dx in (-1, 0, 1):
                owner[(row + dy) * columns + column + dx] = np.arange(count, count + len(row))
        circle = owner[place]
        pairs.append((circle[circle >= 0], point[circle >= 0]))
        found.append(((row - 0.5) * side, (column - 0.5) * side, np.full(len(row), radius)))
        count += len(row)
    if not count:
        return None
    circle = np.concatenate([c for c, _ in pairs])
    point = np.concatenate([p for _, p in pairs])
    order = np.argsort(circle, kind="stable")
    row, column, radius = np.concatenate([np.stack(part) for part in found], axis=1)
    return _Circles(row, column, radius, circle[order], point[order])


def _maxima(share: Floats) -> tuple[Integers, Integers]:
    """Return rows and columns of the places with votes enough that no neighbour exceeds."""
    inside = np.zeros(share.shape, np.bool_)
    inside[1:-1, 1:-1] = share[1:-1, 1:-1] > MIN_VOTES
    row, column = np.nonzero(inside)
    here = share[row, column]
    highest = np.ones(len(row), np.bool_)
    for dy in (-1, 0, 1):
        for dx in (-1, 0, 1):
            highest &= here >= share[row + dy, column + dx]
    return row[highest], column[highest]


def _fit(circles: _Circles, rims: _Rims) -> _Circles:
    """Fit each circle twice to its rim points, the second time without those off the first fit."""
    count = len(circles.radius)
    near = circles
    for width in (FIRST_FIT * RIM_WIDTH, RIM_WIDTH):
        y = rims.row[near.point] - near.row[near.circle]
        x = rims.column[near.point] - near.column[near.circle]
        squared = x * x + y * y
        sums = [
            np.bincount(near.circle, v, minlength=count)
            for v in (x * x, x * y, y * y, x, y, np.ones_like(x), x * squared, y * squared, squared)
        ]
        xx, xy, yy, sx, sy, n, xz, yz, z = sums
        # A trace on the diagonal keeps circles of fewer than three points solvable; they are dropped later.
        normal = np.stack([xx, xy, sx, xy, yy, sy, sx, sy, n], 1).reshape(-1, 3, 3) + 1e-3 * np.eye(3)
        right, down, rest = np.linalg.solve(normal, np.stack([xz, yz, z], 1)[..., None])[..., 0].T
        row, column = near.row + down / 2, near.column + right / 2
        radius = np.sqrt(np.maximum(rest + (right * right + down * down) / 4, 0))
        moved = _Circles(row, column, radius, circles.circle, circles.point)
        kept = _agrees(moved, rims, width)
        near = _Circles(row, column, radius, circles.circle[kept], circles.point[kept])
    kept = (near.radius >= MIN_RADIUS_PX)[near.circle]
    return _Circles(near.row, near.column, near.radius, near.circle[kept], near.point[kept])


def _agrees(circles: _Circles, rims: _Rims, width: float) -> Bools:
    """Return for each pair whether the point lies on the circle and looks to its centre, (P,)."""
    y = rims.row[circles.point] - circles.row[circles.circle]
    x = rims.column[circles.point] - circles.column[circles.circle]
    distance, radius = np.hypot(y, x), circles.radius[circles.circle]
    inward = -(y * rims.down[circles.point] + x * rims.right[circles.point])
    return np.asarray((np.abs(distance - radius) < width * radius) & (inward > INWARD * distance))


def _choose(circles: _Circles, rims: _Rims, smear: _Smear) -> RedCells:
    """Take circles, the fullest and largest first, each on the rim points that no earlier one has."""
    count = len(circles.row)
    angle = np.arctan2(
        rims.row[circles.point] - circles.row[circles.circle],
        rims.column[circles.point] - circles.column[circles.circle],
    )
    sector = ((angle + np.pi) / (2 * np.pi) * SECTORS).astype(np.int64) % SECTORS
    needed = np.maximum(MIN_DENSITY * 2 * np.pi * circles.radius / SECTORS, 1)
    filled = np.bincount(circles.circle * SECTORS + sector, minlength=count * SECTORS).reshape(count, SECTORS)
    rim = (filled >= needed[:, None]).mean(axis=1)
    start = np.searchsorted(circles.circle, np.arange(count + 1))
    taken = np.zeros(len(rims.row), np.bool_)
    kept, shares = [], []
    promising = np.flatnonzero(rim >= MIN_RIM)
    for i in promising[np.argsort(-(rim**2 * circles.radius)[promising], kind="stable")]:
        pairs = slice(start[i], start[i + 1])
        free = ~taken[circles.point[pairs]]
        share = float(np.mean(np.bincount(sector[pairs][free], minlength=SECTORS) >= needed[i]))
        if share < MIN_RIM or not _is_red_cell(circles, int(i), rims, smear):
            continue
        taken[circles.point[pairs]] = True
        kept.append(i)
        shares.append(share)
    index = np.array(kept, np.int64)
    centre = np.stack([circles.row[index], circles.column[index]], axis=1)
    return RedCells(centre, 2 * circles.radius[index], np.array(shares))


def _is_red_cell(circles: _Circles, i: int, rims: _Rims, smear: _Smear) -> bool:
    """Tell whether a circle holds no nucleus, absorbs more green than red and has few stray rim points."""
    row, column, radius = float(circles.row[i]), float(circles.column[i]), float(circles.radius[i])
    half = INNER * radius
    inner = np.s_[
        max(0, int(row - half)) : max(0, int(row + half + 1)),
        max(0, int(column - half)) : max(0, int(column + half + 1)),
    ]
    if not smear.nuclear[inner].size or smear.nuclear[inner].mean() > smear.most_nuclear:
        return False
    red, green = -np.log(np.maximum(smear.light[inner][..., :2].mean(axis=(0, 1)), 0.02))
    if red > MAX_RED_TO_GREEN * green:
        return False
    reach = (1 + RIM_WIDTH) * radius
    close = slice(*np.searchsorted(rims.row, [row - reach, row + reach]))
    y, x = rims.row[close] - row, rims.column[close] - column
    distance = np.hypot(y, x)
    on_rim = np.abs(distance - radius) < RIM_WIDTH * radius
    inward = -(y * rims.down[close] + x * rims.right[close]) > INWARD * distance
    return bool(np.count_nonzero(on_rim & inward) >= MIN_PURITY * np.count_nonzero(on_rim))
