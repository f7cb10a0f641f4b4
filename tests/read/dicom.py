"""A small DICOM slide: one file a level, tiles in frames."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    ExplicitVRLittleEndian,
    JPEGBaseline8Bit,
    VLWholeSlideMicroscopyImageStorage,
    generate_uid,
)
from tests.read.slides import TILE, shrink


def write_dicom(
    folder: Path, rgb: NDArray[np.uint8], *, is_jpeg: bool = True, mpp: float = 0.25
) -> list[Path]:
    """Write two levels of a slide into a folder."""
    series, study, frame = generate_uid(), generate_uid(), generate_uid()
    paths = []
    for number, step in enumerate((1, 4)):
        level = rgb if step == 1 else shrink(rgb, step)
        data = _describe(level, mpp * step, is_jpeg=is_jpeg)
        data.SeriesInstanceUID, data.StudyInstanceUID, data.FrameOfReferenceUID = series, study, frame
        data.InstanceNumber = number + 1
        data.ImageType = [
            "ORIGINAL" if step == 1 else "DERIVED",
            "PRIMARY",
            "VOLUME",
            "NONE" if step == 1 else "RESAMPLED",
        ]
        path = folder / f"level-{number}.dcm"
        data.save_as(path, enforce_file_format=True)
        paths.append(path)
    return paths


def _describe(level: NDArray[np.uint8], mpp: float, *, is_jpeg: bool) -> Dataset:
    height, width = level.shape[:2]
    tiles = _cut(level)
    data = Dataset()
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = VLWholeSlideMicroscopyImageStorage
    meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    meta.TransferSyntaxUID = JPEGBaseline8Bit if is_jpeg else ExplicitVRLittleEndian
    data.file_meta = meta
    data.SOPClassUID = VLWholeSlideMicroscopyImageStorage
    data.Modality = "SM"
    data.DimensionOrganizationType = "TILED_FULL"
    data.TotalPixelMatrixColumns, data.TotalPixelMatrixRows = width, height
    data.TotalPixelMatrixFocalPlanes = data.NumberOfOpticalPaths = 1
    data.NumberOfFrames = len(tiles)
    data.Rows = data.Columns = TILE
    data.SamplesPerPixel, data.PlanarConfiguration, data.PixelRepresentation = 3, 0, 0
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit = 7
    data.PhotometricInterpretation = "YBR_FULL_422" if is_jpeg else "RGB"
    data.ImagedVolumeWidth, data.ImagedVolumeHeight = width * mpp / 1000, height * mpp / 1000
    measures = Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = Sequence([measures])
    data.SharedFunctionalGroupsSequence = Sequence([shared])
    path = Dataset()
    path.OpticalPathIdentifier = "1"
    data.OpticalPathSequence = Sequence([path])
    if is_jpeg:
        frames = [imagecodecs.jpeg8_encode(tile, level=95, subsampling="422") for tile in tiles]
        data.PixelData = encapsulate(frames)
        data["PixelData"].VR = "OB"
    else:
        data.PixelData = b"".join(tile.tobytes() for tile in tiles)
        data["PixelData"].VR = "OB"
    return data


def _cut(level: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    height, width = level.shape[:2]
    padded = np.pad(level, ((0, -height % TILE), (0, -width % TILE), (0, 0)), mode="edge")
    return [
        np.ascontiguousarray(padded[y : y + TILE, x : x + TILE])
        for y in range(0, height, TILE)
        for x in range(0, width, TILE)
    ]
