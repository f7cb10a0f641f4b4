"""Order and sums of the lines of a report."""

from __future__ import annotations

from dataclasses import replace

import pytest

from erythron.cells.classes import Lineage
from erythron.differential.counts import ClassCount, Estimate
from erythron.report.lines import drop_untold, order_lines, sum_lines

from .conftest import Field, make_report


def make_line(name: str, lineage: Lineage) -> ClassCount:
    return ClassCount(name, name.capitalize(), lineage, 0, None, None)


def test_lines_stand_in_the_order_of_the_icsh() -> None:
    wanted = [
        ("blast", Lineage.OTHER),
        ("promyelocyte", Lineage.GRANULOCYTIC),
        ("myelocyte", Lineage.GRANULOCYTIC),
        ("segmented_neutrophil", Lineage.GRANULOCYTIC),
        ("eosinophil", Lineage.GRANULOCYTIC),
        ("mast_cell", Lineage.OTHER),
        ("unheard_of_granulocyte", Lineage.GRANULOCYTIC),
        ("monocyte", Lineage.MONOCYTIC),
        ("lymphocyte", Lineage.LYMPHOID),
        ("plasma_cell", Lineage.LYMPHOID),
        ("proerythroblast", Lineage.ERYTHROID),
        ("orthochromatic_erythroblast", Lineage.ERYTHROID),
        ("other", Lineage.OTHER),
        ("platelet", Lineage.NOT_NUCLEATED),
    ]
    lines = [make_line(name, lineage) for name, lineage in wanted]
    assert order_lines(reversed(lines)) == lines


def test_the_sums_are_of_the_classified_cells_and_add_up_with_the_others(field: Field) -> None:
    found = make_report(field, ["a.png"]).differential
    share = found.erythroid_share
    assert share is not None
    corrected = replace(found, erythroid_share=replace(share, corrected=Estimate(0.6, (0.5, 0.8))))
    erythroid, other = sum_lines(corrected)
    assert (erythroid.count, other.count) == (4, 6)
    assert erythroid.count + other.count + found.unclassified.count == found.nucleated_cells
    assert other.fraction == pytest.approx(6 / 10)
    assert erythroid.fraction == share.value == pytest.approx(4 / 10)
    assert other.corrected is not None
    assert other.corrected.value == pytest.approx(0.4)
    assert other.corrected.interval == pytest.approx((0.2, 0.5))
    assert sum_lines(replace(found, erythroid_share=None)) == []
    assert all(
        line.corrected is None
        for line in sum_lines(replace(found, erythroid_share=replace(share, corrected=None)))
    )


def test_of_few_cells_a_report_has_no_corrected_figures_and_all_else(field: Field) -> None:
    found, more = (make_report(field, names).differential for names in (["a.png"], ["a.png", "b.png"]))
    assert drop_untold(more) is more
    shown = drop_untold(found)
    assert found.correction.method is not None
    assert shown.correction.method is None
    assert "11, under 20" in (shown.correction.reason or "")
    assert all(line.corrected_of_nucleated is line.corrected_of_erythroid is None for line in shown.classes)
    assert all(index.corrected is None for index in shown.indices)
    assert [index.value for index in shown.indices] == [index.value for index in found.indices]
    assert [line.of_nucleated for line in shown.classes] == [line.of_nucleated for line in found.classes]
