"""The Python interface: the same files as the command, one model for many images, and no heavy import."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import matplotlib.figure
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

import erythron
from erythron.errors import ErythronError, ImageReadError, MissingExtraError, UsageError
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.fields import read_image
from erythron.read.inputs import find_images
from erythron.report.lines import order_lines
from erythron.synthetic.field import DrawnFieldSpec, draw_field

DOCS = Path(__file__).parent.parent / "docs" / "api.md"


@pytest.fixture(scope="module")
def pixels() -> NDArray[np.uint8]:
    return draw_field(DrawnFieldSpec(240, 200, seed=1)).rgb


@pytest.fixture(scope="module")
def path(pixels: NDArray[np.uint8], tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("field") / "field.png"
    Image.fromarray(pixels).save(file)
    return file


@pytest.fixture(scope="module")
def result(path: Path) -> erythron.Result:
    return erythron.count(path, mpp=0.25)


def read_folder(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_importing_the_package_loads_nothing_heavy_and_is_quick() -> None:
    program = (
        "import sys, time; start = time.process_time(); import erythron\n"
        "took = time.process_time() - start\n"
        "heavy = {'numpy', 'polars', 'scipy', 'skimage', 'openvino', 'PIL', 'pydantic', 'torch'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "assert {'count', 'Counter', 'Result', 'Failure'} <= set(dir(erythron))\n"
        "assert callable(erythron.count)\n"
        "assert not {'torch', 'matplotlib'} & set(sys.modules)\n"
        "print(took)"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    assert float(done.stdout) < 0.05


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = erythron.nothing  # type: ignore[attr-defined]


def test_what_a_result_holds(result: erythron.Result, pixels: NDArray[np.uint8], path: Path) -> None:
    assert result.image == str(path)
    assert (result.mpp, result.mpp_source) == (0.25, "option")
    assert np.array_equal(result.rgb, pixels)
    assert result.cells.height == len(result.outlines) > 0
    not_nucleated = sum(c.count for c in result.differential.classes if c.of_nucleated is None)
    assert result.differential.nucleated_cells + not_nucleated == result.cells.height
    assert str(result.differential.nucleated_cells) in repr(result)


def test_a_counter_takes_another_runtime_and_says_where_it_computes(
    result: erythron.Result, path: Path
) -> None:
    with erythron.Counter(mpp=0.25, runtime="onnxruntime") as counter:
        assert counter.device.startswith("ONNX Runtime, ")
        assert counter.count(path).cells["label"].to_list() == result.cells["label"].to_list()
    with pytest.raises(UsageError, match="choose openvino or onnxruntime"):
        erythron.Counter(runtime="paper")


def test_saving_gives_the_files_of_the_command(result: erythron.Result, path: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    count_images(find_images([path]), run, RunOptions(mpp=0.25))
    folder = result.save(tmp_path / "saved")
    assert folder == tmp_path / "saved"
    saved, counted = read_folder(folder), read_folder(run / "field")
    assert set(counted) - set(saved) == {"page.json"}  # only a run has a page
    for name in set(saved) - {"record.json"}:
        assert saved[name] == counted[name], name
    one, other = (json.loads(files["record.json"]) for files in (saved, counted))
    assert one.pop("fingerprints").pop("page") != other["fingerprints"].pop("page")
    del other["fingerprints"]
    assert one == other
    # and the command goes on from what was saved
    again = tmp_path / "again"
    result.save(again / "field")
    before = (again / "field" / "cells.csv").stat().st_mtime_ns
    assert count_images(find_images([path]), again, RunOptions(mpp=0.25)).failures == ()
    assert (again / "field" / "cells.csv").stat().st_mtime_ns == before


def test_saving_replaces_nothing_unasked(
    result: erythron.Result, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    other = erythron.count(pixels, mpp=0.3)
    place = result.save(str(tmp_path / "saved"))
    first = read_folder(place)
    assert result.save(place) == place
    with pytest.raises(UsageError, match="force=True"):
        other.save(place)
    assert read_folder(place) == first
    other.save(place, force=True)
    assert read_folder(place) != first
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="did not write it"):
        result.save(tmp_path / "mine", force=True)
    assert (tmp_path / "mine" / "notes.txt").read_text() == "mine"


def test_an_array_counts_like_its_file(result: erythron.Result, pixels: NDArray[np.uint8]) -> None:
    own = erythron.count(pixels, mpp=0.25)
    assert own.image == "array"
    assert own.cells.drop("image").equals(result.cells.drop("image"))
    assert own.differential == result.differential
    before = own.rgb.copy()
    kept = pixels.copy()
    pixels[:] = 0
    try:
        assert np.array_equal(own.rgb, before)
    finally:
        pixels[:] = kept


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((50, 50), np.uint8),
        np.zeros((50, 50, 4), np.uint8),
        np.zeros((50, 50, 3), np.float32),
        np.zeros((5, 50, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_image_is_refused(wrong: Any) -> None:
    with pytest.raises(ImageReadError, match="array"):
        erythron.count(wrong)


def test_wrong_scales_and_models_are_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="microns"):
        erythron.count(path, mpp=0)
    with pytest.raises(UsageError, match="microns"):
        erythron.Counter(mpp=99)
    with pytest.raises(ErythronError, match=r"model\.json"):
        erythron.count(path, model=tmp_path)


def test_a_counter_loads_the_network_once_and_names_what_fails(
    path: Path, pixels: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from erythron import api

    loads = []
    real = api.load_networks
    monkeypatch.setattr(
        api, "load_networks", lambda *given, **named: loads.append(1) or real(*given, **named)
    )
    with erythron.Counter(mpp=0.25) as counter:
        outcomes = list(counter.count_many([path, tmp_path / "absent.png", pixels, pixels[:, :, :2]]))
        one = counter.count(path)
        assert counter.count(path, mpp=0.5).mpp == 0.5
    assert len(loads) == 1
    kinds = [type(o) for o in outcomes]
    assert kinds == [erythron.Result, erythron.Failure, erythron.Result, erythron.Failure]
    done, absent, array, wrong = outcomes
    assert isinstance(done, erythron.Result)
    assert isinstance(array, erythron.Result)
    assert done.cells.equals(one.cells)
    assert (array.image, array.cells["image"][0]) == ("array 3", "array 3")
    assert isinstance(absent, erythron.Failure)
    assert absent.image == str(tmp_path / "absent.png")
    assert "no such file" in absent.reason
    assert isinstance(wrong, erythron.Failure)
    assert wrong.image == "array 4"
    for call in (lambda: counter.count(path), lambda: next(counter.count_many([path]))):
        with pytest.raises(UsageError, match="closed"):
            call()


def test_many_images_are_read_one_by_one(pixels: NDArray[np.uint8]) -> None:
    taken = []

    def images() -> Any:
        for number in range(3):
            taken.append(number)
            yield pixels

    with erythron.Counter() as counter:
        next(counter.count_many(images()))
    assert taken == [0]


def test_the_interface_and_the_command_share_their_functions() -> None:
    from erythron import api
    from erythron.pipeline import count_worker, field
    from erythron.results import field as results

    assert api.count_field is count_worker.count_field is field.count_field
    assert api.write_field is count_worker.write_field is results.write_field


def test_a_figure_shows_every_class_and_the_image(result: erythron.Result, tmp_path: Path) -> None:
    figure = result.plot()
    assert isinstance(figure, matplotlib.figure.Figure)
    picture, bars = figure.axes
    assert picture.images[0].get_array().shape[:2] == result.rgb.shape[:2]  # type: ignore[union-attr]
    lines = order_lines(result.differential.classes)
    shares = [line.of_nucleated for line in lines if line.of_nucleated is not None]
    shares.append(result.differential.unclassified)
    widths = [b.get_width() for b in bars.patches]  # type: ignore[attr-defined]
    assert widths == pytest.approx([100 * s.count / s.total for s in shares])
    figure.savefig(tmp_path / "figure.png")
    with Image.open(tmp_path / "figure.png") as image:
        assert image.width > 600


def test_without_matplotlib_a_figure_names_the_extra(
    result: erythron.Result, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"erythron\[plot\]"):
        result.plot()


def test_a_notebook_shows_table_and_picture(result: erythron.Result) -> None:
    html = result._repr_html_()
    assert "<script" not in html
    assert html.startswith("<div><p><b>Provisional: not to be reported as it stands.</b></p>")
    assert html.count("<li>") == len(result.differential.flags) + len(result.differential.indices)
    assert html.count("data:image/jpeg;base64,") == 1
    assert html.count("http") == 0
    counted = [c for c in result.differential.classes if c.count and c.of_nucleated is not None]
    for line in counted:
        assert f"<td>{line.title}</td><td>{line.count}</td>" in html
    for tag in ("div", "table", "tr", "td", "ul", "li", "p"):
        assert len(re.findall(f"<{tag}[ >]", html)) == html.count(f"</{tag}>")


def test_a_name_with_markup_is_escaped(pixels: NDArray[np.uint8], tmp_path: Path) -> None:
    file = tmp_path / "<b>&.png"
    Image.fromarray(pixels[:120, :160]).save(file)
    html = erythron.count(file, mpp=0.25)._repr_html_()
    assert "<b>&" not in html
    assert "&lt;b&gt;&amp;.png" in html


def test_a_field_without_cells_has_figure_and_page(tmp_path: Path) -> None:
    empty = erythron.count(np.full((200, 300, 3), 236, np.uint8))
    assert empty.cells.is_empty()
    assert "0 nucleated cells" in empty._repr_html_()
    assert len(empty.plot().axes) == 2
    assert (empty.save(tmp_path / "empty") / "cells.csv").is_file()


def test_the_examples_of_the_documentation_run(
    pixels: NDArray[np.uint8], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("field.png", "slide/a.png", "slide/b.png"):
        file = tmp_path / name
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(file)
    (tmp_path / "slide" / "broken.png").write_text("not an image")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 5
    scope: dict[str, Any] = {}
    for number, block in enumerate(blocks):
        exec(compile(block, f"{DOCS.name}, block {number + 1}", "exec"), scope)  # noqa: S102
    assert (tmp_path / "results" / "field" / "cells.geojson").is_file()
    assert {p.name for p in (tmp_path / "results").iterdir()} == {"field", "a", "b"}


def test_a_field_that_another_reader_takes_is_counted_as_the_command_counts_it(
    result: erythron.Result, pixels: NDArray[np.uint8], tmp_path: Path
) -> None:
    path = tmp_path / "field.tif"
    tifffile.imwrite(path, pixels, photometric="rgb", tile=(128, 128), compression="jpeg2000")
    with pytest.raises(ImageReadError):
        read_image(path)
    found = erythron.count(path, mpp=0.25)
    assert np.array_equal(found.rgb, pixels)
    assert found.differential == result.differential


def test_threads_that_share_a_counter_get_what_one_gets(pixels: NDArray[np.uint8]) -> None:
    fields = [draw_field(DrawnFieldSpec(160, 120, seed=seed)).rgb for seed in range(4)]
    with erythron.Counter(mpp=0.25) as counter:
        alone = [counter.count(field).cells for field in fields]
        with ThreadPoolExecutor(max_workers=4) as pool:
            together = [result.cells for result in pool.map(counter.count, fields * 3)]
    assert all(found.equals(expected) for found, expected in zip(together, alone * 3, strict=True))


def test_a_counter_is_refused_in_a_forked_process() -> None:
    with erythron.Counter(mpp=0.25) as counter:
        counter.count(draw_field(DrawnFieldSpec(120, 100, seed=1)).rgb)
        child = os.fork()
        if child == 0:
            try:
                counter.count(np.zeros((100, 100, 3), np.uint8))
            except UsageError:
                os._exit(7)
            os._exit(1)
        _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 7
