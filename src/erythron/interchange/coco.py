"""COCO instances: one annotation a cell and one a nucleus, masks without loss, and back.

The categories are the classes of the model, then ``unclassified`` and ``nucleus``.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from erythron.cells.classes import find_class
from erythron.cells.outline import BoxedMask
from erythron.cells.table import NOT_A_CELL, UNCLASSIFIED, name_groups
from erythron.errors import DataError
from erythron.interchange.cells import (
    MALFORMED,
    NUCLEUS,
    CountedImage,
    LabelledCell,
    LabelledImage,
    check_same_classes,
    join_nuclei,
    read_cell_id,
    read_size,
)
from erythron.interchange.coco_rle import decode_coco_rle, encode_coco_rle
from erythron.interchange.outlines import fill_parts


def write_coco(images: Iterable[CountedImage], classes: tuple[str, ...], version: str) -> Iterator[str]:
    """Yield the text of a COCO file piece by piece, so that a long run needs the memory of one image.

    Every annotation has ``segmentation`` (compressed run-length encoding), ``area``, ``bbox`` and, under
    ``attributes``, the ``cell_id``; a cell's has ``confidence`` and ``flags`` too. A cell flagged
    ``unclassified`` has that as its category, as it is counted.

    Args:
        images: the images, all counted with ``classes``.
        classes: of the model, in order; category ids follow this order, from 1.
        version: of erythron.

    Raises:
        DataError: an image was counted with other classes.
    """
    names = (*classes, UNCLASSIFIED, NUCLEUS)
    ids = {name: i for i, name in enumerate(names, start=1)}
    categories = [{"id": ids[n], "name": n, "supercategory": _name_super(n)} for n in names]
    head = {"info": {"description": f"cells counted by erythron {version}"}, "categories": categories}
    yield json.dumps(head, ensure_ascii=False)[:-1] + ', "annotations": ['
    listed = []
    annotation_id = 0
    for image_id, image in enumerate(images, start=1):
        check_same_classes(classes, image)
        size = {"width": image.width_px, "height": image.height_px}
        listed.append({"id": image_id, "file_name": image.name, **size})
        for annotation in _annotate(image, ids):
            annotation_id += 1
            text = json.dumps({"id": annotation_id, "image_id": image_id, **annotation})
            yield (",\n" if annotation_id > 1 else "\n") + text
    yield '\n], "images": ' + json.dumps(listed, ensure_ascii=False) + "}\n"


def read_coco(document: Any) -> tuple[LabelledImage, ...]:
    """Read cells out of a COCO file.

    Polygons and both encodings of masks are read; a mask in an image of another size than the file states, or
    than the masks before it, would lie elsewhere and is left out. Annotations of the category ``nucleus`` go
    to the cell that holds most of them; boxes without a mask and unknown categories are left out. ``iscrowd``
    says nothing here, because CVAT sets it on every painted mask. An annotation whose image is not listed
    comes as an image of its own with that problem.

    Args:
        document: the parsed file.

    Raises:
        DataError: it is no COCO file of instances.
    """
    try:
        categories = _index(document["categories"], "categories")
        images = _index(document["images"], "images")
        names = {key: str(category["name"]) for key, category in categories.items()}
        listed = {key: str(image["file_name"]) for key, image in images.items()}
        annotations = [(a["image_id"], a) for a in document["annotations"]]
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"this is no COCO file with images, categories and annotations ({error!r}); export it again"
        ) from error
    cells: defaultdict[Any, list[LabelledCell]] = defaultdict(list)
    nuclei: defaultdict[Any, list[BoxedMask]] = defaultdict(list)
    left_out: defaultdict[Any, list[str]] = defaultdict(list)
    sizes = {key: read_size(image.get("width"), image.get("height")) for key, image in images.items()}
    unlisted: list[LabelledImage] = []
    for image_id, annotation in annotations:
        if not isinstance(image_id, int | str) or image_id not in images:
            problem = f"annotation {annotation.get('id')}: its image {image_id} is not listed in the file"
            unlisted.append(LabelledImage(f"image {image_id}", (), problem=problem))
            continue
        try:
            label, boxed = _read_annotation(annotation, names)
            sizes[image_id] = _agree_on_size(sizes[image_id], annotation["segmentation"])
        except MALFORMED as error:
            left_out[image_id].append(f"annotation {annotation.get('id')}: {error}")
            continue
        if label == NUCLEUS:
            nuclei[image_id].append(boxed)
        else:
            cells[image_id].append(LabelledCell(label, boxed, cell_id=_find_id(annotation)))
    found = []
    for image_id in images:
        joined, alone = join_nuclei(cells[image_id], nuclei[image_id])
        reasons = (*left_out[image_id], *alone)
        found.append(LabelledImage(listed[image_id], joined, reasons, sizes[image_id]))
    return (*found, *unlisted)


def _index(entries: Any, what: str) -> dict[Any, Mapping[str, Any]]:
    """Return entries of a COCO file by their ``id``.

    Raises:
        DataError: two have one, so that it is not known what an annotation means.
    """
    index: dict[Any, Mapping[str, Any]] = {}
    for entry in entries:
        if entry["id"] in index:
            raise DataError(f"two {what} have the id {entry['id']}; export the file again")
        index[entry["id"]] = entry
    return index


def _annotate(image: CountedImage, ids: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    columns = image.table.select("cell_id", "confidence", "flags").rows()
    groups = name_groups(image.table)
    for (cell_id, confidence, flags), group, outline in zip(columns, groups, image.outlines, strict=True):
        if group == NOT_A_CELL:
            continue
        own = {"cell_id": cell_id, "confidence": confidence, "flags": flags or ""}
        yield {"category_id": ids[group], **_describe(outline.whole, image), "attributes": own}
        nucleus = _describe(outline.nucleus_mask, image)
        yield {"category_id": ids[NUCLEUS], **nucleus, "attributes": {"cell_id": cell_id}}


def _describe(boxed: BoxedMask, image: CountedImage) -> dict[str, Any]:
    height, width = boxed.mask.shape
    return {
        "segmentation": encode_coco_rle(boxed, image.width_px, image.height_px),
        "area": boxed.area_px,
        "bbox": [boxed.left, boxed.top, width, height],
        "iscrowd": 0,
    }


def _name_super(name: str) -> str:
    if name in (UNCLASSIFIED, NUCLEUS):
        return {UNCLASSIFIED: "cell", NUCLEUS: "part"}[name]
    try:
        return find_class(name).lineage.value
    except DataError:  # a model may have classes of its own
        return "cell"


def _read_annotation(annotation: Mapping[str, Any], categories: Mapping[Any, str]) -> tuple[str, BoxedMask]:
    if annotation["category_id"] not in categories:
        raise DataError(f"its category {annotation['category_id']} is not listed")
    segmentation = annotation.get("segmentation")
    if not segmentation:
        raise DataError("has no mask; outline the cell")
    if isinstance(segmentation, dict):
        boxed = decode_coco_rle(segmentation)
    else:  # flat lists x, y, x, y of separate polygons
        boxed = fill_parts(
            [[list(corner) for corner in zip(flat[::2], flat[1::2], strict=True)]] for flat in segmentation
        )
    if boxed is None:
        raise DataError("its mask holds no pixel")
    return categories[annotation["category_id"]], boxed


def _agree_on_size(size: tuple[int, int] | None, segmentation: Any) -> tuple[int, int] | None:
    """Return the width and height of an image after one more of its outlines was read.

    Args:
        size: as the file has it so far, None where it has said nothing.
        segmentation: of the outline; a mask states the size of its image, polygons do not.

    Raises:
        DataError: the mask is in an image of another size.
    """
    if not isinstance(segmentation, dict):
        return size
    height, width = segmentation["size"]
    if size is not None and size != (width, height):
        raise DataError(
            f"its mask is in an image of {width} x {height} pixels, and its image has {size[0]} x {size[1]}; "
            "export it at the size of the image"
        )
    return width, height


def _find_id(annotation: Mapping[str, Any]) -> str | None:
    attributes = annotation.get("attributes")
    return read_cell_id(attributes.get("cell_id")) if isinstance(attributes, dict) else None
