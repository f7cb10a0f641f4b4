"""Tables in files of any name, with decimal commas, and with text that is no formula."""

from __future__ import annotations

from pathlib import Path

import polars as pl
import pytest

from erythron.files.tables import format_csv, read_csv, read_parquet, write_csv, write_parquet

HOSTILE = ["*.csv", "[ab].csv", "a?.csv", "b\udcff.csv", "=1+1.csv", "{x}.csv", "é.csv"]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_is_no_pattern(name: str, tmp_path: Path) -> None:
    for other in ("a.csv", "b.csv", "ab.csv", "x.csv"):
        (tmp_path / other).write_text("n\n7\n")
    table = pl.DataFrame({"n": [1, 2]})
    write_csv(table, tmp_path / name)
    assert read_csv(tmp_path / name).equals(table)
    write_parquet(table, tmp_path / f"{name}.parquet")
    assert read_parquet(tmp_path / f"{name}.parquet").equals(table)


def test_text_that_a_spreadsheet_would_compute_is_text_and_comes_back(tmp_path: Path) -> None:
    texts = ["=1+1", "+a", "-b", "@c", "'=d", "plain", "'quoted'", "", None, "a=b", "\tx"]
    table = pl.DataFrame({"text": texts, "number": [-1.5] * len(texts)})
    write_csv(table, tmp_path / "t.csv")
    for line in (tmp_path / "t.csv").read_text().splitlines()[1:]:
        assert line.strip('"')[:1] not in ("=", "+", "-", "@", "\t")
        assert line.endswith("-1.5")
    back = read_csv(tmp_path / "t.csv", {"text": pl.String()})
    assert back["text"].to_list() == texts


@pytest.mark.parametrize(
    "text", ["image;x;n\na.png;1,5;2\nb.png;-3;4\n", "\ufeffimage;x;n\r\na.png;1,5;2\r\nb.png;-3,0;4\r\n"]
)
def test_a_table_of_a_country_with_a_decimal_comma_is_read(text: str, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(text.encode())
    found = read_csv(tmp_path / "t.csv", {"image": pl.String(), "x": pl.Float64()})
    assert found.to_dict(as_series=False) == {"image": ["a.png", "b.png"], "x": [1.5, -3.0], "n": [2, 4]}


def test_semicolons_with_decimal_points_are_read_too(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("image;x\na.png;1.5\n")
    assert read_csv(tmp_path / "t.csv", {"x": pl.Float64()})["x"].to_list() == [1.5]
    assert read_csv(tmp_path / "t.csv")["x"].to_list() == [1.5]


def test_what_is_written_with_a_decimal_comma_is_read_back(tmp_path: Path) -> None:
    table = pl.DataFrame({"image": ["a;b.png", "=c.png"], "x": [1.25, None], "n": [1, 2]})
    (tmp_path / "t.csv").write_text(format_csv(table, ","), encoding="utf-8")
    assert read_csv(tmp_path / "t.csv").equals(table)


def test_all_text_guesses_nothing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("specimen,n\n001,1.0\n")
    assert read_csv(tmp_path / "t.csv", all_text=True).rows() == [("001", "1.0")]
