"""Masks of a batch of images, as the ``mask`` command writes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, PngImagePlugin, UnidentifiedImageError

from erythron.bundle.folder import load_bundle
from erythron.classify.framing import outline_crop
from erythron.errors import UsageError
from erythron.files.writing import whole_file
from erythron.pipeline.batch import Failure, Progress, check_distinct, no_progress, run_batch
from erythron.pipeline.field import find_scale, outline_field
from erythron.read.fields import read_image
from erythron.read.inputs import InputImage
from erythron.results.fingerprint import Settings, fingerprint, hash_bundle, hash_file
from erythron.segment.segmenter import load_segmenter
from erythron.shape.mask import render_mask

_TEXT_KEY = "erythron-fingerprint"


@dataclass(frozen=True)
class MaskOptions:
    """Options of a mask run.

    Attributes:
        every_cell: every nucleated cell of a field instead of the central cell of a crop.
        model: bundle folder, or None for the shipped one.
        mpp: microns per pixel of all images, or None to take them from the files.
        force: replace masks that other images or settings made.
    """

    every_cell: bool = False
    model: Path | None = None
    mpp: float | None = None
    force: bool = False


@dataclass(frozen=True)
class MaskRun:
    """What a mask run did.

    Attributes:
        written: masks made now.
        kept: masks that an earlier run had made of the same image with the same settings.
        failures: inputs without a mask.
    """

    written: int
    kept: int
    failures: tuple[Failure, ...]


def mask_images(
    inputs: Sequence[InputImage], out: Path, options: MaskOptions, progress: Progress = no_progress
) -> MaskRun:
    """Write one mask a image: 255 nucleus, 128 cytoplasm, 0 background, in the image's own size.

    Args:
        inputs: images and their relative output paths.
        out: folder of the masks; each is ``out/<relative path>.png``.
        options: what to outline and how.
        progress: called after each image.

    Raises:
        UsageError: two inputs have one output.
        BundleError: the model cannot be used.
    """
    targets = {image: out / image.relative.with_suffix(".png") for image in inputs}
    check_distinct([(image, target.relative_to(out)) for image, target in targets.items()])
    bundle = load_bundle(options.model)
    framing = bundle.card.framing
    segmenter = load_segmenter(bundle)
    variant = ("all",) if options.every_cell else ("central",)
    settings = Settings("mask", options.mpp, hash_bundle(bundle), variant)
    kept = 0

    def work(image: InputImage) -> None:
        nonlocal kept
        target = targets[image]
        mark = fingerprint(settings, hash_file(image.path))
        if target.exists() and not options.force:
            if _read_mark(target) == mark:
                kept += 1
                return
            raise UsageError(
                f"{image.path}: {target} is there and was not made from this image with these settings; "
                "add --force to replace it or choose another --out"
            )
        smear = read_image(image.path, options.mpp)
        if options.every_cell:
            mask = render_mask(outline_field(find_scale(smear)[0], segmenter, framing))
        else:
            mask = render_mask(outline_crop(smear, segmenter, framing))
        text = PngImagePlugin.PngInfo()
        text.add_text(_TEXT_KEY, mark)
        with whole_file(target) as partial:
            Image.fromarray(mask).save(partial, format="PNG", pnginfo=text)

    failures = run_batch(inputs, work, progress)
    return MaskRun(len(inputs) - kept - len(failures), kept, failures)


def _read_mark(path: Path) -> str | None:
    try:
        with Image.open(path) as mask:
            return mask.info.get(_TEXT_KEY)
    except (UnidentifiedImageError, OSError):
        return None
