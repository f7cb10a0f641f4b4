"""The audit as one self-contained HTML page that runs no script."""

from __future__ import annotations

import base64
from functools import cache
from io import BytesIO
from itertools import groupby
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from PIL import Image

from erythron.datasets.audit import Audit, Finding

MAX_SHOWN = 30
"""Findings of one kind that are shown in full; the table holds all."""

_MAX_PICTURES = 6
_PICTURE_PX = 96

KINDS = {
    "group_on_two_sides": "Groups in two parts of the split",
    "exact_copy_on_two_sides": "Equal files in two parts of the split",
    "copy_on_two_sides": "Copies in two parts of the split",
    "overlap_on_two_sides": "One piece of smear in two parts of the split",
    "label_conflict": "One image under two labels",
    "exact_copy": "Equal files",
    "ungrouped_copy": "Copies in different groups",
    "ungrouped_overlap": "One piece of smear in different groups",
    "grouped_copy": "Copies that share a group",
    "grouped_overlap": "One piece of smear in one group",
    "unreadable": "Files that cannot be read",
    "changed_file": "Files that are not what the manifest states",
    "size_tells_class": "A size that gives a class away",
    "odd_size": "Odd sizes",
    "two_stains": "Two stains",
    "stain_tells_class": "A stain that gives a class away",
    "class_of_two_stains": "Classes of two stains",
    "odd_stain": "Odd stains",
}
"""Heading of every kind of finding."""


def render_audit(audit: Audit) -> str:
    """Return the page; what it leaves out, it says."""
    sections = []
    for kind, found in groupby(audit.findings, key=lambda f: f.kind):
        findings = list(found)
        shown = [(f, _draw_pictures(f)) for f in findings[:MAX_SHOWN]]
        sections.append((KINDS[kind], findings[0].severity.value, len(findings), shown))
    return _template().render(audit=audit, sections=sections, max_shown=MAX_SHOWN)


@cache
def _template() -> Template:
    loader = PackageLoader("erythron.datasets", "templates")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template("audit.html.j2")


def _draw_pictures(finding: Finding) -> list[tuple[str, str | None]]:
    """Return name and data address of the first images, the address None where one cannot be read."""
    pictures: list[tuple[str, str | None]] = []
    for path in finding.paths[:_MAX_PICTURES]:
        name = "/".join(Path(path).parts[-2:])
        try:
            with Image.open(path) as image:
                image.draft("RGB", (_PICTURE_PX, _PICTURE_PX))
                small = image.convert("RGB")
                small.thumbnail((_PICTURE_PX, _PICTURE_PX))
        except (OSError, SyntaxError, ValueError):
            pictures.append((name, None))
            continue
        buffer = BytesIO()
        small.save(buffer, format="JPEG", quality=80)
        pictures.append((name, "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()))
    return pictures
