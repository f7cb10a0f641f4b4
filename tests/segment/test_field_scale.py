"""File, red cells and nuclei give one scale; a file that they contradict is named."""

import pytest

from erythron.read.image import ScaleSource
from erythron.segment.field_scale import check_given, choose_scale, find_field_scale
from erythron.segment.scale import ScaleEstimate

SURE = ScaleEstimate(0.25, 0.22, 0.28, 30)
FEW = ScaleEstimate(0.25, 0.16, 0.39, 6)
NUCLEI = ScaleEstimate(0.25, 0.2, 0.31, 0, 40)


def at(estimate, factor):
    ends = (estimate.mpp * factor, estimate.mpp_low * factor, estimate.mpp_high * factor)
    return ScaleEstimate(*ends, estimate.red_cells, estimate.nuclei)


def refuse():
    raise AssertionError("the nuclei were asked for")


@pytest.mark.parametrize(
    ("given", "estimate", "is_shown"),
    [
        (0.25, SURE, False),
        (0.23, SURE, False),
        (0.2, SURE, True),
        (0.125, SURE, True),
        (0.5, SURE, True),
        (0.125, FEW, False),
        (0.3, NUCLEI, False),
        (0.1, NUCLEI, True),
        (0.1, ScaleEstimate(0.25, 0.2, 0.31, 0, 12), False),
        (0.1, None, False),
    ],
)
def test_what_a_user_gives_is_used_and_cells_that_contradict_it_are_kept(given, estimate, is_shown):
    found = check_given(given, estimate)
    assert (found is not None) is is_shown
    if found is not None:
        assert (found.mpp, found.source, found.shown) == (given, ScaleSource.OPTION, 0.25)


def test_nothing_gives_no_scale():
    assert choose_scale(None, None) is None
    assert find_field_scale(None, None, lambda: None) is None


def test_sure_red_cells_stand_alone_and_the_network_is_not_asked():
    found = find_field_scale(None, SURE, refuse)
    assert found is not None
    assert (found.mpp, found.source, found.estimate, found.stated) == (
        0.25,
        ScaleSource.RED_CELLS,
        SURE,
        None,
    )


def test_a_file_that_red_cells_confirm_is_believed_and_the_network_is_not_asked():
    found = find_field_scale(0.27, SURE, refuse)
    assert found is not None
    assert (found.mpp, found.source, found.estimate, found.stated) == (0.27, ScaleSource.METADATA, None, None)


@pytest.mark.parametrize("stated", [1.0, 0.025, 0.5, 0.13, 2.646])
@pytest.mark.parametrize("red_cells", [SURE, None])
def test_a_file_that_the_cells_contradict_is_named_and_the_cells_win(stated, red_cells):
    found = find_field_scale(stated, red_cells, lambda: NUCLEI)
    assert found is not None
    assert (found.mpp, found.stated) == (0.25, stated)
    assert found.source is (ScaleSource.NUCLEI if red_cells is None else ScaleSource.RED_CELLS)


def test_a_file_that_nuclei_confirm_is_believed():
    found = find_field_scale(0.21, None, lambda: NUCLEI)
    assert found is not None
    assert (found.mpp, found.source, found.stated) == (0.21, ScaleSource.METADATA, None)


def test_a_file_that_nothing_speaks_against_is_believed():
    found = find_field_scale(0.21, None, lambda: None)
    assert found is not None
    assert (found.mpp, found.is_settled) == (0.21, False)


def test_few_red_cells_and_nuclei_that_agree_are_averaged_by_their_precision():
    found = find_field_scale(None, at(FEW, 1.2), lambda: NUCLEI)
    assert found is not None
    assert found.estimate is not None
    assert 0.25 < found.mpp < 0.275
    assert found.estimate.spread < NUCLEI.spread
    assert (found.estimate.red_cells, found.estimate.nuclei) == (6, 40)


def test_where_they_disagree_many_nuclei_outweigh_few_red_cells_and_these_few_nuclei():
    found = find_field_scale(None, at(FEW, 2.5), lambda: NUCLEI)
    assert found is not None
    assert (found.mpp, found.source) == (0.25, ScaleSource.NUCLEI)
    few = ScaleEstimate(0.25, 0.2, 0.31, 0, 8)
    found = find_field_scale(None, at(FEW, 2.5), lambda: few)
    assert found is not None
    assert (found.mpp, found.source) == (0.625, ScaleSource.RED_CELLS)
