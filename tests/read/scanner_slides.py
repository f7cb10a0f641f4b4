"""Small slides in the forms of 3DHISTECH's, Leica's, Ventana's and Hamamatsu's scanners.

What such a file consists of is told by OpenSlide's descriptions of the formats, https://openslide.org/formats/.
Pixels are stored without loss where the format allows it.
"""

from __future__ import annotations

import io
import struct
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image
from tests.read.slides import TILE, shrink

_MIRAX_ID = "0123456789ABCDEF0123456789ABCDEF"
_LEICA = "http://www.leica-microsystems.com/scn/2010/10/01"


def write_mirax(
    path: Path,
    rgb: NDArray[np.uint8],
    at: tuple[int, int] = (0, 0),
    across: int = 16,
    down: int = 16,
    levels: int = 3,
) -> Path:
    """Write a slide of 3DHISTECH: an ``.mrxs`` and beside it a folder with index and data.

    Args:
        path: of the ``.mrxs``.
        rgb: (H, W, 3) uint8 of what was scanned; padded with white to whole images of 64 px.
        at: column and row of the first scanned image in the grid of the slide.
        across: images in a row of the whole slide; what was not scanned has none.
        down: rows of images.
        levels: each half as large as that before it.
    """
    canvas = np.full((down * TILE, across * TILE, 3), 255, np.uint8)
    left, top = at[0] * TILE, at[1] * TILE
    canvas[top : top + rgb.shape[0], left : left + rgb.shape[1]] = rgb
    scanned = np.zeros((down, across), bool)
    scanned[at[1] : at[1] - (-rgb.shape[0] // TILE), at[0] : at[0] - (-rgb.shape[1] // TILE)] = True

    folder = path.with_suffix("")
    folder.mkdir()
    data, pages = io.BytesIO(), []
    for number in range(levels):
        step = 2**number
        level = canvas if step == 1 else shrink(canvas, step)
        records = []
        for row in range(0, down, step):
            for column in range(0, across, step):
                if not scanned[row : row + step, column : column + step].any():
                    continue
                y, x = row * TILE // step, column * TILE // step
                place = data.tell()
                Image.fromarray(level[y : y + TILE, x : x + TILE]).save(data, "png")
                records.append((row * across + column, place, data.tell() - place, 0))
        pages.append(records)
    (folder / "Data0000.dat").write_bytes(data.getvalue())
    (folder / "Index.dat").write_bytes(_lay_out_index(pages))
    (folder / "Slidedat.ini").write_text(_describe_mirax(across, down, levels), encoding="utf-8")
    Image.fromarray(rgb[:8, :8]).save(path, "jpeg")
    return path


def _lay_out_index(pages: list[list[tuple[int, int, int, int]]]) -> bytes:
    """Return an index: the roots, for each level the place of its list, and the lists."""
    head = f"01.02{_MIRAX_ID}".encode()
    root = len(head) + 8
    lists = root + 4 * len(pages)
    starts, body = [], b""
    for records in pages:
        start = lists + len(body)
        starts.append(start)
        body += struct.pack("<2i", 0, start + 8)
        body += struct.pack("<2i", len(records), 0)
        body += b"".join(struct.pack("<4i", *record) for record in records)
    return head + struct.pack("<2i", root, 0) + struct.pack(f"<{len(starts)}i", *starts) + body


def _describe_mirax(across: int, down: int, levels: int) -> str:
    lines = [
        "[GENERAL]",
        "SLIDE_VERSION = 01.02",
        f"SLIDE_ID = {_MIRAX_ID}",
        f"IMAGENUMBER_X = {across}",
        f"IMAGENUMBER_Y = {down}",
        "OBJECTIVE_MAGNIFICATION = 40",
        "[HIERARCHICAL]",
        "HIER_COUNT = 1",
        "NONHIER_COUNT = 0",
        "INDEXFILE = Index.dat",
        "HIER_0_NAME = Slide zoom level",
        f"HIER_0_COUNT = {levels}",
        *(f"HIER_0_VAL_{n}_SECTION = LAYER_0_LEVEL_{n}_SECTION" for n in range(levels)),
        "[DATAFILE]",
        "FILE_COUNT = 1",
        "FILE_0 = Data0000.dat",
    ]
    for number in range(levels):
        lines += [
            f"[LAYER_0_LEVEL_{number}_SECTION]",
            f"IMAGE_CONCAT_FACTOR = {min(number, 1)}",
            "OVERLAP_X = 0",
            "OVERLAP_Y = 0",
            f"MICROMETER_PER_PIXEL_X = {0.25 * 2**number}",
            f"MICROMETER_PER_PIXEL_Y = {0.25 * 2**number}",
            "IMAGE_FILL_COLOR_BGR = 16777215",
            f"DIGITIZER_WIDTH = {TILE}",
            f"DIGITIZER_HEIGHT = {TILE}",
            "IMAGE_FORMAT = PNG",
        ]
    return "\n".join(lines) + "\n"


def write_leica(path: Path, areas: list[tuple[NDArray[np.uint8], int, int]], width: int, height: int) -> Path:
    """Write a slide of Leica: two levels of each scanned area, and a macro image of the whole glass.

    Args:
        path: of the ``.scn``.
        areas: pixels, left and top of each in pixels of the glass.
        width: of the glass in pixels at full resolution.
        height: of the glass.
    """
    nm = 250
    images, pages = "", []
    macro = np.full((height // 20, width // 20, 3), 200, np.uint8)
    for rgb, left, top in [*areas, (macro, 0, 0)]:
        sizes = ""
        is_macro = rgb is macro
        for number, step in enumerate((1,) if is_macro else (1, 4)):
            level = rgb if step == 1 else shrink(rgb, step)
            rows, columns = level.shape[:2]
            sizes += f'<dimension sizeX="{columns}" sizeY="{rows}" r="{number}" ifd="{len(pages)}"/>'
            pages.append((level, 1e7 / (nm * step)))
        view = (width, height) if is_macro else (rgb.shape[1], rgb.shape[0])
        images += (
            f'<image><device model="Leica SCN400"/><pixels>{sizes}</pixels><view sizeX="{view[0] * nm}" '
            f'sizeY="{view[1] * nm}" offsetX="{left * nm}" offsetY="{top * nm}"/><scanSettings>'
            "<objectiveSettings><objective>40</objective></objectiveSettings><illuminationSettings>"
            "<illuminationSource>brightfield</illuminationSource><numericalAperture>0.65</numericalAperture>"
            "</illuminationSettings></scanSettings></image>"
        )
    text = (
        f'<?xml version="1.0"?><scn xmlns="{_LEICA}"><collection sizeX="{width * nm}" sizeY="{height * nm}">'
        f"{images}</collection></scn>"
    )
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for number, (level, resolution) in enumerate(pages):
            writer.write(
                level,
                photometric="rgb",
                tile=(TILE, TILE),
                compression="lzw",
                description=text if not number else None,
                resolution=(resolution, resolution),
                resolutionunit="CENTIMETER",
                metadata=None,
            )
    return path


def write_ventana(path: Path, rgb: NDArray[np.uint8], at: tuple[int, int] = (0, 0)) -> Path:
    """Write a slide of Ventana: a label, then two levels, the tiles of the first placed by its XML.

    Args:
        path: of the ``.bif``.
        rgb: (H, W, 3) uint8, sides multiples of 256.
        at: column and row of tiles of 64 px at which the scanned area begins, multiples of 4.
    """
    down, across = rgb.shape[0] // TILE, rgb.shape[1] // TILE
    canvas = np.full((rgb.shape[0] + at[1] * TILE, rgb.shape[1] + at[0] * TILE, 3), 255, np.uint8)
    canvas[at[1] * TILE :, at[0] * TILE :] = rgb
    joints = ""
    for row in range(down):
        for column in range(across):
            for direction, other in (("RIGHT", (row, column + 1)), ("UP", (row - 1, column))):
                if other[0] < 0 or other[1] == across:
                    continue
                numbers = [_number_tile(*place, across, down) for place in ((row, column), other)]
                joints += (
                    f'<TileJointInfo FlagJoined="1" Confidence="100" Direction="{direction}" '
                    f'Tile1="{numbers[0]}" Tile2="{numbers[1]}" OverlapX="0" OverlapY="0"/>'
                )
    area = (
        f'AOIScanned="1" AOIIndex="0" Width="{TILE}" Height="{TILE}" Pos-X="{at[0] * TILE}" Pos-Y="0" '
        f'NumRows="{down}" NumCols="{across}"'
    )
    places = (
        f"<EncodeInfo><SlideStitchInfo><ImageInfo {area}>{joints}</ImageInfo></SlideStitchInfo><AoiOrigin>"
        f'<AOI0 OriginX="{at[0] * TILE}" OriginY="{at[1] * TILE}"/></AoiOrigin></EncodeInfo>'
    )
    scan = '<iScan Z-layers="1" Magnification="40" ScanRes="0.25"/>'
    pages = [
        (np.full((TILE, TILE, 3), 9, np.uint8), "Label Image", scan),
        (canvas, "level=0 mag=40 quality=90", places),
        (shrink(canvas, 4), "level=1 mag=10 quality=90", None),
    ]
    with tifffile.TiffWriter(path, bigtiff=True) as writer:
        for level, text, xml in pages:
            writer.write(
                level,
                photometric="rgb",
                tile=(TILE, TILE),
                compression="lzw",
                description=text,
                metadata=None,
                extratags=[] if xml is None else [(700, "B", len(xml), xml.encode(), True)],
            )
    return path


def _number_tile(row: int, column: int, across: int, down: int) -> int:
    """Return the number of a tile: from 1 at the lower left, every second row from right to left."""
    from_below = down - 1 - row
    return 1 + from_below * across + (across - 1 - column if from_below % 2 else column)


def write_ndpi(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """Write a slide of Hamamatsu in one file: a TIFF with 64-bit places of directories, one JPEG a level."""
    content, links = bytearray(b"II*\0" + bytes(8)), [4]
    for step in (1, 4):
        level = rgb if step == 1 else shrink(rgb, step)
        height, width = level.shape[:2]
        picture = io.BytesIO()
        Image.fromarray(level).save(picture, "jpeg", quality=97, subsampling=0)
        jpeg, resolution = len(content), len(content) + picture.getbuffer().nbytes
        content += picture.getvalue() + struct.pack("<2I", 40_000 // step, 1)
        tags = [
            (256, "I", width),
            (257, "I", height),
            (258, "H", 8),
            (259, "H", 7),
            (262, "H", 6),
            (271, "4s", b"Ham\0"),
            (273, "I", jpeg),
            (277, "H", 3),
            (278, "I", height),
            (279, "I", picture.getbuffer().nbytes),
            (282, "rational", resolution),
            (283, "rational", resolution),
            (296, "H", 3),
            (65420, "I", 1),
            (65421, "f", 40 / step),
            (65424, "i", 0),
        ]
        for link in links:
            struct.pack_into("<Q", content, link, len(content))
        content += struct.pack("<H", len(tags))
        for number, kind, value in tags:
            code = {"4s": 2, "H": 3, "I": 4, "rational": 5, "i": 9, "f": 11}[kind]
            packed = struct.pack("<" + ("I" if kind == "rational" else kind), value)
            content += struct.pack("<2HI", number, code, 4 if kind == "4s" else 1) + packed.ljust(4, b"\0")
        # The place of the next directory, the upper halves of the values, and the place once more.
        links = [len(content), len(content) + 8 + 4 * len(tags)]
        content += bytes(16 + 4 * len(tags))
    path.write_bytes(content)
    return path


def write_vms(path: Path, rgb: NDArray[np.uint8]) -> Path:
    """Write a slide of Hamamatsu in several files: an index, two pictures side by side, and a small one.

    Args:
        path: of the ``.vms``.
        rgb: (H, W, 3) uint8, sides multiples of 512.
    """
    height, width = rgb.shape[:2]
    names = [f"{path.stem}{end}.jpg" for end in ("", "(1,0)", "_map")]
    parts = [rgb[:, : width // 2], rgb[:, width // 2 :], shrink(rgb, 4)]
    for name, part in zip(names, parts, strict=True):
        Image.fromarray(np.ascontiguousarray(part)).save(
            path.parent / name, "jpeg", quality=97, subsampling=0, restart_marker_blocks=TILE // 8
        )
    path.write_text(
        "[Virtual Microscope Specimen]\nNoLayers=1\nNoJpegColumns=2\nNoJpegRows=1\n"
        f"ImageFile={names[0]}\nImageFile(1,0)={names[1]}\nMapFile={names[2]}\n"
        f"SourceLens=40\nPhysicalWidth={width * 250}\nPhysicalHeight={height * 250}\n",
        encoding="utf-8",
    )
    return path
