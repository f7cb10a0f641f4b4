"""The Python interface: count an image, look at the result, save what the command would have written.

:func:`count` is for one image; :class:`Counter` loads the model once for many. Both go through the same
functions as ``erythron count``, so the same image gives the same files.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import describe_device
from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cells.outline import CellOutline
from erythron.differential.counts import Differential
from erythron.errors import UsageError
from erythron.files.hashing import hash_bytes
from erythron.interchange.geojson import trace_cells
from erythron.pipeline.executor import Failure, attempt
from erythron.pipeline.field import CountedField, Model, Networks, count_field, load_networks
from erythron.pipeline.field_record import make_result
from erythron.pipeline.settings import choose_settings
from erythron.read.fields import check_mpp, take_array
from erythron.read.source import open_source, read_whole
from erythron.results.field import ShownField, write_field
from erythron.results.fingerprint import Fingerprints, StepSettings, fingerprint_steps, hash_image
from erythron.results.record import read_record

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["Counter", "Failure", "Result", "count"]

ImageSource = str | Path | NDArray[np.uint8]
"""A file of any format that ``erythron count`` reads, but no slide, or an array (H, W, 3) of uint8: red,
green, blue."""

_ARRAY = "array"


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """One counted image; made by :func:`count` and :class:`Counter`.

    Attributes:
        differential: counts, shares and indices with their intervals.
    """

    differential: Differential
    _found: CountedField
    _sha256: str
    _fingerprints: Fingerprints

    @property
    def image(self) -> str:
        """The image's path as given, or ``array``."""
        return self._found.image.name

    @property
    def rgb(self) -> NDArray[np.uint8]:
        """The pixels, (H, W, 3) uint8."""
        return self._found.image.rgb

    @property
    def mpp(self) -> float | None:
        """Microns per pixel that sizes were taken with; None where unknown."""
        return self._found.image.mpp

    @property
    def mpp_source(self) -> str:
        """Where the scale comes from: ``option``, ``metadata``, ``red_cells``, ``nuclei`` or ``unknown``."""
        return self._found.image.mpp_source.value

    @property
    def cells(self) -> pl.DataFrame:
        """One row a cell: place, label, confidence, probabilities, measurements, flags, as ``cells.csv``."""
        return self._found.cells

    @property
    def outlines(self) -> tuple[CellOutline, ...]:
        """The outline of every cell, in the order of ``cells``.

        :func:`erythron.cells.outline.render_labels` makes label images of them.
        """
        return self._found.outlines

    def save(self, folder: str | Path, *, force: bool = False) -> Path:
        """Write the folder that ``erythron count`` writes for this image.

        A folder that holds this very result is left as it is.

        Args:
            folder: where to; it is made.
            force: replace the folder of another result. A folder that erythron did not write is never
                replaced.

        Returns:
            The folder.

        Raises:
            UsageError: the folder is there and is of another result.
        """
        place = Path(folder)
        if place.exists():
            record = read_record(place)
            if record is None:
                raise UsageError(f"{place} is there and erythron did not write it; choose another folder")
            if record.fingerprints == self._fingerprints:
                return place
            if not force:
                raise UsageError(
                    f"{place} holds the result of {record.image} or of other settings; "
                    "give force=True to replace it, or choose another folder"
                )
        result = make_result(self._found, self.image, self._sha256, self._fingerprints)
        write_field(result, self.rgb, lambda: ShownField(trace_cells(self.outlines)), place)
        return place

    def plot(self) -> Figure:
        """Draw the image with its cells outlined, beside the shares of the classes with their intervals.

        Returns:
            A matplotlib figure that no window manages: show it in a notebook or save it with ``savefig``.

        Raises:
            MissingExtraError: matplotlib is not installed.
        """
        from erythron.report.figure import plot_differential

        return plot_differential(self.rgb, self.outlines, self.cells, self.differential)

    def __repr__(self) -> str:
        counted = self.differential
        return (
            f"<Result of {self.image}: {counted.nucleated_cells} nucleated cells, "
            f"{counted.erythroid_cells} of them erythroid>"
        )

    def _repr_html_(self) -> str:
        """Return the differential and the overlay for a notebook."""
        from erythron.report.notebook import render_notebook

        return render_notebook(self.image, self.rgb, self.outlines, self.cells, self.differential)


class Counter:
    """Counts many images with one model, which is loaded once.

    Images are counted one at a time, also where several threads share a counter: the network itself uses all
    cores. A counter belongs to the process that made it.

    Args:
        model: folder of a bundle; None is the model that ships.
        mpp: microns per pixel of images that are counted without their own; None takes each image's.
        runtime: what computes the networks: ``openvino`` on the CPU, or ``onnxruntime`` on CUDA, CoreML or
            DirectML, whichever is installed, else on the CPU.

    Attributes:
        device: where the networks are computed, such as ``ONNX Runtime, CUDA``.

    Raises:
        BundleError: the model cannot be used.
        UsageError: ``mpp`` is not a number from 0.01 to 10, or there is no such runtime.
        MissingExtraError: the runtime is not installed.
    """

    def __init__(
        self, *, model: str | Path | None = None, mpp: float | None = None, runtime: str = "openvino"
    ) -> None:
        check_mpp(mpp)
        if runtime not in set(RuntimeKind):
            raise UsageError(f"'{runtime}' is no runtime; choose {' or '.join(RuntimeKind)}")
        self._runtime = RuntimeKind(runtime)
        self.device = describe_device(self._runtime)
        self._bundle = load_bundle(None if model is None else Path(model))
        self._settings = choose_settings(self._bundle)
        self._mpp = mpp
        self._loading: Future[Networks] | None = None
        self._is_closed = False
        self._turn = threading.Lock()
        self._process = os.getpid()

    def count(self, image: ImageSource, *, mpp: float | None = None) -> Result:
        """Count one image.

        Args:
            image: a file or an array (H, W, 3) of uint8.
            mpp: microns per pixel; None is the counter's, else that of file, red cells and nuclei.

        Raises:
            ImageReadError: the image cannot be read, shows no stained cells, or is a slide.
            SpecimenError: the picture is not one of a smear.
            MissingExtraError: its format needs the extra ``slides``.
            UsageError: ``mpp`` is not a number from 0.01 to 10, or the counter is closed, or another process
                made it.
            BundleError: the network cannot be loaded.
        """
        return self._count(image, self._mpp if mpp is None else mpp, _ARRAY)

    def count_many(self, images: Iterable[ImageSource]) -> Iterator[Result | Failure]:
        """Count images one after the other; each is read only when its turn comes.

        Args:
            images: files or arrays.

        Yields:
            For each image its result, or why it could not be counted; arrays are named by their place,
            such as ``array 3``.

        Raises:
            BundleError: the network cannot be loaded.
            UsageError: the counter is closed.
        """
        for number, image in enumerate(images, start=1):
            self._refuse_closed()
            is_array = isinstance(image, np.ndarray)
            name = f"{_ARRAY} {number}" if is_array else str(image)
            yield attempt(name, partial(self._count, image, self._mpp, name))

    def close(self) -> None:
        """Release the network; counting is refused from now on."""
        self._loading = None
        self._is_closed = True

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _count(self, image: ImageSource, mpp: float | None, name: str) -> Result:
        self._refuse_closed()
        if isinstance(image, str | Path):
            sha256 = hash_image(Path(image))
            smear = read_whole(open_source(image, mpp))
        else:
            smear = take_array(np.asarray(image), mpp, name)
            sha256 = hash_bytes(smear.rgb.tobytes())
        with self._turn:
            model = Model(self._bundle, self._settings, self._start_loading().result)
            found = count_field(smear, model)
        fingerprints = fingerprint_steps(
            StepSettings(self._bundle, mpp, runtime=self._runtime), smear.name, sha256
        )
        return Result(found.differential, found, sha256, fingerprints)

    def _refuse_closed(self) -> None:
        if self._is_closed:
            raise UsageError("this counter is closed; make another")
        if os.getpid() != self._process:
            # The threads of the network are not in a forked process, which would wait for them for ever.
            raise UsageError("this counter was made in another process; make one in each process")

    def _start_loading(self) -> Future[Networks]:
        """Load the networks in the background, so that the first image is read meanwhile."""
        if self._loading is None:
            pool = ThreadPoolExecutor(max_workers=1)
            self._loading = pool.submit(load_networks, self._bundle, kind=self._runtime)
            pool.shutdown(wait=False)
        return self._loading


def count(image: ImageSource, *, mpp: float | None = None, model: str | Path | None = None) -> Result:
    """Count the nucleated cells of one marrow field by class and stage.

    For many images use :class:`Counter`, which loads the model once.

    Args:
        image: a file of any format that ``erythron count`` reads, but no slide, or an array (H, W, 3) of
            uint8: red, green, blue.
        mpp: microns per pixel; None is that of file, red cells and nuclei.
        model: folder of a bundle; None is the model that ships.

    Raises:
        ImageReadError: the image cannot be read, shows no stained cells, or is a slide.
        SpecimenError: the picture is not one of a smear.
        MissingExtraError: its format needs the extra ``slides``.
        UsageError: ``mpp`` is not a number from 0.01 to 10.
        BundleError: the model cannot be used.
    """
    with Counter(model=model, mpp=mpp) as counter:
        return counter.count(image)
