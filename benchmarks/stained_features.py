"""Cells of sets and fields as features, in the colours that they have and with their red cells made alike.

What ``lineage_adaptation.py`` is made of; it runs nothing by itself.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from fields import FIELDS, read_field, score
from lineage import BLOOD, MARROW, USUAL, list_sure
from numpy.typing import NDArray
from scipy import ndimage

from erythron.bundle.folder import load_bundle
from erythron.cells.classes import find_type
from erythron.cells.outline import CellOutline
from erythron.classify.crops import CropGeometry
from erythron.classify.framing import choose_mpp, outline_crop
from erythron.datasets.pixels import read_labelled_image
from erythron.pipeline.field import outline_field
from erythron.quality.specimen import find_red_level, is_like_red_cells
from erythron.read.image import SmearImage
from erythron.segment.segmenter import Segmenter, load_segmenter
from erythron.shape.measure import measure_cells
from erythron.train.classifier.frozen.augmentation import MARGIN, Sample, augment, cut_plain, pool_features
from erythron.train.classifier.frozen.memory import MEMORY, read_memory
from erythron.train.classifier.frozen.network import ShapeFeatures
from erythron.train.classifier.frozen.partial_labels import FINE_CLASSES, find_open
from erythron.train.classifier.frozen.sources import Source
from erythron.train.recipe import FrozenSet
from erythron.train.shared.backbones import ENCODER, find_scaling, load_encoder
from erythron.train.shared.framed_cells import FramedCells, frame_cell
from erythron.train.shared.sets import open_sets

COLOURS = ("plain", "one power", "a power each")
SAMPLES = {MARROW: 3, BLOOD: 1}
"""Augmented samples of the training cells that the head is fitted on."""

COPIES = 3
RED_CELLS = np.array([0.186, 0.245, 0.161])
"""Median absorbance of the red cells beside the marrow cells of the training, by :func:`find_red`."""

INPUT_PX, INPUT_MPP = 96, 0.25
LEAST_RED_PX = 100
MOST_POWER = 2.0
Floats = NDArray[np.float64]
Features = NDArray[np.float32]


@dataclass(frozen=True)
class Cells:
    """Cells of a source in one colour.

    Attributes:
        source: rows, folds, weights and labels, with the features of the cell and its training samples; of a
            field a source without labels.
        copies: features of copies, varied as in training.
        calls: of a field, which of its cells are those of sure reference cells.
        erythroid: of a field, whether these are erythroid.
    """

    source: Source
    copies: tuple[Features, ...]
    calls: NDArray[np.int64] | None = None
    erythroid: NDArray[np.bool_] | None = None

    def take(self, index: NDArray[np.int64]) -> list[Features]:
        """Return features of some cells as they are and of their copies."""
        return [features[index] for features in (self.source.samples[0], *self.copies)]


@dataclass(frozen=True)
class Picture:
    """An image, its outlined cells, and the mean absorbance of its red cells; None where none are seen."""

    image: SmearImage
    outlines: tuple[CellOutline, ...]
    mpp: float
    red: Floats | None


def find_red(image: SmearImage, outlines: Sequence[CellOutline]) -> Floats | None:
    """Return the median absorbance (3,) of what is stained like red cells outside the outlined cells."""
    light = image.light.astype(np.float32) / 255
    level = find_red_level(light)
    if level is None:
        return None
    red = is_like_red_cells(light, level)
    for outline in outlines:
        top, left = outline.top, outline.left
        red[top : top + outline.cell.shape[0], left : left + outline.cell.shape[1]] &= ~outline.cell
    red = ndimage.binary_erosion(red, iterations=2)
    if np.count_nonzero(red) < LEAST_RED_PX:
        return None
    return np.asarray(np.median(-np.log10(np.maximum(light[red], 1e-2)), axis=0), np.float64)


def restain(picture: Picture, colour: str, usual: Floats) -> SmearImage:
    """Return a picture with the light of every channel to a power that gives its red cells the usual colour.

    Args:
        picture: of a source.
        colour: one of ``COLOURS``.
        usual: absorbance of the red cells of its source, for a picture that shows none.
    """
    image = picture.image
    if colour == "plain":
        return image
    own = usual if picture.red is None else picture.red
    # Red cells hardly hold red light back, so the ratio of that channel is of noise.
    each = np.array([RED_CELLS[1:].sum() / own[1:].sum(), *(RED_CELLS[1:] / own[1:])])
    power = np.clip(each if colour == "a power each" else np.repeat(each[0], 3), 1 / MOST_POWER, MOST_POWER)
    light = (image.light.astype(np.float32) / 255) ** power
    rgb = np.asarray((light * 255).round(), np.uint8)
    return replace(image, rgb=rgb, glass=np.full(3, 255, np.float32))


def remember_training() -> dict[str, Cells]:
    """Return the training cells that the bundle remembers, with fewer samples; others are the copies."""
    found = {}
    for source in read_memory(load_bundle().path / MEMORY).sources:
        count = 1 + SAMPLES[source.name]
        copies = source.samples[count : count + COPIES]
        found[source.name] = Cells(replace(source, samples=source.samples[:count]), copies)
    return found


class Maker:
    """Makes the cells of sets and fields, outlined by the network of the bundle, in every colour."""

    def __init__(self, data: Path) -> None:
        bundle = load_bundle()
        self.data, self.framing, self.segmenter = data, bundle.card.framing, load_segmenter(bundle)
        self.encoder, self.scaling = ShapeFeatures(load_encoder()).eval(), find_scaling(ENCODER)

    def make_set(self, name: str, every: int) -> dict[str, Cells]:
        """Return every so many-th cell of a labelled set in every colour."""
        opened = open_sets([FrozenSet(data=name)])[0]
        rows = opened.rows.filter([bool(find_open(find_type(label))) for label in opened.rows["label"]])
        rows = rows.gather_every(every)
        pictures, kept = [], []
        for number, row in enumerate(rows.iter_rows(named=True)):
            image = read_labelled_image(Path(row["path"]), row["mpp"], row["mask_kind"])
            outline = outline_crop(image, self.segmenter, self.framing)
            if outline is not None:
                red = find_red(image, [outline])
                pictures.append(Picture(image, (outline,), choose_mpp(image, self.framing), red))
                kept.append(number)
        return {colour: Cells(*parts) for colour, parts in self._pool(name, pictures)}

    def make_fields(self) -> dict[str, list[Cells]]:
        """Return the fields, those of one laboratory joined, in every colour."""
        found: dict[str, list[Cells]] = {colour: [] for colour in COLOURS}
        for start in ("marrow-field/", "marrow-fields/hy", "marrow-fields/bmac"):
            pictures: list[Picture] = []
            calls, erythroid, before = [], [], 0
            for name in (name for name in FIELDS if name.startswith(start)):
                field = read_field(self.data / name)
                outlined = outline_field(field.image, self._get_segmenter, self.framing)
                mpp = outlined.image.mpp or self.framing.field_mpp
                red = find_red(outlined.image, outlined.outlines)
                pictures.append(Picture(outlined.image, outlined.outlines, mpp, red))
                measured = measure_cells(outlined.image.rgb, outlined.outlines, mpp)
                _, pairs = score(field, measured.select("x_px", "y_px").rows())
                calls += [before + call for call, _ in list_sure(field, pairs)]
                erythroid += [kind for _, kind in list_sure(field, pairs)]
                before += len(outlined.outlines)
            for colour, parts in self._pool(start, pictures):
                found[colour].append(Cells(*parts, np.array(calls), np.array(erythroid)))
        return found

    def _get_segmenter(self) -> Segmenter:
        return self.segmenter

    def _pool(
        self, name: str, pictures: list[Picture]
    ) -> Iterator[tuple[str, tuple[Source, tuple[Features, ...]]]]:
        """Yield for every colour a source without labels with its features, and those of the copies."""
        reds = [picture.red for picture in pictures if picture.red is not None]
        usual = np.median(reds, axis=0)
        shown = " ".join(f"{value:.3f}" for value in usual)
        print(f"{name}: red cells in {len(reds)} of {len(pictures)}, absorbance {shown}", file=sys.stderr)
        geometry = CropGeometry(round(INPUT_PX * MARGIN), INPUT_MPP)
        for colour in COLOURS:
            parts = [
                frame_cell(image, outline, picture.mpp, geometry)
                for picture in pictures
                for image in [restain(picture, colour, usual)]
                for outline in picture.outlines
            ]
            pixels, masks, inputs = (np.stack(part) for part in zip(*parts, strict=True))
            count = len(inputs)
            framed = FramedCells(pl.DataFrame(), pixels, masks, inputs, np.ones(count, bool))
            source = Source(
                name,
                framed.rows,
                is_judged=False,
                folds=np.zeros(count, np.int64),
                weights=np.ones(count),
                allowed=np.ones((count, len(FINE_CLASSES)), bool),
                samples=(self._make_features(cut_plain(framed, INPUT_PX)),),
            )
            seeds = range(9000, 9000 + (COPIES if colour == "plain" else 0))
            varied = (augment(framed, INPUT_PX, USUAL, seed) for seed in seeds)
            yield colour, (source, tuple(self._make_features(sample) for sample in varied))

    def _make_features(self, sample: Sample) -> Features:
        return np.hstack([pool_features(sample, self.encoder, self.scaling), sample.inputs])
