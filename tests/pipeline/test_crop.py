"""A picture that is not of one cell is not taken for one in silence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from typer.testing import CliRunner

from erythron.bundle.folder import load_bundle
from erythron.classify.framing import is_larger_than_crop
from erythron.cli import app
from erythron.errors import SpecimenError
from erythron.pipeline.classify import judge_calls
from erythron.pipeline.crop import classify_crop
from erythron.pipeline.field import Networks, load_networks
from erythron.read.image import ScaleSource, SmearImage
from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def networks() -> Networks:
    return load_networks(load_bundle())


def picture(rgb: np.ndarray, mpp: float | None = None) -> SmearImage:
    source = ScaleSource.UNKNOWN if mpp is None else ScaleSource.OPTION
    return SmearImage("picture.png", np.ascontiguousarray(rgb), mpp, source)


def read(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB"))


def test_a_field_is_flagged_by_its_size_and_a_cell_cut_from_it_is_not(networks: Networks) -> None:
    rgb = draw_field(DrawnFieldSpec(430, 424, seed=1)).rgb
    assert "not_one_cell" in classify_crop(picture(rgb, 0.25), networks)["flags"][0]
    assert "not_one_cell" not in classify_crop(picture(rgb[40:170, 40:170], 0.25), networks)["flags"][0]


def test_a_large_picture_of_few_microns_may_be_of_one_cell() -> None:
    rgb, framing = np.full((600, 600, 3), 230, np.uint8), load_bundle().card.framing
    assert is_larger_than_crop(picture(rgb), framing)
    assert not is_larger_than_crop(picture(rgb, 0.05), framing)
    assert is_larger_than_crop(picture(rgb[:300, :300], 0.5), framing)


def test_the_command_names_a_field_and_the_next_step(tmp_path: Path) -> None:
    Image.fromarray(draw_field(DrawnFieldSpec(430, 424, seed=1)).rgb).save(tmp_path / "field.png")
    out = tmp_path / "calls.csv"
    done = CliRunner().invoke(app, ["classify", str(tmp_path / "field.png"), "--out", str(out), "--json"])
    assert done.exit_code == 0
    [said] = [line for line in done.stderr.splitlines() if line.startswith("not one cell: ")]
    assert "field.png: shows more than a single cell" in said
    assert "erythron count" in said
    assert "not_one_cell" in [flag["name"] for flag in json.loads(done.stdout)["flags"]]
    assert "not_one_cell" in pl.read_csv(out)["flags"][0]


@pytest.mark.real_data
def test_a_section_is_refused_and_crowded_marrow_is_flagged_at_the_size_of_a_crop(
    networks: Networks, data_dir: Path
) -> None:
    section = read(data_dir / "marrow-sections/BM_GRAZ_HE_0003_02.png")[100:460, 100:460]
    with pytest.raises(SpecimenError, match="not_a_smear: no red cell is seen in it"):
        classify_crop(picture(section), networks)
    marrow = read(data_dir / "marrow-field/marrow-field-left.png")[200:450, 50:300]
    assert "not_one_cell" in classify_crop(picture(marrow), networks)["flags"][0]


@pytest.mark.real_data
def test_a_crop_with_neighbours_in_view_is_of_one_cell(networks: Networks, data_dir: Path) -> None:
    # Of all crops here these have most candidate points.
    for name in ("segmented_058", "proerythroblast_009"):
        [path] = (data_dir / "pathology-bites-cells").rglob(f"{name}.png")
        assert "not_one_cell" not in classify_crop(picture(read(path)), networks)["flags"][0]


def make_calls(novelty: list[float], flags: str = "") -> pl.DataFrame:
    images = [f"{i}.png" for i in range(len(novelty))]
    return pl.DataFrame({"image": images, "novelty": novelty, "flags": [flags] * len(novelty)})


def test_cells_unlike_the_training_are_said_as_of_a_field() -> None:
    assert judge_calls(make_calls([0.5] * 12)) == ()
    [flag] = judge_calls(make_calls([0.5] * 9 + [1.2] * 3))
    assert (flag.name, flag.value) == ("cells_unlike_training", 0.25)
    for novelty in ([0.5] * 11 + [1.2], [0.5, 1.2]):  # fewer than a fifth; too few to judge a share by
        [flag] = judge_calls(make_calls(novelty))
        assert flag.name == "some_unlike_training"
        assert flag.text.startswith(f"1 of {len(novelty)} cells looks unlike")
    assert judge_calls(make_calls([])) == ()


def test_pictures_of_many_cells_are_named_with_the_next_step() -> None:
    [flag] = judge_calls(make_calls([0.5] * 7, "unclassified not_one_cell"))
    assert flag.name == "not_one_cell"
    assert flag.text.startswith("0.png, 1.png, 2.png, 3.png, 4.png and 2 more: ")
    assert "erythron count" in flag.text
