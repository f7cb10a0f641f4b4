"""Masks of a batch of images, as the ``mask`` command writes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from PIL import Image, PngImagePlugin, UnidentifiedImageError

from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import load_segmentation
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cells.flags import CellFlag, join_flags, split_flags
from erythron.classify.framing import outline_crop
from erythron.errors import ImageReadError, UsageError
from erythron.files.locking import lock_folder
from erythron.files.writing import sweep, whole_file
from erythron.pipeline.crop import flag_not_one_cell, shows_many
from erythron.pipeline.executor import (
    Executor,
    Failure,
    LocalExecutor,
    Progress,
    no_progress,
)
from erythron.pipeline.field import outline_field
from erythron.pipeline.places import PlaceChoice, check_distinct, choose_places
from erythron.quality.flags import QualityFlag
from erythron.read.inputs import OWN_PICTURE, InputImage
from erythron.read.source import open_source, read_whole
from erythron.results.fingerprint import StepSettings, fingerprint, fingerprint_outlines, hash_image
from erythron.segment.segmenter import Segmenter
from erythron.shape.mask import render_shapes
from erythron.shape.mask_shape import MaskShape

_DESCRIPTION = 270
"""Tag of a TIFF that holds its description."""

_OWN = f"{OWN_PICTURE}: "


@dataclass(frozen=True)
class MaskOptions:
    """Options of a mask run.

    Attributes:
        every_cell: every nucleated cell of a field instead of the central cell of a crop.
        model: bundle folder, or None for the shipped one.
        mpp: microns per pixel of all images, or None to take them from the files.
        force: replace masks that other images or settings made.
        runtime: what computes the network.
        shape: what the mask shows of a cell.
        four_channels: write image and mask as one TIFF whose fourth channel is the mask, instead of the mask
            alone. The file states CMYK, as the published network's inputs do, and is no print.
    """

    every_cell: bool = False
    model: Path | None = None
    mpp: float | None = None
    force: bool = False
    runtime: RuntimeKind = RuntimeKind.OPENVINO
    shape: MaskShape = MaskShape.NUCLEUS_CELL
    four_channels: bool = False


@dataclass(frozen=True)
class MaskRun:
    """What a mask run did.

    Attributes:
        written: masks made now.
        kept: masks that an earlier run had made of the same image with the same settings.
        failures: inputs without a mask.
        flags: what a user of the masks should know: that pictures of many cells have one cell in theirs.
    """

    written: int
    kept: int
    failures: tuple[Failure, ...]
    flags: tuple[QualityFlag, ...] = ()


@dataclass(frozen=True)
class MadeMask:
    """What came of one image.

    Attributes:
        is_kept: whether the mask was there already.
        not_one_cell: whether the image shows many cells, and its mask the one at the centre.
    """

    is_kept: bool
    not_one_cell: bool


@dataclass(frozen=True)
class MaskJob:
    """One image to outline: where it is, and where its mask goes."""

    image: InputImage
    target: Path

    @property
    def name(self) -> str:
        """The path of the image as given."""
        return self.image.name


@dataclass(frozen=True)
class MaskTask:
    """Outlining of images as plain data, see :class:`erythron.pipeline.executor.Task`."""

    options: MaskOptions

    def start(self) -> Callable[[MaskJob], MadeMask]:
        """Return the function that writes one mask, if it is not there already."""
        options = self.options
        steps = _choose_steps(options)
        bundle = steps.bundle
        segmenter = Segmenter(bundle.card.segmenter, load_segmentation(bundle, options.runtime))
        return partial(_write_mask, segmenter, steps, options)


def mask_images(
    inputs: Sequence[InputImage],
    out: Path,
    options: MaskOptions,
    progress: Progress = no_progress,
    executor: Executor | None = None,
) -> MaskRun:
    """Write one mask an image, in its size: 255 nucleus, 128 cytoplasm, 0 background, or as asked.

    Args:
        inputs: images and their relative output paths.
        out: folder of the masks; each is ``out/<relative path>.png``, or ``.tif`` with four channels. Where
            two images differ in their suffix alone, it stays in the names of their masks: ``a.jpg.png``.
        options: what to outline and how.
        progress: called after each image.
        executor: where to work; None is this machine.

    Raises:
        UsageError: two inputs have one output.
        BundleError: the model cannot be used.
    """
    jobs = _place_masks(inputs, out, options)
    check_distinct([(job, job.target.relative_to(out)) for job in jobs if job.image.is_there])
    kept, failures, of_many = 0, [], []
    with lock_folder(out):
        for parent in {job.target.parent for job in jobs}:
            sweep(parent)
        for job, outcome in (executor or LocalExecutor()).run(MaskTask(options), jobs):
            if isinstance(outcome, Failure):
                failures.append(outcome)
            else:
                kept += outcome.is_kept
                of_many += [job.name] if outcome.not_one_cell else []
            progress(job.name)
    flags = flag_not_one_cell(of_many, "outlined", "outline every cell of a field with --all")
    return MaskRun(len(inputs) - kept - len(failures), kept, tuple(failures), flags)


def _place_masks(inputs: Sequence[InputImage], out: Path, options: MaskOptions) -> list[MaskJob]:
    """Return where the mask of each image goes; one that is there of two alike names keeps its place."""
    suffix = ".tif" if options.four_channels else ".png"
    choices = [
        PlaceChoice(
            image.relative.with_suffix(suffix),
            image.relative.with_name(image.relative.name + suffix),
            image.is_there,
        )
        for image in inputs
    ]
    read_steps = cache(partial(_choose_steps, options))

    def is_of(number: int, place: Path) -> bool:
        stated = _read_stated(out / place) if (out / place).exists() else None
        if stated is None:
            return False
        try:
            return stated.fingerprint == _find_wanted(inputs[number], read_steps(), options)
        except ImageReadError:
            return False

    places = choose_places(choices, is_of)
    return [MaskJob(image, out / place) for image, place in zip(inputs, places, strict=True)]


def _choose_steps(options: MaskOptions) -> StepSettings:
    return StepSettings(load_bundle(options.model), options.mpp, runtime=options.runtime)


def _find_wanted(image: InputImage, steps: StepSettings, options: MaskOptions) -> str:
    """Return the fingerprint that the mask of an image is to have."""
    outlines = fingerprint_outlines(steps, "", hash_image(image.path))
    form = (options.shape.value, options.four_channels)
    # Masks of nucleus and cell keep the fingerprint that they had when there were no others.
    extra = () if form == (MaskShape.NUCLEUS_CELL.value, False) else form
    return fingerprint("all" if options.every_cell else "central", outlines, *extra)


def _write_mask(segmenter: Segmenter, steps: StepSettings, options: MaskOptions, job: MaskJob) -> MadeMask:
    framing = steps.bundle.card.framing
    wanted = _find_wanted(job.image, steps, options)
    if job.target.exists():
        stated = _read_stated(job.target)
        if stated is None:
            raise UsageError(
                f"{job.name}: {job.target} is there and erythron did not write it; choose another --out"
            )
        if not options.force:
            if stated.fingerprint == wanted:
                return MadeMask(is_kept=True, not_one_cell=CellFlag.NOT_ONE_CELL in stated.flags)
            raise UsageError(
                f"{job.name}: {job.target} is there and was not made from this image with these settings; "
                "add --force to replace it or choose another --out"
            )
    smear = read_whole(open_source(job.image.path, options.mpp))
    not_one_cell = False
    if options.every_cell:
        found = outline_field(smear, lambda: segmenter, framing).outlines
    else:
        central = outline_crop(smear, segmenter, framing)
        found = () if central is None else (central,)
        not_one_cell = shows_many(smear, segmenter, framing)
    stating = f"{wanted} {join_flags([CellFlag.NOT_ONE_CELL] if not_one_cell else [])}".strip()
    mask = render_shapes(found, smear.height_px, smear.width_px, options.shape)
    with whole_file(job.target) as path:
        if options.four_channels:
            four = Image.fromarray(np.dstack([smear.rgb, mask]), mode="CMYK")
            four.save(path, "TIFF", compression="tiff_deflate", tiffinfo={_DESCRIPTION: f"{_OWN}{stating}"})
        else:
            text = PngImagePlugin.PngInfo()
            text.add_text(OWN_PICTURE, stating)
            Image.fromarray(mask).save(path, format="PNG", pnginfo=text)
    return MadeMask(is_kept=False, not_one_cell=not_one_cell)


@dataclass(frozen=True)
class _Stated:
    """What a mask says of itself: the fingerprint that it has, and flags of its cell."""

    fingerprint: str
    flags: frozenset[str]


def _read_stated(path: Path) -> _Stated | None:
    try:
        with Image.open(path) as mask:
            # A mask that cannot be decoded is damaged, and made again.
            mask.load()
            described = str(getattr(mask, "tag_v2", {}).get(_DESCRIPTION, ""))
            is_tiff = described.startswith(_OWN)
            text = described.removeprefix(_OWN) if is_tiff else mask.info.get(OWN_PICTURE)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        return None
    if text is None:
        return None
    made_of, _, flags = str(text).partition(" ")
    return _Stated(made_of, split_flags(flags))
