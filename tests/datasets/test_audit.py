from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from erythron.datasets.audit import Audit, Severity, audit_manifest, find_similar_rows, tabulate_findings
from erythron.datasets.audit_page import KINDS, render_audit
from erythron.datasets.labelled import FoundCell, make_set
from erythron.datasets.manifest import hash_split
from erythron.datasets.sets import read_set
from erythron.datasets.split import SplitPlan, split_rows

from .conftest import draw_smear, save


def count(audit: Audit, kind: str) -> int:
    """Return the number of findings of a kind."""
    return sum(finding.kind == kind for finding in audit.findings)


def make_cells(folder: Path, count: int = 12) -> list[FoundCell]:
    labels = ("monocyte", "lymphocyte", "band")
    return [
        FoundCell(save(folder / f"{i:02d}.png", draw_smear(i)), labels[i % 3], f"g{i // 2}")
        for i in range(count)
    ]


def put(rows: pl.DataFrame, parts: list[str]) -> pl.DataFrame:
    rows = rows.with_columns(pl.Series("split", parts))
    return rows.with_columns(pl.lit(hash_split(rows)).alias("split_hash"))


def kinds(audit: Audit) -> set[str]:
    return {f.kind for f in audit.findings}


def test_a_clean_set_has_no_findings(tmp_path: Path) -> None:
    rows = put(make_set("s", make_cells(tmp_path)).rows, ["train"] * 8 + ["validation"] * 2 + ["test"] * 2)
    audit = audit_manifest(rows, "s")
    assert audit.findings == ()
    assert not audit.leaks
    assert (audit.cells, audit.images, audit.groups) == (12, 12, 0)


def test_a_group_on_two_sides_leaks(tmp_path: Path) -> None:
    """Trap 4: no patient or slide identity; cells of one smear on both sides."""
    rows = put(make_set("s", make_cells(tmp_path)).rows, ["train", "test"] * 6)
    audit = audit_manifest(rows, "s")
    assert audit.leaks
    assert count(audit, "group_on_two_sides") == 6


def test_an_exact_copy_across_splits_leaks_and_across_labels_conflicts(tmp_path: Path) -> None:
    cells = make_cells(tmp_path)
    copy = tmp_path / "99.png"
    shutil.copy(cells[0].path, copy)
    rows = make_set("s", [*cells, FoundCell(copy, "plasma", "other")]).rows
    unsplit = audit_manifest(rows, "s")
    assert kinds(unsplit) == {"exact_copy", "label_conflict"}
    assert not unsplit.leaks
    split = audit_manifest(put(rows, ["train"] * 12 + ["test"]), "s")
    assert kinds(split) == {"exact_copy", "label_conflict", "exact_copy_on_two_sides"}
    conflict = next(f for f in split.findings if f.kind == "label_conflict")
    assert "monocyte and as plasma_cell" in conflict.detail
    assert {Path(p).name for p in conflict.paths} == {"00.png", "99.png"}


def test_a_mirrored_recompressed_copy_across_splits_leaks(tmp_path: Path) -> None:
    cells = make_cells(tmp_path)
    mirrored = np.ascontiguousarray(draw_smear(0)[:, ::-1])
    cells.append(FoundCell(save(tmp_path / "99.jpg", mirrored, quality=70), "monocyte", "other"))
    audit = audit_manifest(put(make_set("s", cells).rows, ["train"] * 12 + ["test"]), "s")
    assert kinds(audit) == {"ungrouped_copy", "copy_on_two_sides"}
    assert audit.leaks
    assert any("one mirror of the other" in f.detail for f in audit.findings)


def test_overlapping_crops_leak_across_splits_and_may_differ_in_label(tmp_path: Path) -> None:
    field = draw_smear(50, 220, 220)
    cells = make_cells(tmp_path)
    cells.append(FoundCell(save(tmp_path / "98.png", field[:140, :140]), "band", "a"))
    cells.append(FoundCell(save(tmp_path / "99.png", field[60:200, 40:180]), "plasma", "b"))
    rows = make_set("s", cells).rows
    audit = audit_manifest(put(rows, ["train"] * 13 + ["test"]), "s")
    assert kinds(audit) == {"ungrouped_overlap", "overlap_on_two_sides"}
    grouped = rows.with_columns(pl.lit("one").alias("group"))
    assert kinds(audit_manifest(grouped, "s")) == {"grouped_overlap"}


def test_what_the_audit_finds_the_split_keeps_together(tmp_path: Path) -> None:
    field = draw_smear(50, 220, 220)
    cells = make_cells(tmp_path, 30)
    cells += [
        FoundCell(save(tmp_path / f"{90 + i}.png", field[20 * i : 20 * i + 140, :140]), "band", f"x{i}")
        for i in range(4)
    ]
    rows = make_set("s", cells).rows
    similar = find_similar_rows(rows)
    for seed in range(2):
        result = split_rows(rows, SplitPlan(0.2, 0.2, seed), similar)
        assert not audit_manifest(result.rows, "s").leaks


def test_unreadable_and_changed_files_are_named_and_the_rest_is_audited(tmp_path: Path) -> None:
    cells = make_cells(tmp_path)
    rows = make_set("s", cells).rows
    cells[0].path.write_bytes(b"\x89PNG\r\n\x1a\nbroken")
    cells[1].path.unlink()
    save(cells[2].path, draw_smear(77))
    audit = audit_manifest(rows, "s")
    assert [(f.kind, Path(f.paths[0]).name) for f in audit.findings] == [
        ("changed_file", "02.png"),
        ("unreadable", "00.png"),
        ("unreadable", "01.png"),
    ]
    assert "there is no such file" in audit.findings[2].detail


def test_an_odd_size_and_one_that_gives_a_class_away_are_found(tmp_path: Path) -> None:
    # Two sizes; the second is a single class's. One image of a third size among 105.
    tile = draw_smear(0, 700, 700)
    cells = []
    for i in range(90):
        y, x = divmod(i, 10)
        cells.append(FoundCell(save(tmp_path / f"a{i:03d}.png", tile[60 * y :, 60 * x :][:60, :60]), "band"))
    tile = draw_smear(1, 700, 700)
    for i in range(14):
        y, x = divmod(i, 4)
        cells.append(
            FoundCell(save(tmp_path / f"b{i:03d}.png", tile[70 * y :, 70 * x :][:70, :70]), "plasma")
        )
    cells.append(FoundCell(save(tmp_path / "c.png", draw_smear(2, 90, 50)), "band"))
    audit = audit_manifest(make_set("s", cells).rows, "s")
    odd = [f for f in audit.findings if f.kind == "odd_size"]
    assert [Path(f.paths[0]).name for f in odd] == ["c.png"]
    assert "50 x 90 px, as 1 of 105" in odd[0].detail
    telling = [f for f in audit.findings if f.kind == "size_tells_class"]
    assert [f.detail.split(" px")[0] for f in telling] == [
        "90 of the 90 images of 60 x 60",
        "14 of the 14 images of 70 x 70",
    ]


def test_boxes_of_one_field_are_no_copies_of_each_other(tmp_path: Path) -> None:
    from erythron.datasets.labelled import Box

    path = save(tmp_path / "field.png", draw_smear(0))
    cells = [FoundCell(path, label, "field", box=Box(i, 0, 5, 5)) for i, label in enumerate(["WBC", "RBC"])]
    cells.append(FoundCell(save(tmp_path / "other.png", draw_smear(1)), "WBC", "other", box=Box(0, 0, 9, 9)))
    audit = audit_manifest(make_set("s", cells).rows, "s")
    assert (audit.cells, audit.images, audit.findings) == (3, 2, ())


def test_the_table_and_the_page_say_what_was_found(tmp_path: Path) -> None:
    cells = make_cells(tmp_path)
    copy = tmp_path / "<99>.png"
    shutil.copy(cells[0].path, copy)
    rows = put(make_set("s", [*cells, FoundCell(copy, "plasma", "x")]).rows, ["test"] + ["train"] * 12)
    audit = audit_manifest(rows, "s & co")
    table = tabulate_findings(audit)
    assert table["severity"].to_list() == [f.severity.value for f in audit.findings]
    assert table["severity"][0] == Severity.LEAK
    page = render_audit(audit)
    assert "The split leaks" in page
    assert "Audit of s &amp; co" in page
    assert "&lt;99&gt;.png" in page
    assert page.count("data:image/jpeg;base64,") >= 6
    assert "<script" not in page
    assert "http" not in page.replace("http-equiv", "")


def test_every_kind_of_finding_has_a_heading() -> None:
    source = Path(audit_manifest.__code__.co_filename).read_text(encoding="utf-8")
    for kind in KINDS:
        stem = kind.removesuffix("_on_two_sides").removeprefix("un").removeprefix("grouped_")
        assert stem in source


BITES_LISTED = 16


@pytest.fixture(scope="module")
def bites(data_dir: Path) -> Audit:
    rows = read_set(
        "pathology-bites-cells", data_dir / "pathology-bites-cells", keep_contradictions=True
    ).rows
    return audit_manifest(rows, "pathology-bites-cells")


@pytest.mark.real_data
def test_every_listed_overlap_of_the_marrow_crops_is_found_from_pixels_and_more(
    bites: Audit, data_dir: Path
) -> None:
    listed = json.loads((data_dir / "pathology-bites-cells" / "overlap_groups.json").read_text())
    listed = [set(names) for names in listed if len(names) > 1]
    neighbours: dict[str, set[str]] = {}
    for first, second in bites.similar.select("first", "second").iter_rows():
        a, b = Path(first).name, Path(second).name
        neighbours.setdefault(a, set()).add(b)
        neighbours.setdefault(b, set()).add(a)
    present = {p.name for p in (data_dir / "pathology-bites-cells").rglob("*.png")}
    whole = 0
    for group in listed:
        here = group & present
        reached, front = set(), {min(here)}
        while front:
            reached |= front
            front = set().union(*(neighbours.get(n, set()) for n in front)) - reached
        whole += here <= reached
    assert (len(listed), whole) == (BITES_LISTED, BITES_LISTED)
    assert count(bites, "ungrouped_overlap") > 100
    assert bites.groups > 4 * BITES_LISTED


@pytest.mark.real_data
def test_the_two_stains_of_the_polychromatic_class_are_found(bites: Audit) -> None:
    mixed = [f.detail for f in bites.findings if f.kind == "class_of_two_stains"]
    assert any("polychromatic_erythroblast" in detail for detail in mixed)
    telling = " ".join(f.detail for f in bites.findings if f.kind == "stain_tells_class")
    assert "proerythroblast" in telling


@pytest.mark.real_data
def test_near_copies_of_segmentation_wbc_are_found(data_dir: Path) -> None:
    rows = read_set("segmentation_WBC", data_dir / "segmentation_WBC").rows
    audit = audit_manifest(rows, "segmentation_WBC")
    assert count(audit, "exact_copy") >= 1
    assert count(audit, "ungrouped_copy") >= 10
    conflict = next(f for f in audit.findings if f.kind == "label_conflict")
    assert [Path(p).name for p in conflict.paths] == ["060.bmp", "090.bmp"]


@pytest.mark.real_data
def test_exact_copies_and_overlaps_of_pbc_are_found(data_dir: Path) -> None:
    # A part of the set, for speed; the whole of it is in docs/results/audit.md.
    rows = read_set("pbc-acevedo", data_dir / "pbc-acevedo", keep_contradictions=True).rows
    part = rows.filter(pl.col("path").str.contains(r"/(BA_[2356]|MO_[19])"))
    audit = audit_manifest(part, "pbc-acevedo")
    assert count(audit, "exact_copy") == 2
    assert count(audit, "ungrouped_overlap") >= 1


@pytest.mark.real_data
def test_a_split_of_the_marrow_crops_keeps_every_overlap_on_one_side(bites: Audit, data_dir: Path) -> None:
    """Trap 4, on real data: splitting by the listed groups alone leaks, splitting as the command does not."""
    rows = read_set("pathology-bites-cells", data_dir / "pathology-bites-cells").rows
    pairs = bites.similar.select("first", "second")

    def count_leaks(split: pl.DataFrame) -> int:
        part = dict(split.select("path", "split").iter_rows())
        return sum(part[a] != part[b] for a, b in pairs.iter_rows())

    assert count_leaks(split_rows(rows, SplitPlan()).rows) > 20
    result = split_rows(rows, SplitPlan(), pairs)
    assert count_leaks(result.rows) == 0
    assert set(result.rows.filter(pl.col("label") == "proerythroblast")["split"]) >= {"train", "test"}
