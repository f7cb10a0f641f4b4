"""The figures that ``constants.py`` varies constants for.

Each ``prepare_`` reads the images of a part and runs the networks on them, once. What it returns measures the
part under the constants as they are at each call.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import numpy as np
import polars as pl
from numpy.typing import NDArray
from PIL import Image
from red_cell_scale import read_boxes
from scipy import ndimage
from segmentation import list_annotated
from tuned import Constant

from erythron.bundle.folder import Bundle, load_bundle
from erythron.bundle.loading import load_runtimes
from erythron.bundle.runtime import Runtime
from erythron.cells.flags import CellFlag, has_flag
from erythron.cells.outline import CellOutline
from erythron.classify.framing import choose_mpp, outline_crop
from erythron.differential.assemble import DifferentialSettings
from erythron.pipeline.field import Model, Networks, count_field, load_networks
from erythron.quality import areas, flags
from erythron.read.fields import read_image
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment import assembly, nucleus_edge, red_cells, scale, segmenter
from erythron.segment.granules import dice

Bools = NDArray[np.bool_]
Pixels = NDArray[np.uint8]
Figures = dict[str, float]
Measure = Callable[[Constant | None], Figures]
"""From the constant that is changed, if one is, to what it serves."""

MASKED = {"marrow": 1, "bccd": 5, "segmentation_WBC": 3}
"""Sets with drawn nuclei: one of so many of their images is taken."""

BOX_MARGIN_PX = 14
"""By how much boxes of ``bccd`` exceed drawn outlines (``benchmarks/red_cell_scale.py`` measures it)."""

LEFT_OUT = "sharp, left out"
BLURS_UM = (0.75, 1.5)
"""Standard deviations of the blur: three pixels of the marrow field, and twice that."""

LAYERS = 12
"""Copies of a field on one another that make it thick."""

GRID = 24
"""Points a side by which areas are measured."""

STEPS = ("_read_smear", "_find_rims", "_vote", "_fit", "_choose")
"""Of the search for red cells, in order."""


class KeptNetwork:
    """A network that is asked for each window once."""

    def __init__(self, network: Runtime) -> None:
        self._network = network
        self._kept: dict[bytes, NDArray[np.float32]] = {}

    def run(self, inputs: Mapping[str, NDArray[np.generic]]) -> dict[str, NDArray[np.float32]]:
        """Return the maps of each window."""
        keys = [window.tobytes() for window in inputs["pixels"]]
        new = {key: i for i, key in enumerate(keys) if key not in self._kept}
        if new:
            maps = self._network.run({"pixels": inputs["pixels"][list(new.values())]})["probabilities"]
            self._kept.update(zip(new, maps, strict=True))
        return {"probabilities": np.stack([self._kept[key] for key in keys])}


class KeptSteps:
    """The search for red cells, each step of which is taken once for each input."""

    def __init__(self) -> None:
        self._kept: dict[tuple[object, ...], tuple[object, object]] = {}

    @contextmanager
    def reuse(self, first: str | None) -> Iterator[None]:
        """Take the steps before ``first`` from memory, all of them where it is None."""
        with ExitStack() as stack:
            for name in STEPS[: None if first is None else STEPS.index(first)]:
                stack.enter_context(patch.object(red_cells, name, self._wrap(name, getattr(red_cells, name))))
            yield

    def _wrap(self, name: str, step: Callable[..., object]) -> Callable[..., object]:
        def take(*given: Any) -> object:
            key = (name, *(g.tobytes() if isinstance(g, np.ndarray) else id(g) for g in given))
            if key not in self._kept:
                # What was given is kept too, so that no other object takes its identity.
                self._kept[key] = (given, step(*given))
            return self._kept[key][1]

        return take


@dataclass(frozen=True)
class Masked:
    """An image, what was drawn as nucleus, and the scale that a count takes."""

    kind: str
    image: SmearImage
    truth: Bools
    mpp: float


def measure_scale(image: SmearImage) -> SmearImage:
    """Return a field with the scale of its red cells where its file states none and they give one."""
    estimate = None if image.mpp is not None else scale.estimate_scale(image.rgb)
    if estimate is None:
        return image
    return replace(image, mpp=estimate.mpp, mpp_source=ScaleSource.RED_CELLS)


def read_masked(data: Path, bundle: Bundle) -> list[Masked]:
    """Return the images with drawn nuclei."""
    found = []
    for kind, every in MASKED.items():
        for file in list_annotated(data, kind)[::every]:
            image = read_image(file.image)
            if file.is_field:
                image = measure_scale(image)
            truth = file.read_truth().nucleus
            if truth is not None:
                found.append(Masked(kind, image, truth, choose_mpp(image, bundle.card.framing)))
    return found


def draw_nuclei(outlines: tuple[CellOutline, ...], shape: tuple[int, ...]) -> Bools:
    """Return the pixels of all nuclei, (H, W) bool."""
    drawn = np.zeros(shape, np.bool_)
    for o in outlines:
        drawn[o.top : o.top + o.nucleus.shape[0], o.left : o.left + o.nucleus.shape[1]] |= o.nucleus
    return drawn


def average(images: list[Masked], overlaps: list[float]) -> Figures:
    """Return the mean Dice of each set."""
    return {
        kind: float(np.mean([d for image, d in zip(images, overlaps, strict=True) if image.kind == kind]))
        for kind in MASKED
    }


def prepare_masked(data: Path) -> tuple[Measure, Measure]:
    """Return what measures nuclei: from the maps of the network onwards, and by the whole path."""
    bundle = load_bundle()
    network = KeptNetwork(load_runtimes(bundle).segmentation)
    kept = segmenter.Segmenter(bundle.card.segmenter, network)
    images = read_masked(data, bundle)

    def outline(one: Masked) -> Bools:
        if one.kind == "bccd":
            outlines = kept.segment_field(one.image.light, one.mpp)
        else:
            central = outline_crop(one.image, kept, bundle.card.framing)
            outlines = () if central is None else (central,)
        return draw_nuclei(outlines, one.truth.shape)

    def measure_path(_: Constant | None) -> Figures:
        return average(images, [dice(one.truth, outline(one)) for one in images])

    steps = [_record_steps(one, outline) for one in images]

    def measure_nuclei(_: Constant | None) -> Figures:
        found = [_repeat_steps(one, made) for one, made in zip(images, steps, strict=True)]
        return average(images, [dice(one.truth, drawn) for one, drawn in zip(images, found, strict=True)])

    return measure_nuclei, measure_path


def _record_steps(one: Masked, outline: Callable[[Masked], Bools]) -> list[tuple[Any, ...]]:
    """Return what the maps of the network were handed on as: to ``Assembly.add``, or to ``tidy``."""
    made: list[tuple[Any, ...]] = []
    owner, name = (assembly.Assembly, "add") if one.kind == "bccd" else (segmenter, "tidy")
    real = getattr(owner, name)

    def record(*given: Any) -> Any:
        made.append(given[-3:] if one.kind == "bccd" else given)
        return real(*given)

    with patch.object(owner, name, record):
        outline(one)
    return made


def _repeat_steps(one: Masked, made: list[tuple[Any, ...]]) -> Bools:
    """Return the nuclei that the recorded maps give now, (H, W) bool."""
    if one.kind == "bccd":
        field = assembly.Assembly(one.image.light, one.mpp)
        for given in made:
            field.add(*given)
        return draw_nuclei(field.finish(), one.truth.shape)
    if not made:
        return np.zeros(one.truth.shape, np.bool_)
    nucleus, cell = assembly.tidy(*made[-1])
    return nucleus_edge.follow_stain(nucleus, cell, one.image.light, one.mpp) if nucleus.any() else nucleus


def read_rgb(path: Path) -> Pixels:
    """Return the pixels of an image, (H, W, 3) uint8."""
    return np.asarray(Image.open(path).convert("RGB"))


def list_known(data: Path) -> list[tuple[Path, float | None]]:
    """Return fields with red cells, and their microns per pixel where those are known."""
    films = json.loads((data / "blood-films/films.json").read_text())
    known: list[tuple[Path, float | None]] = [
        (data / "blood-films" / name, film["mpp"]) for name, film in films.items()
    ]
    known += [
        (path.with_suffix(".jpg"), json.loads(path.read_text())["mpp"]["value"])
        for path in sorted((data / "marrow-fields").glob("*.json"))
    ]
    known.append((data / "marrow-field/marrow-field-left.png", None))
    for path in sorted((data / "bccd").rglob("Annotations/*.xml"))[::15]:
        boxes = read_boxes(path, "RBC")
        if len(boxes) >= scale.MIN_RED_CELLS:
            sides = np.median((boxes[:, 2:] - boxes[:, :2]).mean(axis=1)) - BOX_MARGIN_PX
            known.append((path.parent.parent / "JPEGImages" / f"{path.stem}.jpg", scale.RED_CELL_UM / sides))
    return known


def list_without(data: Path) -> list[Path]:
    """Return images in which no red cell can be measured: crops of one cell, sections, small pictures."""
    crops = sorted((data / "pathology-bites-cells").rglob("*.png"))[::40]
    crops += sorted((data / "segmentation_WBC").rglob("*.bmp"))[::30]
    return crops + sorted((data / "marrow-sections").glob("*.*g"))[:3]


def prepare_scale(data: Path) -> Measure:
    """Return what measures the scale from red cells."""
    known = [(read_rgb(path), mpp) for path, mpp in list_known(data)]
    without = [read_rgb(path) for path in list_without(data)]
    steps = KeptSteps()

    def measure(constant: Constant | None) -> Figures:
        with steps.reuse(constant.step if constant else None):
            found = [(scale.estimate_scale(rgb), mpp) for rgb, mpp in known]
            wrongly = [_is_sure(scale.estimate_scale(rgb)) for rgb in without]
        both = [(e, mpp) for e, mpp in found if e is not None and e.is_sure and mpp is not None]
        return {
            "error": float(np.median([abs(np.log(e.mpp / mpp)) for e, mpp in both])),
            "with a scale": float(np.mean([_is_sure(e) for e, _ in found])),
            "wrongly with one": float(np.mean(wrongly)),
            "in the interval": float(np.mean([e.mpp_low <= mpp <= e.mpp_high for e, mpp in both])),
        }

    return measure


def _is_sure(estimate: scale.ScaleEstimate | None) -> bool:
    return estimate is not None and estimate.is_sure


def _stack(light: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return light through twelve shifted copies of an image laid on one another (Beer and Lambert's law)."""
    rng = np.random.default_rng(0)
    shifts = rng.integers(0, light.shape[:2], (LAYERS, 2))
    return np.prod([np.roll(light, shift, (0, 1)) for shift in shifts], axis=0)


def prepare_areas(data: Path) -> Measure:
    """Return what measures the areas left out."""
    wanted = ("marrow-field", "blood-films/HS")
    cases: list[tuple[str, Pixels, NDArray[np.float32], float | None]] = []
    for path, stated in list_known(data):
        if not str(path.relative_to(data)).startswith(wanted):
            continue
        image = read_image(path, stated)
        mpp = measure_scale(image).mpp or areas.THRESHOLDS.fallback_mpp
        upright = image.height_px > image.width_px
        half = np.s_[: image.height_px // 2] if upright else np.s_[:, : image.width_px // 2]
        for known in (mpp, None):
            cases.append((LEFT_OUT, image.rgb, image.background, known))
            blurred = image.rgb.copy()
            blurred[half] = _blur(image.rgb[half], BLURS_UM[0] / mpp)
            cases.append((f"half blurred {BLURS_UM[0]} um", blurred, image.background, known))
        for width_um in BLURS_UM:
            blurred = _blur(image.rgb, width_um / mpp)
            cases.append((f"blurred {width_um} um", blurred, image.background, mpp))
        thick = _stack(np.minimum(image.rgb / image.background, 1)) * image.background
        cases.append(("thick", thick.astype(np.uint8), image.background, mpp))

    def measure(_: Constant | None) -> Figures:
        shares: dict[str, list[float]] = {}
        for name, rgb, background, mpp in cases:
            found = areas.find_unreadable_areas(rgb, background, mpp, areas.THRESHOLDS)
            height, width = rgb.shape[:2]
            if name.startswith("half"):
                height, width = (height // 2, width) if height > width else (height, width // 2)
            x, y = (g.ravel() for g in np.meshgrid(_spread(width), _spread(height)))
            inside = areas.find_cells_inside(pl.DataFrame({"x_px": x, "y_px": y}), found)
            shares.setdefault(f"{name}, scale {'known' if mpp else 'unknown'}", []).append(
                float(inside.mean())
            )
        return {name: float(np.mean(values)) for name, values in shares.items()}

    return measure


def _blur(rgb: Pixels, sigma: float) -> Pixels:
    """Return an image out of focus by a Gaussian of so many pixels."""
    return np.asarray(ndimage.gaussian_filter(rgb, (sigma, sigma, 0)))


def _spread(length: int) -> NDArray[np.float64]:
    return (np.arange(GRID) + 0.5) * length / GRID


def prepare_flags(data: Path) -> Measure:
    """Return what counts the fields that are flagged."""
    bundle = load_bundle()
    networks: Networks = load_networks(bundle)
    model = Model(bundle, DifferentialSettings(bundle.card.classes), lambda: networks)
    kinds = {
        "marrow": [
            data / "marrow-field/marrow-field-left.png",
            *sorted((data / "marrow-fields").glob("*.jpg")),
        ],
        "bccd": sorted((data / "bccd").rglob("JPEGImages/*.jpg"))[::30],
        "blood-phone": sorted((data / "blood-phone").glob("*.jpg"))[::2],
        "sections": sorted((data / "marrow-sections").glob("*.*g"))[:3],
    }
    seen = []
    for kind, paths in kinds.items():
        for path in paths:
            counted = count_field(read_image(path), model)
            share = counted.cells.select(has_flag(CellFlag.UNCLASSIFIED).mean()).item() or 0.0
            seen.append((kind, counted.quality, share))

    def measure(constant: Constant | None) -> Figures:
        limits = flags.THRESHOLDS
        raised: dict[str, list[bool]] = {}
        for kind, quality, unclassified in seen:
            each = {
                "most_unclassified": unclassified > limits.most_unclassified,
                "most_left_out": quality.left_out_fraction > limits.most_left_out,
                "stain_distance": (quality.stain_distance or 0) > limits.stain_distance,
                "most_unlike": (quality.unlike_fraction or 0) > limits.most_unlike,
            }
            is_raised = any(each.values()) if constant is None else each[constant.name]
            raised.setdefault(kind, []).append(is_raised)
        return {kind: float(np.mean(values)) for kind, values in raised.items()}

    return measure
