"""The report page: one self-contained HTML file that needs no network and runs no script."""

from __future__ import annotations

from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from erythron.differential.counts import ClassCount, Differential, Index, Proportion
from erythron.differential.intervals import Interval
from erythron.read.image import ScaleSource
from erythron.report.model import FieldReport, GalleryCell, RunReport
from erythron.report.palette import UNCLASSIFIED_COLOUR, colour_of

MAX_FIELDS_IN_FULL = 24
"""Fields shown with table and picture; the others stand in the table of images only."""

MAX_ROWS = 200
"""Rows of the tables of images and of failed inputs; ``summary.csv`` holds all."""

_SCALE_SOURCES = {
    ScaleSource.OPTION: "given by the user",
    ScaleSource.METADATA: "from the image file",
    ScaleSource.RED_CELLS: "estimated from the red cells",
    ScaleSource.ASSUMED: "assumed",
}


def render_report(report: RunReport) -> str:
    """Return the page; what it leaves out, it says.

    At most :data:`MAX_FIELDS_IN_FULL` fields are shown in full, and :data:`MAX_ROWS` inputs named.
    """
    shown = report.fields[:MAX_FIELDS_IN_FULL]
    lines = [line for line in report.differential.classes if line.of_nucleated is not None]
    scales = {describe_scale(field) for field in report.fields}
    return _template().render(
        report=report,
        run=report.differential,
        lines=lines,
        stages=[line for line in lines if line.of_erythroid is not None],
        shown=shown,
        max_rows=MAX_ROWS,
        axis_end=_axis_end(report.differential),
        scale=next(iter(scales)) if len(scales) == 1 else "differs between fields, see each",
        groups=_group_gallery(report),
    )


def describe_scale(field: FieldReport) -> str:
    """Return the scale of a field and where it comes from, in words."""
    if field.mpp is None:
        return "not known: sizes are in pixels"
    return f"{field.mpp:.4g} µm per pixel, {_SCALE_SOURCES[field.mpp_source]}"


def format_percent(fraction: float | None) -> str:
    """Return a fraction as per cent with one decimal, or an en dash for None."""
    return "–" if fraction is None else f"{100 * fraction:.1f}"


def format_limits(interval: Interval) -> str:
    """Return an interval of fractions as per cent.

    >>> format_limits(Interval(0.0164, 0.1128))
    '1.6–11.3'
    """
    return f"{100 * interval.low:.1f}–{100 * interval.high:.1f}"


def format_index(index: Index) -> str:
    """Return the value of an index: a share in per cent, a ratio with two decimals, or "not defined"."""
    if index.value is None:
        return "not defined"
    return f"{100 * index.value:.1f} %" if index.kind == "share" else f"{index.value:.2f}"


def format_index_limits(index: Index) -> str:
    """Return the limits of an index as :func:`format_index` writes its value."""
    if index.value is None or index.interval is None:
        return "–"
    if index.kind == "share":
        return f"{format_limits(index.interval)} %"
    return f"{index.interval.low:.2f}–{index.interval.high:.2f}"


def format_column_head(title: str) -> str:
    """Return a stage's title for a narrow column: what all stages share left out, with soft hyphens.

    >>> format_column_head("Basophilic erythroblast")
    'Basophilic'
    """
    short = title.removesuffix(" erythroblast")
    return short.replace("erythroblast", "erythro\u00adblast").replace("chromatic", "chro\u00admatic")


def _axis_end(differential: Differential) -> float:
    """Return the end of the chart's axis, a multiple of a tenth, as a fraction."""
    shares = [line.of_nucleated for line in differential.classes if line.of_nucleated is not None]
    highest = max(share.interval.high for share in (*shares, differential.unclassified))
    return min(10, int(highest * 10) + 1) / 10


def _group_gallery(report: RunReport) -> list[tuple[str, int, list[GalleryCell]]]:
    """Return title, number counted and the shown cells of each line of the differential that has any."""
    lines: list[tuple[str, str, int]] = [(c.name, c.title, c.count) for c in report.differential.classes]
    lines.append(("unclassified", "Unclassified", report.differential.unclassified.count))
    groups = []
    for name, title, count in lines:
        cells = [cell for cell in report.gallery if cell.group == name][: report.gallery_limit]
        if cells:
            groups.append((title, count, cells))
    return groups


def _colour_of_line(line: ClassCount | Proportion) -> str:
    return colour_of(line.name).hex if isinstance(line, ClassCount) else UNCLASSIFIED_COLOUR.hex


@cache
def _template() -> Template:
    environment = Environment(
        loader=PackageLoader("erythron.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "percent": format_percent,
        "limits": format_limits,
        "index": format_index,
        "index_limits": format_index_limits,
        "scale": describe_scale,
        "colour": _colour_of_line,
        "column_head": format_column_head,
    }
    return environment.get_template("report.html.j2")
