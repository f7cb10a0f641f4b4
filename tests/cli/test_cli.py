import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from PIL import Image
from tests.program import Done, run_program

from erythron.bundle.folder import load_bundle
from erythron.cli.show_counts import show_counts
from erythron.datasets.masks import read_mask
from erythron.datasets.pixels import read_labelled_image
from erythron.datasets.sets import read_set
from erythron.differential.assemble import make_differential, merge_differentials
from erythron.differential.me_ratio import MERatio
from erythron.pipeline.count import CountRun
from erythron.pipeline.settings import choose_settings
from erythron.quality.flags import CellsInView, FieldQuality
from erythron.shape.mask import convex_hull
from erythron.synthetic.field import DrawnFieldSpec, draw_field

ERYTHRON = [sys.executable, "-m", "erythron"]
PER_IMAGE = {"cells.csv", "cells.geojson", "differential.json", "overlay.png", "page.json", "record.json"}


@pytest.fixture(scope="module")
def fields(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("fields")
    for seed in range(3):
        Image.fromarray(draw_field(DrawnFieldSpec(260, 200, seed=seed)).rgb).save(folder / f"field{seed}.png")
    return folder


HEAVY = "torch", "timm", "onnx", "onnxruntime", "matplotlib"


@pytest.fixture(scope="module")
def counting(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """What a process of its own counted, and which heavy modules it had loaded at its end."""
    out = tmp_path_factory.mktemp("counted") / "out"
    program = (
        "import sys; from erythron.cli import app; app(sys.argv[1:], standalone_mode=False); "
        f"sys.stderr.write('loaded: ' + ' '.join(set({HEAVY}) & set(sys.modules)))"
    )
    command = [sys.executable, "-c", program, "count", str(fields), "--out", str(out)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return out, result.stderr.split("loaded: ")[-1]


@pytest.fixture(scope="module")
def counted(counting: tuple[Path, str]) -> Path:
    return counting[0]


@pytest.fixture(scope="module")
def first(fields: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A count of one field, and what it printed."""
    out = tmp_path_factory.mktemp("first") / "out"
    return out, run_program("count", fields / "field0.png", "--out", out)


def read_results(out: Path) -> dict[str, bytes]:
    """Every result file but those that hold times."""
    names = [p for p in sorted(out.rglob("*")) if p.is_file() and p.name not in {"run.json", "report.html"}]
    return {str(p.relative_to(out)): p.read_bytes() for p in names}


def test_help_names_every_command() -> None:
    result = run_program("--help")
    assert result.returncode == 0
    for command in (
        "count", "classify", "mask", "extract", "convert", "import", "train", "evaluate", "experiment",
        "export", "draw-field", "schema", "demo", "doctor",
    ):  # fmt: skip
        assert command in result.stdout


def test_importing_the_package_and_the_command_line_imports_no_torch() -> None:
    program = (
        "import sys, erythron, erythron.cli; "
        "assert not {'torch', 'numpy', 'polars', 'openvino'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_counting_imports_no_torch(counting: tuple[Path, str]) -> None:
    assert counting[1] == ""


def test_count_writes_what_the_contract_names(counted: Path) -> None:
    assert {p.name for p in counted.iterdir()} == {
        "field0", "field1", "field2", "summary.csv", "report.html", "run.json",
    }  # fmt: skip
    assert {p.name for p in (counted / "field0").iterdir()} == PER_IMAGE
    cells = pl.read_csv(counted / "field0" / "cells.csv")
    assert cells.columns[:8] == [
        "image", "cell_id", "x_px", "y_px", "width_px", "height_px", "label", "confidence",
    ]  # fmt: skip
    probabilities = cells.select(pl.col("^prob_.*$"))
    assert cells.columns[8 : 8 + probabilities.width] == probabilities.columns
    assert cells.columns[-1] == "flags"
    assert cells.height > 0
    np.testing.assert_allclose(probabilities.sum_horizontal().to_numpy(), 1, atol=1e-6)
    summary = pl.read_csv(counted / "summary.csv")
    assert summary["status"].to_list() == ["done"] * 3
    totals = [
        json.loads((counted / name / "differential.json").read_text())["nucleated_cells"]
        for name in ("field0", "field1", "field2")
    ]
    assert summary["nucleated_cells"].to_list() == totals


def print_count(labels: list[str], quality: FieldQuality, capsys: pytest.CaptureFixture[str]) -> CountRun:
    """Print the count of one field with cells of these labels."""
    table = pl.DataFrame({"label": labels, "flags": [""] * len(labels)})
    found = make_differential(table, choose_settings(load_bundle()), quality)
    run = CountRun(found, (("a.png", found),), (), Path("report.html"))
    capsys.readouterr()
    assert show_counts([run], None, Path(), as_json=False) == 0
    return run


def test_a_pdf_that_was_signed_is_not_printed_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The count left it, and --pdf replaced it all the same."""
    monkeypatch.setattr("erythron.report.pdf.print_pdf", lambda _, __, out: out.write_bytes(b"printed"))
    found = make_differential(
        pl.DataFrame({"label": [], "flags": []}, schema={"label": pl.String, "flags": pl.String}),
        choose_settings(load_bundle()),
        FieldQuality(),
    )
    pdf, browser = tmp_path / "report.pdf", Path("chromium")
    run = CountRun(found, (("a.png", found),), (), pdf.with_suffix(".html"))
    pdf.write_bytes(b"signed")
    assert show_counts([run], None, tmp_path, as_json=False, browser=browser) == 1
    assert pdf.read_bytes() == b"signed"
    said = capsys.readouterr()
    assert "report.pdf: is not as a browser printed it and stays; move it away to print" in " ".join(
        said.err.split()
    )
    assert "PDF:" not in said.out
    pdf.unlink()
    assert show_counts([run], None, tmp_path, as_json=False, browser=browser) == 0
    assert pdf.read_bytes() == b"printed"


def test_the_printed_table_shows_raw_and_corrected_shares_within_80_columns(
    first: tuple[Path, Done], capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["granulocyte"] * 60 + ["orthochromatic_erythroblast"] * 20 + ["proerythroblast"] * 5
    run = print_count(labels, FieldQuality(), capsys)
    printed = capsys.readouterr().out.splitlines()
    for text in (printed, first[1].stdout.splitlines()):
        assert max(len(line) for line in text if "(" in line and ":" not in line) <= 80
    for line in run.differential.classes:
        share, estimate = line.of_nucleated, line.corrected_of_nucleated
        if share is None or estimate is None or estimate.value is None:
            continue
        row = next(text for text in printed if text.lstrip().startswith(line.title))
        for value, (low, high) in ((share.fraction, share.interval), (estimate.value, estimate.interval)):
            assert f"{100 * value:.1f} ({100 * low:.1f}–{100 * high:.1f})" in row


def test_flags_are_said_on_stderr_and_the_table_of_such_a_count_is_provisional(
    first: tuple[Path, Done],
) -> None:
    out, result = first
    found = json.loads((out / "field0" / "differential.json").read_text())
    assert "too_few_cells" in {flag["name"] for flag in found["flags"]}
    for flag in found["flags"]:
        assert f"{flag['name'].replace('_', ' ')}: {flag['text']}" in result.stderr
        assert flag["text"] not in result.stdout
    assert "PROVISIONAL, not to be reported as it stands" in result.stdout


def test_json_is_on_stdout_and_everything_else_on_stderr(fields: Path, tmp_path: Path) -> None:
    result = run_program(
        "count", fields / "field0.png", tmp_path / "absent.png", "--out", tmp_path / "out", "--json"
    )
    assert result.returncode == 1
    printed = json.loads(result.stdout)
    assert [entry["image"] for entry in printed["fields"]] == [str(fields / "field0.png")]
    assert "absent.png" in result.stderr
    assert "no such file" in printed["failures"][0]["reason"]


def test_the_same_run_again_keeps_its_results(fields: Path, counted: Path) -> None:
    before = read_results(counted)
    made = (counted / "field0" / "cells.csv").stat().st_mtime_ns
    assert run_program("count", fields, "--out", counted).returncode == 0
    assert read_results(counted) == before
    assert (counted / "field0" / "cells.csv").stat().st_mtime_ns == made


@pytest.mark.parametrize("arguments", [["--mpp", "0.2"], []])
def test_nothing_is_overwritten_without_force(
    arguments: list[str], fields: Path, counted: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    shutil.copytree(counted, out)
    before = read_results(out)
    inputs = [fields] if arguments else [fields / "field0.png"]
    result = run_program("count", *inputs, "--out", out, *arguments)
    assert result.returncode == 2
    assert "--force" in result.stderr
    assert read_results(out) == before
    assert run_program("count", *inputs, "--out", out, *arguments, "--force").returncode == 0
    assert read_results(out) != before


def test_two_inputs_with_one_output_are_refused(fields: Path, tmp_path: Path) -> None:
    twin = tmp_path / "field0.png"
    shutil.copy(fields / "field0.png", twin)
    result = run_program("count", fields / "field0.png", twin, "--out", tmp_path / "out")
    assert result.returncode == 2
    assert str(twin) in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_region_of_one_slide_is_counted_on_no_other(fields: Path, tmp_path: Path) -> None:
    region = tmp_path / "region.geojson"
    region.write_text('{"type": "Polygon", "coordinates": [[[0, 0], [90, 0], [0, 90]]]}')
    result = run_program("count", fields, "--out", tmp_path / "out", "--region", region)
    assert result.returncode == 2
    assert "--region is of one slide, and 3 images are given" in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_run_continues_to_the_same_results(
    how: signal.Signals, fields: Path, counted: Path, tmp_path: Path
) -> None:
    for trial in range(5):  # on a busy machine the count may end before this process sees its first field
        out = tmp_path / f"out{trial}"
        process = subprocess.Popen(
            [*ERYTHRON, "count", str(fields), "--out", str(out)], stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not (out / "field0").exists() and time.monotonic() < deadline:
            time.sleep(0.005)
        os.kill(process.pid, how)
        if process.wait(30) != 0:
            break
    assert process.returncode != 0
    for folder in out.glob("field*"):
        assert {p.name for p in folder.iterdir()} == PER_IMAGE
    assert run_program("count", fields, "--out", out).returncode == 0
    assert read_results(out) == read_results(counted)


def test_a_field_without_nucleated_cells_says_so(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200), (236, 230, 228)).save(tmp_path / "empty.png")
    result = run_program("count", tmp_path / "empty.png", "--out", tmp_path / "out")
    assert result.returncode == 0, result.stderr
    assert "No nucleated cell" in result.stdout
    assert "No nucleated cell" in (tmp_path / "out" / "report.html").read_text()
    assert pl.read_csv(tmp_path / "out" / "empty" / "cells.csv").is_empty()


def test_a_run_in_which_every_image_failed_does_not_speak_of_cells(tmp_path: Path) -> None:
    result = run_program("count", tmp_path / "absent.png", "--out", tmp_path / "out")
    assert result.returncode == 1
    assert "No image could be counted" in result.stdout
    assert "No nucleated cell" not in result.stdout + (tmp_path / "out" / "report.html").read_text()


def test_a_specimen_without_cells_is_not_provisional(capsys: pytest.CaptureFixture[str]) -> None:
    settings = choose_settings(load_bundle(), None, 0.05, MERatio.ICSH)
    empty = CountRun(merge_differentials([], settings), (), (), Path("report.html"))
    assert show_counts([empty, empty], ["p1", "p2 [left]"], Path("out"), as_json=False) == 0
    shown = capsys.readouterr().out
    assert "p2 [left]  " in shown  # brackets are no markup here, and of p2 [right] they are the difference
    assert "no cells" in shown
    assert "provisional" not in shown
    assert "Nothing was counted of p1: no image could be counted" in shown


def test_a_mask_has_its_images_size_and_values(fields: Path, tmp_path: Path) -> None:
    out = tmp_path / "masks"
    assert run_program("mask", fields, "--out", out, "--all").returncode == 0
    mask = np.asarray(Image.open(out / "field0.png"))
    assert mask.shape == (200, 260)
    assert set(np.unique(mask)) == {0, 128, 255}
    again = run_program("mask", fields, "--out", out, "--all")
    assert again.returncode == 0
    assert "0 masks written" in again.stdout
    other = run_program("mask", fields, "--out", out)
    assert other.returncode == 1
    assert "--force" in other.stderr


def test_image_and_hull_are_written_as_one_file_that_is_read_back_as_a_labelled_set(
    fields: Path, tmp_path: Path
) -> None:
    """The fourth channel as the published network takes it: one crop of the file crops image and mask."""
    out = tmp_path / "set" / "late"
    words = ("mask", fields / "field0.png", "--out", out, "--shape", "hull", "--four-channels")
    assert run_program(*words).returncode == 0
    again = run_program(*words)
    assert "0 masks written" in again.stdout
    cells = read_set("set", tmp_path / "set").rows
    assert cells["mask_kind"].to_list() == ["fourth_channel"]
    written = Path(cells["path"][0])
    assert written == out / "field0.tif"
    image = read_labelled_image(written, None, "fourth_channel")
    np.testing.assert_array_equal(image.rgb, np.asarray(Image.open(fields / "field0.png").convert("RGB")))
    hull = read_mask(written, "fourth_channel").cell
    assert run_program("mask", fields / "field0.png", "--out", tmp_path / "plain").returncode == 0
    cell = np.asarray(Image.open(tmp_path / "plain" / "field0.png")) > 0
    assert cell.any()
    np.testing.assert_array_equal(hull, convex_hull(cell))


@pytest.mark.parametrize(("cells", "is_told"), [(19, False), (20, True)])
def test_of_few_cells_no_corrected_figure_is_printed_and_the_reason_is(
    cells: int, is_told: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = ["granulocyte"] * (cells - 5) + ["orthochromatic_erythroblast"] * 5
    print_count(labels, FieldQuality(in_view=CellsInView(cells, 10_000.0)), capsys)
    printed = capsys.readouterr().out
    assert ("corrected" in printed.replace("No corrected figures", "")) is is_told
    assert (f"No corrected figures: so few cells ({cells}, under 20) tell nothing" in printed) is not is_told
    assert f"from {cells - 5} white cells alone, where a blood count takes 100 or more" in printed


def test_classify_gives_one_row_an_image(fields: Path, tmp_path: Path) -> None:
    field = draw_field(DrawnFieldSpec(400, 300, seed=1))
    crops = tmp_path / "crops"
    crops.mkdir()
    inner = field.cells.filter(pl.col("x_px").is_between(64, 336) & pl.col("y_px").is_between(64, 236))
    for cell_id, x, y in inner.select("cell_id", "x_px", "y_px").head(4).iter_rows():
        part = field.rgb[round(y) - 64 : round(y) + 64, round(x) - 64 : round(x) + 64]
        Image.fromarray(part).save(crops / f"{cell_id}.png")
    (crops / "broken.png").write_text("not an image")
    result = run_program("classify", crops, "--out", tmp_path / "calls.csv", "--mpp", "0.25")
    assert result.returncode == 1
    assert "broken.png" in result.stderr
    calls = pl.read_csv(tmp_path / "calls.csv")
    assert calls.columns[:3] == ["image", "label", "confidence"]
    assert calls.height == min(4, inner.height)
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert run_program("classify", crops, "--out", tmp_path / "calls.csv").returncode == 2


def test_extract_gives_a_crop_and_a_mask_for_every_cell(fields: Path, tmp_path: Path) -> None:
    out = tmp_path / "set"
    assert run_program("extract", fields / "field0.png", "--out", out).returncode == 0
    cells = pl.read_csv(out / "cells.csv")
    assert cells.height > 0
    for crop, mask in cells.select("crop", "mask").iter_rows():
        with Image.open(out / crop) as image, Image.open(out / mask) as shape:
            assert image.size == shape.size
            assert image.width == image.height
            assert np.asarray(shape).max() == 255


def test_doctor_finds_this_installation_healthy() -> None:
    result = run_program("doctor", "--json")
    assert result.returncode == 0, result.stdout
    states = {check["name"]: check["state"] for check in json.loads(result.stdout)["checks"]}
    assert states["model"] == "ok"
    assert states["runtime"] == "ok"


def test_doctor_names_a_broken_bundle(tmp_path: Path) -> None:
    result = run_program("doctor", "--model", tmp_path)
    assert result.returncode == 1
    assert "model.json" in result.stdout


def test_a_drawn_field_has_its_truth_beside_it(tmp_path: Path) -> None:
    png = tmp_path / "field.png"
    assert run_program("draw-field", png, "--width", "300", "--height", "256", "--seed", "4").returncode == 0
    assert Image.open(png).size == (300, 256)
    assert Image.open(tmp_path / "field.mask.png").size == (300, 256)
    assert pl.read_csv(tmp_path / "field.cells.csv").height > 0
    assert run_program("draw-field", png).returncode == 2
    assert run_program("draw-field", tmp_path / "field.jpg").returncode == 2
