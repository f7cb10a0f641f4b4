"""Names of cells: erythroid stages, the other classes of a marrow differential, their lineages and synonyms.

The one place for names. Stage order is maturation order. Synonyms follow the ICSH nomenclature (Palmer et
al., Int J Lab Hematol 2015, doi 10.1111/ijlh.12327 for morphology terms), the rubri- series of the American
College of Pathologists, Chinese laboratory terms and the codes of public data sets.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from erythron.errors import DataError


class Lineage(StrEnum):
    """Lineage of a cell class, as the indices of a differential need it."""

    ERYTHROID = "erythroid"
    GRANULOCYTIC = "granulocytic"
    LYMPHOID = "lymphoid"
    MONOCYTIC = "monocytic"
    OTHER = "other"
    NOT_NUCLEATED = "not_nucleated"


@dataclass(frozen=True)
class CellClass:
    """A class that a cell can be called.

    Attributes:
        name: canonical snake_case name, used in tables and ``prob_<name>`` columns.
        title: name as printed in a report, singular.
        lineage: lineage for the indices; ``NOT_NUCLEATED`` classes stand outside the nucleated total.
        synonyms: other names in use, compared without case, spaces, hyphens and underscores.
    """

    name: str
    title: str
    lineage: Lineage
    synonyms: tuple[str, ...] = ()


PROERYTHROBLAST = CellClass(
    "proerythroblast",
    "Proerythroblast",
    Lineage.ERYTHROID,
    ("pronormoblast", "rubriblast", "原红", "原红细胞", "原始红细胞", "PEB"),
)
BASOPHILIC_ERYTHROBLAST = CellClass(
    "basophilic_erythroblast",
    "Basophilic erythroblast",
    Lineage.ERYTHROID,
    (
        "basophilic",
        "early erythroblast",
        "early normoblast",
        "basophilic normoblast",
        "prorubricyte",
        "早幼红",
        "早幼红细胞",
    ),
)
POLYCHROMATIC_ERYTHROBLAST = CellClass(
    "polychromatic_erythroblast",
    "Polychromatic erythroblast",
    Lineage.ERYTHROID,
    (
        "polychromatic",
        "polychromatophilic",
        "polychromatophilic erythroblast",
        "intermediate erythroblast",
        "intermediate normoblast",
        "polychromatic normoblast",
        "rubricyte",
        "中幼红",
        "中幼红细胞",
    ),
)
ORTHOCHROMATIC_ERYTHROBLAST = CellClass(
    "orthochromatic_erythroblast",
    "Orthochromatic erythroblast",
    Lineage.ERYTHROID,
    (
        "orthochromatic",
        "orthochromic",
        "orthochromic erythroblast",
        "late erythroblast",
        "late normoblast",
        "orthochromatic normoblast",
        "metarubricyte",
        "晚幼红",
        "晚幼红细胞",
    ),
)
GRANULOCYTE = CellClass(
    "granulocyte",
    "Granulocyte and precursors",
    Lineage.GRANULOCYTIC,
    (
        "promyelocyte",
        "myelocyte",
        "metamyelocyte",
        "band",
        "segmented",
        "neutrophil",
        "eosinophil",
        "basophil",
        "ig",
        "immature granulocyte",
        "NGB",
        "NGS",
        "EOS",
        "BAS",
        "PMO",
        "MYB",
        "MMZ",
    ),
)
LYMPHOCYTE = CellClass("lymphocyte", "Lymphocyte", Lineage.LYMPHOID, ("lymp", "LYT"))
MONOCYTE = CellClass("monocyte", "Monocyte", Lineage.MONOCYTIC, ("mono", "MON"))
PLASMA_CELL = CellClass("plasma_cell", "Plasma cell", Lineage.LYMPHOID, ("plasma", "plasmacyte", "PLM"))
OTHER = CellClass("other", "Other nucleated cell", Lineage.OTHER, ("blast", "BLA", "macrophage"))
PLATELET = CellClass("platelet", "Platelet or debris", Lineage.NOT_NUCLEATED, ("thrombocyte",))

ERYTHROID_STAGES: tuple[CellClass, ...] = (
    PROERYTHROBLAST,
    BASOPHILIC_ERYTHROBLAST,
    POLYCHROMATIC_ERYTHROBLAST,
    ORTHOCHROMATIC_ERYTHROBLAST,
)
"""The four nucleated erythroid stages, youngest first."""

DEFAULT_CLASSES: tuple[CellClass, ...] = (
    *ERYTHROID_STAGES,
    GRANULOCYTE,
    LYMPHOCYTE,
    MONOCYTE,
    PLASMA_CELL,
    OTHER,
    PLATELET,
)
"""Classes of the default model, in the order of its outputs."""


def _key(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()


_BY_KEY = {_key(n): c for c in DEFAULT_CLASSES for n in (c.name, *c.synonyms)}


def find_class(name: str) -> CellClass:
    """Return the class that a name, synonym or data-set code stands for.

    Args:
        name: any spelling; case, spaces, hyphens and underscores do not count.

    Raises:
        DataError: the name is unknown; the message lists the canonical names.

    >>> find_class("Orthochromic erythroblast").name
    'orthochromatic_erythroblast'
    >>> find_class("早幼红").name
    'basophilic_erythroblast'
    """
    try:
        return _BY_KEY[_key(name)]
    except KeyError:
        known = ", ".join(c.name for c in DEFAULT_CLASSES)
        raise DataError(f"'{name}' is no known cell class or synonym; canonical names are: {known}") from None
