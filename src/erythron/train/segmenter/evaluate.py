"""Cross-validated outlines: every image outlined as in use, by an outliner that did not see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.bundle.schema import Estimate, Framing
from erythron.cells.outline import CellOutline
from erythron.classify.framing import choose_mpp, outline_crop
from erythron.read.fields import read_image
from erythron.read.image import SmearImage
from erythron.segment.scale import estimate_scale
from erythron.segment.segmenter import Segmenter
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE, render_mask
from erythron.train.folded_sets import MARROW_SET, read_marrow
from erythron.train.segmenter.samples import fold_bcisc, list_images

BOOTSTRAPS = 1000


@dataclass(frozen=True)
class _Job:
    source: str
    image: Path
    relative: Path
    truth: Path
    fold: int
    group: str


def outline_out_of_fold(
    data: Path, segmenters: dict[int, Segmenter], framing: Framing, seed: int, out: Path
) -> pl.DataFrame:
    """Outline the images that have drawn masks and write the outlines as the ``mask`` command does.

    Args:
        data: folder that holds the public sets.
        segmenters: by fold, each with an outliner that was fitted without that fold.
        framing: the scales that are assumed.
        seed: of the folds.
        out: gets ``<set>/<path relative to the set>.png``.

    Returns:
        One row an image: ``source``, ``image``, ``group``, ``cell_dice`` and ``nucleus_dice``, null where the
        set draws no nuclei.
    """
    rows = []
    for job in _list_jobs(data, len(segmenters), seed):
        found = _outline(job, segmenters[job.fold], framing)
        target = out / job.source / job.relative.with_suffix(".png")
        target.parent.mkdir(parents=True, exist_ok=True)
        truth = np.asarray(Image.open(job.truth).convert("L"))
        mask = render_mask(found, *truth.shape)
        Image.fromarray(mask).save(target)
        nucleus = None if job.source == "bcisc" else _dice(truth > 200, mask == NUCLEUS_VALUE)
        cell = _dice(truth > 64, mask >= CYTOPLASM_VALUE)
        rows.append((job.source, str(job.relative), job.group, cell, nucleus))
    columns = ["source", "image", "group", "cell_dice", "nucleus_dice"]
    return pl.DataFrame(rows, schema=columns, orient="row")


def estimate_dice(scores: pl.DataFrame, seed: int) -> dict[str, Estimate]:
    """Return mean and tenth percentile of each set's Dice with 95 % intervals from resampled groups."""
    rng = np.random.default_rng(seed)
    figures = {}
    for (source,), part in scores.group_by("source", maintain_order=True):
        _, group_of = np.unique(part["group"].to_numpy(), return_inverse=True)
        members = [np.flatnonzero(group_of == g) for g in range(group_of.max() + 1)]
        drawn = [
            np.concatenate([members[i] for i in rng.integers(0, len(members), len(members))])
            for _ in range(BOOTSTRAPS)
        ]
        for kind in ("cell", "nucleus"):
            values = part[f"{kind}_dice"].to_numpy().astype(np.float64)
            if np.isnan(values).all():
                continue
            for name, figure in (("mean", np.mean), ("p10", _tenth)):
                low, high = np.percentile([figure(values[index]) for index in drawn], [2.5, 97.5]).round(4)
                figures[f"{source}_{kind}_dice_{name}"] = Estimate(
                    value=round(float(figure(values)), 4),
                    low=round(float(low), 4),
                    high=round(float(high), 4),
                )
    return figures


def _tenth(values: NDArray[np.float64]) -> float:
    return float(np.percentile(values, 10))


def _outline(job: _Job, segmenter: Segmenter, framing: Framing) -> tuple[CellOutline, ...]:
    image: SmearImage = read_image(job.image)
    if job.source != "bccd":
        found = outline_crop(image, segmenter, framing)
        return () if found is None else (found,)
    estimate = estimate_scale(image.rgb)
    mpp = choose_mpp(image, framing) if estimate is None else estimate.mpp
    return segmenter.segment_field(image.light, mpp)


def _list_jobs(data: Path, folds: int, seed: int) -> Iterator[_Job]:
    root = data / MARROW_SET
    marrow, fold_of = read_marrow(data, folds, seed)
    for path, group, fold in zip(map(Path, marrow.rows["path"]), marrow.rows["group"], fold_of, strict=True):
        truth = data / "marrow-masks" / path.name
        if truth.exists():
            yield _Job("marrow", path, path.relative_to(root), truth, int(fold), group)
    root = data / "bcisc"
    for path, fold in fold_bcisc(root / "sub-images", folds):
        truth = root / "sub-images" / "masks" / f"{path.stem}.png"
        yield _Job("bcisc", path, path.relative_to(root), truth, fold, path.stem.split("-")[0])
    root = data / "bccd"
    for number, path in enumerate(list_images(root / "BCCD" / "JPEGImages", "*.jpg")):
        truth = data / "bccd-masks" / f"{path.stem.replace('BloodImage_', 'BloodImage_Mask_')}.png"
        if truth.exists():
            yield _Job("bccd", path, path.relative_to(root), truth, number % folds, path.stem)


def _dice(truth: NDArray[np.bool_], found: NDArray[np.bool_]) -> float:
    both, total = int((truth & found).sum()), int(truth.sum()) + int(found.sum())
    return 2 * both / max(total, 1)
