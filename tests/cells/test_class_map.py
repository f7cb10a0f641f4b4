"""The grammar of ``--class-map``, which every command shares."""

from __future__ import annotations

import pytest

from erythron.cells.class_map import parse_class_map, refuse_misspelt
from erythron.errors import UsageError


@pytest.mark.parametrize(
    ("entry", "name", "kind"),
    [
        ("1=proerythroblast", "1", "proerythroblast"),
        ("1=原红", "1", "proerythroblast"),
        (" my own = plasma cell ", "my own", "plasma_cell"),
        ("a=b=late normoblast", "a=b", "orthochromatic_erythroblast"),
        ("band=", "band", None),
        ("band= ", "band", None),
    ],
)
def test_an_entry_names_a_kind_or_leaves_cells_out(entry: str, name: str, kind: str | None) -> None:
    found = parse_class_map([entry])
    assert {n: k and k.name for n, k in found.items()} == {name: kind}


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        (["nothing"], "NAME=CLASS"),
        (["=lymphocyte"], "NAME=CLASS"),
        (["a=dragon"], "'dragon' is no known cell class"),
        (["a=band", "a=blast"], "stands twice"),
    ],
)
def test_an_entry_that_is_none_is_wrong_usage(entries: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_class_map(entries)


@pytest.mark.parametrize("given", ["late", "LATE ", "Ｌate"])
def test_a_name_that_is_spelt_otherwise_than_the_cells_have_it_is_refused(given: str) -> None:
    """The cells kept what the synonym says: the map was of another name."""
    class_map = parse_class_map([f"{given}=lymphocyte", "gone="])
    with pytest.raises(
        UsageError, match=f"no cell of set is called '{given.strip()}', and one is called 'Late'"
    ):
        refuse_misspelt(class_map, {"Late", "early"}, "set")
    assert refuse_misspelt(class_map, {given.strip(), "Late"}, "set") == ("gone",)
