"""The grammar of ``--class-map``, which every command shares."""

from __future__ import annotations

import pytest

from erythron.cells.class_map import parse_class_map
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
