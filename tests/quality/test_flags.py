"""Flags of an image begin at their thresholds, and say what was measured."""

from __future__ import annotations

import pytest

from erythron.quality.flags import (
    PROVISIONAL,
    THRESHOLDS,
    FieldQuality,
    LeftOutArea,
    QualityFlag,
    QualityThresholds,
    flag_left_out,
    is_countable,
    is_provisional,
    judge_field,
)
from erythron.segment.field_scale import CONTRADICTED


def names(flags: list[QualityFlag]) -> list[str]:
    return [flag.name for flag in flags]


def test_image() -> None:
    area = LeftOutArea("too_thick", ((0, 0), (1, 0), (1, 1)), 0.06)
    assert names(judge_field(FieldQuality(), THRESHOLDS)) == []
    found = judge_field(
        FieldQuality(scale_known=False, stain_distance=2.1, left_out=(area, area)), THRESHOLDS
    )
    assert names(found) == ["scale_unknown", "stain_unlike_training", "area_left_out"]
    assert found[2].value == pytest.approx(0.12)


@pytest.mark.parametrize(
    ("name", "limit", "field"),
    [
        ("stain_unlike_training", THRESHOLDS.stain_distance, "stain_distance"),
        ("cells_unlike_training", THRESHOLDS.most_unlike, "unlike_fraction"),
    ],
)
def test_a_measure_raises_its_flag_only_beyond_its_limit(name: str, limit: float, field: str) -> None:
    assert judge_field(FieldQuality(**{field: limit}), THRESHOLDS) == []
    (flag,) = judge_field(FieldQuality(**{field: 1.01 * limit}), THRESHOLDS)
    assert (flag.name, flag.value, flag.threshold) == (name, 1.01 * limit, limit)


def test_a_scale_at_the_limit_is_counted_and_a_coarser_one_is_not() -> None:
    at, beyond = (FieldQuality(mpp=mpp) for mpp in (THRESHOLDS.most_mpp, 1.01 * THRESHOLDS.most_mpp))
    assert is_countable(at)
    assert judge_field(at, THRESHOLDS) == []
    assert not is_countable(beyond)
    assert names(judge_field(beyond, THRESHOLDS)) == ["magnification_too_low"]


def test_an_area_at_the_limit_is_none_to_flag() -> None:
    area = LeftOutArea("out_of_focus", ((0, 0), (1, 0), (1, 1)), THRESHOLDS.most_left_out)
    assert judge_field(FieldQuality(left_out=(area,)), THRESHOLDS) == []
    assert FieldQuality(left_out=(area, area)).left_out_fraction == pytest.approx(2 * area.area_fraction)


def test_a_part_without_an_image_is_said_and_is_no_area_of_the_others() -> None:
    corners = ((0, 0), (1, 0), (1, 1))
    at = LeftOutArea("no_image", corners, THRESHOLDS.most_blank)
    assert judge_field(FieldQuality(left_out=(at,)), THRESHOLDS) == []
    half, thick = LeftOutArea("no_image", corners, 0.5), LeftOutArea("too_thick", corners, 0.06)
    (flag,) = judge_field(FieldQuality(left_out=(half,)), THRESHOLDS)
    assert (flag.name, flag.value, flag.threshold) == ("area_without_image", 0.5, THRESHOLDS.most_blank)
    assert flag.text.startswith("50 % of the picture")
    assert not is_provisional([flag])
    both = FieldQuality(left_out=(half, thick))
    assert (both.blank_fraction, both.left_out_fraction) == (0.5, pytest.approx(0.12))
    assert names(judge_field(both, THRESHOLDS)) == ["area_without_image", "area_left_out"]


def test_the_share_left_out_is_said_in_per_cent() -> None:
    flag = flag_left_out(0.256, THRESHOLDS)
    assert flag.text.startswith("26 % of the area")
    assert (flag.value, flag.threshold) == (0.256, THRESHOLDS.most_left_out)


def test_a_count_is_provisional_by_what_makes_its_figures_doubtful_alone() -> None:
    assert not is_provisional([])
    assert not is_provisional(
        [QualityFlag("drift_between_fields", "uneven"), QualityFlag("area_left_out", "12 %")]
    )
    assert is_provisional([QualityFlag("area_left_out", "12 %"), QualityFlag("scale_unknown", "no scale")])
    raised = {
        flag.name
        for flag in judge_field(
            FieldQuality(scale_known=False, stain_distance=9.0, unlike_fraction=0.9), QualityThresholds()
        )
    }
    assert raised <= PROVISIONAL


def test_scale_flags_name_what_was_used_and_what_was_stated():
    quality = FieldQuality(mpp=0.25, mpp_interval=(0.2, 0.31), scale_from_nuclei=True, stated_mpp=1.0)
    found = judge_field(quality, THRESHOLDS)
    assert names(found) == ["scale_contradicted", "scale_from_nuclei"]
    assert "states 1 microns" in found[0].text
    assert "0.25 (0.2 to 0.31)" in found[0].text
    assert is_provisional(found[:1])
    assert is_provisional(found[1:])


def test_a_scale_that_was_given_against_the_cells_is_named():
    [found] = judge_field(FieldQuality(mpp=0.125, shown_mpp=0.253), THRESHOLDS)
    assert found.name == "scale_contradicted"
    assert "0.125 microns per pixel are used" in found.text
    assert "the cells of the image show 0.25" in found.text
    assert THRESHOLDS.contradicted == CONTRADICTED
    [doubtful] = judge_field(FieldQuality(mpp=0.19, shown_mpp=0.253), THRESHOLDS)
    assert doubtful.name == "scale_doubtful"
    assert not is_provisional([doubtful])


def test_too_coarse_a_scale_or_none_leaves_nothing_to_count():
    coarse, fine, unknown = FieldQuality(mpp=0.6), FieldQuality(mpp=0.4), FieldQuality(scale_known=False)
    assert names(judge_field(coarse, THRESHOLDS)) == ["magnification_too_low"]
    assert [is_countable(quality) for quality in (coarse, fine, unknown)] == [False, True, False]


def test_what_was_done_to_make_one_image_of_a_file_is_said() -> None:
    note = "of 4 planes in the file the sharpest, number 3, was read"
    assert [(f.name, f.text) for f in judge_field(FieldQuality(note=note), THRESHOLDS)] == [
        ("several_planes", note)
    ]


def test_an_image_that_other_programs_may_show_turned_is_named() -> None:
    (flag,) = judge_field(FieldQuality(orientation=6), THRESHOLDS)
    assert (flag.name, flag.value) == ("shown_turned", 6)
    assert "(orientation 6)" in flag.text
    assert not is_provisional([flag])


def test_cells_unlike_the_training_are_said_with_what_is_usual_and_what_follows() -> None:
    (flag,) = judge_field(FieldQuality(unlike_fraction=0.43), THRESHOLDS)
    assert flag.text.startswith(
        "43 % of the cells look unlike nearly all that the model learned from, where 1 % is usual; their "
        "calls may be wrong"
    )
