from __future__ import annotations

import pytest

from erythron.cells.classes import CELL_TYPES, ERYTHROID_STAGES, find_class, find_type
from erythron.errors import DataError

MATEK = "ABE ART BAS BLA EBO EOS FGC HAC KSC LYI LYT MMZ MON MYB NGB NGS NIF OTH PEB PLM PMO"
DEEPHEME = "B1 B2 E1 E4 ER1 ER2 ER3 ER4 ER5 ER6 L2 L4 M1 M2 M3 M4 M5 M6 MO2 PL2 PL3 U1 U4"


@pytest.mark.parametrize("codes", [MATEK, DEEPHEME])
def test_every_code_of_a_published_set_is_known_and_no_two_are_one(codes: str) -> None:
    assert len({find_type(code).name for code in codes.split()}) == len(codes.split())


def test_no_name_means_two_things() -> None:
    seen: dict[str, str] = {}
    for kind in CELL_TYPES:
        for name in (kind.name, *kind.synonyms):
            key = name.replace(" ", "").replace("_", "").replace("-", "").casefold()
            assert seen.setdefault(key, kind.name) == kind.name


@pytest.mark.parametrize(
    "names",
    [
        (
            "pronormoblast",
            "basophilic normoblast",
            "polychromatophilic normoblast",
            "orthochromic normoblast",
        ),
        ("rubriblast", "prorubricyte", "rubricyte", "metarubricyte"),
        ("原红", "早幼红", "中幼红", "晚幼红"),
        ("原始红细胞", "早幼红细胞", "中幼红细胞", "晚幼红细胞"),
        ("ER1", "ER2", "ER3", "ER4"),
        ("Pro-Erythroblast", "BASOPHILIC", "polychromatic erythroblast", "late_normoblast"),
    ],
)
def test_the_stages_are_known_in_every_nomenclature(names: tuple[str, ...]) -> None:
    assert tuple(find_class(name) for name in names) == ERYTHROID_STAGES


def test_an_erythroblast_of_unknown_stage_has_no_class() -> None:
    with pytest.raises(DataError, match="belongs to no class"):
        find_class("EBO")


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(DataError, match="'dragon' is no known cell"):
        find_type("dragon")
