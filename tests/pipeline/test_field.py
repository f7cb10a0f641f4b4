"""A field from end to end: its scale from all evidence, and what is not counted."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from erythron.bundle.folder import load_bundle
from erythron.differential.assemble import DifferentialSettings
from erythron.errors import SpecimenError
from erythron.pipeline.field import CountedField, Model, count_field, load_networks
from erythron.pipeline.field_record import make_result, read_scale
from erythron.read.image import ScaleSource, SmearImage
from erythron.results.fingerprint import Fingerprints

Count = Callable[..., CountedField]

MARROW_MPP = 0.253
"""Of the marrow field, from its red cells."""


@pytest.fixture(scope="module")
def count() -> Count:
    bundle = load_bundle()
    networks = load_networks(bundle)
    model = Model(bundle, DifferentialSettings(bundle.card.classes), lambda: networks)

    def run(
        rgb: np.ndarray, stated: float | None = None, source: ScaleSource = ScaleSource.METADATA
    ) -> CountedField:
        source = ScaleSource.UNKNOWN if stated is None else source
        return count_field(SmearImage("field.png", rgb, stated, source), model)

    return run


@pytest.fixture(scope="module")
def marrow(data_dir: Path) -> np.ndarray:
    return np.asarray(Image.open(data_dir / "marrow-field/marrow-field-left.png").convert("RGB"))


def names(counted: CountedField) -> list[str]:
    return [flag.name for flag in counted.differential.flags]


def resize(rgb: np.ndarray, factor: float) -> np.ndarray:
    size = (round(rgb.shape[1] * factor), round(rgb.shape[0] * factor))
    return np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR))


def test_a_small_field_without_a_scale_is_no_crop_of_one_cell(count: Count, data_dir: Path) -> None:
    path = data_dir / "cases/images/scale_unknown_100x_marrow_small.png"
    counted = count(np.asarray(Image.open(path).convert("RGB")))
    assert counted.image.mpp == pytest.approx(0.17, rel=0.25)
    assert counted.image.mpp_source is ScaleSource.NUCLEI
    assert 10 <= counted.differential.nucleated_cells <= 14
    assert "platelet" not in counted.cells["label"].to_list()
    assert "scale_from_nuclei" in names(counted)
    low, high = counted.quality.mpp_interval or (0, 0)
    assert low < 0.17 < high


@pytest.mark.parametrize("stated", [1.0, 0.025])
def test_a_false_scale_of_the_file_is_named_and_its_cells_are_used(
    count: Count, marrow: np.ndarray, stated: float
) -> None:
    counted = count(marrow[:500], stated)
    assert counted.image.mpp == pytest.approx(MARROW_MPP, rel=0.25)
    assert counted.cells.height > 50
    assert "scale_contradicted" in names(counted)


def test_a_false_scale_of_the_user_is_used_and_what_its_cells_show_is_said_and_kept(
    count: Count, marrow: np.ndarray
) -> None:
    counted = count(marrow[:500], 0.125, ScaleSource.OPTION)
    assert (counted.image.mpp, counted.image.mpp_source) == (0.125, ScaleSource.OPTION)
    assert counted.quality.shown_mpp == pytest.approx(MARROW_MPP, rel=0.1)
    assert "scale_contradicted" in names(counted)
    record = make_result(counted, "field.png", "0", Fingerprints("", "", "", "")).record
    assert read_scale(record) == counted.scale


def test_a_right_scale_of_the_file_is_used_as_it_is(count: Count, marrow: np.ndarray) -> None:
    counted = count(marrow[:500], 0.26)
    assert (counted.image.mpp, counted.image.mpp_source) == (0.26, ScaleSource.METADATA)
    assert "scale_contradicted" not in names(counted)


def test_too_little_magnification_gives_cells_and_no_count(count: Count, marrow: np.ndarray) -> None:
    counted = count(resize(marrow, 0.4))
    assert counted.image.mpp == pytest.approx(MARROW_MPP / 0.4, rel=0.25)
    assert counted.cells.height > 100
    assert counted.differential.nucleated_cells == 0
    assert counted.differential.left_out_cells == counted.cells.height
    assert "magnification_too_low" in names(counted)


def test_red_cells_are_not_counted(count: Count, data_dir: Path) -> None:
    path = data_dir / "cases/images/grey_peripheral_called_orthochromatic.jpg"
    rgb = np.asarray(Image.open(path).convert("RGB"))
    counted = count(rgb)
    assert counted.image.mpp == pytest.approx(0.19, rel=0.25)
    for one in (counted, count(rgb, 0.19, ScaleSource.OPTION)):
        assert one.differential.erythroid_cells == 0
        assert one.cells.height <= 1


def test_a_section_and_a_clot_are_refused_by_name(count: Count, data_dir: Path) -> None:
    section = data_dir / "marrow-sections/BM_GRAZ_HE_0003_02.png"
    clot = data_dir / "cases/images/clot_called_plasma_cells.jpg"
    for path in (section, clot):
        rgb = np.asarray(Image.open(path).convert("RGB"))[:360, :360]
        with pytest.raises(SpecimenError, match="not_a_smear"):
            count(rgb)


def test_the_record_of_a_field_gives_its_scale_back(count: Count, marrow: np.ndarray) -> None:
    counted = count(marrow[:500, :400], 1.0)
    record = make_result(counted, "field.png", "0" * 64, Fingerprints("", "", "", "")).record
    scale = read_scale(record)
    assert scale is not None
    assert counted.scale is not None
    assert (scale.mpp, scale.source, scale.stated) == (counted.image.mpp, counted.image.mpp_source, 1.0)
    assert scale.estimate is not None
    assert counted.scale.estimate is not None
    assert scale.estimate.red_cells == counted.scale.estimate.red_cells
    assert scale.estimate.nuclei == counted.scale.estimate.nuclei


def test_a_blood_film_whose_white_cells_are_called_erythroid_is_not_told_from_marrow(
    count: Count, data_dir: Path
) -> None:
    """Four of five cells are called so, none is: it had a marrow differential without a word."""
    path = data_dir / "blood-films/Iron deficiency anemia/Iron deficiency anemia_7.JPG"
    counted = count(np.asarray(Image.open(path).convert("RGB")))
    assert "specimen_not_told" in names(counted)
    assert counted.quality.in_view is not None
    assert 30 <= counted.quality.in_view.red <= 50


def test_nothing_is_counted_on_letters_and_frame(count: Count, data_dir: Path) -> None:
    path = data_dir / "cases/images/burned_in_text_called_cells.png"
    counted = count(np.asarray(Image.open(path).convert("RGB"))[300:1350])
    assert 22 <= len(counted.outlines) <= 27
    frame = [outline for outline in counted.outlines if outline.left > 1080]
    assert not frame
    assert "looks_like_blood" not in names(counted)


@pytest.mark.parametrize("colour", [0, 255, 128])
def test_a_field_of_which_half_is_one_colour_is_counted_as_its_other_half_and_said(
    count: Count, marrow: np.ndarray, colour: int
) -> None:
    half = count(np.ascontiguousarray(marrow[496:]))
    filled = marrow.copy()
    filled[:496] = colour
    counted = count(filled)
    flag = next(flag for flag in counted.differential.flags if flag.name == "area_without_image")
    assert flag.value == 0.5
    assert [area.cause for area in counted.quality.left_out] == ["no_image"]
    assert counted.differential.left_out_fraction == 0
    np.testing.assert_array_equal(counted.image.background, half.image.background)
    assert counted.image.mpp == half.image.mpp
    assert abs(counted.cells.height - half.cells.height) <= 4
    assert min(outline.top for outline in counted.outlines) >= 490
    edge = counted.cells.filter("touches_edge")
    assert edge.filter(edge["y_px"] < 530).height >= 2  # where the image ends, not the picture
    assert edge["flags"].str.contains("touches_edge").all()
    assert counted.differential.in_view is not None
    assert half.differential.in_view is not None
    assert counted.differential.in_view.red == pytest.approx(half.differential.in_view.red, rel=0.1)


def test_a_whole_field_has_no_area_without_an_image(count: Count, marrow: np.ndarray) -> None:
    assert "area_without_image" not in names(count(marrow[:400]))
