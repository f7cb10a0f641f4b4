from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image

from erythron.cells.class_map import parse_class_map
from erythron.datasets.audit import audit_manifest, find_similar_rows
from erythron.datasets.class_folders import PUBLISHED_CELLS, describe_bmec
from erythron.datasets.fetch import unpack_zip
from erythron.datasets.manifest import write_manifest
from erythron.datasets.sets import open_set, read_set
from erythron.datasets.split import SplitPlan, keep_published, split_rows
from erythron.errors import DataError, UsageError

from .conftest import draw_smear, save, save_flat

STAGES = (
    "proerythroblast",
    "basophilic_erythroblast",
    "polychromatic_erythroblast",
    "orthochromatic_erythroblast",
)


def read_archive(archive: Path, folder: Path, **options: object) -> pl.DataFrame:
    folder.mkdir()
    unpack_zip(archive, folder)
    return read_set("bmec", folder, **options).rows  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "folders",
    [
        ["proerythroblast", "basophilic", "polychromatic", "orthochromatic"],
        [
            "red_4_cells_raw/1_pronormoblast",
            "red_4_cells_raw/2_early",
            "red_4_cells_raw/3_intermediate",
            "x/4_late",
        ],
        ["a/b/c/rubriblast", "a/b/c/prorubricyte", "a/b/d/rubricyte", "a/e/metarubricyte"],
        ["data/原红", "data/早幼红", "data/中幼红", "data/晚幼红"],
        ["原始红细胞", "早幼红细胞120", "中幼红细胞", "晚幼红细胞 images"],
        ["Proerythroblasts", "Basophilic Erythroblasts", "Polychromatic (中幼红)", "04-orthochromatic-cells"],
        ["yuanhong", "zaoyouhong", "zhongyouhong", "wanyouhong"],
    ],
)
def test_class_folders_are_found_at_any_depth_in_any_nomenclature(tmp_path: Path, folders: list[str]) -> None:
    for i, folder in enumerate(folders):
        save_flat(tmp_path / "set" / folder / "cell.png", 10 * i)
    rows = read_set("bmec", tmp_path / "set").rows
    assert set(rows["label"]) == set(STAGES)
    labels = {
        Path(p).parent.relative_to(tmp_path / "set").as_posix(): v
        for p, v in rows.select("path", "label").iter_rows()
    }
    assert [labels[f] for f in folders] == list(STAGES)


def test_chinese_names_in_an_archive_read_in_both_encodings(tmp_path: Path) -> None:
    names = [f"red/{stage}/cell {i}.png" for i, stage in enumerate(["原红", "早幼红", "中幼红", "晚幼红"])]
    for encoding in ("utf-8", "gbk"):
        archive = tmp_path / f"{encoding}.zip"
        image = save_flat(tmp_path / "pixel.png", 7).read_bytes()
        with zipfile.ZipFile(archive, "w") as out:
            for i, name in enumerate(names):
                # Marker names of the same length in bytes, exchanged below for bytes without a UTF-8 mark.
                out.writestr(
                    zipfile.ZipInfo(f"{i}".ljust(len(name.encode(encoding)), "#")), image + bytes([i])
                )
        content = archive.read_bytes()
        for i, name in enumerate(names):
            raw = name.encode(encoding)
            content = content.replace(f"{i}".ljust(len(raw), "#").encode(), raw)
        archive.write_bytes(content)
        rows = read_archive(archive, tmp_path / encoding)
        assert sorted(rows["source_label"]) == sorted(["原红", "早幼红", "中幼红", "晚幼红"])
        assert set(rows["label"]) == set(STAGES)


def test_an_archive_within_the_archive_is_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "red_4_cells_raw.zip", "w") as inner:
        inner.write(save_flat(tmp_path / "a.png", 1), "red_4_cells_raw/原红/a.png")
    with zipfile.ZipFile(tmp_path / "data.zip", "w") as outer:
        outer.write(tmp_path / "red_4_cells_raw.zip", "data/red_4_cells_raw.zip")
        outer.writestr("__MACOSX/data/._a.png", b"fork")
        outer.writestr("data/.DS_Store", b"x")
    rows = read_archive(tmp_path / "data.zip", tmp_path / "out")
    assert rows["label"].to_list() == ["proerythroblast"]


def test_folders_named_for_the_parts_of_a_split_are_no_classes(tmp_path: Path) -> None:
    for i, part in enumerate(("train", "val", "test")):
        save_flat(tmp_path / part / "early erythroblast" / "a.png", i)
    rows = read_set("bmec", tmp_path).rows
    assert set(rows["label"]) == {"basophilic_erythroblast"}
    assert sorted(rows["split"]) == ["test", "train", "validation"]


def test_unknown_folders_are_asked_for_with_their_counts(tmp_path: Path) -> None:
    for i in range(3):
        save_flat(tmp_path / "train" / "1" / f"{i}.png", i)
    save_flat(tmp_path / "train" / "2" / "3.png", 3)
    save_flat(tmp_path / "loose.png", 4)
    with pytest.raises(
        DataError, match=r"'\(no folder\)' \(1 images\), '1' \(3 images\), '2' \(1 images\).*--class-map"
    ):
        read_set("bmec", tmp_path)
    (tmp_path / "loose.png").unlink()
    rows = read_set("bmec", tmp_path, class_map=parse_class_map(["1=原红", "2=late"])).rows
    assert rows["label"].value_counts().sort("label").rows() == [
        ("orthochromatic_erythroblast", 1),
        ("proerythroblast", 3),
    ]


def test_the_class_map_names_folders_as_they_are_written(tmp_path: Path) -> None:
    save_flat(tmp_path / "Late" / "0.png", 0)
    with pytest.raises(UsageError, match="no cell of mine is called 'late', and one is called 'Late'"):
        read_set("mine", tmp_path, class_map=parse_class_map(["late=polychromatic"]))
    read = read_set("mine", tmp_path, class_map=parse_class_map(["Late=polychromatic", "lat=band"]))
    assert read.rows["label"].to_list() == ["polychromatic_erythroblast"]
    assert read.notes == ("No cell is called 'lat', which the class map names.",)


def test_folders_that_the_class_map_leaves_out_are_named(tmp_path: Path) -> None:
    save_flat(tmp_path / "原红" / "0.png", 0)
    save_flat(tmp_path / "dirt" / "1.png", 1)
    save_flat(tmp_path / "band" / "2.png", 2)
    read = read_set("mine", tmp_path, class_map=parse_class_map(["dirt=", "band="]))
    assert read.rows["label"].to_list() == ["proerythroblast"]
    assert {Path(path).name: reason for path, reason in read.left_out.iter_rows()} == {
        "1.png": "is dirt, which the class map leaves out",
        "2.png": "is band, which the class map leaves out",
    }
    with pytest.raises(DataError, match="no cell is left"):
        read_set("mine", tmp_path, class_map=parse_class_map(["dirt=", "band=", "原红="]))


@pytest.mark.parametrize(
    "pattern", ["{i}_{a}", "cell{i}-{a}", "{i}_rot{a}", "cell_{i}_rotate_{a}", "{i} rotated {a}"]
)
def test_rotated_copies_of_one_cell_share_a_group(tmp_path: Path, pattern: str) -> None:
    """The published layout: copies rotated beforehand in `rotate_train`, whole cells in `val`."""
    for i in range(4):
        for a in (0, 90, 180):
            save_flat(
                tmp_path / "rotate_train" / "原红" / f"{pattern.format(i=i, a=a)}.png", 40 * i + a // 90
            )
    save_flat(tmp_path / "val" / "原红" / "9.png", 250)
    read = read_set("bmec", tmp_path)
    train = read.rows.filter(pl.col("split") == "train")
    assert train.group_by("group").len()["len"].to_list() == [3] * 4
    assert "13 images show 5 cells: the others are rotated copies." in read.notes


def test_numbers_of_cells_are_not_taken_for_rotations(tmp_path: Path) -> None:
    for i in range(60):
        save_flat(tmp_path / "rotate_train" / "原红" / f"cell_{i}.png", i)
    assert read_set("bmec", tmp_path).rows["group"].n_unique() == 60


def test_the_published_four_channel_layout_reads(tmp_path: Path) -> None:
    rgb = draw_smear(0)
    four = Image.fromarray(np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]), mode="CMYK")
    path = tmp_path / "rotate_train" / "晚幼红" / "1.jpg"
    path.parent.mkdir(parents=True)
    four.save(path)
    save(tmp_path / "val" / "晚幼红" / "2.png", draw_smear(1))
    rows = read_set("bmec", tmp_path).rows.sort("split")
    assert rows["mask_kind"].to_list() == ["fourth_channel", None]
    assert rows["mask_path"][0] == rows["path"][0] == str(path)


def test_what_differs_from_the_published_set_is_said() -> None:
    whole = [STAGES[i % 4] for i in range(PUBLISHED_CELLS)]
    assert describe_bmec(whole, len(whole)) == ()
    fewer, three = describe_bmec([s for s in whole if s != STAGES[0]], 4249)[0::1]
    assert "4249 cells were found and 5666 are published: 1417 fewer" in fewer
    assert "3 classes were found and four are published" in three
    assert "1 more" in describe_bmec([*whole, STAGES[0]], PUBLISHED_CELLS + 1)[0]


def test_names_of_any_bytes_are_read_split_and_audited(tmp_path: Path) -> None:
    folder = tmp_path / "s[e]t*"
    names = ("a[1].png", "b*.png", "c?.png", "=1.png", "é" * 123 + "a.png", "d.png")
    for seed, name in enumerate(names):
        for label in ("monocyte", "lymphocyte"):
            save(folder / label / name, draw_smear(seed + 10 * (label == "monocyte")), format="PNG")
    save(folder / "monocyte" / "x\udcff.png", draw_smear(90), format="PNG")
    labelled = read_set("set", folder)
    assert labelled.rows.height == 12
    assert labelled.left_out.rows() == [
        (f"{folder}/monocyte/x\\udcff.png", "has a name that no table can hold; rename it")
    ]
    result = split_rows(labelled.rows, SplitPlan(0.2, 0.3), find_similar_rows(labelled.rows))
    for manifest in (folder / "m[1].csv", folder / "m[1].parquet"):
        write_manifest(result.rows, manifest)
        back = open_set(str(manifest))
        assert back.rows["path"].to_list() == labelled.rows["path"].to_list()
        assert all(Path(path).is_file() for path in back.rows["path"])
    assert audit_manifest(result.rows, "set").cells == 12


def fill_archive(layout: str, folder: Path) -> Path:
    """Lay out 4 x 4 cells with two rotated copies of each training cell, and zip them.

    The fourth cell of every class is the published validation's, the others are for training.
    """
    names = ("early", "late", "intermediate", "rubriblast")
    table = ["file,stage,split"]
    for k, name in enumerate(names):
        for i in range(4):
            picture = Image.fromarray(draw_smear(10 * k + i, 60, 60))
            part = "val" if i == 3 else "train"
            stem = f"{k}{i}"
            mask = Image.fromarray(
                np.where(np.hypot(*(np.mgrid[:60, :60] - 30)) < 20, 255, 0).astype(np.uint8)
            )
            places = {
                "file names": [f"{part}/{name}_{stem}.png"],
                "table": [f"pictures/{stem}.png"],
                "folders": [f"{part}/{name}/{stem}.png"],
                "masks": [f"{part}/images/{name}/{stem}.png"],
                "numbers": [f"{part}/{k}/{stem}.png"],
                "published": [f"val/{name}/{stem}.png"] if i == 3 else [],
            }[layout]
            table.append(f"{stem}.png,{name},{part}")
            if layout == "masks":
                save(folder / f"{part}/masks/{name}/{stem}.png", np.asarray(mask))
            if layout == "published" and i < 3:
                for number, angle in enumerate((0, 77, 200)):
                    # Names that say nothing: what belongs together is seen from the pixels.
                    copy = picture.rotate(angle, Image.Resampling.BICUBIC)
                    save(
                        folder / f"rotate_train/{name}/{(7 * i + 5 * number) % 23:03d}x.png", np.asarray(copy)
                    )
            for place in places:
                save(folder / place, np.asarray(picture))
    if layout == "table":
        (folder / "labels.csv").write_text("\n".join(table))
    archive = folder.with_suffix(".zip")
    with zipfile.ZipFile(archive, "w") as opened:
        for path in sorted(folder.rglob("*.*")):
            opened.write(path, Path("bmec") / path.relative_to(folder))
    return archive


@pytest.mark.parametrize("layout", ["file names", "table", "folders", "masks", "numbers", "published"])
def test_layouts_of_an_archive_are_read_and_its_published_split_kept(
    tmp_path: Path, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ERYTHRON_CACHE_DIR", str(tmp_path / "cache"))
    archive = fill_archive(layout, tmp_path / "mine")
    numbers = ["0=basophilic", "1=orthochromatic", "2=polychromatic", "3=proerythroblast"]
    labelled = open_set(str(archive), parse_class_map(numbers if layout == "numbers" else []))
    assert labelled.name == "mine"
    assert labelled.left_out.is_empty()
    copies = 3 if layout == "published" else 1
    assert labelled.rows.height == 12 * copies + 4
    assert labelled.rows["label"].value_counts()["count"].to_list() == [3 * copies + 1] * 4
    assert not any("mask" in path for path in labelled.rows["path"])
    assert (
        labelled.rows["mask_kind"].to_list() == ["cell" if layout == "masks" else None] * labelled.rows.height
    )
    similar = find_similar_rows(labelled.rows)
    published = keep_published(labelled.rows, similar)
    assert published.notes == ()
    assert published.rows["split"].value_counts().sort("split").rows() == [
        ("test", 4),
        ("train", 12 * copies),
    ]
    assert published.rows["group"].n_unique() == 16
    grouped = split_rows(labelled.rows, SplitPlan(0, 0.25), similar)
    assert not audit_manifest(grouped.rows, "mine").leaks


def test_training_images_that_show_a_judged_cell_are_left_out_of_the_published_split(tmp_path: Path) -> None:
    for i in range(4):
        picture = Image.fromarray(draw_smear(i, 60, 60))
        save(
            tmp_path / "train" / "early" / f"{i}.png",
            np.asarray(picture.rotate(40 * i, Image.Resampling.BICUBIC)),
        )
        if i > 1:
            save(tmp_path / "val" / "early" / f"{i}.png", np.asarray(picture))
    rows = read_set("mine", tmp_path).rows
    kept = keep_published(rows, find_similar_rows(rows))
    assert sorted((Path(p).name, s) for p, s in kept.rows.select("path", "split").iter_rows()) == [
        ("0.png", "train"),
        ("1.png", "train"),
        ("2.png", "test"),
        ("3.png", "test"),
    ]
    assert "2 images show a cell of a part that is judged later" in kept.notes[0]


def test_a_set_without_parts_has_no_published_split(tmp_path: Path) -> None:
    save_flat(tmp_path / "early" / "1.png", 1)
    with pytest.raises(DataError, match="no split of its own"):
        keep_published(read_set("mine", tmp_path).rows)
    save_flat(tmp_path / "all" / "train" / "early" / "1.png", 2)
    (tmp_path / "early" / "1.png").unlink()
    with pytest.raises(DataError, match="needs a part"):
        keep_published(read_set("mine", tmp_path).rows)


@pytest.mark.parametrize("other", ["b.png", "late/b.png", "late_b.png"])
def test_images_that_a_table_does_not_list_are_asked_for(other: str, tmp_path: Path) -> None:
    """Folder or name decided of an image that a person had left out of the table."""
    for name in ("a.png", other):
        save_flat(tmp_path / name, ord(name[0]))
    (tmp_path / "labels.csv").write_text("image,label,split\na.png,early,train\n")
    with pytest.raises(DataError, match="has no row of 1 images beside it, the first of them "):
        read_set("mine", tmp_path)
    (tmp_path / "labels.csv").write_text(f"image,label,split\na.png,early,train\n{other},none,test\n")
    labelled = read_set("mine", tmp_path, class_map=parse_class_map(["none="]))
    assert [Path(path).name for path in labelled.rows["path"]] == ["a.png"]
    assert labelled.left_out.height == 1
    (tmp_path / "labels.csv").write_text(f"image,label,split\na.png,early,train\n{other},late,second\n")
    with pytest.raises(DataError, match="'second' is no part of a split"):
        read_set("mine", tmp_path)
