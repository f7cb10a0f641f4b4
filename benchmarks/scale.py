"""Microns per pixel as a count finds them, against what is known, and what that does to the cells found.

    python benchmarks/scale.py [--parts crops found stated blood kinds] [--crops N]

- *crops*: marrow fields of known scale, and random crops of them, enlarged or reduced 0.4 to 2.5 times: the
  scale from red cells, from nuclei, and from both. The micron constant of the nuclei is that of the other
  sources (each weighs one). The marrow field's own scale is that of its 33 red cells; nobody measured it.
- *found*: the marrow field at eight sizes, without its scale: cells found (F1 against its reference).
- *stated*: the marrow field with a false scale in its file: what is used, and cells found.
- *blood*: films whose scale a reader measured, and every fifteenth field of ``bccd`` (0.082 um per pixel).
- *kinds*: which pictures are refused, and which look like blood.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from data_folder import add_data_option
from field import match
from numpy.typing import NDArray
from PIL import Image
from skimage.draw import polygon2mask

from erythron.bundle.folder import load_bundle
from erythron.differential.assemble import DifferentialSettings
from erythron.errors import SpecimenError
from erythron.pipeline.field import Model, Networks, OutlinedField, count_field, load_networks, outline_field
from erythron.read.image import ScaleSource, SmearImage
from erythron.segment.field_scale import choose_scale
from erythron.segment.nuclear_scale import NUCLEUS_UM, estimate_from_nuclei
from erythron.segment.scale import ScaleEstimate, estimate_scale

Pixels = NDArray[np.uint8]

MARROW_MPP, CASE_MPP, BCCD_MPP = 0.253, 0.17, 0.082
SIZES = (0.4, 0.5, 0.63, 0.8, 1.25, 1.6, 2.0, 2.5)
FALSE_MPP = (1.0, 0.025, 0.5, 0.13, 2.646, 0.18)
SIDES_PX = (250, 500)
TOLD = ("not_a_smear", "scale_unknown", "magnification_too_low", "scale_from_nuclei", "looks_like_blood")
MARROW_FIELD = "marrow-field/marrow-field-left.png"
CASES = ("scale_unknown_100x_marrow_small", "burned_in_text_called_cells")
PHOTOGRAPHS = ("coffee.png", "astronaut.png", "ihc.png", "chelsea.png", "retina.jpg", "rocket.jpg")
"""Pictures that come with scikit-image."""


@dataclass(frozen=True)
class Known:
    """A picture of known scale, and what its cells say of it."""

    source: str
    mpp: float
    red_cells: ScaleEstimate | None
    nuclei: ScaleEstimate | None


def read_rgb(path: Path) -> Pixels:
    """Read an image."""
    return np.asarray(Image.open(path).convert("RGB"))


def resize(rgb: Pixels, factor: float) -> Pixels:
    """Return an image ``factor`` times as large."""
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))


def make_image(rgb: Pixels, stated: float | None = None) -> SmearImage:
    """Return an image as one read from a file that states a scale, or none."""
    source = ScaleSource.UNKNOWN if stated is None else ScaleSource.METADATA
    return SmearImage("picture", rgb, stated, source)


def list_fields(data: Path) -> list[tuple[str, Pixels, float]]:
    """Return marrow fields: the source, pixels and microns per pixel of each."""
    fields = [("marrow-field", read_rgb(data / MARROW_FIELD), MARROW_MPP)]
    for path in sorted((data / "marrow-fields").glob("*.json")):
        mpp = float(json.loads(path.read_text())["mpp"]["value"])
        fields.append((path.stem.split("_")[0], read_rgb(path.with_suffix(".jpg")), mpp))
    case = data / "cases/images/scale_unknown_100x_marrow_small.png"
    return [*fields, ("case at 100x", read_rgb(case), CASE_MPP)]


def cut_crops(rgb: Pixels, count: int, rng: np.random.Generator) -> Iterator[tuple[Pixels, float]]:
    """Yield random squares of a field, and by how much each is enlarged."""
    for _ in range(count):
        side = int(rng.integers(*SIDES_PX))
        top, left = (int(rng.integers(0, length - side + 1)) for length in rgb.shape[:2])
        yield rgb[top : top + side, left : left + side], float(np.exp(rng.uniform(*np.log(SIZES)[[0, -1]])))


def measure_crops(data: Path, networks: Networks, count: int) -> list[Known]:
    """Return what the cells of fields and of crops say: ``count`` of the marrow field, a sixth of others."""
    rng = np.random.default_rng(7)
    found = []
    for source, rgb, mpp in list_fields(data):
        crops = [(rgb, 1.0)]
        if min(rgb.shape[:2]) > SIDES_PX[1]:
            crops += cut_crops(rgb, count if source == "marrow-field" else count // 6, rng)
        for crop, factor in crops:
            image = make_image(resize(crop, factor))
            nuclei = estimate_from_nuclei(partial(networks.segmenter.sample_nuclei, image.light))
            found.append(Known(source, mpp / factor, estimate_scale(image.rgb), nuclei))
    return found


def leave_out(known: list[Known], source: str) -> float:
    """Return the mean nucleus in microns of all sources but one, each weighing one."""
    others: dict[str, list[float]] = {}
    for one in known:
        if one.nuclei is not None and one.source != source:
            others.setdefault(one.source, []).append(float(np.log(NUCLEUS_UM * one.mpp / one.nuclei.mpp)))
    return float(np.exp(np.mean([np.mean(values) for values in others.values()])))


def show_crops(known: list[Known]) -> None:
    """Print how near each kind of evidence comes, by source and over all."""
    sources = list(dict.fromkeys(one.source for one in known))
    ratios: dict[tuple[str, str], list[float | None]] = {}
    for one in known:
        nuclei = one.nuclei
        if nuclei is not None:
            by = leave_out(known, one.source) / NUCLEUS_UM
            ends = (nuclei.mpp * by, nuclei.mpp_low * by, nuclei.mpp_high * by)
            nuclei = ScaleEstimate(*ends, 0, nuclei.nuclei)
        chosen = choose_scale(None, one.red_cells, nuclei)
        for name, estimate in (("red cells", one.red_cells), ("nuclei", nuclei), ("both", chosen)):
            value = None if estimate is None else estimate.mpp / one.mpp
            ratios.setdefault((one.source, name), []).append(value)
            ratios.setdefault(("all", name), []).append(value)
    for source in sources:
        print(f"mean nucleus without {source}: {leave_out(known, source):.2f} um")
    print("| source | evidence | has a scale | within 1.25 | within 1.5 | spread |")
    print("|---|---|---|---|---|---|")
    for (source, name), values in ratios.items():
        logs = np.log([value for value in values if value is not None])
        within = [
            f"{np.mean(np.abs(logs) < np.log(limit)):.2f}" if len(logs) else "" for limit in (1.25, 1.5)
        ]
        spread = f"{np.std(logs):.3f}" if len(logs) else ""
        print(f"| {source} | {name} | {len(logs)} of {len(values)} | {' | '.join(within)} | {spread} |")


def score_found(found: OutlinedField, truth: dict[str, Any], shape: tuple[int, int], factor: float) -> float:
    """Return F1 of the cells found in the marrow field, enlarged ``factor`` times."""
    ignored = np.zeros(shape, np.bool_)
    for polygon in truth["ignore"]:
        ignored |= polygon2mask(shape, np.array(polygon)[:, ::-1])

    def is_kept(x: float, y: float) -> bool:
        return not ignored[min(int(y), shape[0] - 1), min(int(x), shape[1] - 1)]

    reference = [cell for cell in truth["cells"] if is_kept(cell["x"], cell["y"])]
    centres = np.array([o.nucleus_mask.centre for o in found.outlines]).reshape(-1, 2) / factor
    centres = np.array([c for c in centres if is_kept(*c)]).reshape(-1, 2)
    pairs = match(reference, centres)
    whole = [i for i, cell in enumerate(reference) if not cell["edge"]]
    recall, precision = sum(i in pairs for i in whole) / len(whole), len(pairs) / max(len(centres), 1)
    return float(2 * recall * precision / max(recall + precision, 1e-9))


def show_found(data: Path, networks: Networks, variants: list[tuple[float, float | None]]) -> None:
    """Print for sizes of the marrow field, and scales that its file states, what is used and found."""
    path = data / MARROW_FIELD
    rgb, truth = read_rgb(path), json.loads(path.with_suffix(".json").read_text())
    framing = load_bundle().card.framing
    print("| size | stated | used | of the truth | from | contradicted | cells | F1 |")
    print("|---|---|---|---|---|---|---|---|")
    for factor, stated in variants:
        pixels = rgb if factor == 1 else resize(rgb, factor)
        found = outline_field(make_image(pixels, stated), lambda: networks.segmenter, framing)
        f1 = score_found(found, truth, rgb.shape[:2], factor)
        mpp, contradicted = found.image.mpp or np.nan, found.scale is not None and found.scale.stated
        cells = (
            f"{factor:g}",
            "" if stated is None else f"{stated:g}",
            f"{mpp:.3f}",
            f"{mpp * factor / MARROW_MPP:.2f}",
            found.image.mpp_source.value,
            "yes" if contradicted else "",
            str(len(found.outlines)),
            f"{f1:.3f}",
        )
        print(f"| {' | '.join(cells)} |", flush=True)


def show_blood(data: Path) -> None:
    """Print the scale of blood films and fields over the known one."""
    films = json.loads((data / "blood-films/films.json").read_text())
    known = [("blood-films", data / "blood-films" / name, film["mpp"]) for name, film in films.items()]
    fields = sorted((data / "bccd").rglob("JPEGImages/*.jpg"))[::15]
    known += [("bccd", path, BCCD_MPP) for path in fields]
    ratios: dict[str, list[float | None]] = {}
    for name, path, mpp in known:
        estimate = estimate_scale(read_rgb(path))
        ratios.setdefault(name, []).append(None if estimate is None else estimate.mpp / mpp)
    for name, values in ratios.items():
        found = [value for value in values if value is not None]
        within = np.mean(np.abs(np.log(found)) < np.log(1.25))
        ends = f"{min(found):.2f} to {max(found):.2f}"
        print(f"{name}: a scale {len(found)} of {len(values)}, within 1.25 {within:.2f}, ratio {ends}")


def show_kinds(data: Path, networks: Networks) -> None:
    """Print of every set which of its pictures are refused, not counted, or look like blood."""
    photographs = Path(skimage.__file__).parent / "data"
    sets = {
        "marrow": [
            data / MARROW_FIELD,
            *sorted((data / "marrow-fields").glob("*.jpg")),
        ],
        "cases, marrow": [data / "cases/images" / f"{name}.png" for name in CASES],
        "cases, the clot": [data / "cases/images/clot_called_plasma_cells.jpg"],
        "marrow-sections": sorted((data / "marrow-sections").glob("*.png")),
        "photographs": [photographs / name for name in PHOTOGRAPHS],
        "blood-phone": sorted((data / "blood-phone").glob("*.jpg")),
        "blood-films": sorted((data / "blood-films").rglob("*.JPG")),
        "bccd": sorted((data / "bccd").rglob("JPEGImages/*.jpg"))[::15],
    }
    bundle = load_bundle()
    model = Model(bundle, DifferentialSettings(bundle.card.classes), lambda: networks)
    for name, paths in sets.items():
        raised: dict[str, int] = {}
        for path in paths:
            try:
                flags = [
                    flag.name for flag in count_field(make_image(read_rgb(path)), model).differential.flags
                ]
            except SpecimenError:
                flags = ["not_a_smear"]
            for flag in flags:
                raised[flag] = raised.get(flag, 0) + 1
        told = (
            "not_a_smear",
            "scale_unknown",
            "magnification_too_low",
            "scale_from_nuclei",
            "looks_like_blood",
        )
        print(
            f"{name}, {len(paths)}: " + ", ".join(f"{flag} {raised.get(flag, 0)}" for flag in told),
            flush=True,
        )


def main() -> None:
    """Measure the parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parts = ("crops", "found", "stated", "blood", "kinds")
    parser.add_argument("--parts", nargs="+", choices=parts, default=parts)
    parser.add_argument("--crops", type=int, default=60, help="crops of the marrow field; of others a sixth")
    options = parser.parse_args()
    networks = load_networks(load_bundle())
    if "crops" in options.parts:
        show_crops(measure_crops(options.data, networks, options.crops))
    if "found" in options.parts:
        show_found(options.data, networks, [(1.0, None), *((size, None) for size in SIZES)])
    if "stated" in options.parts:
        show_found(options.data, networks, [(1.0, mpp) for mpp in (MARROW_MPP, *FALSE_MPP)])
    if "blood" in options.parts:
        show_blood(options.data)
    if "kinds" in options.parts:
        show_kinds(options.data, networks)


if __name__ == "__main__":
    main()
