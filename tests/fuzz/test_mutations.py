"""Damaged files of every kind that is read: each is read or refused in words, in bounded time and memory.

A short form runs with the other tests. The long one::

    ERYTHRON_MUTATIONS=50000 pytest tests/fuzz
"""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import tifffile
from PIL import Image

from erythron.bundle.folder import DEFAULT_BUNDLE, load_bundle
from erythron.compare.results import read_results
from erythron.datasets.fetch import unpack_zip
from erythron.datasets.labelled import FoundCell, make_set
from erythron.datasets.manifest import read_manifest, write_manifest
from erythron.differential.reference import read_references
from erythron.errors import ErythronError
from erythron.interchange.labels import read_labels
from erythron.pipeline.specimens import group_images
from erythron.read.fields import read_image
from erythron.read.inputs import find_images
from erythron.results.run import read_run
from erythron.review.labels import read_corrections
from erythron.synthetic.field import DrawnFieldSpec, draw_field

MUTATIONS = int(os.environ.get("ERYTHRON_MUTATIONS", "1300"))
SLOWEST_S = 10.0
MOST_KIB = 2 * 1024**2
"""Memory that reading damaged files may take beyond what the process holds before."""

ODD: tuple[Any, ...] = (
    None, True, -1, 0, 10**30, 1e308, "", "=1+1", "x" * 5000, [], {}, [[]], [1], {"a": 1}, "../../etc",
    "\x00", [[0, 0], [1e6, 1e6], [0, 1e9]],
)  # fmt: skip


@dataclass(frozen=True)
class Kind:
    """One kind of file: its name, a sound one, what reads it, and its share of the usual mutations."""

    name: str
    content: bytes
    read: Callable[[Path], object]
    is_json: bool = False
    share: float = 1.0


def encode(rgb: np.ndarray, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, kind, **options)
    return buffer.getvalue()


def make_kinds(folder: Path) -> Iterator[Kind]:
    rgb = draw_field(DrawnFieldSpec(64, 48, seed=1)).rgb
    for kind in ("PNG", "JPEG", "BMP", "WEBP", "TIFF"):
        yield Kind(f"a.{kind.lower()}", encode(rgb, kind), read_image)
    yield Kind("progressive.jpg", encode(rgb, "JPEG", progressive=True), read_image)
    for name, pixels, options in (
        ("deep.tif", rgb.astype(np.uint16) * 257, {"compression": "zlib", "predictor": True}),
        ("stack.tif", np.stack([rgb, rgb[::-1]]), {"photometric": "rgb", "ome": True}),
    ):
        buffer = io.BytesIO()
        tifffile.imwrite(buffer, pixels, **options)
        yield Kind(name, buffer.getvalue(), read_image)
    square = [[1, 1], [9, 1], [9, 9], [1, 9], [1, 1]]
    feature = {
        "type": "Feature",
        "geometry": {"type": "Polygon", "coordinates": [square]},
        "nucleusGeometry": {"type": "MultiPolygon", "coordinates": [[square]]},
        "properties": {
            "name": "x4y4",
            "classification": {"name": "monocyte"},
            "metadata": {"image": "a.png"},
        },
    }
    coco = {
        "categories": [{"id": 1, "name": "monocyte"}, {"id": 2, "name": "nucleus"}],
        "images": [{"id": 1, "file_name": "a.png", "width": 64, "height": 48}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 1, "segmentation": [[1, 1, 9, 1, 9, 9]]},
            {
                "id": 2,
                "image_id": 1,
                "category_id": 2,
                "segmentation": {"size": [48, 64], "counts": [10, 5, 48 * 64 - 15]},
            },
        ],
    }
    region = {"original_width": 64, "original_height": 48, "image_rotation": 0}
    studio = [
        {
            "data": {"image": "/data/local-files/?d=a.png"},
            "annotations": [
                {
                    "result": [
                        {
                            **region,
                            "id": "cell_x4y4",
                            "type": "polygonlabels",
                            "value": {"points": [[1, 1], [9, 1], [9, 9]], "polygonlabels": ["monocyte"]},
                        },
                        {
                            **region,
                            "id": "b",
                            "type": "brushlabels",
                            "value": {"rle": [0, 0, 48, 0, 57, 1], "brushlabels": ["nucleus"]},
                        },
                    ]
                }
            ],
        }
    ]
    for name, document in (("a.geojson", [feature]), ("coco.json", coco), ("studio.json", studio)):
        yield Kind(name, json.dumps(document).encode(), read_labels, is_json=True)
    crop = folder / "crop.png"
    Image.fromarray(rgb).save(crop)
    rows = make_set("set", [FoundCell(crop, "monocyte", "g1"), FoundCell(crop, "monocyte", "g1")][:1]).rows
    for suffix in ("csv", "parquet"):
        write_manifest(rows, folder / f"sound.{suffix}")
        # Another process reads a Parquet file first, which takes half a second.
        share = 0.1 if suffix == "parquet" else 1.0
        yield Kind(
            f"manifest.{suffix}", (folder / f"sound.{suffix}").read_bytes(), read_manifest, share=share
        )
    table = pl.DataFrame(
        {
            "image": ["a.png", "b.png"],
            "cell_id": ["x1y1", "x2y2"],
            "x_px": [1.5, 2.5],
            "y_px": [1.0, 2.0],
            "width_px": [20, 20],
            "height_px": [20, 20],
            "label": ["monocyte", "lymphocyte"],
            "flags": ["", "unclassified"],
        }
    )
    yield Kind("cells.csv", table.write_csv().encode(), read_results)
    yield Kind("edited.csv", table.write_csv(separator=";").encode(), read_corrections)
    yield Kind(
        "summary.csv", b"image,count_monocyte,unclassified_cells\na.png,3,0\nb.png,4,1\n", read_results
    )
    inputs = find_images([crop])
    specimens = f"image,specimen,stain\n{crop},p1,MGG\n".encode()
    yield Kind("specimens.csv", specimens, lambda path: group_images(inputs, str(path)))
    ranges = b'[erythroid_share]\nlow = 0.1\nhigh = 0.4\npopulation = "adults"\nsource = "our laboratory"\n'
    yield Kind("own.toml", ranges, lambda path: read_references(path, ("erythroid_share", "me_ratio")))
    run = {
        "inputs": ["a.png"],
        "failures": [{"image": "a.png", "reason": "x"}],
        "specimens": {"p": ["a.png"]},
    }
    yield Kind("run.json", json.dumps(run).encode(), lambda path: read_run(path.parent), is_json=True)
    bundle = folder / "bundle"
    shutil.copytree(DEFAULT_BUNDLE, bundle)

    def read_card(path: Path) -> object:
        shutil.copy(path, bundle / "model.json")
        return load_bundle(bundle)

    yield Kind("model.json", (DEFAULT_BUNDLE / "model.json").read_bytes(), read_card, is_json=True)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/a/b.txt", "text" * 100)

    def unpack(path: Path) -> None:
        target = folder / "unpacked"
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        unpack_zip(path, target)

    yield Kind("set.zip", buffer.getvalue(), unpack)


def mutate_bytes(content: bytes, rng: random.Random) -> bytes:
    """Return bytes with a few flipped, cut, repeated or put in between."""
    data = bytearray(content)
    for _ in range(rng.choice((1, 1, 2, 8))):
        if not data:
            break
        at = rng.randrange(len(data))
        what = rng.randrange(6)
        if what == 0:
            data[at] = rng.randrange(256)
        elif what == 1:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 2:
            del data[at:]
        elif what == 3:
            del data[at : at + rng.randrange(1, 40)]
        elif what == 4:
            data[at:at] = data[at : at + rng.randrange(1, 200)] * rng.choice((1, 3))
        else:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"))
    return bytes(data)


def mutate_json(content: bytes, rng: random.Random) -> bytes:
    """Return a JSON text with one node replaced, removed or doubled."""
    document = json.loads(content)
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        entries = (
            node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        )
        for key, value in entries:
            places.append((node, key))
            walk(value)

    walk(document)
    node, key = rng.choice(places)
    what = rng.randrange(8)
    if what == 0:
        del node[key]
    elif what == 1 and isinstance(node, list):
        node.append(node[key])
    else:
        node[key] = rng.choice(ODD)
    return json.dumps(document).encode()


def restart_peak() -> int:
    """Forget how much memory the process has held at most, and return what it holds now, in KiB."""
    Path("/proc/self/clear_refs").write_text("5")
    return measure_memory("VmRSS")


def measure_memory(name: str) -> int:
    """Return a figure of the process's memory in KiB."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux states it")
def test_damaged_files_of_every_kind_are_read_or_refused_in_words(tmp_path: Path) -> None:
    kinds = list(make_kinds(tmp_path))
    each = max(1, MUTATIONS // len(kinds))
    refused = 0
    foreign: list[str] = []
    held = restart_peak()  # other tests of this process may have held much
    for kind in kinds:
        path = tmp_path / "damaged" / kind.name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(kind.content)
        kind.read(path)
        for seed in range(max(1, round(each * kind.share))):
            rng = random.Random(f"{kind.name} {seed}")  # noqa: S311
            mutate = mutate_json if kind.is_json and seed % 3 else mutate_bytes
            path.write_bytes(mutate(kind.content, rng))
            started = time.perf_counter()
            said = ""
            try:
                kind.read(path)
            except ErythronError as error:
                refused += 1
                said = str(error)
            except Exception as error:  # noqa: BLE001
                foreign.append(f"{kind.name}, mutation {seed}: {type(error).__name__}: {error}"[:300])
            assert len(said.splitlines()) <= 1, (kind.name, seed, said)
            took = time.perf_counter() - started
            assert took < SLOWEST_S, (kind.name, seed, took)
    assert not foreign, "\n".join(foreign[:20])
    assert refused > MUTATIONS / 4
    assert measure_memory("VmHWM") - held < MOST_KIB
