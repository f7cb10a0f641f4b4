"""The report page: one self-contained HTML file that needs no network.

Its one script shows a cell's measurements, leads from the gallery to the field and shows a part of it larger;
without it the page misses only that. The policy in its head allows no other script or style.
"""

from __future__ import annotations

from base64 import b64encode
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files

from jinja2 import Template
from markupsafe import Markup

from erythron.cells.palette import UNCLASSIFIED_COLOUR, colour_of
from erythron.cells.table import NOT_A_CELL
from erythron.differential.counts import ClassCount, Differential
from erythron.differential.specimen import UNLIKE_MARROW
from erythron.quality.flags import PROVISIONAL, TARGET_CELLS, THRESHOLDS
from erythron.report.gallery import FIRST_CELLS, SHOWN_PX, choose_cells
from erythron.report.lines import drop_untold, order_lines, sum_lines
from erythron.report.marks import DETAILED_MARKS, MAX_MARKS, draw_path, draw_ring
from erythron.report.model import CellMark, FieldReport, GalleryCell, RunReport
from erythron.report.naming import name_images
from erythron.report.numbers import (
    format_estimate,
    format_estimate_limits,
    format_index,
    format_index_limits,
    format_limits,
    format_measure,
    format_percent,
    format_ratio,
    scale_value,
    tells_nothing,
)
from erythron.report.templating import open_templates
from erythron.report.wording import (
    describe_range,
    describe_run_scale,
    describe_scale,
    end_sentence,
    explain_left_out,
    explain_nothing,
    is_counted,
    judge_range,
    list_outlines,
    list_plans,
    list_sources,
    remark_index,
    shorten_title,
)

MAX_FIELDS_IN_FULL = 24
"""Fields shown with table and picture; the others stand in the table of images only."""

MAX_ROWS = 200
"""Rows of the tables of images and of failed inputs; ``summary.csv`` holds all."""


def render_report(report: RunReport) -> str:
    """Return the page; what it leaves out, it says.

    At most :data:`MAX_FIELDS_IN_FULL` fields are shown in full, and :data:`MAX_ROWS` inputs named.
    """
    found = drop_untold(report.differential)
    shown = _choose_marks(report.fields[:MAX_FIELDS_IN_FULL])
    lines = order_lines(line for line in found.classes if line.of_nucleated is not None)
    return _template().render(
        report=report,
        title="Erythroid differential"
        if found.erythroid_share is not None
        else "Differential of nucleated cells",
        run=found,
        names={
            **name_images([f.image for f in report.fields] + [f.image for f in report.failed]),
            **{field.image: field.title for field in report.fields if field.title},
        },
        review_lines=_pair_lines(report),
        unlike_marrow={
            field.image
            for field in report.fields
            if not UNLIKE_MARROW.isdisjoint(flag.name for flag in field.differential.flags)
        },
        has_ranges=any(line.reference is not None for line in lines),
        stages=[line for line in lines if line.of_erythroid is not None],
        # What is not there is not provisional: why nothing was counted is said in place of it.
        provisional=[flag for flag in found.flags if flag.name in PROVISIONAL and found.nucleated_cells],
        nothing=explain_nothing(found),
        counted=sum(is_counted(field.differential) for field in report.fields),
        left_out=explain_left_out(field.differential for field in report.fields),
        is_corrected=found.correction.method is not None,
        has_bound=any(index.corrected is not None and index.corrected.bound for index in found.indices),
        fewest_cells=THRESHOLDS.fewest_cells,
        target_cells=TARGET_CELLS,
        shown=shown,
        coarse=sum(len(marks) for _, marks in shown) > DETAILED_MARKS,
        max_rows=MAX_ROWS,
        axis_end=_axis_end(found),
        scale=describe_run_scale(report.fields),
        groups=_group_gallery(report),
        first_cells=FIRST_CELLS,
        crop_px=SHOWN_PX,
        level=format_measure(scale_value(found.interval_level, is_share=True)),
        titles={line.name: line.title for line in found.classes},
        sources=list_sources(found),
        plans=list_plans(found),
        places={
            (field.image, mark.cell_id): f"f{number}c{mark.cell_id}"
            for number, (field, marks) in enumerate(shown)
            for mark in marks
        },
        style=_style(found, report.specimen),
        script=_read("report.js"),
    )


def _pair_lines(report: RunReport) -> list[tuple[ClassCount, ClassCount]]:
    """Return each line by the model alone and with the reader's calls; none where nobody called a cell."""
    if report.review is None:
        return []
    by_model = {line.name: line for line in report.review.by_model.classes}
    return [(by_model[line.name], line) for line in order_lines(report.differential.classes)]


def _axis_end(differential: Differential) -> float:
    """Return the end of the chart's axis, a multiple of a tenth, as a fraction."""
    shares = [line.of_nucleated for line in differential.classes if line.of_nucleated is not None]
    corrected = [line.corrected_of_nucleated for line in differential.classes]
    highest = max(
        *(share.interval.high for share in (*shares, differential.unclassified)),
        *(c.interval[1] or 0.0 for c in corrected if c is not None and c.interval is not None),
    )
    return min(10, int(highest * 10) + 1) / 10


def _group_gallery(report: RunReport) -> list[tuple[str, int, list[GalleryCell]]]:
    """Return title, number counted and the shown cells of each line of the differential that has any."""
    found = report.differential
    lines = [(line.name, line.title, line.count) for line in order_lines(found.classes)]
    lines.append(("unclassified", "Unclassified", found.unclassified.count))
    pages = (field.page for field in report.fields[:MAX_FIELDS_IN_FULL] if field.page is not None)
    cells: defaultdict[str, list[GalleryCell]] = defaultdict(list)
    for cell in choose_cells(cell for page in pages for cell in page.gallery):
        cells[cell.group].append(cell)
    return [(title, count, cells[name]) for name, title, count in lines if cells[name]]


def choose_scale_bar(field: FieldReport) -> float:
    """Return the length of a scale bar in micrometres: round, and a tenth to a quarter of the width."""
    width_um = field.width_px * (field.mpp or 1.0)
    return max((n for n in (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000) if n <= width_um / 4), default=1)


def _choose_marks(
    fields: Sequence[FieldReport],
) -> list[tuple[FieldReport, tuple[CellMark, ...]]]:
    """Return each field with the cells outlined on it: all or none, at most ``MAX_MARKS`` on the page."""
    outlined, chosen = 0, []
    for field in fields:
        marks = () if field.page is None else field.page.marks
        fits = outlined + len(marks) <= MAX_MARKS
        outlined += len(marks) if fits else 0
        chosen.append((field, marks if fits else ()))
    return chosen


def _list_groups(marks: Sequence[CellMark], field: FieldReport) -> list[tuple[str, str, int]]:
    """Return name, title and number of the outlined cells of each group that a field has."""
    numbers = Counter(mark.group for mark in marks)
    lines = [(line.name, line.title) for line in order_lines(field.differential.classes)]
    lines += [("unclassified", "Unclassified"), ("left_out", "Left out"), (NOT_A_CELL, "Not a cell")]
    return [(name, title, numbers[name]) for name, title in lines if numbers[name]]


def _draw_path(mark: CellMark, is_coarse: bool) -> str:
    return draw_path(mark, is_coarse=is_coarse)


def _style(differential: Differential, specimen: str) -> Markup:
    """Return the style sheet: every class with its colour ``--k``, the specimen at the foot of each page."""
    colours = {line.name: colour_of(line.name).hex for line in differential.classes}
    colours |= {"unclassified": UNCLASSIFIED_COLOUR.hex, "left_out": "#808890", NOT_A_CELL: "#808890"}
    rules = [f".k-{name}{{--k:{colour}}}" for name, colour in colours.items()]
    rules += [
        f".overlay:has(input[value={name}]:not(:checked)) .g-{name}{{display:none}}" for name in colours
    ]
    # Every sign of the specimen's name as its code, so that no name can end the text that it stands in.
    name = "".join(f"\\{ord(sign):06x}" for sign in specimen)
    rules.append(f'@page{{@bottom-left{{content:"{name}";font:9pt sans-serif}}}}')
    return _read("report.css") + Markup("\n".join(rules))  # noqa: S704 (names of classes, codes of signs)


@cache
def _read(name: str) -> Markup:
    """Return a text of the package, which holds nothing of any input, to be put on the page as it is."""
    return Markup((files("erythron.report") / "templates" / name).read_text(encoding="utf-8"))  # noqa: S704


def _hash_source(text: str) -> str:
    """Return the source expression of an inline script or style for the content security policy."""
    return "sha256-" + b64encode(sha256(text.encode()).digest()).decode()


@cache
def _template() -> Template:
    environment = open_templates()
    environment.filters |= {
        "percent": format_percent,
        "limits": format_limits,
        "ratio": format_ratio,
        "measure": format_measure,
        "index": format_index,
        "index_limits": format_index_limits,
        "remark": remark_index,
        "tells_nothing": tells_nothing,
        "estimate": format_estimate,
        "estimate_limits": format_estimate_limits,
        "outlines": list_outlines,
        "range": describe_range,
        "outside": judge_range,
        "scale": describe_scale,
        "scale_bar": choose_scale_bar,
        "groups": _list_groups,
        "in_order": order_lines,
        "sums": sum_lines,
        "path": _draw_path,
        "call_title": lambda name: name.replace("_", " "),
        "ring": draw_ring,
        "sentence": end_sentence,
        "short_title": shorten_title,
        "sha256": _hash_source,
    }
    return environment.get_template("report.html.j2")
