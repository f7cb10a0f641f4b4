"""A finished count as it is found in its folder again."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from erythron.pipeline.count import count_images
from erythron.pipeline.finished import find_run, need_pictures
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field


def test_an_image_that_was_never_there_does_not_pass_for_the_one_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    Image.fromarray(draw_field(DrawnFieldSpec(180, 150)).rgb).save(tmp_path / "here" / "f.png")
    images = [tmp_path / "gone" / "f.png", tmp_path / "here" / "f.png"]
    done = count_images(find_images(images), tmp_path / "out", RunOptions(mpp=0.25))
    assert [failure.image for failure in done.failures] == [str(images[0])]
    folders = find_run(tmp_path / "out").folders
    assert folders == {images[0]: tmp_path / "out" / "f-2", images[1]: tmp_path / "out" / "f"}
    need_pictures(folders)
