"""Which setting makes which step anew: each changes the fingerprint of its step and of those that follow."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.read.dicom import write_dicom

from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.differential.me_ratio import MERatio
from erythron.errors import ImageReadError
from erythron.files.hashing import hash_file
from erythron.results.fingerprint import (
    StepSettings,
    fingerprint_calls,
    fingerprint_outlines,
    fingerprint_steps,
    hash_bundle,
    hash_image,
    hash_pixels,
)

STEPS = ("outlines", "calls", "differential", "page")


@pytest.fixture(scope="module")
def told() -> StepSettings:
    return StepSettings(load_bundle(), mpp=0.25)


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        ({"mpp": 0.26}, STEPS),
        ({"mpp": None}, STEPS),
        ({"runtime": RuntimeKind.ONNXRUNTIME}, STEPS),
        ({"me_ratio": next(kind for kind in MERatio if kind is not MERatio.ICSH)}, STEPS[1:]),
        ({"reference_sha256": "a"}, ("differential",)),
        ({"width": 0.06}, ("differential",)),
    ],
)
def test_a_setting_makes_its_step_and_those_after_it_anew(
    change: dict[str, Any], changed: tuple[str, ...], told: StepSettings
) -> None:
    before = asdict(fingerprint_steps(told, "a.png", "0"))
    after = asdict(fingerprint_steps(replace(told, **change), "a.png", "0"))
    assert {step for step in STEPS if before[step] != after[step]} == set(changed)
    assert all(len(mark) == 64 for mark in after.values())


@pytest.mark.parametrize(
    ("name", "sha256", "shown", "review", "changed"),
    [
        ("b.png", "0", 0, "", STEPS),
        ("a.png", "1", 0, "", STEPS),
        ("a.png", "0", 1, "", ("page",)),
        ("a.png", "0", 0, "r", ("differential", "page")),
    ],
)
def test_an_image_and_its_review_make_their_steps_anew(
    name: str, sha256: str, shown: int, review: str, changed: tuple[str, ...], told: StepSettings
) -> None:
    before = asdict(fingerprint_steps(told, "a.png", "0"))
    after = asdict(fingerprint_steps(told, name, sha256, shown, review))
    assert {step for step in STEPS if before[step] != after[step]} == set(changed)


def test_each_step_rests_on_the_one_before(told: StepSettings) -> None:
    found = fingerprint_steps(told, "a.png", "0")
    assert found.outlines == fingerprint_outlines(told, "a.png", "0")
    assert found.calls == fingerprint_calls(told, found.outlines)
    assert len({*asdict(found).values()}) == 4


def test_pixels_are_told_apart_by_size_too() -> None:
    wide, tall = np.zeros((2, 3, 3), np.uint8), np.zeros((3, 2, 3), np.uint8)
    assert hash_pixels(wide) != hash_pixels(tall)
    assert hash_pixels(wide) == hash_pixels(np.zeros((4, 6, 3), np.uint8)[::2, ::2])
    assert hash_pixels(wide) != hash_pixels(wide + np.uint8(1))


def test_an_image_that_is_not_there_is_named(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"a")
    assert hash_image(tmp_path / "a.png") == hash_file(tmp_path / "a.png")
    with pytest.raises(ImageReadError, match=r"b\.png"):
        hash_image(tmp_path / "b.png")


def test_every_file_of_a_slide_counts(tmp_path: Path) -> None:
    parts = write_dicom(tmp_path, np.zeros((130, 140, 3), np.uint8))
    before = hash_image(parts[0])
    assert before != hash_file(parts[0])
    content = parts[1].read_bytes()
    parts[1].write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    changed = hash_image(parts[0])
    parts[1].rename(tmp_path / "other.dcm")
    renamed = hash_image(parts[0])
    (tmp_path / "other.dcm").unlink()
    assert len({before, changed, renamed, hash_image(parts[0])}) == 4
    assert hash_image(parts[0]) == hash_file(parts[0])


def test_a_slide_that_is_moved_with_its_files_stays_the_same(tmp_path: Path) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "a").mkdir(parents=True)
        (tmp_path / place / "a.mrxs").write_bytes(b"index")
        (tmp_path / place / "a" / "Data0001.dat").write_bytes(b"pixels")
    here, there = (hash_image(tmp_path / place / "a.mrxs") for place in ("here", "there"))
    assert here == there
    (tmp_path / "there" / "a" / "Data0001.dat").write_bytes(b"Pixels")
    assert hash_image(tmp_path / "there" / "a.mrxs") != here


def test_a_model_is_known_by_its_description() -> None:
    bundle = load_bundle()
    assert hash_bundle(bundle) == hash_file(bundle.path / "model.json")
