"""``run.json``: what is written is read back, and which folders a run may take."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from erythron.errors import UsageError
from erythron.report.model import FailedInput
from erythron.results.run import (
    read_run,
    read_settings,
    read_specimens,
    refuse_other_run,
    refuse_other_specimens,
    remove_old_pdf,
    write_specimens,
)
from erythron.results.run_record import RunSettings

TOLD = RunSettings("bundle", 0.25, None, 0.05, "openvino", "icsh")


def write(out: Path, *, finished: bool = True) -> None:
    (out / "run.json").unlink(missing_ok=True)
    out.mkdir(exist_ok=True)
    failed = [FailedInput("b/2.png", "not an image")]
    write_specimens(out, {"a": ["a/1.png"], "b": ["b/1.png", "b/2.png"]}, failed, TOLD, finished=finished)


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_settings(tmp_path) == TOLD
    content = read_run(tmp_path)
    assert content is not None
    assert content["inputs"] == ["a/1.png", "b/1.png", "b/2.png"]
    assert content["failures"] == [{"image": "b/2.png", "reason": "not an image"}]
    assert content["finished"] is not None
    write(tmp_path, finished=False)
    assert (read_run(tmp_path) or {})["finished"] is None
    text = (tmp_path / "run.json").read_text()
    assert text.endswith("}\n")
    assert '\n  "' in text


def test_specimens_are_read_with_their_folders_and_details(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "run.json").write_text(json.dumps({"details": {"stain": name}}))
    first, second = read_specimens(tmp_path)
    assert (first.name, first.folder, first.images, first.details) == (
        "a",
        tmp_path / "a",
        ("a/1.png",),
        {"stain": "a"},
    )
    assert (second.name, second.images) == ("b", ("b/1.png", "b/2.png"))
    (plain,) = read_specimens(tmp_path / "a")
    assert (plain.name, plain.folder, plain.images, plain.details) == (
        None,
        tmp_path / "a",
        (),
        {"stain": "a"},
    )
    (tmp_path / "b" / "run.json").unlink()
    with pytest.raises(UsageError, match="holds no finished count"):
        read_specimens(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, '"run"'])
def test_what_is_no_record_of_a_run_is_refused_and_may_be_replaced(text: str, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match="is not a record of a run"):
        read_run(tmp_path)
    with pytest.raises(UsageError, match="is not a record of a run"):
        refuse_other_run(["a.png"], tmp_path)
    refuse_other_run(["a.png"], tmp_path, force=True)


def test_a_run_of_another_version_has_no_settings(tmp_path: Path) -> None:
    for told in ({}, {"told": {"model": None}}, {"told": None}):
        (tmp_path / "run.json").write_text(json.dumps(told))
        with pytest.raises(UsageError, match="another version of erythron"):
            read_settings(tmp_path)


def test_a_run_over_other_images_is_not_replaced_unasked(tmp_path: Path) -> None:
    write(tmp_path)
    given = ["a/1.png", "b/1.png"]  # the one that failed need not be given again
    refuse_other_run(given, tmp_path)
    refuse_other_run([*given, "c.png"], tmp_path)
    with pytest.raises(UsageError, match=r"over other images, such as a/1\.png"):
        refuse_other_run(["b/1.png"], tmp_path)
    refuse_other_run(["b/1.png"], tmp_path, force=True)


@pytest.mark.parametrize("name", ["summary.csv", "report.html"])
@pytest.mark.parametrize("force", [True, False])
def test_files_of_another_are_never_replaced(name: str, force: bool, tmp_path: Path) -> None:
    refuse_other_run(["a.png"], tmp_path, force=force)
    (tmp_path / name).touch()
    with pytest.raises(UsageError, match="no run of erythron wrote it"):
        refuse_other_run(["a.png"], tmp_path, force=force)


def test_failures_that_are_none_are_passed_over(tmp_path: Path) -> None:
    for failures in (None, "all", [1], [{}]):
        (tmp_path / "run.json").write_text(json.dumps({"inputs": ["a.png"], "failures": failures}))
        with pytest.raises(UsageError, match="over other images"):
            refuse_other_run(["b.png"], tmp_path)


def test_the_print_of_the_page_before_goes_and_one_that_was_signed_stays(tmp_path: Path) -> None:
    assert remove_old_pdf(tmp_path) is None
    pdf = tmp_path / "report.pdf"
    printed = b"%PDF-1.4\n<</Producer (Skia/PDF m120)>>\n%%EOF\n"
    pdf.write_bytes(printed)
    assert "was of the page before and was removed" in (remove_old_pdf(tmp_path) or "")
    assert not pdf.exists()
    for other in (printed + b"<</Type /Sig>>\n%%EOF\n", b"%PDF-1.4\n<</Producer (Scanner)>>\n%%EOF\n"):
        pdf.write_bytes(other)
        assert "stays" in (remove_old_pdf(tmp_path) or "")
        assert pdf.read_bytes() == other


def test_a_specimen_with_results_is_not_left_behind_unasked(tmp_path: Path) -> None:
    write(tmp_path)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
    refuse_other_specimens(["a"], tmp_path)  # b has no results yet
    (tmp_path / "b" / "run.json").write_text("{}")
    with pytest.raises(UsageError, match=re.escape(f"move {tmp_path / 'b'} away")):
        refuse_other_specimens(["a"], tmp_path)
    refuse_other_specimens(["a", "b"], tmp_path)
    refuse_other_specimens(["a"], tmp_path, force=True)
    refuse_other_specimens(["a"], tmp_path / "nothing there")
