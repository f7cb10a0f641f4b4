"""Masks of pictures that are not of one cell: what they lack is said."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from erythron.cli import app
from erythron.pipeline.mask import MaskOptions, mask_images
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A field, and a crop of one cell from another."""
    folder = tmp_path_factory.mktemp("pictures")
    Image.fromarray(draw_field(DrawnFieldSpec(430, 424, seed=1)).rgb).save(folder / "field.png")
    rgb = draw_field(DrawnFieldSpec(430, 424, seed=1)).rgb[40:170, 40:170]
    Image.fromarray(np.ascontiguousarray(rgb)).save(folder / "crop.png")
    return folder


@pytest.mark.parametrize("four_channels", [False, True])
def test_a_field_of_which_one_cell_is_outlined_is_said_and_again_where_its_mask_is_kept(
    pictures: Path, tmp_path: Path, four_channels: bool
) -> None:
    options = MaskOptions(mpp=0.25, four_channels=four_channels)
    for written in (2, 0):
        done = mask_images(find_images([pictures]), tmp_path, options)
        assert (done.written, done.kept) == (written, 2 - written)
        [flag] = done.flags
        assert (flag.name, flag.value) == ("not_one_cell", 1.0)
        assert (
            "field.png: shows more than a single cell, and only the one at the centre is outlined"
            in flag.text
        )
        assert "crop.png" not in flag.text
        assert "with --all" in flag.text


def test_of_every_cell_of_a_field_and_of_a_crop_nothing_is_said(pictures: Path, tmp_path: Path) -> None:
    every = mask_images(find_images([pictures]), tmp_path / "all", MaskOptions(every_cell=True, mpp=0.25))
    crop = mask_images(find_images([pictures / "crop.png"]), tmp_path / "crop", MaskOptions(mpp=0.25))
    assert (every.flags, crop.flags) == ((), ())


def test_a_grey_field_is_masked_and_said_by_its_size(pictures: Path, tmp_path: Path) -> None:
    grey = Image.open(pictures / "field.png").convert("L")
    grey.save(tmp_path / "large.png")
    grey.crop((0, 0, 400, 400)).save(tmp_path / "small.png")
    done = mask_images(find_images([tmp_path]), tmp_path / "masks", MaskOptions(mpp=0.25))
    assert (done.written, done.failures) == (2, ())
    [flag] = done.flags
    assert "small.png" not in flag.text


def test_the_command_says_it_on_stderr_and_in_json(pictures: Path, tmp_path: Path) -> None:
    words = ["mask", str(pictures / "field.png"), "--out", str(tmp_path / "masks"), "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0
    [said] = [line for line in done.stderr.splitlines() if line.startswith("not one cell: ")]
    assert "--all" in said
    assert [flag["name"] for flag in json.loads(done.stdout)["flags"]] == ["not_one_cell"]


@pytest.mark.real_data
def test_crowded_marrow_at_the_size_of_a_crop_is_said(data_dir: Path, tmp_path: Path) -> None:
    marrow = Image.open(data_dir / "marrow-field/marrow-field-left.png").crop((50, 200, 300, 450))
    marrow.save(tmp_path / "marrow.png")
    done = mask_images(find_images([tmp_path / "marrow.png"]), tmp_path / "masks", MaskOptions())
    assert [flag.name for flag in done.flags] == ["not_one_cell"]
