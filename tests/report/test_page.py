"""The page: complete, escaped, bounded, and sound in a real browser at three widths."""

from __future__ import annotations

import re
import shutil
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest

from erythron.cells.classes import GRANULOCYTE, LYMPHOCYTE
from erythron.differential.assemble import (
    DifferentialSettings,
    make_differential,
    make_differential_from_counts,
)
from erythron.differential.correction import ConfusionMatrix
from erythron.differential.counts import (
    CellCounts,
    CellsNeeded,
    Correction,
    Differential,
    Estimate,
    ReferenceRange,
)
from erythron.quality.flags import PROVISIONAL, CellsInView, FieldQuality, QualityFlag
from erythron.read.image import ScaleSource
from erythron.report.model import Entry, FailedInput
from erythron.report.page import MAX_FIELDS_IN_FULL, MAX_ROWS, render_report

from .conftest import HOSTILE_NAME, Field, get_settings, make_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


def test_says_what_a_reader_must_know(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"]))
    assert page.count("Research use only. A qualified person confirms the calls.") == 1
    assert "not known: sizes are in pixels" in page
    assert "4 of 10" in page
    assert "40689-2" in page
    assert "0" * 64 in page


def test_file_names_are_text(field: Field) -> None:
    page = render_report(make_report(field, [HOSTILE_NAME]))
    assert HOSTILE_NAME not in page
    assert "&lt;img src=" in page


def test_no_nucleated_cell_is_said_plainly(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"], empty=True))
    assert "No nucleated cell was found" in page
    # What is not there is not said to be provisional.
    assert "Nothing was counted: no nucleated cell is in the one field" in page
    assert "rovisional:" not in page
    assert ", provisional" not in page
    assert 'class="chart"' not in page
    assert 'id="spread"' not in page


def test_an_image_at_too_small_a_scale_is_not_said_to_be_counted_or_blurred(field: Field) -> None:
    report = make_report(field, ["a.png", "b.png"], empty=True)
    coarse = QualityFlag("magnification_too_low", "no cell is counted")
    found = replace(report.differential, left_out_cells=5, flags=(coarse,))
    fields = tuple(replace(one, differential=replace(found, fields=1)) for one in report.fields)
    page = render_report(replace(report, differential=found, fields=fields))
    assert "0 counted, 2 not counted for their scale" in page
    assert "10 cells in fields with too little magnification are in no count." in page
    assert "out of focus" not in page


def test_no_counted_image_is_said_plainly(field: Field) -> None:
    assert "No image could be counted" in render_report(make_report(field, []))


def test_many_fields_stay_bounded_and_the_page_says_so(field: Field) -> None:
    page = render_report(make_report(field, [f"{i}.png" for i in range(400)]))
    assert page.count('<article class="field">') == MAX_FIELDS_IN_FULL
    assert f"The first {MAX_FIELDS_IN_FULL} of 400 are shown in full" in page
    assert f"The first {MAX_ROWS} of 400 counted images; all stand in summary.csv" in page
    last = MAX_ROWS - 1
    first_of_row = (
        f'<th scope="row" title="{last}.png">{last}</th><td>11</td><td>1</td>'  # nucleated, stage 1
    )
    assert first_of_row in re.sub(r">\s+<", "><", page)
    assert f'title="{MAX_ROWS}.png"' not in page
    assert len(page) < 3_000_000


def test_cells_of_the_gallery_lead_to_their_outlines(field: Field) -> None:
    page = render_report(make_report(field, ["a.png", "b.png"]))
    outlines = re.findall(r'<path id="(f[01]c[^"]+)"', page)
    assert len(outlines) == len(set(outlines)) == 24
    links = re.findall(r'<a href="#(f[^"]+)"', page)
    assert len(links) == 24
    assert set(links) <= set(outlines)


def test_the_gallery_says_how_many_of_how_many_it_has_room_for(
    field: Field, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("erythron.report.gallery.FIRST_CELLS", 2)
    monkeypatch.setattr("erythron.report.page.FIRST_CELLS", 2)
    report = make_report(field, ["a.png", "b.png", "c.png"])
    page = render_report(report)
    assert page.count("<li><a href=") == 3 * 12
    assert (
        page.count("<summary>1 more</summary>") == 10
    )  # of three unclassified or of one class; six granulocytes
    # On paper the further ones are not shown, and are not said to be.
    assert '<span class="printed">2 of 6</span><span class="screen">6 of 6</span>' in page
    monkeypatch.setattr("erythron.report.gallery.MAX_BYTES", 0)
    page = render_report(report)
    assert page.count("<li><a href=") == 2 * 11  # ten classes and the unclassified
    assert "2 of 6; the page has no room for the others" in page
    assert "<summary>" not in page


def test_all_cells_of_one_field_are_on_the_page_with_a_line_that_leaves_them_bare(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"]))
    assert page.count("<li><a href=") == 12
    assert page.count('<path class="around"') == 12
    assert "<span>0.30 granulocyte</span>" in page  # the unclassified one, with what it is most like
    assert "<span>0.90</span>" in page
    assert 'value="around" checked' in page
    assert "no room for the others" not in page


def test_a_count_that_should_not_be_trusted_does_not_look_like_one_that_should(field: Field) -> None:
    report = make_report(field, ["a.png"])
    sound = replace(report, differential=replace(report.differential, flags=()))
    page = render_report(sound)
    assert "rovisional:" not in page
    assert "<body>" in page
    uneven = QualityFlag("drift_between_fields", "the smear is uneven")
    page = render_report(replace(report, differential=replace(report.differential, flags=(uneven,))))
    assert "Before you read the figures" in page
    assert "<body>" in page
    for name in PROVISIONAL:
        flags = (QualityFlag(name, "said why"),)
        page = render_report(replace(report, differential=replace(report.differential, flags=flags)))
        assert '<body class="provisional">' in page, name
        assert "Provisional: not to be reported as it stands" in page
        assert "Differential, provisional" in page
        assert "nucleated cells, provisional" in page  # where it is signed


def test_fields_are_headed_by_names_and_their_paths_are_tooltips(field: Field) -> None:
    page = render_report(make_report(field, ["run/p1/f.png", "run/p2/f.png", "run/g.png"]))
    for path, name in (("run/p1/f.png", "p1/f"), ("run/p2/f.png", "p2/f"), ("run/g.png", "g")):
        assert f'<h3 title="{path}">{name}</h3>' in page
    assert not re.search(r">[^<]*run/p1/f\.png", page)


def test_a_report_by_ones_own_bundle_says_only_what_is_true_of_it(field: Field) -> None:
    report = make_report(field, ["a.png"])
    found = report.differential
    bare = replace(
        found,
        correction=Correction(None, "the model has no confusion matrix"),
        classes=tuple(replace(line, corrected_of_nucleated=None) for line in found.classes),
        erythroid_share=None,
        me_ratio=None,
        maturation_index=None,
        proliferation_ratio=None,
        left_shift=None,
    )
    page = render_report(replace(report, differential=bare, unclassified_under=0.0, distributions=()))
    text = page[page.index("<main>") :]
    for untrue in (
        "Corrected",
        "corrected",
        "is unclassified: it stays",
        "Boxes of the plots",
        "M:E",
        "Indices",
    ):
        assert untrue.lower() not in text.replace("No corrected figures", "").lower(), untrue
    assert "No corrected figures: the model has no confusion matrix." in text
    assert "every cell is counted in its class" in text


def test_a_report_by_a_model_without_erythroid_classes_speaks_of_none(field: Field) -> None:
    report = make_report(field, ["a.png", "b.png"])
    classes = (GRANULOCYTE, LYMPHOCYTE)
    names = tuple(c.name for c in classes)
    confusion = ConfusionMatrix(names, names, ((40, 2, 3), (1, 50, 2)), has_unclassified=True)
    found = make_differential_from_counts(
        CellCounts(classes, (80, 20), 5), DifferentialSettings(classes, confusion)
    )
    fields = tuple(replace(f, differential=found, page=None) for f in report.fields)
    made = replace(report, differential=found, fields=fields, distributions=())
    text = " ".join(render_report(made).split())
    assert "<h1>Differential of nucleated cells</h1>" in text
    body = text[text.index("<body") :]
    assert "rythroid" not in body
    assert "cross-valid" not in body
    assert "was not measured for this model, so missed cells enter no figure" in body
    assert "confusion matrix of cells that the model was not trained on (98 cells)" in body


def test_values_outside_their_range_are_marked_and_sources_stand_under_methods(field: Field) -> None:
    report = make_report(field, ["a.png"])
    known = ReferenceRange(0.9, 0.99, "adults", "A laboratory")
    classes = tuple(
        replace(line, reference=known if line.name == "lymphocyte" else None)
        for line in report.differential.classes
    )
    page = render_report(replace(report, differential=replace(report.differential, classes=classes)))
    arrow = '<strong class="out" role="img" aria-label="below">↓</strong>'
    assert f'{arrow} <span class="nowrap">90–99</span></td>' in page
    assert page.index("adults; A laboratory.") > page.index('id="methods"')
    bare = tuple(replace(line, reference=None) for line in classes)
    page = render_report(replace(report, differential=replace(report.differential, classes=bare)))
    assert "Refer&shy;ence" not in page


def test_the_bound_stands_beside_the_interval(field: Field) -> None:
    report = make_report(field, ["a.png", "b.png"])
    share = report.differential.erythroid_share
    assert share is not None
    index = replace(share, corrected=Estimate(0.6, (0.5, 0.7), (0.25, 0.75)))
    page = render_report(replace(report, differential=replace(report.differential, erythroid_share=index)))
    assert "bound 25.0–75.0 %" in page
    assert (
        "if the cells that are unclassified in excess of the usual were all of one side of the index" in page
    )


def test_the_target_and_its_source_are_said_and_the_scale_has_its_interval(field: Field) -> None:
    report = make_report(field, ["a.png"])
    shown = replace(report.fields[0], mpp=0.25, mpp_source=ScaleSource.RED_CELLS, mpp_interval=(0.24, 0.2612))
    page = " ".join(render_report(replace(report, fields=(shown,))).split())
    assert "The ICSH asks for 500" in page
    assert "and for 300 otherwise (Lee et al. 2008, doi 10.1111/j.1751-553X.2008.01100.x)" in page
    assert page.count("0.25 (0.24–0.2612) µm per pixel, estimated from the red cells") == 2


def judge_blood(field: Field, red: float) -> Differential:
    quality = FieldQuality(in_view=CellsInView(field.cells.height, red))
    return make_differential(field.cells, get_settings(), quality)


def test_of_blood_the_page_shows_nothing_of_marrow(field: Field) -> None:
    """Its lines had the reference ranges of marrow with arrows, and it had 500 marrow cells to aim at."""
    report = make_report(field, ["a.png"])
    blood = judge_blood(field, 10_000)
    page = render_report(
        replace(report, differential=blood, fields=(replace(report.fields[0], differential=blood),))
    )
    plain = render_report(report)
    for of_marrow in (
        "ICSH asks",
        "to aim at",
        "How many cells",
        "Refer&shy;ence",
        ">Reference<",
        "↑ ↓",
        "Reference for",
    ):
        assert of_marrow in plain
        assert of_marrow not in page
    assert "looks like blood" in page


def test_of_few_white_cells_their_number_stands_beside_the_nucleated_red_cells(field: Field) -> None:
    report = make_report(field, ["a.png"])
    page = render_report(replace(report, differential=judge_blood(field, 10_000)))
    assert "From 6 white cells alone, where a blood count takes 100 or more." in page
    assert "white cells alone" not in render_report(report)


def test_of_few_cells_the_page_has_no_corrected_figures_and_says_why(field: Field) -> None:
    few, more = make_report(field, ["a.png"]), make_report(field, ["a.png", "b.png"])
    assert few.differential.correction.method is not None
    assert "No corrected figures: so few cells (11, under 20) tell nothing" in render_report(few)
    assert ">Corrected<" not in render_report(few)
    assert "so few cells" not in render_report(more)
    assert ">Corrected<" in render_report(more)


def test_a_corrected_figure_that_may_be_anything_is_said_in_words(field: Field) -> None:
    report = make_report(field, ["a.png", "b.png"])
    shift = report.differential.left_shift
    assert shift is not None
    wide = replace(shift, corrected=Estimate(0.4321, (0.0, 0.987), (0.1, 0.9)))
    page = render_report(replace(report, differential=replace(report.differential, left_shift=wide)))
    assert "too few cells" in page
    assert "43.2" not in page
    assert "0.0–98.7" not in page
    assert "bound 10.0" not in page


def test_an_image_that_may_be_no_marrow_has_no_index_in_the_table_of_images(field: Field) -> None:
    report = make_report(field, ["a.png", "b.png", "c.png"])
    few = make_differential(field.cells.head(5), get_settings(), FieldQuality(in_view=CellsInView(5, 1.0)))
    assert few.erythroid_share is not None
    assert few.erythroid_share.value is not None
    marrow, *others = report.fields
    found = (judge_blood(field, 10_000), few)
    fields = (marrow, *(replace(f, differential=d) for f, d in zip(others, found, strict=True)))

    def list_indices(page: str) -> list[list[str]]:
        table = page.split('id="images"')[1].split("</table>")[0]
        return [re.findall(r'<td class="nowrap">(.*?)</td>', row) for row in table.split("<tr>")[2:]]

    page = render_report(replace(report, fields=fields))
    shown, *hidden = list_indices(page)
    assert "–" not in shown
    assert hidden == [["–"] * 3] * 2
    said = "no index (–) of an image that looks like blood"
    assert said in page
    assert said not in render_report(report)


def test_what_is_known_of_the_specimen_heads_the_page(field: Field) -> None:
    report = replace(make_report(field, ["a.png"]), details=(Entry("date_taken", "2026-01-02 <late>"),))
    page = render_report(report)
    assert "<dt>Date taken</dt><dd>2026-01-02 &lt;late&gt;</dd>" in page[: page.index("<main>")]


def test_the_signature_stands_with_the_result(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"]))
    places = [
        page.index(f'id="{name}"') for name in ("differential", "indices", "signature", "more", "fields")
    ]
    assert places == sorted(places)


def test_fields_are_outlined_whole_or_not_at_all(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("erythron.report.page.MAX_MARKS", 30)
    page = render_report(make_report(field, ["a.png", "b.png", "c.png"]))
    assert len(re.findall(r'<path id="f[01]c', page)) == 24
    assert '<path id="f2c' not in page
    assert page.count("Too many cells to outline on this page") == 1


def test_an_image_without_cells_is_not_said_to_have_too_many(field: Field) -> None:
    assert "Too many cells" not in render_report(make_report(field, ["a.png"], empty=True))


def test_many_cells_on_the_page_get_fewer_corners(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    report = make_report(field, ["a.png"])
    fine = render_report(report)
    monkeypatch.setattr("erythron.report.page.DETAILED_MARKS", 11)
    assert len(render_report(report)) < len(fine)


def test_many_failed_inputs_stay_bounded_and_the_page_says_so(field: Field) -> None:
    failed = tuple(FailedInput(f"{i}.png", "not an image") for i in range(MAX_ROWS + 1))
    page = render_report(replace(make_report(field, []), failed=failed))
    assert page.count("not an image") == MAX_ROWS
    assert f"The first {MAX_ROWS} of {MAX_ROWS + 1}; all stand in summary.csv" in page


def luminance(colour: str) -> float:
    """Relative luminance of a colour such as ``#123`` or ``#112233``, as WCAG 2 defines it."""
    digits = colour[1:] if len(colour) == 7 else "".join(2 * digit for digit in colour[1:])
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    red, green, blue = (p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_text_contrasts_with_its_ground_in_every_scheme() -> None:
    css = (files("erythron.report") / "templates" / "report.css").read_text(encoding="utf-8")
    schemes = [
        dict(re.findall(r"--(\w+):(#[0-9a-f]+)", block)) for block in re.findall(r":root\{([^}]*)", css)
    ]
    assert len(schemes) == 3  # light, dark, print
    on_paper = {"var(--ink)", "var(--soft)", "inherit", "var(--paper)!important"}  # the last on ink, as a tip
    assert set(re.findall(r"[{;]color:([^;}]*)", css)) == on_paper
    for scheme in schemes:
        for text in ("ink", "soft"):
            darker, lighter = sorted(map(luminance, (scheme[text], scheme["paper"])))
            assert (lighter + 0.05) / (darker + 0.05) >= 4.5, scheme


def test_the_policy_allows_the_own_script_and_style_only(field: Field) -> None:
    page = render_report(make_report(field, ["a.png"]))
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy is not None
    assert "unsafe" not in policy[1]
    for tag in ("script", "style"):
        texts = re.findall(f"<{tag}>(.*?)</{tag}>", page, re.DOTALL)
        assert len(texts) == 1
        assert f"{tag}-src 'sha256-{b64encode(sha256(texts[0].encode()).digest()).decode()}'" in policy[1]
    assert " style=" not in page


def test_raw_and_corrected_figures_stand_side_by_side(field: Field) -> None:
    report = make_report(field, ["a.png", "b.png"])
    first = replace(report.differential.classes[0], corrected_of_nucleated=Estimate(0.1234, (0.0101, 0.4567)))
    share = report.differential.erythroid_share
    assert share is not None
    index = replace(
        share,
        corrected=Estimate(0.25, (0.125, None)),
        reference=ReferenceRange(0.18, 0.32, "adults", "A laboratory"),
    )
    changed = replace(
        report.differential,
        classes=(first, *report.differential.classes[1:]),
        erythroid_share=index,
        flags=(QualityFlag("too_few_cells", "few cells were counted"),),
        count_more=(CellsNeeded("proerythroblast", "width", 0.05, 321),),
    )
    page = render_report(replace(report, differential=changed))
    assert "12.3</td>" in page
    assert "1.0–45.7" in page
    assert "18–32 %</span></td>" in page
    assert "adults; A laboratory." in page
    assert "Too few cells." in page
    assert "about 321 more cells give an interval no wider than 5 percentage points" in page


def check_toggles_and_keys(page: Page) -> None:
    """Hide and show a class; go from cell to cell by keys; go from the gallery to the field."""
    said = page.locator("#o0")
    drawn = "document.querySelector('#f0-lymphocyte').getClientRects().length"
    box = page.locator(".overlay input[value=lymphocyte]").first
    assert page.evaluate(drawn) == 1
    box.uncheck()
    assert page.evaluate(drawn) == 0
    box.check()
    assert page.evaluate(drawn) == 1
    page.locator(".map").first.focus()
    page.keyboard.press("ArrowRight")
    first = said.text_content() or ""
    assert first.startswith("Cell ")
    assert "confidence" in first
    page.keyboard.press("ArrowRight")
    assert said.text_content() != first
    page.keyboard.press("ArrowLeft")
    assert said.text_content() == first
    page.locator(".cells a[href='#f0cx200y200']").focus()
    page.keyboard.press("Enter")
    shown = page.evaluate("document.querySelector('.map svg').viewBox.baseVal.width")
    assert shown < 320  # the field is seen from close by
    frame, cell = (
        page.locator(at).first.evaluate(
            "e => { const b = e.getBBox(); return [b.x, b.y, b.width, b.height]; }"
        )
        for at in (".map rect.frame", "#f0cx200y200")
    )
    assert frame[0] < cell[0]
    assert frame[0] + frame[2] > cell[0] + cell[2]
    on = page.locator("#f0cx200y200").evaluate("e => [getComputedStyle(e).stroke, getComputedStyle(e).fill]")
    assert on == ["none", "rgba(0, 0, 0, 0)"]  # nothing over the cell that is looked at
    page.keyboard.press("0")
    assert page.evaluate("document.querySelector('.map svg').viewBox.baseVal.width") == 320
    page.locator(".tools button").first.click()
    assert page.evaluate("document.querySelector('.map svg').viewBox.baseVal.width") < 320
    page.locator(".tools [data-zoom='0']").first.click()
    assert page.evaluate("document.querySelector('.map svg').viewBox.baseVal.width") == 320
    assert (said.text_content() or "").startswith("Cell x200y200.")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium is installed")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=arguments)
        yield browser
        browser.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 340])
def test_on_a_telephone_reference_and_share_of_the_erythroid_cells_stand_side_by_side(
    browser: Browser, field: Field, tmp_path: Path, width: int
) -> None:
    # "Ref. (↓) 0.5-5" ran into "Of erythroid 0.0".
    path = tmp_path / "report.html"
    path.write_text(render_report(make_report(field, ["a.png"])), encoding="utf-8")
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.goto(path.as_uri())
    gaps = page.locator("table.main").evaluate(
        """table => [...table.querySelectorAll("tbody tr")].flatMap(row => {
            const [range, share] = [".range", ".share"].map(kind => row.querySelector("td" + kind));
            if (!range || !share || !share.textContent.trim()) return [];
            range.textContent = "(↓) 0.5–5";
            const [first, second] = [range, share].map(cell => {
                const style = getComputedStyle(cell), pen = document.createElement("canvas").getContext("2d");
                pen.font = `${style.fontStyle} ${style.fontSize} ${style.fontFamily}`;
                const before = getComputedStyle(cell, "::before").content.slice(1, -1);
                const length = pen.measureText(before + cell.textContent.trim()).width;
                const box = cell.getBoundingClientRect();
                const isRight = style.textAlign === "right", left = isRight ? box.right - length : box.left;
                return [left, left + length];
            });
            return [second[0] - first[1]];
        })"""
    )
    assert len(gaps) == 4
    assert min(gaps) > 4
    page.close()


@pytest.mark.browser
def test_on_a_telephone_values_and_intervals_are_seen_without_a_swipe(
    browser: Browser, field: Field, tmp_path: Path
) -> None:
    path = tmp_path / "report.html"
    path.write_text(render_report(make_report(field, ["a.png"])), encoding="utf-8")
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.goto(path.as_uri())
    for name in ("main", "index"):
        hidden = page.locator(f"table.{name}").evaluate(
            """table => [...table.querySelectorAll("tbody td")].filter(cell => {
                const box = cell.getBoundingClientRect();
                return cell.textContent.trim() && (box.right > 390 || box.left < 0 || !box.width);
            }).map(cell => cell.textContent)"""
        )
        assert hidden == []
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize(
    ("width", "medium", "schemes"),
    [(390, "screen", ("light", "dark")), (1200, "screen", ("light",)), (680, "print", ("light",))],
)
def test_in_a_browser(
    browser: Browser,
    field: Field,
    axe: str,
    tmp_path: Path,
    width: int,
    medium: Literal["screen", "print"],
    schemes: tuple[Literal["light", "dark"], ...],
) -> None:  # a page of A4 within its margins is 680 px wide; Chromium shrinks what is wider
    path = tmp_path / "report.html"
    path.write_text(
        render_report(make_report(field, ["a.png", HOSTILE_NAME, "long_name_" * 12 + ".png"])),
        encoding="utf-8",
    )
    errors: list[str] = []
    requests: list[str] = []
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("request", lambda request: requests.append(request.url))
    page.emulate_media(media=medium, color_scheme=schemes[0])
    page.goto(path.as_uri())
    if medium == "screen":
        check_toggles_and_keys(page)
    page.evaluate(axe)
    found, overflow = [], []
    for scheme in schemes:
        page.emulate_media(media=medium, color_scheme=scheme)
        found += page.evaluate(
            "axe.run().then(r => r.violations.map(v => [v.impact, v.id, v.nodes[0].html]))"
        )
        overflow.append(page.evaluate("document.documentElement.scrollWidth - window.innerWidth"))
    images = page.evaluate(
        """Promise.all([...document.querySelectorAll("svg image")].map(async at => {
            const image = new Image();
            image.src = at.href.baseVal;
            await image.decode();
            return image.naturalWidth;
        }))"""
    )
    field_width = page.locator(".map svg").first.evaluate("svg => svg.getBoundingClientRect().width")
    page.close()
    assert errors == []
    assert [v for v in found if v[0] in {"serious", "critical"}] == []
    assert [url for url in requests if not url.startswith(("data:", "file:"))] == []
    assert max(overflow) <= 0
    assert field_width > 200
    assert len(images) > 3 * 12
    assert min(images) > 0
