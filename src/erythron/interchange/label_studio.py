"""Label Studio: counted cells as predictions to correct, its labelling configuration, and results back.

An outline is a polygon where one can hold it, because hundreds of brush strokes, each as large as the image,
make the page slow; an outline with a hole or in several parts is a brush stroke. Both keep every pixel.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.etree import ElementTree

from erythron.cells.outline import BoxedMask
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED, name_groups
from erythron.errors import DataError
from erythron.interchange.brush_rle import decode_brush, encode_brush
from erythron.interchange.cells import (
    MALFORMED,
    NUCLEUS,
    CountedImage,
    LabelledCell,
    LabelledImage,
    check_same_classes,
    colour_of_group,
    join_nuclei,
    read_cell_id,
    read_size,
)
from erythron.interchange.outlines import fill_parts, trace_mask
from erythron.interchange.run_lengths import check_size

LOCAL_FILES = "/data/local-files/?d="
"""How Label Studio addresses a file below its local storage."""

_UPLOADED = re.compile(r"(^|.*/)(upload|images)/(\d+/)?[0-9a-f]{8}-")
"""What stands before the name of a file that was uploaded."""

_POLYGON, _BRUSH, _IMAGE = "outline", "brush", "image"


def make_labelling_config(classes: tuple[str, ...]) -> str:
    """Return the labelling configuration (XML) that the tasks of :func:`write_label_studio` need."""
    view = ElementTree.Element("View")
    ElementTree.SubElement(
        view, "Image", name=_IMAGE, value="$image", zoom="true", zoomControl="true", brightnessControl="true"
    )
    for kind, name in (("PolygonLabels", _POLYGON), ("BrushLabels", _BRUSH)):
        labels = ElementTree.SubElement(view, kind, name=name, toName=_IMAGE)
        for group in (*classes, UNCLASSIFIED, NUCLEUS):
            ElementTree.SubElement(labels, "Label", value=group, background=colour_of_group(group).hex)
    ElementTree.indent(view)
    return ElementTree.tostring(view, encoding="unicode") + "\n"


def write_label_studio(
    images: Iterable[CountedImage], classes: tuple[str, ...], version: str, prefix: str = LOCAL_FILES
) -> Iterator[str]:
    """Yield the text of a file of tasks with predictions, piece by piece.

    Args:
        images: the images, all counted with ``classes``.
        classes: of the model, in order.
        version: of the model, as Label Studio shows it.
        prefix: what comes before an image's path in its address.

    Raises:
        DataError: an image was counted with other classes.
    """
    yield "["
    for number, image in enumerate(images):
        check_same_classes(classes, image)
        prediction = {"model_version": version, "result": list(_predict(image))}
        address = prefix + quote(image.name.replace("\\", "/"))
        task = {"data": {_IMAGE: address}, "predictions": [prediction]}
        yield (",\n" if number else "\n") + json.dumps(task, ensure_ascii=False)
    yield "\n]\n"


def read_label_studio(document: Any) -> tuple[LabelledImage, ...]:
    """Read cells out of Label Studio's JSON export (not JSON-MIN).

    Of several annotations of a task the latest that was not cancelled counts. A task that nobody has
    annotated gives no cell, whatever its predictions. Polygons and brushes are read.

    Args:
        document: the parsed file.

    Raises:
        DataError: it is no such export.
    """
    try:
        named = [(_name_image(task["data"]), task) for task in list(document)]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"this is no JSON export of Label Studio ({error!r}); export as JSON, not as JSON-MIN"
        ) from error
    return tuple(_read_task(name, task) for name, task in named)


def _predict(image: CountedImage) -> Iterator[dict[str, Any]]:
    columns = image.table.select("cell_id", "confidence").rows()
    groups = name_groups(image.table)
    for (cell_id, confidence), group, outline in zip(columns, groups, image.outlines, strict=True):
        if group == NOT_A_CELL:
            continue
        yield from _make_regions(outline.whole, (f"cell_{cell_id}", group, confidence), image)
        mark = (f"nucleus_{cell_id}", NUCLEUS, confidence)
        yield from _make_regions(outline.nucleus_mask, mark, image)


def _make_regions(
    boxed: BoxedMask, mark: tuple[str, str, float], image: CountedImage
) -> Iterator[dict[str, Any]]:
    """Yield the regions of one outline; ``mark`` is its id, label and score."""
    region_id, label, score = mark
    size = {"original_width": image.width_px, "original_height": image.height_px, "image_rotation": 0}
    common = {"to_name": _IMAGE, "score": score, **size}
    parts = trace_mask(boxed)
    is_plain = all(len(rings) == 1 for rings in parts)
    if not is_plain or (len(parts) > 1 and label != NUCLEUS):
        rle = encode_brush(boxed, image.width_px, image.height_px)
        value: dict[str, Any] = {"format": "rle", "rle": rle, "brushlabels": [label]}
        yield {"id": region_id, "type": "brushlabels", "from_name": _BRUSH, **common, "value": value}
        return
    for number, rings in enumerate(parts):
        points = [[100 * x / image.width_px, 100 * y / image.height_px] for x, y in rings[0][:-1]]
        value = {"points": points, "closed": True, "polygonlabels": [label]}
        own_id = region_id if number == 0 else f"{region_id}_{number + 1}"
        yield {"id": own_id, "type": "polygonlabels", "from_name": _POLYGON, **common, "value": value}


def _read_task(name: str, task: Mapping[str, Any]) -> LabelledImage:
    done = [
        a for a in task.get("annotations") or () if isinstance(a, dict) and not a.get("was_cancelled", False)
    ]
    if not done:
        return LabelledImage(name, (), ("nobody has annotated this task",))
    latest = max(done, key=lambda a: str(a.get("updated_at") or a.get("created_at") or ""))
    cells: list[LabelledCell] = []
    nuclei: list[BoxedMask] = []
    left_out: list[str] = []
    regions = latest.get("result") or ()
    if not isinstance(regions, list | tuple):
        raise DataError(f"the result of the task of {name} is no list of regions; export as JSON again")
    for region in regions:
        try:
            label, boxed = _read_region(region)
        except MALFORMED as error:
            region_id = region.get("id") if isinstance(region, dict) else region
            left_out.append(f"region {region_id}: {error}")
            continue
        if label == NUCLEUS:
            nuclei.append(boxed)
        else:
            cell_id = read_cell_id(str(region.get("id")).removeprefix("cell_"))
            cells.append(LabelledCell(label, boxed, cell_id=cell_id))
    joined, alone = join_nuclei(cells, nuclei)
    sizes = {_read_region_size(region) for region in regions} - {None}
    if len(sizes) > 1:
        raise DataError(f"the regions of {name} are of images of several sizes; export the task again")
    return LabelledImage(name, joined, (*left_out, *alone), next(iter(sizes), None))


def _read_region_size(region: Any) -> tuple[int, int] | None:
    if not isinstance(region, dict):
        return None
    return read_size(region.get("original_width"), region.get("original_height"))


def _read_region(region: Mapping[str, Any]) -> tuple[str, BoxedMask]:
    kind, value = region["type"], region["value"]
    if kind not in {"polygonlabels", "brushlabels"}:
        raise DataError(f"is of type {kind}, which is no outline; draw a polygon or use the brush")
    if region.get("image_rotation"):
        raise DataError(
            f"was drawn on the image turned by {region['image_rotation']} degrees; "
            "turn it back there and draw it again"
        )
    if not value.get(kind):
        raise DataError("has no label; give it one")
    if kind == "brushlabels":
        boxed = decode_brush(value["rle"], region["original_width"], region["original_height"])
    else:
        width, height = check_size(region["original_width"], region["original_height"])
        boxed = fill_parts([[[[x * width / 100, y * height / 100] for x, y in value["points"]]]])
    if boxed is None:
        raise DataError("its outline holds no pixel; draw it larger")
    return str(value[kind][0]), boxed


def _name_image(data: Mapping[str, Any]) -> str:
    """Return the path of a task's image, without address and without the mark that an upload adds."""
    return name_address(str(data[_IMAGE]))


def name_address(address: str) -> str:
    r"""Return the path that an address of Label Studio stands for.

    Its COCO exports name images by their place in its storage, such as ``images/3/0a1b2c3d-field.png`` or
    ``..\..\media\upload\3\0a1b2c3d-field.png``, or by the same addresses as its tasks.
    """
    try:
        parts = urlsplit(address)
    except ValueError:  # as brackets of an address that is none
        return address
    local = parse_qs(parts.query).get("d")
    path = (local[0] if local else unquote(parts.path)).replace("\\", "/")
    return _UPLOADED.sub("", path)
