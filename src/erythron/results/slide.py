"""The folder of a counted slide, written as its parts come: memory does not grow with the slide.

It holds what the folder of a field holds, and :mod:`erythron.results.field` reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from PIL import Image
from PIL.PngImagePlugin import PngInfo

from erythron.differential.counts import Differential
from erythron.files.hashing import hash_file, hash_text
from erythron.files.writing import open_at, whole_file, whole_folder, write_file
from erythron.interchange.geojson import COLLECTION_END, COLLECTION_START
from erythron.read.inputs import OWN_PICTURE
from erythron.report.model import FieldPage
from erythron.results.field import OWN_FILES, dump_page, dump_record
from erythron.results.record import CELLS, DIFFERENTIAL, GEOJSON, OVERLAY, PAGE, RECORD, FieldRecord
from erythron.results.review import write_review
from erythron.review.record import Review

WrittenCells = tuple[str, Sequence[str]]
"""Cells of a slide as its files have them: rows of ``cells.csv``, and for each its feature in GeoJSON."""


@dataclass(frozen=True, eq=False)
class SlideResult:
    """What is known of a slide once all its parts are written.

    Attributes:
        record: where it comes from.
        differential: of its cells.
        overlay: the slide made small, with the areas that were counted.
        page: what the page shows of it.
    """

    record: FieldRecord
    differential: Differential
    overlay: Image.Image
    page: FieldPage


def write_slide(
    parts: Iterable[WrittenCells],
    columns: Sequence[str],
    conclude: Callable[[], SlideResult],
    folder: Path,
    review: Review | None = None,
) -> SlideResult:
    """Write the folder of a slide; it appears when it is whole, and replaces one that is there.

    Args:
        parts: its cells in the order of the result; taken one after the other.
        columns: of its table of cells.
        conclude: called after the last part.
        folder: where to.
        review: what persons called its cells, which is in ``parts``; None where nobody did.

    Returns:
        What ``conclude`` gave, with the record as written.
    """
    with whole_folder(folder, own=OWN_FILES) as partial:
        with open_at(partial / CELLS) as table, open_at(partial / GEOJSON) as features:
            table.write((",".join(columns) + "\n").encode())
            features.write(COLLECTION_START.encode())
            comma = b""
            for csv, outlined in parts:
                table.write(csv.encode())
                if outlined:
                    features.write(comma + ",".join(outlined).encode())
                    comma = b","
            features.write(COLLECTION_END.encode())
        result = conclude()
        differential = result.differential.to_json()
        hashes = {
            "cells_sha256": hash_file(partial / CELLS),
            "differential_sha256": hash_text(differential),
        }
        record = result.record.model_copy(update=hashes)
        write_file(partial / DIFFERENTIAL, differential)
        with whole_file(partial / OVERLAY) as picture:
            text = PngInfo()
            text.add_text(OWN_PICTURE, OVERLAY)
            result.overlay.save(picture, format="PNG", compress_level=1, pnginfo=text)
        write_file(partial / PAGE, dump_page(result.page))
        if review is not None:
            write_review(partial, review)
        write_file(partial / RECORD, dump_record(record))
    return SlideResult(record, result.differential, result.overlay, result.page)
