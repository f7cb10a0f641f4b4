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
from erythron.files.hashing import hash_file
from erythron.files.writing import open_at, whole_file, whole_folder, write_file
from erythron.interchange.geojson import COLLECTION_END, COLLECTION_START
from erythron.read.inputs import OWN_PICTURE
from erythron.report.model import FieldPage
from erythron.results.field import OWN_FILES, dump_page, dump_record
from erythron.results.ledger import TilePart
from erythron.results.record import CELLS, DIFFERENTIAL, GEOJSON, OVERLAY, PAGE, RECORD, FieldRecord


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
    parts: Iterable[TilePart], columns: Sequence[str], conclude: Callable[[], SlideResult], folder: Path
) -> SlideResult:
    """Write the folder of a slide; it appears when it is whole, and replaces one that is there.

    Args:
        parts: what was counted of its tiles, in the order of the result; taken one after the other.
        columns: of its table of cells.
        conclude: called after the last part.
        folder: where to.

    Returns:
        What ``conclude`` gave, with the record as written.
    """
    with whole_folder(folder, own=OWN_FILES) as partial:
        with open_at(partial / CELLS) as table, open_at(partial / GEOJSON) as features:
            table.write((",".join(columns) + "\n").encode())
            features.write(COLLECTION_START.encode())
            comma = b""
            for part in parts:
                table.write(part.csv.encode())
                if part.features:
                    features.write(comma + ",".join(part.features).encode())
                    comma = b","
            features.write(COLLECTION_END.encode())
        result = conclude()
        record = result.record.model_copy(update={"cells_sha256": hash_file(partial / CELLS)})
        write_file(partial / DIFFERENTIAL, result.differential.to_json())
        with whole_file(partial / OVERLAY) as picture:
            text = PngInfo()
            text.add_text(OWN_PICTURE, OVERLAY)
            result.overlay.save(picture, format="PNG", compress_level=1, pnginfo=text)
        write_file(partial / PAGE, dump_page(result.page))
        write_file(partial / RECORD, dump_record(record))
    return SlideResult(record, result.differential, result.overlay, result.page)
