import numpy as np
import pytest
from PIL import Image, ImageDraw
from scipy import ndimage

from erythron.bundle.folder import load_bundle
from erythron.cells.outline import render_labels
from erythron.segment.segmenter import Segmenter, adapt_to_field, load_segmenter, rescale

MPP = 0.25
SMEAR, RED, CYTOPLASM, NUCLEUS = (235, 225, 230), (205, 150, 140), (165, 155, 205), (80, 35, 125)


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return load_segmenter(load_bundle())


def draw(shape, red_cells=(), cells=()):
    """cells: (x, y, cell radius, nucleus radius)."""
    picture = Image.new("RGB", (shape[1], shape[0]), SMEAR)
    pen = ImageDraw.Draw(picture)

    def disc(x, y, r, colour):
        pen.ellipse((x - r, y - r, x + r, y + r), fill=colour)

    for x, y, r in red_cells:
        disc(x, y, r, RED)
    for x, y, r, _ in cells:
        disc(x, y, r, CYTOPLASM)
    for x, y, _, r in cells:
        disc(x, y, r, NUCLEUS)
    noisy = np.asarray(picture, np.float32) + np.random.default_rng(0).normal(0, 3, (*shape, 3))
    return np.clip(ndimage.gaussian_filter(noisy, (0.8, 0.8, 0)), 0, 255).astype(np.uint8)


class Found:
    """Outlines as label images, and what must hold for any of them."""

    def __init__(self, outlines, shape):
        self.nucleus, self.cell = render_labels(outlines, *shape)
        self.count = len(outlines)
        for outline in outlines:
            height, width = outline.cell.shape
            assert 0 <= outline.left <= shape[1] - width
            assert 0 <= outline.top <= shape[0] - height
            assert outline.cell.dtype == outline.nucleus.dtype == bool
            assert outline.nucleus.any()
            assert not (outline.nucleus & ~outline.cell).any()
            assert outline.cell[[0, -1]].any(axis=1).all()
            assert outline.cell[:, [0, -1]].any(axis=0).all()
            assert 0 < outline.score <= 1
        # No pixel belongs to two, so that rendering loses none.
        assert np.count_nonzero(self.cell) == sum(np.count_nonzero(o.cell) for o in outlines)
        assert np.count_nonzero(self.nucleus) == sum(np.count_nonzero(o.nucleus) for o in outlines)


def dice(a, b):
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


RED_CELLS = [(40, 40, 14), (90, 45, 14), (200, 150, 14), (240, 60, 14), (60, 200, 14)]
CELLS = [(60, 120, 22, 14), (150, 70, 20, 12), (140, 200, 22, 14), (180, 205, 20, 11)]


@pytest.mark.parametrize("shape", [(1, 1), (2, 3), (1, 50), (70, 90)])
@pytest.mark.parametrize("level", [0, 128, 255])
def test_one_colour_has_no_cell(segmenter, shape, level):
    rgb = np.full((*shape, 3), level, np.uint8)
    assert segmenter.segment_field(rgb, MPP) == ()
    assert segmenter.segment_central(rgb, MPP) is None


@pytest.mark.parametrize("shape", [(2, 3), (1, 50), (64, 64), (150, 211)])
@pytest.mark.parametrize("spread", [20, 256])
def test_noise_keeps_the_invariants(segmenter, shape, spread):
    noise = np.random.default_rng(1).integers(0, spread, (*shape, 3), dtype=np.uint8)
    Found(segmenter.segment_field(noise, MPP), shape)
    central = segmenter.segment_central(noise, MPP)
    Found([] if central is None else [central], shape)


def test_field_finds_nucleated_cells_and_no_red_cell(segmenter):
    found = Found(segmenter.segment_field(draw((260, 280), RED_CELLS, CELLS), MPP), (260, 280))
    assert found.count == len(CELLS)
    assert len({found.nucleus[y, x] for x, y, *_ in CELLS} - {0}) == len(CELLS)
    assert not any(found.cell[y, x] for x, y, _ in RED_CELLS)


def test_field_of_red_cells_alone_is_empty(segmenter):
    assert segmenter.segment_field(draw((260, 280), RED_CELLS), MPP) == ()


def test_central_takes_the_cell_in_the_middle(segmenter):
    rgb = draw((137, 137), cells=[(68, 68, 22, 13), (20, 25, 20, 12), (110, 115, 20, 12)])
    found = Found([segmenter.segment_central(rgb, MPP)], (137, 137))
    y, x = np.mgrid[:137, :137]
    assert dice(found.nucleus > 0, np.hypot(x - 68, y - 68) <= 13) > 0.9
    assert found.cell[25, 20] == found.cell[115, 110] == 0


@pytest.mark.parametrize("share", [0.7, 1.0])
def test_a_crop_of_unknown_scale_is_outlined_whole_though_it_shows_less_than_assumed(segmenter, share):
    size = round(137 * share)
    middle = size / 2
    rgb = draw((size, size), cells=[(middle, middle, 30, 20)])
    found = Found([segmenter.segment_central(rgb, 32 / size, assumed=True)], (size, size))
    y, x = np.mgrid[:size, :size]
    assert dice(found.cell > 0, np.hypot(x - middle, y - middle) <= 30) > 0.9


def test_a_segmented_nucleus_is_of_one_cell(segmenter):
    # 1.2 um lie between the lobes; drawn further apart they are taken for three cells in a field.
    lobes = [(90 + 17 * np.cos(a), 90 + 17 * np.sin(a), 0, 11) for a in (0.3, 2.4, 4.5)]
    rgb = draw((180, 180), cells=[(90, 90, 38, 0), *lobes])
    found = Found([segmenter.segment_central(rgb, 0.17)], (180, 180))
    assert all(found.nucleus[round(y), round(x)] for x, y, *_ in lobes)
    assert len(segmenter.segment_field(rgb, 0.17)) == 1


def test_tiles_change_no_cell_count(segmenter, monkeypatch):
    """A cell on the seam of two tiles is one cell."""
    rgb = draw(
        (400, 500), RED_CELLS, [(60 + 75 * i, 60 + 70 * j, 20, 12) for i in range(6) for j in range(5)]
    )
    whole = Found(segmenter.segment_field(rgb, MPP), (400, 500))
    monkeypatch.setattr("erythron.segment.segmenter.TILE_PX", 100)
    tiled = Found(segmenter.segment_field(rgb, MPP), (400, 500))
    assert tiled.count == whole.count == 30
    assert dice(tiled.cell > 0, whole.cell > 0) > 0.98


class Recorder:
    """A network that finds nothing and keeps the windows that it was shown."""

    def __init__(self):
        self.windows = []

    def run(self, inputs):
        self.windows.append(inputs["pixels"])
        count, side = inputs["pixels"].shape[:2]
        return {"probabilities": np.zeros((count, 2, side, side), np.float32)}


def test_a_field_is_seen_larger_than_a_crop_where_the_bundle_says_so():
    """Nuclei that touch were outlined as one, in a field whose cells lie close."""
    card = load_bundle().card.segmenter.model_copy(update={"field_window_mpp": 0.3, "window_mpp": 0.36})
    rgb = draw((200, 200), (), [(100, 100, 24, 16)])

    def measure(card):
        recorder = Recorder()
        Segmenter(card, recorder).segment_field(rgb, MPP)
        return np.sqrt(np.count_nonzero(np.concatenate(recorder.windows)[0][..., 0] < 120))

    same = card.model_copy(update={"field_window_mpp": None})
    assert measure(card) / measure(same) == pytest.approx(0.36 / 0.3, rel=0.03)


def test_a_field_has_a_least_stain_of_its_own():
    card = load_bundle().card.segmenter.model_copy(update={"least_stain": 0.2, "field_least_stain": 0.4})
    assert adapt_to_field(card).least_stain == 0.4
    assert adapt_to_field(card.model_copy(update={"field_least_stain": None})).least_stain == 0.2


def test_rescaling_never_loses_the_last_pixel():
    assert rescale(np.zeros((3, 2, 3), np.uint8), 0.1).shape == (1, 1, 3)


class Thresholding:
    """A network that takes every dark pixel of a window for the cell in its middle."""

    def run(self, inputs):
        dark = inputs["pixels"][..., 1] < 150
        return {"probabilities": np.stack([dark, dark], axis=1).astype(np.float32)}


@pytest.mark.parametrize(
    ("place", "is_found"),
    [
        ((299.6, 100), True),
        ((280, 100.9), True),
        ((300.5, 100), False),
        ((-3, 100), False),
        ((280, 201), False),
    ],
)
def test_a_place_is_looked_at_in_the_pixel_that_holds_it(place, is_found):
    light = np.full((200, 300, 3), 255, np.uint8)
    rows, columns = np.mgrid[:200, :300]
    light[np.hypot(columns - 280, rows - 100) < 45] = (90, 55, 140)
    card = load_bundle().card.segmenter
    assert (Segmenter(card, Thresholding()).segment_at(light, 0.1, *place) is not None) == is_found
