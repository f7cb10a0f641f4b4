"""Scenes for the detector: whole images with the centre of every nucleated cell.

No public set marks every nucleated cell of a crowded marrow. But an outliner that answers nothing where no
nucleus is centred can be asked at every stained place; it moves each point to the middle of the nucleus that
it sees, and the points that agree are cells. What it is unsure of teaches nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.data.folds import assign_folds
from erythron.data.sets import read_set
from erythron.models.runtime import Runtime
from erythron.read.fields import read_image
from erythron.segment.outline import OutlinedCells, drop_repeats, nucleus_centres, outline_points
from erythron.segment.segmenter import rescale
from erythron.segment.stain import balance_light, estimate_background, nuclear_channel
from erythron.train.segmenter.samples import (
    BCISC_WIDTH_UM,
    MARROW_WIDTH_UM,
    WINDOW_MPP,
    WINDOW_PX,
    fold_bcisc,
    read_bccd,
)

Pixels = NDArray[np.uint8]

DETECTOR_MPP = 0.5
TILE_PX = 96
GRID_UM = 3.0
STAINED = 0.2
ROUNDS = 2
MERGE_UM = 1.2
LEAST_NUCLEUS_UM2 = 8.0
SURE, DOUBTFUL = 0.72, 0.45
PBC_CELLS = 400
PBC_WIDTH_UM = 36.0
HEAT_RADIUS = 0.4
"""Standard deviation of a centre's heat, in radii of the nucleus."""


@dataclass(frozen=True)
class Scenes:
    """N images at ``DETECTOR_MPP``, padded with smear.

    Attributes:
        pixels: (N, P, P, 3) uint8, light relative to the empty smear.
        heat: (N, P, P) uint8; 255 at the centre of a nucleus, falling as a normal curve.
        known: (N, P, P) uint8; 0 where it is not known whether a cell is there, else 255.
        source: (N,) str.
    """

    pixels: Pixels
    heat: Pixels
    known: Pixels
    source: NDArray[np.str_]


def load_scenes(data: Path, outliners: Mapping[int, Runtime], folds: int, seed: int) -> Scenes:
    """Read images and mark the centres of their nucleated cells.

    Args:
        data: folder that holds the sets.
        outliners: by fold; a marrow crop is marked by the one that did not see its fold.
        folds: folds of the marrow crops.
        seed: of the folds and of the choice of blood cells.
    """
    rows = []
    for source, light, mpp, outliner in _read_images(data, outliners, folds, seed):
        rows.append((*_draw(light, mpp, *find_cells(outliner, light, mpp)), source))
    for drawing in read_bccd(data, folds, np.random.default_rng(seed)):
        labels = range(1, int(drawing.cells.max(initial=0)) + 1)
        centres, areas = [], []
        for label in labels:
            inner = (drawing.cells == label) & drawing.nucleus
            if np.count_nonzero(inner) > 20:
                centres.append(ndimage.center_of_mass(inner))
                areas.append(np.count_nonzero(inner))
        radii = np.sqrt(np.array(areas) / np.pi)
        found = np.array(centres).reshape(-1, 2), radii, np.ones(len(areas), bool)
        rows.append((*_draw(drawing.light, drawing.mpp, *found), "bccd"))
    pixels, heat, known, sources = zip(*rows, strict=True)
    return Scenes(np.stack(pixels), np.stack(heat), np.stack(known), np.array(sources))


def find_cells(
    outliner: Runtime, light: Pixels, mpp: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.bool_]]:
    """Find nucleated cells by asking the outliner at every stained place.

    Returns:
        (N, 2) row and column of the nuclei's centres and (N,) their radii, in pixels of the image, and
        (N,) whether each is sure.
    """
    image = rescale(light, mpp / WINDOW_MPP)
    stain = ndimage.gaussian_filter(nuclear_channel((image / 255).astype(np.float32)), 0.8 / WINDOW_MPP)
    step = GRID_UM / WINDOW_MPP
    rows, columns = np.mgrid[step / 2 : image.shape[0] : step, step / 2 : image.shape[1] : step]
    points = np.stack([rows.ravel(), columns.ravel()], 1)
    # The middle of the image, where a crop has its cell, is always asked.
    points = np.concatenate(
        [np.array([image.shape[:2]]) / 2, points[stain[tuple(points.astype(int).T)] > STAINED]]
    )
    for _ in range(ROUNDS):
        found = outline_points(outliner, image, points, WINDOW_PX)
        found = found.take(np.flatnonzero((found.score > DOUBTFUL / 2) & (_area(found) > 0)))
        points = _merge(nucleus_centres(found), found.score)
    found = outline_points(outliner, image, points, WINDOW_PX)
    centres = nucleus_centres(found)
    settled = np.hypot(*(centres - points).T) * WINDOW_MPP < MERGE_UM
    large = _area(found) * WINDOW_MPP**2 > LEAST_NUCLEUS_UM2
    found = drop_repeats(found.take(np.flatnonzero(settled & large & (found.score > DOUBTFUL))), 0.4)
    scale = WINDOW_MPP / mpp
    return (
        nucleus_centres(found).astype(np.float64) * scale,
        np.sqrt(_area(found) / np.pi) * scale,
        found.score > SURE,
    )


def _area(found: OutlinedCells) -> NDArray[np.int64]:
    return np.asarray((found.maps[:, 0] > 0.5).sum((1, 2)))


def _merge(points: NDArray[np.float32], score: NDArray[np.float32]) -> NDArray[np.float64]:
    """Keep the surest of points that lie within ``MERGE_UM``."""
    kept: list[NDArray[np.float32]] = []
    for i in np.argsort(-score, kind="stable"):
        if all(np.hypot(*(points[i] - other)) * WINDOW_MPP > MERGE_UM for other in kept):
            kept.append(points[i])
    return np.array(kept, np.float64).reshape(-1, 2)


def _read_images(
    data: Path, outliners: Mapping[int, Runtime], folds: int, seed: int
) -> Iterator[tuple[str, Pixels, float, Runtime]]:
    marrow = read_set("pathology-bites-cells", data / "pathology-bites-cells").rows
    fold_of = assign_folds(marrow["source_label"].to_list(), marrow["group"].to_list(), folds, seed)
    blood = read_set("pbc-acevedo", data / "pbc-acevedo").rows
    blood = blood.sample(min(PBC_CELLS, blood.height), seed=seed)
    crops = [
        *(("marrow", Path(p), MARROW_WIDTH_UM, int(f)) for p, f in zip(marrow["path"], fold_of, strict=True)),
        *(
            ("bcisc", path, BCISC_WIDTH_UM, fold)
            for path, fold in fold_bcisc(data / "bcisc" / "sub-images", folds)
        ),
        *(("pbc", Path(p), PBC_WIDTH_UM, i % folds) for i, p in enumerate(blood["path"])),
    ]
    for source, path, width_um, fold in crops:
        rgb = read_image(path).rgb
        light = balance_light(rgb, estimate_background(rgb))
        yield source, light, width_um / min(rgb.shape[:2]), outliners[fold]


def _draw(
    light: Pixels,
    mpp: float,
    centres: NDArray[np.float64],
    radii: NDArray[np.float64],
    sure: NDArray[np.bool_],
) -> tuple[Pixels, Pixels, Pixels]:
    scale = mpp / DETECTOR_MPP
    image = rescale(light, scale)[:TILE_PX, :TILE_PX]
    pixels = np.full((TILE_PX, TILE_PX, 3), 255, np.uint8)
    top, left = (TILE_PX - image.shape[0]) // 2, (TILE_PX - image.shape[1]) // 2
    pixels[top : top + image.shape[0], left : left + image.shape[1]] = image
    heat, known = np.zeros((TILE_PX, TILE_PX)), np.full((TILE_PX, TILE_PX), 255, np.uint8)
    rows, columns = np.mgrid[:TILE_PX, :TILE_PX] + 0.5
    for (row, column), radius, is_sure in zip(centres * scale, radii * scale, sure, strict=True):
        away = np.hypot(rows - row - top, columns - column - left)
        if is_sure:
            heat = np.maximum(heat, np.exp(-0.5 * (away / (HEAT_RADIUS * radius)) ** 2))
        else:
            known[away < radius] = 0
    known[heat > 0.1] = 255
    return pixels, (heat * 255).round().astype(np.uint8), known
