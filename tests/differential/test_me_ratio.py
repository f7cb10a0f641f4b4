"""M:E by whose definition: which classes it counts, and what it says of itself."""

from __future__ import annotations

from dataclasses import replace

from erythron.cells.classes import DEFAULT_CLASSES, MONOCYTE, OTHER, CellClass, Lineage
from erythron.differential.assemble import DifferentialSettings, make_differential_from_counts
from erythron.differential.counts import CellCounts
from erythron.differential.me_ratio import MERatio, list_myeloid


def test_the_icsh_counts_monocytes_and_myeloblasts_and_no_mast_cell() -> None:
    own = (*DEFAULT_CLASSES, replace(OTHER, name="blast"), replace(OTHER, name="mast_cell"))
    assert list_myeloid(own, MERatio.ICSH) == ("granulocyte", "monocyte", "blast")
    assert list_myeloid(own, MERatio.GRANULOCYTIC) == ("granulocyte",)


def test_a_model_without_granulocytes_has_no_numerator() -> None:
    red = CellClass("erythroblast", "Erythroblast", Lineage.ERYTHROID)
    assert list_myeloid((red, MONOCYTE), MERatio.ICSH) == ()


def test_the_ratio_goes_by_the_definition_that_was_chosen_and_states_it() -> None:
    # 40 granulocytes, 5 monocytes, 30 erythroid cells.
    counts = CellCounts(DEFAULT_CLASSES, (1, 2, 12, 15, 40, 8, 5, 2, 0, 0))
    settings = DifferentialSettings(DEFAULT_CLASSES)
    icsh = make_differential_from_counts(counts, settings).me_ratio
    plain = make_differential_from_counts(counts, replace(settings, me_ratio=MERatio.GRANULOCYTIC)).me_ratio
    assert icsh is not None
    assert plain is not None
    assert ((icsh.numerator, icsh.denominator), (plain.numerator, plain.denominator)) == ((45, 30), (40, 30))
    assert "monocytes and their precursors" in icsh.definition
    assert "ICSH" in icsh.definition
    assert "without monocytes" in plain.definition
