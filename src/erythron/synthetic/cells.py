"""One drawn nucleated cell: textbook size, nucleus, chromatin and colours of each class, and its exact masks.

Part of the drawn field, a test instrument: see :mod:`erythron.synthetic.field`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from erythron.cells import classes as stages
from erythron.cells.classes import CellClass

Floats = NDArray[np.float32]
Colour = tuple[int, int, int]

_ATLAS_PX = 512
REACH = 1.15
"""How far an outline may leave the circle of its radius."""


class NucleusShape(Enum):
    """How a nucleus is built."""

    ROUND = auto()
    INDENTED = auto()
    BAND = auto()
    SEGMENTED = auto()


@dataclass(frozen=True)
class CellForm:
    """How a kind of cell is drawn.

    Attributes:
        cell_class: what it is called in the truth.
        name: the form within the class.
        diameter_um: least and greatest diameter.
        nucleus_fraction: nucleus : cell area of a round nucleus; other shapes follow from the cell's size.
        shape: of the nucleus.
        nucleus_rgb: mean colour of the nucleus.
        clumping: contrast of the chromatin, as a share of its brightness.
        coarseness: 0 all fine, 1 all coarse chromatin.
        cytoplasm_rgb: mean colour of the cytoplasm.
        granules: contrast of granules in the cytoplasm.
        eccentricity: 0 nucleus central, 1 nucleus at the membrane.
        nucleoli: the most nucleoli seen.
        hof: strength of the pale zone beside the nucleus.
    """

    cell_class: CellClass
    name: str
    diameter_um: tuple[float, float]
    nucleus_fraction: float
    shape: NucleusShape
    nucleus_rgb: Colour
    clumping: float
    coarseness: float
    cytoplasm_rgb: Colour
    granules: float = 0.0
    eccentricity: float = 0.5
    nucleoli: int = 0
    hof: float = 0.0


_R, _I, _B, _S = NucleusShape
_PRO, _BASO, _POLY, _ORTHO = stages.ERYTHROID_STAGES
_GRAN, _LYMPH = stages.GRANULOCYTE, stages.LYMPHOCYTE
_MONO, _PLASMA = stages.MONOCYTE, stages.PLASMA_CELL

# Erythroid nuclei have N:C 8:1, 6:1, 4:1 and 1:2 by area, so 8/9, 6/7, 4/5 and 1/3 of the cell.
FORMS: tuple[CellForm, ...] = (
    CellForm(
        _PRO, "proerythroblast", (20, 25), 8 / 9, _R, (146, 74, 160), 0.07, 0.2, (84, 92, 184), nucleoli=3
    ),
    CellForm(_BASO, "basophilic_erythroblast", (16, 18), 6 / 7, _R, (112, 52, 142), 0.13, 0.6, (58, 64, 156)),
    CellForm(
        _POLY, "polychromatic_erythroblast", (12, 15), 4 / 5, _R, (82, 44, 124), 0.22, 0.9, (136, 128, 182)
    ),
    CellForm(
        _ORTHO, "orthochromatic_erythroblast", (10, 15), 1 / 3, _R, (46, 26, 84), 0.10, 0.7, (198, 166, 172)
    ),
    CellForm(
        _GRAN, "promyelocyte", (16, 21), 0.60, _R, (136, 72, 154), 0.09, 0.3, (150, 146, 200), 0.24, 0.7, 2
    ),
    CellForm(_GRAN, "myelocyte", (14, 18), 0.45, _R, (122, 62, 144), 0.13, 0.6, (204, 182, 208), 0.13, 0.8),
    CellForm(
        _GRAN, "metamyelocyte", (13, 16), 0.50, _I, (112, 56, 138), 0.15, 0.7, (216, 192, 208), 0.10, 0.8
    ),
    CellForm(_GRAN, "band", (12, 15), 0.30, _B, (96, 46, 130), 0.17, 0.8, (224, 200, 210), 0.09, 0.0),
    CellForm(_GRAN, "segmented", (12, 15), 0.30, _S, (88, 42, 124), 0.17, 0.8, (226, 202, 210), 0.09, 0.0),
    CellForm(_LYMPH, "lymphocyte", (8, 12), 0.75, _R, (88, 50, 134), 0.16, 0.9, (156, 170, 222)),
    CellForm(_MONO, "monocyte", (15, 20), 0.55, _I, (128, 86, 156), 0.12, 0.4, (172, 172, 202), 0.05, 0.4),
    CellForm(
        _PLASMA, "plasma_cell", (13, 19), 0.32, _R, (88, 44, 122), 0.24, 1.0, (84, 88, 172), 0.0, 0.95, 0, 0.4
    ),
)
"""Every form drawn, erythroid stages youngest first."""


@dataclass(frozen=True)
class Textures:
    """Two toroidal noise fields of mean 0 and standard deviation 1, (512, 512) float32."""

    fine: Floats
    coarse: Floats


@dataclass(frozen=True)
class DrawnCell:
    """One cell in its own square window, its centre in the middle.

    Attributes:
        rgb: (s, s, 3) float32, 0 to 255.
        alpha: (s, s) float32, how much of the field below is hidden.
        cell: (s, s) bool.
        nucleus: (s, s) bool, within ``cell``.
    """

    rgb: Floats
    alpha: Floats
    cell: NDArray[np.bool_]
    nucleus: NDArray[np.bool_]


@dataclass(frozen=True)
class _Frame:
    """Coordinates in a cell's window, in pixels from its centre, and the cell's radius."""

    u: Floats
    v: Floats
    radius: float

    def distance(self, u: float, v: float) -> Floats:
        distance: Floats = np.hypot(self.u - np.float32(u), self.v - np.float32(v))
        return distance


def make_textures(seed: int, mpp: float) -> Textures:
    """Return the noise that chromatin and granules are cut from; the same for the same seed and scale."""
    rng = np.random.default_rng([seed, 0])
    fields = []
    for grain_um in (0.2, 0.5):
        white = rng.standard_normal((_ATLAS_PX, _ATLAS_PX), dtype=np.float32)
        smooth = ndimage.gaussian_filter(white, max(grain_um / mpp, 0.5), mode="wrap")
        fields.append((smooth - smooth.mean()) / smooth.std())
    return Textures(*fields)


def draw_cell(
    form: CellForm, radius_px: float, mpp: float, textures: Textures, rng: np.random.Generator
) -> DrawnCell:
    """Draw one cell.

    Args:
        form: what to draw.
        radius_px: of the circle of the cell's area, about.
        mpp: microns per pixel.
        textures: of the field.
        rng: decides everything that differs from cell to cell.
    """
    half = math.ceil(radius_px * REACH) + 2
    axis = np.arange(-half, half + 1, dtype=np.float32)
    frame = _Frame(axis[None, :], axis[:, None], radius_px)
    rho, theta = np.hypot(frame.u, frame.v), np.arctan2(frame.v, frame.u)
    wobble = _draw_wobble(theta, rng)
    edge = radius_px * (1 + wobble) - rho
    place = _draw_offset(form, radius_px, rng)
    inner = _draw_nucleus_edge(form, frame, wobble, place, rng)
    cell = edge > 0
    nucleus = cell & (inner > 0)
    soft = max(0.35 / mpp, 1.0)
    alpha = np.clip(edge / soft + 0.5, 0, 1)
    rgb = _paint_cytoplasm(form, frame, edge * mpp, place, (textures, rng))
    painted = _paint_nucleus(form, frame, inner * mpp, place, (textures, rng))
    share = np.clip(inner / soft + 0.5, 0, 1)[..., None]
    return DrawnCell(rgb + share * (painted - rgb), alpha, cell, nucleus)


def _draw_wobble(theta: Floats, rng: np.random.Generator) -> Floats:
    wobble = np.zeros_like(theta)
    for k, most in ((2, 0.07), (3, 0.04), (4, 0.02), (7, 0.01)):
        wobble += np.float32(rng.uniform(0, most)) * np.cos(
            k * theta + np.float32(rng.uniform(0, 2 * math.pi))
        )
    return wobble


def _draw_offset(form: CellForm, radius: float, rng: np.random.Generator) -> tuple[float, float]:
    room = radius * (1 - math.sqrt(form.nucleus_fraction)) * form.eccentricity
    angle = rng.uniform(0, 2 * math.pi)
    length = room * rng.uniform(0.6, 0.95)
    return length * math.cos(angle), length * math.sin(angle)


def _draw_nucleus_edge(
    form: CellForm, frame: _Frame, wobble: Floats, place: tuple[float, float], rng: np.random.Generator
) -> Floats:
    """Return the distance to the nucleus's edge in pixels, positive inside."""
    radius = frame.radius * math.sqrt(form.nucleus_fraction)
    if form.shape is NucleusShape.ROUND:
        return radius * (1 + np.float32(0.8) * wobble) - frame.distance(*place)
    angle = rng.uniform(0, 2 * math.pi)
    cos, sin = math.cos(angle), math.sin(angle)
    if form.shape is NucleusShape.INDENTED:
        body = radius * (1 + wobble) - frame.distance(*place)
        depth = rng.uniform(1.15, 1.45) * radius
        notch = frame.distance(place[0] + depth * cos, place[1] + depth * sin) - np.float32(0.7 * radius)
        return _blend_least(body, notch, 0.12 * radius)
    # Bands and segments lie on an arc round the cell's centre.
    along, across = frame.u * cos + frame.v * sin, frame.v * cos - frame.u * sin
    turn = np.arctan2(across, along)
    arc = 0.46 * frame.radius
    is_band = form.shape is NucleusShape.BAND
    thick = (0.21 if is_band else 0.07) * frame.radius
    lobes = 2 if is_band else int(rng.integers(3, 5))
    span = rng.uniform(1.5, 2.1) if is_band else 0.72 * lobes - 0.6
    on_arc = np.where(np.abs(turn) < span, np.abs(np.hypot(along, across) - np.float32(arc)), np.inf)
    inner = np.float32(thick) - on_arc
    for position in np.linspace(-span, span, lobes):
        lobe_radius = thick if is_band else rng.uniform(0.24, 0.30) * frame.radius
        reach = arc * (1 if is_band else rng.uniform(0.85, 1.15))
        u, v = reach * math.cos(position), reach * math.sin(position)
        inner = np.maximum(
            inner, np.float32(lobe_radius) - np.hypot(along - np.float32(u), across - np.float32(v))
        )
    edge: Floats = inner.astype(np.float32)
    return edge


def _blend_least(a: Floats, b: Floats, width: float) -> Floats:
    """Return the least of two distances, its corner rounded over ``width`` pixels."""
    mix = np.clip(0.5 + (b - a) / np.float32(2 * width), 0, 1)
    least: Floats = b + mix * (a - b) - np.float32(width) * mix * (1 - mix)
    return least


def _cut_texture(
    textures: Textures, coarseness: float, shape: tuple[int, int], rng: np.random.Generator
) -> Floats:
    rows, columns = ((rng.integers(_ATLAS_PX) + np.arange(n)) % _ATLAS_PX for n in shape)
    window = np.ix_(rows, columns)
    fine, coarse = textures.fine[window], textures.coarse[window]
    mixed: Floats = np.float32(1 - coarseness) * fine + np.float32(coarseness) * coarse
    return mixed


def _draw_tint(colour: Colour, rng: np.random.Generator) -> Floats:
    return (np.array(colour) + rng.normal(0, 4, 3)).astype(np.float32)


def _paint_cytoplasm(
    form: CellForm,
    frame: _Frame,
    depth_um: Floats,
    place: tuple[float, float],
    source: tuple[Textures, np.random.Generator],
) -> Floats:
    textures, rng = source
    light = 1 + np.float32(0.03) * _cut_texture(textures, 0.7, depth_um.shape, rng)
    light -= np.float32(0.10) * np.exp(-((depth_um / np.float32(0.6)) ** 2))
    rgb = light[..., None] * _draw_tint(form.cytoplasm_rgb, rng)
    if form.granules:
        grains = np.clip(_cut_texture(textures, 0.0, depth_um.shape, rng) - np.float32(0.2), 0, 2)
        # Azurophilic and neutrophilic granules take green light most and red light least.
        rgb *= 1 - np.float32(form.granules) * grains[..., None] * np.array([0.6, 1.0, 0.5], np.float32)
    if form.hof:
        scale = -0.45 * frame.radius / max(math.hypot(*place), 1e-6)
        gap = frame.distance(0.2 * scale * place[0], 0.2 * scale * place[1]) / np.float32(0.3 * frame.radius)
        pale = np.float32(form.hof) * np.exp(-(gap**2))
        rgb += pale[..., None] * (np.float32(225) - rgb)
    return rgb


def _paint_nucleus(
    form: CellForm,
    frame: _Frame,
    depth_um: Floats,
    place: tuple[float, float],
    source: tuple[Textures, np.random.Generator],
) -> Floats:
    textures, rng = source
    light = 1 + np.float32(form.clumping) * _cut_texture(textures, form.coarseness, depth_um.shape, rng)
    light -= np.float32(0.12) * np.exp(-((depth_um / np.float32(0.5)) ** 2))
    rgb = light[..., None] * _draw_tint(form.nucleus_rgb, rng)
    for _ in range(int(rng.integers(1, form.nucleoli + 1)) if form.nucleoli else 0):
        angle, reach = rng.uniform(0, 2 * math.pi), rng.uniform(0.1, 0.5) * frame.radius
        spot = frame.distance(place[0] + reach * math.cos(angle), place[1] + reach * math.sin(angle))
        pale = np.float32(0.45) * np.exp(-((spot / np.float32(rng.uniform(0.1, 0.15) * frame.radius)) ** 4))
        rgb += pale[..., None] * (np.array([132, 104, 196], np.float32) - rgb)
    return rgb
