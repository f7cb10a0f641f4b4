"""Which of the images that show the same pixels counts, and which folders are of no run any more."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from erythron.quality.flags import FieldQuality
from erythron.read.image import ScaleSource
from erythron.results.fingerprint import Fingerprints
from erythron.results.record import RECORD, FieldRecord
from erythron.results.repeated import drop_repeated, list_left_behind
from erythron.results.review import REVIEW
from erythron.results.run import RUN


def put_image(folder: Path, image: str, pixels: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    record = FieldRecord(
        image=image,
        sha256="",
        fingerprints=Fingerprints("", "", "", ""),
        pixels_sha256=pixels,
        width_px=64,
        height_px=64,
        mpp=None,
        mpp_source=ScaleSource.UNKNOWN,
        mpp_interval=None,
        red_cells=None,
        quality=FieldQuality(),
    )
    (folder / RECORD).write_text(record.model_dump_json())
    return folder


def put_run(out: Path, inputs: Sequence[str], specimens: Mapping[str, Sequence[str]] | None = None) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    named = {} if specimens is None else {"specimens": specimens}
    (out / RUN).write_text(json.dumps({"inputs": inputs, **named}))
    return out


def test_folders_without_a_record_are_kept(tmp_path: Path) -> None:
    """A table of cells alone, as a reader may lay into a folder, says nothing of pixels."""
    assert drop_repeated([tmp_path / "a", tmp_path / "b"], tmp_path) == [tmp_path / "a", tmp_path / "b"]
    assert list_left_behind(tmp_path) == []


def test_of_the_same_pixels_the_first_that_the_run_was_given_counts(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["b.png", "a.png", "c.png"])
    folders = [put_image(out / name, f"{name}.png", "other" if name == "c" else "same") for name in "abc"]
    assert drop_repeated(folders, out) == folders[1:]
    assert list_left_behind(out) == []


def test_of_the_same_pixels_the_image_that_persons_have_called_counts(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["a.png", "b.png"])
    folders = [put_image(out / name, f"{name}.png", "same") for name in "ab"]
    (folders[1] / REVIEW).touch()
    assert drop_repeated(folders, out) == folders[1:]


def test_the_same_pixels_of_two_specimens_both_count(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["a.png", "b.png"], {"1": ["a.png"], "2": ["b.png"]})
    folders = [
        put_image(put_run(out / name, [image]) / image[0], image, "same")
        for name, image in (("1", "a.png"), ("2", "b.png"))
    ]
    assert drop_repeated(folders, out) == folders


def test_an_image_that_its_run_does_not_name_is_left_behind(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["a.png"])
    kept, gone = (put_image(out / name, f"{name}.png", name) for name in "ab")
    assert drop_repeated([kept, gone], out) == [kept]
    assert list_left_behind(out) == [gone]


def test_of_several_left_behind_the_order_is_that_of_their_names(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["a.png"])
    gone = [put_image(out / name, f"{name}.png", name) for name in "dbc"]
    assert list_left_behind(out) == sorted(gone)


def test_a_run_that_names_no_image_counts_all_of_its_folder(tmp_path: Path) -> None:
    folder = put_image(tmp_path / "a", "a.png", "same")
    assert drop_repeated([folder], tmp_path) == [folder]
    assert list_left_behind(tmp_path) == []


def test_a_specimen_that_the_run_does_not_name_any_more_is_left_behind(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["a.png"], {"1": ["a.png"]})
    named, called_otherwise = (
        put_image(put_run(out / name, ["a.png"]) / "a", "a.png", name) for name in ("1", "one")
    )
    assert drop_repeated([named, called_otherwise], out) == [named]
    assert list_left_behind(out) == [called_otherwise]


def test_a_copy_of_a_run_within_it_is_left_behind_and_what_lies_above_is_not_asked(tmp_path: Path) -> None:
    above = put_run(tmp_path / "runs", ["x.png"])
    out = put_run(above / "out", ["a.png"], {"1": ["a.png"]})
    own = put_image(put_run(out / "1", ["a.png"]) / "a", "a.png", "same")
    inner = put_run(out / "copy", ["a.png"], {"1": ["a.png"]})
    copied = put_image(put_run(inner / "1", ["a.png"]) / "a", "a.png", "same")
    assert drop_repeated([own, copied], out) == [own]
    assert list_left_behind(out) == [copied]
    # The folder of runs above, which is asked, does not name the run.
    assert drop_repeated([own], above) == []


def test_an_image_beside_the_specimens_of_a_run_is_of_none_of_them(tmp_path: Path) -> None:
    out = put_run(tmp_path / "out", ["a.png"], {"1": ["a.png"]})
    own = put_image(put_run(out / "1", ["a.png"]) / "a", "a.png", "same")
    beside = put_image(out / "a", "a.png", "same")
    assert drop_repeated([own, beside], out) == [own]
    assert list_left_behind(out) == [beside]


def test_a_folder_of_runs_is_looked_through_run_by_run(tmp_path: Path) -> None:
    first, second = (put_run(tmp_path / name, ["a.png"]) for name in ("one", "two"))
    folders = [put_image(out / "a", "a.png", "same") for out in (first, second)]
    assert drop_repeated(folders, tmp_path) == folders
    assert list_left_behind(tmp_path) == []
