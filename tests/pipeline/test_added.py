"""An image joins a finished run, and one that cannot leaves it as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from PIL import Image

from erythron.errors import UsageError
from erythron.pipeline.added import NewImage, add_image
from erythron.pipeline.count import count_images
from erythron.pipeline.finished import find_run
from erythron.pipeline.options import RunOptions
from erythron.read.image import ScaleSource
from erythron.read.inputs import find_images
from erythron.results.record import read_record
from erythron.synthetic.field import DrawnFieldSpec, draw_field


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("added")
    (folder / "in").mkdir()
    for seed in range(2):
        path = folder / ("in" if seed == 0 else ".") / f"f{seed}.png"
        Image.fromarray(draw_field(DrawnFieldSpec(160, 120, seed=seed)).rgb).save(path)
    count_images(find_images([folder / "in"]), folder / "run", RunOptions(mpp=0.25))
    return folder


def test_an_image_joins_a_run_with_a_name_and_a_scale_of_its_own(counted: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(counted / "run", out)
    new = NewImage(counted / "f1.png", "", "a slide", 0.3)
    before = read_record(out / "f0")
    assert add_image(out, new) is None
    record = read_record(out / "f1")
    assert record is not None
    assert (record.title, record.mpp, record.mpp_source) == ("a slide", 0.3, ScaleSource.OPTION)
    after = read_record(out / "f0")
    assert before is not None
    assert after is not None
    assert after.fingerprints.calls == before.fingerprints.calls
    # The name of the specimen stays, to which signatures refer.
    assert [one.name for one in find_run(out).specimens] == ["f0"]
    assert add_image(out, new) is None
    assert read_record(out / "f1") == record


def test_an_image_that_cannot_be_counted_leaves_no_trace(counted: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    shutil.copytree(counted / "run", out)
    before = (out / "run.json").read_bytes()
    (tmp_path / "broken.png").write_bytes((counted / "f1.png").read_bytes()[:3000])
    failure = add_image(out, NewImage(tmp_path / "broken.png", "", "a slide"))
    assert failure is not None
    assert "damaged" in failure.reason
    assert (out / "run.json").read_bytes() == before
    assert not (out / "broken").exists()
    with pytest.raises(UsageError, match="no specimen 'other'"):
        add_image(out, NewImage(counted / "f1.png", "other", "a slide"))


def test_a_run_whose_pictures_are_gone_takes_none(counted: Path, tmp_path: Path) -> None:
    """Counting it again would lose what is there."""
    out = tmp_path / "run"
    shutil.copytree(counted / "run", out)
    [image] = find_run(out).folders
    hidden = image.rename(tmp_path / "hidden.png")
    try:
        with pytest.raises(UsageError, match="put them back"):
            add_image(out, NewImage(counted / "f1.png", "", "a slide"))
    finally:
        hidden.rename(image)
    assert read_record(out / "f0") is not None
