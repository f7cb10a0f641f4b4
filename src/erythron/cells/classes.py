"""Names of cells: erythroid stages, the other classes of a marrow differential, their lineages and synonyms.

The one place for names. Stage order is maturation order. Synonyms follow the ICSH nomenclature (Palmer et
al., Int J Lab Hematol 2015, doi 10.1111/ijlh.12327 for morphology terms), the rubri- series of the American
College of Pathologists, Chinese laboratory terms (and their pinyin) and the codes of public data sets: the 21
of the Munich marrow set (Matek et al. 2021, doi 10.1182/blood.2020010568), the 23 of DeepHeme (Goldgof et al.
2023, doi 10.1101/2023.02.20.528987) and the sub-labels of PBC (Acevedo et al. 2020).
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
    (
        "pronormoblast",
        "rubriblast",
        "PEB",
        "ER1",
        "原红",
        "原红细胞",
        "原始红细胞",
        "原幼红细胞",
        "原紅",
        "原紅細胞",
        "yuanhong",
    ),
)
BASOPHILIC_ERYTHROBLAST = CellClass(
    "basophilic_erythroblast",
    "Basophilic erythroblast",
    Lineage.ERYTHROID,
    (
        "basophilic",
        "early",
        "early erythroblast",
        "early normoblast",
        "basophilic normoblast",
        "prorubricyte",
        "ER2",
        "早幼红",
        "早幼红细胞",
        "嗜碱性幼红细胞",
        "早幼紅",
        "早幼紅細胞",
        "zaoyouhong",
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
        "polychromatophilic normoblast",
        "intermediate",
        "intermediate erythroblast",
        "intermediate normoblast",
        "polychromatic normoblast",
        "rubricyte",
        "ER3",
        "中幼红",
        "中幼红细胞",
        "多染性幼红细胞",
        "中幼紅",
        "中幼紅細胞",
        "zhongyouhong",
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
        "orthochromic normoblast",
        "orthochromatophilic erythroblast",
        "late",
        "late erythroblast",
        "late normoblast",
        "normoblast",
        "orthochromatic normoblast",
        "metarubricyte",
        "ER4",
        "晚幼红",
        "晚幼红细胞",
        "正染性幼红细胞",
        "晚幼紅",
        "晚幼紅細胞",
        "wanyouhong",
    ),
)
GRANULOCYTE = CellClass("granulocyte", "Granulocyte and precursors", Lineage.GRANULOCYTIC)
LYMPHOCYTE = CellClass(
    "lymphocyte", "Lymphocyte", Lineage.LYMPHOID, ("lymp", "lymph", "LYT", "L2", "淋巴细胞")
)
MONOCYTE = CellClass("monocyte", "Monocyte", Lineage.MONOCYTIC, ("mono", "MON", "MO2", "单核细胞"))
PLASMA_CELL = CellClass(
    "plasma_cell", "Plasma cell", Lineage.LYMPHOID, ("plasma", "plasmacyte", "PLM", "L4", "浆细胞")
)
OTHER = CellClass("other", "Other nucleated cell", Lineage.OTHER, ("other cell", "OTH"))
PLATELET = CellClass(
    "platelet", "Platelet or debris", Lineage.NOT_NUCLEATED, ("platelets", "thrombocyte", "PL3", "血小板")
)

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


@dataclass(frozen=True)
class CellType:
    """A kind of cell as public sets label it: as fine as a class of the default model, or finer.

    Attributes:
        name: canonical snake_case name, the ``label`` of a manifest.
        cell_class: the class of the default model that it belongs to, None where it has none: an erythroblast
            of unknown stage, a white cell of unknown kind, a red cell, an artefact.
        synonyms: other names in use, compared as those of a class.
    """

    name: str
    cell_class: CellClass | None
    synonyms: tuple[str, ...] = ()


UNSTAGED_ERYTHROBLAST = CellType(
    "erythroblast", None, ("EBO", "nucleated red cell", "nucleated red blood cell", "NRBC", "有核红细胞")
)
"""Erythroid, stage unknown."""

CELL_TYPES: tuple[CellType, ...] = (
    *(CellType(c.name, c, c.synonyms) for c in DEFAULT_CLASSES),
    UNSTAGED_ERYTHROBLAST,
    CellType("promyelocyte", GRANULOCYTE, ("PMO", "PMY", "M2", "早幼粒", "早幼粒细胞")),
    CellType("myelocyte", GRANULOCYTE, ("MYB", "MY", "M3", "中幼粒", "中幼粒细胞")),
    CellType("metamyelocyte", GRANULOCYTE, ("MMZ", "MMY", "M4", "晚幼粒", "晚幼粒细胞")),
    CellType("band_neutrophil", GRANULOCYTE, ("band", "neutrophil band", "NGB", "BNE", "M5", "杆状核粒细胞")),
    CellType(
        "segmented_neutrophil",
        GRANULOCYTE,
        ("segmented", "neutrophil segmented", "NGS", "SNE", "M6", "分叶核粒细胞"),
    ),
    CellType("neutrophil", GRANULOCYTE, ("neut", "NEU", "中性粒细胞")),
    CellType("eosinophil", GRANULOCYTE, ("eosi", "EOS", "E4", "嗜酸性粒细胞")),
    CellType("immature_eosinophil", GRANULOCYTE, ("eosinophil myelocyte", "E1")),
    CellType("abnormal_eosinophil", GRANULOCYTE, ("ABE",)),
    CellType("basophil", GRANULOCYTE, ("baso", "BAS", "B2", "嗜碱性粒细胞")),
    CellType("immature_granulocyte", GRANULOCYTE, ("ig", "immature granulocytes")),
    CellType("immature_lymphocyte", LYMPHOCYTE, ("LYI",)),
    CellType("hairy_cell", LYMPHOCYTE, ("HAC",)),
    CellType("blast", OTHER, ("BLA", "M1", "myeloblast", "原始细胞", "原粒", "原始粒细胞")),
    CellType("faggot_cell", OTHER, ("FGC", "faggott cell")),
    CellType("macrophage", OTHER, ("histiocyte", "巨噬细胞")),
    CellType("megakaryocyte", OTHER, ("mature megakaryocyte", "PL2", "巨核细胞")),
    CellType("immature_megakaryocyte", OTHER, ("PL1",)),
    CellType("mast_cell", OTHER, ("mast", "B1", "肥大细胞")),
    CellType("smudge_cell", None, ("KSC", "smudge", "basket cell")),
    CellType("artefact", None, ("ART", "artifact", "U1")),
    CellType("not_identifiable", None, ("NIF", "unidentified", "unknown", "U2")),
    CellType("white_cell", None, ("WBC", "white blood cell", "leukocyte", "leucocyte")),
    CellType("red_cell", None, ("RBC", "red blood cell", "erythrocyte", "ER6")),
    CellType("polychromatic_erythrocyte", None, ("reticulocyte", "polychromatophilic erythrocyte", "ER5")),
    CellType("mitotic_figure", None, ("mitotic body", "mitosis", "U4")),
)
"""Every kind of cell that a set may name; each name and synonym belongs to one alone."""


def _key(name: str) -> str:
    return re.sub(r"[\s_\-]+", "", name).casefold()


_BY_KEY = {_key(n): t for t in CELL_TYPES for n in (t.name, *t.synonyms)}


def find_type(name: str) -> CellType:
    """Return the kind of cell that a name, synonym or data-set code stands for.

    Args:
        name: any spelling; case, spaces, hyphens and underscores do not count.

    Raises:
        DataError: the name is not known; the message lists the canonical names.

    >>> find_type("EBO").name
    'erythroblast'
    """
    try:
        return _BY_KEY[_key(name)]
    except KeyError:
        known = ", ".join(t.name for t in CELL_TYPES)
        raise DataError(f"'{name}' is no known cell class or synonym; canonical names are: {known}") from None


def find_class(name: str) -> CellClass:
    """Return the class of the default model that a name, synonym or data-set code belongs to.

    Raises:
        DataError: the name is not known, or is known and belongs to no class (such as an erythroblast of
            unknown stage).

    >>> find_class("Orthochromic erythroblast").name
    'orthochromatic_erythroblast'
    >>> find_class("早幼红").name
    'basophilic_erythroblast'
    """
    found = find_type(name)
    if found.cell_class is None:
        raise DataError(f"'{name}' ({found.name}) belongs to no class of the default model; leave it out")
    return found.cell_class
