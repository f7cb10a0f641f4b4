"""Marrow or blood: calls of few cells settle nothing, and fields are judged together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from erythron.cells.classes import DEFAULT_CLASSES
from erythron.differential.counts import CellCounts
from erythron.differential.specimen import (
    FIELDS_LIKE_BLOOD,
    FIELDS_LIKE_MARROW,
    SPECIMEN_NOT_TOLD,
    judge_mixture,
    judge_specimen,
)
from erythron.quality.flags import LOOKS_LIKE_BLOOD, THRESHOLDS, CellsInView, is_provisional

NAMES = [c.name for c in DEFAULT_CLASSES]


def count(white: int, erythroid: int = 0) -> CellCounts:
    counts = [0] * len(NAMES)
    counts[NAMES.index("granulocyte")] = white
    counts[NAMES.index("orthochromatic_erythroblast")] = erythroid
    return CellCounts(DEFAULT_CLASSES, tuple(counts))


def say(*fields: tuple[int, int, float]) -> str | None:
    """Return the flag of fields of so many white, erythroid and red cells."""
    counts = [count(white, erythroid) for white, erythroid, _ in fields]
    views = [CellsInView(white + erythroid, red) for white, erythroid, red in fields]
    flag = judge_specimen(counts, views, THRESHOLDS)
    assert flag is None or is_provisional([flag])
    return None if flag is None else flag.name


def test_one_wrong_call_of_three_does_not_make_marrow_of_blood() -> None:
    assert say((3, 0, 60)) == LOOKS_LIKE_BLOOD
    assert say((2, 1, 60)) == LOOKS_LIKE_BLOOD
    assert say((34, 6, 600)) == LOOKS_LIKE_BLOOD


def test_what_is_rarer_than_in_any_marrow_is_blood_whatever_it_is_called() -> None:
    """Nucleated red cells of blood are given per 100 white cells, however many there are."""
    assert say((5, 20, 5000)) == LOOKS_LIKE_BLOOD
    assert say((0, 0, 200)) == LOOKS_LIKE_BLOOD
    # Of so few red cells nobody knows how rare the others are.
    assert say((0, 4, 50)) == SPECIMEN_NOT_TOLD
    assert say((0, 0, 100)) == SPECIMEN_NOT_TOLD


@pytest.mark.parametrize("field", [(4, 5, 100), (2, 2, 61), (0, 2, 24), (30, 16, 600)])
def test_diluted_marrow_with_more_erythroid_cells_than_mistakes_is_none(field: tuple[int, int, int]) -> None:
    assert say(field) in (None, SPECIMEN_NOT_TOLD)


def test_marrow_is_told_by_how_dense_it_is() -> None:
    assert say((150, 0, 150)) is None
    assert say((12, 0, 40)) is None
    assert say((5, 2, 5)) == SPECIMEN_NOT_TOLD


def test_fields_are_judged_together() -> None:
    """Most fields of blood show no white cell, and said nothing of the specimen each."""
    film: Sequence[tuple[int, int, float]] = [(0, 0, 60)] * 14
    assert say(*film, (1, 4, 37)) == LOOKS_LIKE_BLOOD
    assert say((1, 4, 37)) == SPECIMEN_NOT_TOLD
    assert say(*[(2, 0, 15)] * 2, *[(1, 0, 17)] * 40) == LOOKS_LIKE_BLOOD


def test_cells_in_dense_fields_outweigh_diluted_fields() -> None:
    """Marrow without red-cell precursors, photographed twice where it is dense and often where it is not."""
    dense = [(100, 2, 40)] * 2
    assert say(*dense, *[(3, 0, 300)] * 10) is None
    assert say(*[(3, 0, 90)] * 100, (12, 0, 40)) == LOOKS_LIKE_BLOOD


def test_unclassified_cells_count_by_their_probabilities() -> None:
    erythroid = [float(name == "orthochromatic_erythroblast") * 6 for name in NAMES]
    doubtful = CellCounts(DEFAULT_CLASSES, count(6).counts, 6, unclassified_as=tuple(erythroid))
    assert judge_specimen([doubtful], [CellsInView(12, 200)], THRESHOLDS) is None
    even = CellCounts(DEFAULT_CLASSES, count(11).counts, 1)
    flag = judge_specimen([even], [CellsInView(12, 200)], THRESHOLDS)
    assert flag is not None
    assert flag.name == LOOKS_LIKE_BLOOD


def test_nothing_is_said_where_the_cells_in_view_are_not_known() -> None:
    assert judge_specimen([count(3)], [], THRESHOLDS) is None
    assert judge_specimen([], [], THRESHOLDS) is None


def say_mixture(*fields: tuple[int, int, float]) -> str | None:
    """Return what is said of those fields of a specimen that are like blood."""
    counts = [count(white, erythroid) for white, erythroid, _ in fields]
    views = [CellsInView(white + erythroid, red) for white, erythroid, red in fields]
    alone = [judge_specimen([one], [view], THRESHOLDS) for one, view in zip(counts, views, strict=True)]
    of_fields = [() if flag is None else (flag,) for flag in alone]
    flag = judge_mixture(counts, of_fields, views, THRESHOLDS)
    if flag is None:
        return None
    assert (flag.name in {FIELDS_LIKE_BLOOD, FIELDS_LIKE_MARROW}, is_provisional([flag])) == (True, True)
    return flag.text


def test_films_of_blood_among_fields_of_marrow_are_said() -> None:
    """Two fields of marrow and three films of blood were five counted fields, the cells of all in one pot."""
    marrow, film = [(80, 40, 90)] * 2, [(2, 0, 160)] * 3
    assert say(*marrow, *film) is None
    text = say_mixture(*marrow, *film)
    assert text is not None
    assert text.startswith("3 of 5 fields taken together look like blood: are they of this specimen?")
    assert text.endswith("6 nucleated cells of them")
    assert say_mixture((0, 0, 300), *marrow) == (
        "1 of 3 fields looks like blood: is it of this specimen? The figures hold 0 nucleated cells of it"
    )


def test_a_small_dense_field_of_marrow_in_a_specimen_of_blood_is_said() -> None:
    """Its cells were given as nucleated red cells of the blood, without a word."""
    marrow, blood = (6, 6, 10), (12, 0, 400)
    assert say(marrow, blood) == LOOKS_LIKE_BLOOD
    assert say_mixture(marrow, blood) == (
        "1 of 2 fields is as dense as marrow (12 nucleated cells to 10 red cells), and the whole looks like "
        "blood: is it of this specimen? Their cells are counted as those of blood"
    )
    two = say_mixture(marrow, marrow, (24, 0, 5000))
    assert two is not None
    assert two.startswith("2 of 3 fields are as dense as marrow (24 nucleated cells to 20 red cells)")


@pytest.mark.parametrize(
    "fields",
    [
        [(2, 1, 10), *[(1, 0, 20)] * 20],  # photographed each for a white cell, as bccd is
        [(7, 0, 10), *[(1, 0, 40)] * 20],  # too few in it to tell
        [(14, 0, 130), *[(8, 0, 120)] * 5],  # very many white cells: of their density one field has more
    ],
)
def test_blood_with_white_cells_close_together_has_no_field_of_marrow(
    fields: list[tuple[int, int, float]],
) -> None:
    assert say(*fields) == LOOKS_LIKE_BLOOD
    assert say_mixture(*fields) is None


def test_fields_of_one_specimen_are_no_mixture() -> None:
    marrow = [(80, 40, 90)] * 2
    assert say_mixture(*marrow) is None
    assert say_mixture(*[(2, 0, 160)] * 5) is None  # all of it is blood, which is said of the whole
    assert say_mixture(*marrow, (4, 2, 20), (3, 3, 15)) is None  # small fields of marrow
    assert judge_mixture([], [], [], THRESHOLDS) is None
    assert judge_mixture([count(3)], [()], [None], THRESHOLDS) is None
