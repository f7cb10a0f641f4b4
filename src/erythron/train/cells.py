"""Labelled crops as arrays: each is segmented, measured and framed as in use, the masks cached by recipe."""

from __future__ import annotations

import hashlib
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from importlib.resources import files
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image

from erythron.classify.crops import CropGeometry, balance_light, cut_cells
from erythron.classify.framing import MEASUREMENT_INPUTS, choose_mpp, derive_inputs
from erythron.models.schema import Framing
from erythron.read.fields import read_image
from erythron.segment.classical import segment_central
from erythron.segment.segmentation import Segmentation
from erythron.segment.stain import estimate_background
from erythron.shape.mask import CYTOPLASM_VALUE, NUCLEUS_VALUE, render_mask
from erythron.shape.measure import measure_cells

MARGIN = 1.5
"""Side of a stored crop over the network's input, room for turning and scaling without padding."""


@dataclass(frozen=True)
class Cells:
    """N labelled cells.

    Attributes:
        rows: their manifest.
        pixels: (N, P, P, 3) uint8.
        masks: (N, P, P, 2) uint8.
        inputs: (N, K) float32, measurement inputs, not standardised.
    """

    rows: pl.DataFrame
    pixels: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    inputs: NDArray[np.float32]

    def take(self, index: NDArray[np.int64]) -> Cells:
        """Return the cells of the given rows."""
        return Cells(self.rows[index], self.pixels[index], self.masks[index], self.inputs[index])


def hash_recipe() -> str:
    """Return the SHA-256 over the source of everything that turns pixels into masks and measurements."""
    digest = hashlib.sha256()
    for package in ("erythron.segment", "erythron.shape"):
        for module in sorted(files(package).iterdir(), key=lambda f: f.name):
            if module.name.endswith(".py"):
                digest.update(module.name.encode() + module.read_bytes())
    return digest.hexdigest()


def load_cells(rows: pl.DataFrame, framing: Framing, cache: Path, workers: int) -> Cells:
    """Segment, measure and frame every image of a manifest; images without any cell are left out.

    Args:
        rows: a manifest.
        framing: as it will be in use; the crops have ``MARGIN`` times its side.
        cache: folder where masks are kept, one folder a recipe.
        workers: processes.
    """
    folder = cache / hash_recipe()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    frame = partial(_frame_cell, framing=framing, folder=folder)
    jobs = rows.select("path", "sha256", "mpp").rows()
    if workers > 1:
        # Forked children would inherit the locks of Polars' threads and hang.
        with ProcessPoolExecutor(workers, get_context("spawn")) as pool:
            made = list(pool.map(frame, jobs, chunksize=16))
    else:
        made = [frame(job) for job in jobs]
    kept = np.array([i for i, m in enumerate(made) if m is not None], np.int64)
    found = [m for m in made if m is not None]
    size = round(framing.input_px * MARGIN)
    if not found:
        empty = np.zeros((0, size, size, 5), np.uint8)
        return Cells(
            rows[:0], empty[..., :3], empty[..., 3:], np.zeros((0, len(MEASUREMENT_INPUTS)), np.float32)
        )
    pixels, masks, inputs = (np.concatenate(parts) for parts in zip(*found, strict=True))
    return Cells(rows[kept], pixels, masks, inputs)


def _frame_cell(
    job: tuple[str, str, float | None], framing: Framing, folder: Path
) -> tuple[NDArray[np.uint8], NDArray[np.uint8], NDArray[np.float32]] | None:
    path, digest, mpp = job
    image = read_image(path, mpp)
    segmentation = outline_cell(image.rgb, image.mpp, folder / f"{digest}.png")
    if segmentation.count == 0:
        return None
    scale = choose_mpp(image, framing)
    background = estimate_background(image.rgb)
    measured = measure_cells(image.rgb, segmentation, scale)
    geometry = CropGeometry(round(framing.input_px * MARGIN), framing.input_mpp)
    centres = measured.select("x_px", "y_px").rows()
    crops = cut_cells(balance_light(image.rgb, background), segmentation, centres, scale, geometry)
    return crops.pixels, crops.masks, derive_inputs(measured, background, scale)


def outline_cell(rgb: NDArray[np.uint8], mpp: float | None, path: Path) -> Segmentation:
    """Return the central cell of a crop, from the mask file where an earlier call stored it."""
    if path.exists():
        mask = np.asarray(Image.open(path))
        return Segmentation(
            (mask == NUCLEUS_VALUE).astype(np.int32), (mask >= CYTOPLASM_VALUE).astype(np.int32)
        )
    segmentation = segment_central(rgb, mpp)
    part = path.with_suffix(f".{hash(path) & 0xFFFF:x}.part")
    Image.fromarray(render_mask(segmentation)).save(part, format="PNG")
    part.replace(path)
    return segmentation
