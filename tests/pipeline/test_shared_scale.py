"""Fields without a sure scale are named where others of the same camera agree on one."""

from __future__ import annotations

import itertools

import pytest

from erythron.pipeline.shared_scale import judge_shared_scale
from erythron.quality.flags import FieldQuality, is_provisional
from erythron.read.image import ScaleSource
from erythron.results.fingerprint import Fingerprints
from erythron.results.record import FieldRecord

RED, NUCLEI, UNKNOWN = ScaleSource.RED_CELLS, ScaleSource.NUCLEI, ScaleSource.UNKNOWN
Field = tuple[float | None, ScaleSource, int]
SURE: list[Field] = [(0.25, RED, 30), (0.24, RED, 12), (0.27, RED, 8)]


def make_record(number: int, field: Field, width: int = 640, suffix: str = ".png") -> FieldRecord:
    mpp, source, red_cells = field
    return FieldRecord(
        image=f"in/{number}{suffix}",
        sha256="",
        fingerprints=Fingerprints("", "", "", ""),
        pixels_sha256=str(number),
        width_px=width,
        height_px=480,
        mpp=mpp,
        mpp_source=source,
        mpp_interval=None,
        red_cells=red_cells,
        quality=FieldQuality(),
    )


def judge(*fields: Field) -> str | None:
    flag = judge_shared_scale([make_record(i, field) for i, field in enumerate(fields)])
    return None if flag is None else flag.text


@pytest.mark.parametrize("odd", [(None, UNKNOWN, 0), (0.4, NUCLEI, 0), (0.16, RED, 6)])
def test_a_field_without_a_sure_scale_is_named_with_that_of_the_others(odd: Field) -> None:
    for order in itertools.permutations([*SURE, odd]):
        text = judge(*order)
        assert text is not None
        assert text.startswith("in 1 of 4 fields of one size nothing shows a sure scale")
        assert f"({order.index(odd)}.png)" in text
        assert "agree on 0.25 microns per pixel (0.24 to 0.27)" in text
        assert text.endswith("--mpp 0.25")


def test_nothing_is_said_where_the_scale_is_that_of_the_others_or_these_do_not_agree() -> None:
    none: Field = (None, UNKNOWN, 0)
    assert judge(*SURE) is None
    assert judge(*SURE, (0.3, NUCLEI, 0), (0.21, RED, 5)) is None
    assert judge(*SURE[:2], none) is None
    assert judge(*SURE, (0.5, RED, 40), none) is None
    assert judge(*[(0.25, ScaleSource.OPTION, 0)] * 3, none) is None
    assert judge(*[(0.25, ScaleSource.METADATA, 0)] * 3, none) is not None


def test_fields_of_another_size_or_kind_of_file_are_of_another_camera() -> None:
    sure = [make_record(i, field) for i, field in enumerate(SURE)]
    odd: Field = (None, UNKNOWN, 0)
    assert judge_shared_scale([*sure, make_record(9, odd, width=800)]) is None
    assert judge_shared_scale([*sure, make_record(9, odd, suffix=".tif")]) is None
    flag = judge_shared_scale([*sure, *(make_record(n, odd) for n in range(10, 17))])
    assert flag is not None
    assert "14.png and 2 more)" in flag.text
    assert is_provisional([flag])


def test_fields_of_two_cameras_are_both_named_and_not_given_one_scale() -> None:
    half: list[Field] = [(0.5, RED, 30)] * 3
    none: Field = (None, UNKNOWN, 0)
    records = [make_record(i, field) for i, field in enumerate([*SURE, none])]
    records += [make_record(i, field, width=1280) for i, field in enumerate([*half, none, none], 10)]
    flag = judge_shared_scale(records)
    assert flag is not None
    first, second = flag.text.split("; in ")
    assert "(3.png)" in first
    assert first.endswith("count those again by themselves with --mpp 0.25")
    assert "(13.png, 14.png)" in second
    assert second.endswith("count those again by themselves with --mpp 0.5")
    assert flag.value == 3
