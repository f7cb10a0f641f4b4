"""What two files say of one cell must be the same."""

from __future__ import annotations

from pathlib import Path

import pytest

from erythron.errors import DataError
from erythron.review.contradictions import refuse_contradictions
from erythron.review.match import Proposal
from erythron.review.record import AddedCell

A, B = Path("a.csv"), Path("b.csv")


def square(left: float) -> AddedCell:
    ring = [[[[left, 0.0], [left + 10, 0.0], [left + 10, 10.0], [left, 10.0], [left, 0.0]]]]
    return AddedCell.model_validate({"cell_id": f"x{left + 5:.0f}y5", "cell": ring, "nucleus": ring})


def test_one_cell_that_two_files_call_differently_is_named() -> None:
    files = [(A, Proposal({"x1y1": "monocyte"}, {})), (B, Proposal({"x1y1": "lymphocyte"}, {}))]
    with pytest.raises(DataError, match="cell x1y1 is monocyte in the one and lymphocyte in the other; keep"):
        refuse_contradictions(files, confirms_all=False)


def test_what_agrees_with_the_count_is_a_call_only_where_all_are_confirmed() -> None:
    """A reader's whole table takes back what another one edited, where all of it is confirmed."""
    files = [(A, Proposal({"x1y1": "monocyte"}, {})), (B, Proposal({}, {"x1y1": "lymphocyte"}))]
    refuse_contradictions(files, confirms_all=False)
    with pytest.raises(DataError, match="contradict one another"):
        refuse_contradictions(files, confirms_all=True)


def test_a_missed_cell_is_outlined_in_one_file_alone() -> None:
    near, far = (Proposal({}, {}, (square(left),)) for left in (2.0, 20.0))
    refuse_contradictions([(A, Proposal({}, {}, (square(0.0),))), (B, far)], confirms_all=False)
    with pytest.raises(DataError, match=r"both outline the cell at \(5, 5\)"):
        refuse_contradictions([(A, Proposal({}, {}, (square(0.0),))), (B, near)], confirms_all=False)
