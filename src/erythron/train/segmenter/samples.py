"""Drawn outlines as windows around points: one nucleated cell's nucleus, or a point that belongs to none."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from erythron.classify.crops import cut_window
from erythron.errors import DataError
from erythron.read.fields import read_image
from erythron.read.light import BACKGROUND_LEVEL, balance_light, estimate_background
from erythron.segment.segmenter import find_candidate_points
from erythron.segment.stain import balance, nuclear_channel
from erythron.train.folded_sets import read_blood, read_marrow
from erythron.train.segmenter.stained import find_lone_cell, find_nucleus
from erythron.train.segmenter.use import CARD, WINDOW_MPP

Pixels = NDArray[np.uint8]

STORE_PX = 144
"""Side of a stored window: half as large again as the network's, room for turning and rescaling."""

MOST_POINTS = 6
"""Proposals that are kept of one cell."""

MARROW_WIDTH_UM = 32.0
BCISC_WIDTH_UM = 28.0
"""What the sides of the crops are taken to show; the sets state no scale, and training varies it widely."""

BCCD_MPP = 7.3 / 104.0
"""The median red cell of the set's own boxes is 104 px wide."""

BASOPHIL = "baso"
"""How the names of ``bcisc`` begin for cells whose granules hide the nucleus."""

BLOOD_WIDTH_UM = 36.0
"""What a crop of ``pbc-acevedo`` shows, as the red cells in it say."""

BLOOD_LABELS = ("eosinophil", "neutrophil")
"""Cells whose stain parts nucleus and cytoplasm; the chromatin of the others is not that surely told."""

BLOOD_CELLS = 600
"""How many crops of these are looked at."""

BLUR_UM = 0.1
"""Smoothing before the stain of these is told apart."""

SOURCES = ("marrow", "bcisc", "bccd", "pbc")


@dataclass(frozen=True)
class Windows:
    """N windows around points.

    Attributes:
        pixels: (N, P, P, 3) uint8, light relative to the empty smear.
        masks: (N, P, P, 2) uint8; nucleus and whole cell of the cell at the centre, 255 inside; all 0 where
            the centre belongs to no nucleated cell.
        points: (N, MOST_POINTS, 2) float32; where the stain proposes the cell, (x, y) in pixels from the
            middle of the window, nan beyond their number.
        nucleus_known: (N,) bool; whether the nucleus is drawn, or plain from its stain.
        source: (N,) str, one of ``SOURCES``.
        name: (N,) str, file name of the image.
        fold: (N,) int64.
    """

    pixels: Pixels
    masks: Pixels
    points: NDArray[np.float32]
    nucleus_known: NDArray[np.bool_]
    source: NDArray[np.str_]
    name: NDArray[np.str_]
    fold: NDArray[np.int64]

    @property
    def has_cell(self) -> NDArray[np.bool_]:
        """(N,) bool; whether there is a cell at the centre."""
        return np.asarray(self.masks[..., 1].any(axis=(1, 2)))

    def take(self, index: NDArray[np.generic]) -> Windows:
        """Return the windows of the given rows."""
        return Windows(*(getattr(self, name)[index] for name in self.__dataclass_fields__))


@dataclass(frozen=True)
class Drawing:
    """One image with its drawn cells.

    Attributes:
        light: (H, W, 3) uint8.
        nucleus: (H, W) bool.
        cells: (H, W) int32, one label a drawn cell.
        unknown: labels of the cells whose nucleus is not known.
        others: (x, y) of points that belong to no nucleated cell.
    """

    name: str
    source: str
    mpp: float
    light: Pixels
    nucleus: NDArray[np.bool_]
    cells: NDArray[np.int32]
    others: list[tuple[float, float]]
    fold: int
    unknown: frozenset[int] = frozenset()


def load_windows(data: Path, folds: int, seed: int) -> Windows:
    """Read every drawn cell of the sets whose licence allows training, and points that are no cell.

    Args:
        data: folder that holds ``pathology-bites-cells``, ``marrow-masks``, ``bcisc``, ``bccd``,
            ``bccd-masks`` and ``pbc-acevedo``.
        folds: folds; those of the single cells are the ones of the classifier's cross-validation.
        seed: of the folds and of the choice of points.

    Raises:
        DataError: a set is missing.
    """
    rng = np.random.default_rng(seed)
    rows: list[tuple[Pixels, Pixels, NDArray[np.float32], bool, str, str, int]] = []
    for drawing in _read_drawings(data, folds, seed, rng):
        for x, y, label in _find_centres(drawing):
            pixels = cut_point(drawing.light, drawing.mpp, (x, y), STORE_PX)
            own = drawing.cells == label
            masks = np.stack(
                [
                    _cut_mask(drawing.nucleus & own, drawing.mpp, (x, y)),
                    _cut_mask(own, drawing.mpp, (x, y)),
                ],
                axis=2,
            )
            known = label not in drawing.unknown
            points = _find_points(pixels, masks[..., 0 if known else 1])
            rows.append((pixels, masks, points, known, drawing.source, drawing.name, drawing.fold))
        empty = np.zeros((STORE_PX, STORE_PX, 2), np.uint8)
        nowhere = np.full((MOST_POINTS, 2), np.nan, np.float32)
        for point in drawing.others:
            pixels = cut_point(drawing.light, drawing.mpp, point, STORE_PX)
            rows.append((pixels, empty, nowhere, True, drawing.source, drawing.name, drawing.fold))
    columns = list(zip(*rows, strict=True))
    stacked = (np.stack(column) for column in columns[:3])
    return Windows(*stacked, *(np.array(column) for column in columns[3:]))


def _find_points(pixels: Pixels, mask: Pixels) -> NDArray[np.float32]:
    """Return the proposals within a mask, (MOST_POINTS, 2), from the middle of the window."""
    found = find_candidate_points(pixels, WINDOW_MPP, CARD)
    rows, columns = np.clip(found.astype(np.int64), 0, STORE_PX - 1).T
    inside = found[mask[rows, columns] > 127][:MOST_POINTS, ::-1] - STORE_PX / 2
    points = np.full((MOST_POINTS, 2), np.nan, np.float32)
    points[: len(inside)] = inside
    return points


def cut_point(light: Pixels, mpp: float, point: tuple[float, float], size: int) -> Pixels:
    """Return a square around a point at ``WINDOW_MPP``, (size, size, 3) uint8; beyond the image is smear.

    Args:
        light: (H, W, 3) uint8.
        mpp: microns per pixel of the image.
        point: (x, y) in pixels, 0 being the centre of the first pixel.
        size: side of the square in its own pixels.
    """
    return _cut(light, mpp, point, size, BACKGROUND_LEVEL)


def _cut_mask(mask: NDArray[np.bool_], mpp: float, point: tuple[float, float]) -> Pixels:
    return _cut(mask.astype(np.uint8) * 255, mpp, point, STORE_PX, 0)


def _cut(image: Pixels, mpp: float, point: tuple[float, float], size: int, fill: int) -> Pixels:
    half = size * WINDOW_MPP / mpp / 2
    x, y = point[0] + 0.5, point[1] + 0.5
    left, top = int(np.floor(x - half)), int(np.floor(y - half))
    window = (left, top, int(np.ceil(x + half)), int(np.ceil(y + half)))
    box = (x - half - left, y - half - top, x + half - left, y + half - top)
    cut = Image.fromarray(cut_window(image, window, fill))
    return np.asarray(cut.resize((size, size), Image.Resampling.BILINEAR, box))


def _find_centres(drawing: Drawing) -> Iterator[tuple[float, float, int]]:
    """Centre of each drawn cell's nucleus, or of the cell where the set draws no nuclei."""
    for label in range(1, int(drawing.cells.max(initial=0)) + 1):
        own = drawing.cells == label
        inner = own & drawing.nucleus
        ys, xs = np.nonzero(inner if inner.any() else own)
        if len(xs) > 20:
            yield float(xs.mean()), float(ys.mean()), label


def _read_drawings(data: Path, folds: int, seed: int, rng: np.random.Generator) -> Iterator[Drawing]:
    yield from _read_marrow(data, folds, seed, rng)
    yield from _read_bcisc(data / "bcisc" / "sub-images", folds, rng)
    yield from read_bccd(data, folds, rng)
    yield from read_alone(data, folds, seed)


def _read_marrow(data: Path, folds: int, seed: int, rng: np.random.Generator) -> Iterator[Drawing]:
    marrow, fold_of = read_marrow(data, folds, seed)
    for path, fold in zip(map(Path, marrow.rows["path"]), fold_of, strict=True):
        mask_path = data / "marrow-masks" / path.name
        if not mask_path.exists():
            continue
        rgb = read_image(path).rgb
        mask = np.asarray(Image.open(mask_path).convert("L"))
        mpp = MARROW_WIDTH_UM / min(mask.shape)
        light = balance_light(rgb, estimate_background(rgb))
        # Neighbours are cells too and not drawn, so only places without nuclear stain are surely none.
        stained = nuclear_channel(balance(rgb, estimate_background(rgb), 1.0)) > 0.2
        free = ndimage.distance_transform_edt(~stained & (mask < 64)) * mpp > 1.2
        others = _draw_points(free, 3, rng)
        yield Drawing(
            path.name, "marrow", mpp, light, mask > 200, (mask > 64).astype(np.int32), others, int(fold)
        )


def _read_bcisc(folder: Path, folds: int, rng: np.random.Generator) -> Iterator[Drawing]:
    """Read the crops; within the drawn cells, nuclei are those that the stain shows beyond doubt."""
    for path, fold in fold_bcisc(folder, folds):
        rgb = read_image(path).rgb
        mask = np.asarray(Image.open(folder / "masks" / f"{path.stem}.png").convert("L")) > 64
        cells, count = ndimage.label(mask)
        background = estimate_background(rgb)
        smooth = balance(rgb, background, 1.0)
        nucleus, unknown = np.zeros_like(mask), set()
        for label in range(1, count + 1):
            found = None if path.stem.startswith(BASOPHIL) else find_nucleus(smooth, cells == label)
            if found is None:
                unknown.add(label)
            else:
                nucleus |= found
        free = ndimage.distance_transform_edt(~(nuclear_channel(smooth) > 0.2) & ~mask)
        mpp = BCISC_WIDTH_UM / min(mask.shape)
        yield Drawing(
            path.name,
            "bcisc",
            mpp,
            balance_light(rgb, background),
            nucleus,
            cells,
            _draw_points(free * mpp > 1.2, 1, rng),
            fold,
            frozenset(unknown),
        )


def read_alone(data: Path, folds: int, seed: int) -> Iterator[Drawing]:
    """Read granulocytes of ``pbc-acevedo`` that touch nothing: outline and nucleus are plain from the stain.

    Raises:
        DataError: the set is missing.
    """
    blood, fold_of = read_blood(data, folds, seed)
    granulocytes = np.flatnonzero(blood.rows["source_label"].is_in(BLOOD_LABELS).to_numpy())
    for row in np.sort(np.random.default_rng(seed).permutation(granulocytes)[:BLOOD_CELLS]):
        path = Path(blood.rows["path"][int(row)])
        rgb = read_image(path).rgb
        background = estimate_background(rgb)
        mpp = BLOOD_WIDTH_UM / min(rgb.shape[:2])
        smooth = balance(rgb, background, BLUR_UM / mpp)
        cell = find_lone_cell(smooth, mpp)
        nucleus = None if cell is None else find_nucleus(smooth, cell)
        if cell is None or nucleus is None:
            continue
        light = balance_light(rgb, background)
        yield Drawing(path.name, "pbc", mpp, light, nucleus, cell.astype(np.int32), [], int(fold_of[row]))


def fold_bcisc(folder: Path, folds: int) -> list[tuple[Path, int]]:
    """Return the crops with their folds; those of one smear, named alike up to the hyphen, share one.

    Raises:
        DataError: the set is missing.
    """
    paths = list_images(folder / "images", "*.jpg")
    smears = sorted({path.stem.split("-")[0] for path in paths})
    return [(path, smears.index(path.stem.split("-")[0]) % folds) for path in paths]


def read_bccd(data: Path, folds: int, rng: np.random.Generator) -> Iterator[Drawing]:
    """Read the blood fields, in which every nucleated cell is drawn.

    Raises:
        DataError: the set is missing.
    """
    for number, path in enumerate(list_images(data / "bccd" / "BCCD" / "JPEGImages", "*.jpg")):
        mask_path = data / "bccd-masks" / f"{path.stem.replace('BloodImage_', 'BloodImage_Mask_')}.png"
        if not mask_path.exists():
            continue
        rgb = read_image(path).rgb
        mask = np.asarray(Image.open(mask_path).convert("L"))
        cell = ndimage.binary_opening(mask > 64, iterations=2)
        cells, _ = ndimage.label(cell)
        boxes = _read_boxes(data / "bccd" / "BCCD" / "Annotations" / f"{path.stem}.xml")
        inside = [(x, y) for x, y in boxes if not mask[int(y), int(x)]]
        rng.shuffle(inside)
        light = balance_light(rgb, estimate_background(rgb))
        yield Drawing(
            path.name,
            "bccd",
            BCCD_MPP,
            light,
            mask > 200,
            np.asarray(cells, np.int32),
            inside[:3],
            number % folds,
        )


def _read_boxes(path: Path) -> list[tuple[float, float]]:
    """Centres of the red cells and platelets of a VOC file."""
    centres = []
    for found in ET.parse(path).iter("object"):  # noqa: S314
        if found.findtext("name") == "WBC":
            continue
        box = found.find("bndbox")
        if box is None:
            continue
        x0, x1, y0, y1 = (float(box.findtext(key) or 0) for key in ("xmin", "xmax", "ymin", "ymax"))
        centres.append((min((x0 + x1) / 2, 639), min((y0 + y1) / 2, 479)))
    return centres


def _draw_points(free: NDArray[np.bool_], count: int, rng: np.random.Generator) -> list[tuple[float, float]]:
    ys, xs = np.nonzero(free)
    if not len(xs):
        return []
    chosen = rng.integers(0, len(xs), count)
    return [(float(xs[i]), float(ys[i])) for i in chosen]


def list_images(folder: Path, pattern: str) -> list[Path]:
    """Return the files of a folder that match, in order.

    Raises:
        DataError: there is none.
    """
    paths = sorted(folder.glob(pattern))
    if not paths:
        raise DataError(f"{folder}: no {pattern} file in this folder; check the path or fetch the set again")
    return paths
