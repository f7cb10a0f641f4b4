"""Finds images that show the same piece of smear: copies, shifted or overlapping crops, flipped, turned ones.

Points of equal surroundings vote for one shift and one of the eight flips and quarter turns; the images of
every pair with two votes or more are laid over each other and compared pixel by pixel. Whole images turned by
other angles, or of another scale, are found by :mod:`erythron.datasets.rotations`.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy import ndimage
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from erythron.datasets.features import Features, load_working_image, to_grey
from erythron.datasets.rotations import find_rotated

MIN_SIMILARITY = 0.85
"""Least correlation of the overlapping parts, without their coarse light and dark, that says the same smear.

On 404 marrow crops of one scale the correlations of candidates leave a gap: none lies between 0.78 and 0.88.
"""

COPY_OVERLAP = 0.8
"""Share of the smaller image from which a pair counts as copies, not as overlapping crops."""

PAIR_SCHEMA: dict[str, pl.DataType] = {
    "first": pl.Int64(),
    "second": pl.Int64(),
    "kind": pl.String(),
    "similarity": pl.Float64(),
    "overlap": pl.Float64(),
    "turn": pl.String(),
    "votes": pl.Int64(),
}
"""Pairs: indices of the images (first < second), ``copy`` or ``overlap``, correlation of the common part, its
share of the smaller image, how the second is flipped or turned against the first, how many points voted (none
for one turned by another angle than quarter turns, whose similarity is that of its rings)."""

TURNS = (
    "none",
    "mirror",
    "flip",
    "half turn",
    "transpose",
    "quarter turn",
    "quarter turn back",
    "anti-transpose",
)

_TABLES, _BITS, _COMPONENTS = 6, 20, 20
_MAX_BUCKET = 40
"""Points that look like very many others tell nothing, and would make the work quadratic."""

_MIN_PATCH_CORRELATION = 0.9
_WORTH_REFINING = 0.3
"""Correlation at the voted shift, right to a pixel or two, under which no shift nearby is the true one."""

_MIN_TURNED_OVERLAP = 0.5
"""Turned or mirrored images are copies of a whole; by a corner alone two cells can look alike."""

_BIN_PX = 4
_MIN_COMMON_PX = 16
_CHUNK = 200_000

Floats = NDArray[np.float32]


def find_similar(features: Sequence[Features]) -> pl.DataFrame:
    """Return every pair of images that show the same piece of smear, columns of ``PAIR_SCHEMA``.

    Sorted by the first image, then the second.
    """
    candidates = _vote(features)
    rows: list[tuple[object, ...]] = []

    @lru_cache(maxsize=2000)
    def load(index: int) -> Floats:
        grey = to_grey(load_working_image(features[index].path)[0])
        fine: Floats = ndimage.gaussian_filter(grey, 0.7) - ndimage.gaussian_filter(grey, 4.0)
        return fine

    for first, second, turn, y, x, votes in candidates.iter_rows():
        a, b = load(first), turn_image(load(second), turn)
        shift = np.rint([y + (a.shape[0] - b.shape[0]) / 2, x + (a.shape[1] - b.shape[1]) / 2]).astype(int)
        similarity, overlap = _compare(a, b, int(shift[0]), int(shift[1]))
        if similarity >= MIN_SIMILARITY and (turn == 0 or overlap >= _MIN_TURNED_OVERLAP):
            kind = "copy" if overlap >= COPY_OVERLAP else "overlap"
            rows.append((first, second, kind, similarity, overlap, TURNS[turn], votes))
    for first, second, similarity, turn_in_words in find_rotated([f.rings for f in features]).iter_rows():
        rows.append((first, second, "copy", similarity, 1.0, turn_in_words, 0))
    pairs = pl.DataFrame(rows, schema=PAIR_SCHEMA, orient="row")
    # What the points have found as well is kept as they say it.
    best = pairs.sort(pl.col("votes") > 0, "similarity", descending=True).unique(
        ["first", "second"], keep="first"
    )
    return best.sort("first", "second")


def group_similar(count: int, pairs: pl.DataFrame) -> NDArray[np.int64]:
    """Return the group of every image: those that are joined by pairs, over any number of steps, share one.

    Args:
        count: number of images.
        pairs: columns ``first`` and ``second``.
    """
    ones = np.ones(pairs.height, bool)
    graph = coo_matrix((ones, (pairs["first"].to_numpy(), pairs["second"].to_numpy())), (count, count))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def turn_image(image: Floats, turn: int) -> Floats:
    """Return an (H, W) image flipped in x (1) and y (2), then transposed (4); ``turn`` is the sum."""
    if turn & 1:
        image = image[:, ::-1]
    if turn & 2:
        image = image[::-1]
    return image.T if turn & 4 else image


def _turn_matrices() -> NDArray[np.int64]:
    """Return (8, 2, 2), each turn's action on (y, x) from the centre."""
    matrices = np.zeros((8, 2, 2), np.int64)
    for turn in range(8):
        flip = np.diag([-1 if turn & 2 else 1, -1 if turn & 1 else 1])
        matrices[turn] = flip[::-1] if turn & 4 else flip
    return matrices


_MATRICES = _turn_matrices()
_RELATIVE = np.array(
    [
        [
            next(t for t in range(8) if np.array_equal(_MATRICES[t], _MATRICES[i].T @ _MATRICES[j]))
            for j in range(8)
        ]
        for i in range(8)
    ]
)
"""(8, 8): the turn that brings the second image to the first when both patches are in standard position."""


def _vote(features: Sequence[Features]) -> pl.DataFrame:
    """Return pairs of images with two or more points that agree: first, second, turn, y, x, votes."""
    image = np.repeat(np.arange(len(features)), [len(f.points) for f in features])
    whole, real = pl.Int64(), pl.Float64()
    empty = pl.DataFrame(
        schema={"first": whole, "second": whole, "turn": whole, "y": real, "x": real, "n": whole}
    )
    if len(image) < 2:
        return empty
    patches = np.concatenate([f.patches for f in features]).astype(np.float32)
    points = np.concatenate([f.points for f in features])
    turns = np.concatenate([f.turns for f in features]).astype(np.int64)
    a, b = _match_points(patches, image)
    if len(a) == 0:
        return empty
    turn = _RELATIVE[turns[a], turns[b]]
    offset = points[a] - np.einsum("kij,kj->ki", _MATRICES[turn], points[b])
    matches = pl.DataFrame(
        {"first": image[a], "second": image[b], "turn": turn, "y": offset[:, 0], "x": offset[:, 1]}
    ).cast({"y": pl.Float64, "x": pl.Float64})
    # A cluster that a bin's border cuts is whole in the bins that are moved by half a width.
    votes = pl.concat(
        matches.with_columns(
            ((pl.col(c) + phase) / _BIN_PX).floor().cast(pl.Int64).alias(f"bin_{c}") for c in ("y", "x")
        )
        .group_by("first", "second", "turn", "bin_y", "bin_x")
        .agg(pl.col("y").median(), pl.col("x").median(), pl.len().cast(pl.Int64).alias("n"))
        for phase in (0, _BIN_PX / 2)
    ).filter(pl.col("n") >= 2)
    best = votes.sort("n", "first", "second", "turn", descending=[True, False, False, False])
    best = best.unique(["first", "second", "turn"], keep="first", maintain_order=True)
    return best.sort("first", "second", "turn").select("first", "second", "turn", "y", "x", "n")


def _match_points(patches: Floats, image: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return pairs of points of two images whose patches correlate, by hashing with random planes.

    Source: Charikar 2002, doi 10.1145/509907.509965; the planes are those of whitened principal components.
    """
    centred = patches - patches.mean(axis=0)
    values, vectors = np.linalg.eigh(np.cov(centred[:: max(1, len(centred) // 20_000)].T))
    values, vectors = values[::-1][:_COMPONENTS], vectors[:, ::-1][:, :_COMPONENTS]
    scale = np.sqrt(np.maximum(values, 0) + values[0] * 0.02 + 1e-12)
    whitened = (centred @ vectors / scale).astype(np.float32)
    rng = np.random.default_rng(0)
    point = np.arange(len(patches))
    found = []
    for _ in range(_TABLES):
        planes = rng.normal(size=(_COMPONENTS, _BITS)).astype(np.float32)
        key = ((whitened @ planes > 0) * (1 << np.arange(_BITS))).sum(axis=1)
        table = pl.DataFrame({"key": key, "point": point, "image": image})
        table = table.filter(pl.len().over("key").is_between(2, _MAX_BUCKET))
        both = table.join(table, on="key", suffix="_b").filter(pl.col("image") < pl.col("image_b"))
        found.append(both.select("point", "point_b"))
    pairs = pl.concat(found).unique()
    a, b = pairs["point"].to_numpy(), pairs["point_b"].to_numpy()
    alike = np.zeros(len(a), bool)
    for start in range(0, len(a), _CHUNK):
        part = slice(start, start + _CHUNK)
        alike[part] = np.einsum("kp,kp->k", patches[a[part]], patches[b[part]]) > _MIN_PATCH_CORRELATION
    return a[alike], b[alike]


def _compare(a: Floats, b: Floats, y: int, x: int) -> tuple[float, float]:
    """Return the best correlation near a shift of ``b`` against ``a``, and the share of the smaller image."""
    if _correlate(a, b, y, x)[0] < _WORTH_REFINING:
        return -1.0, 0.0
    coarse = max((_correlate(a, b, y + i, x + j), (y + i, x + j)) for i in (-2, 0, 2) for j in (-2, 0, 2))
    y, x = coarse[1]
    return max(_correlate(a, b, y + i, x + j) for i in (-1, 0, 1) for j in (-1, 0, 1))


def _correlate(a: Floats, b: Floats, y: int, x: int) -> tuple[float, float]:
    top, bottom = max(0, y), min(a.shape[0], b.shape[0] + y)
    left, right = max(0, x), min(a.shape[1], b.shape[1] + x)
    if bottom - top < _MIN_COMMON_PX or right - left < _MIN_COMMON_PX:
        return -1.0, 0.0
    part_a, part_b = a[top:bottom, left:right], b[top - y : bottom - y, left - x : right - x]
    energy = float(np.sqrt((part_a**2).sum() * (part_b**2).sum()))
    share = part_a.size / min(a.size, b.size)
    return (float((part_a * part_b).sum()) / energy if energy > 0 else -1.0), share
