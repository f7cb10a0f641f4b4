"""Batches whose results are one folder an image: the part that ``count`` and ``extract`` share.

A folder appears when it is whole. Its record says from which file and settings it came, so that a later run
keeps it, and one with other files or settings refuses to replace it unless told to.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from erythron.bundle.folder import Bundle
from erythron.bundle.loading import LoadingBundle, start_loading
from erythron.errors import ImageReadError, UsageError
from erythron.files.writing import whole_folder
from erythron.pipeline.batch import Failure, Progress, RunOptions, check_distinct, run_batch
from erythron.pipeline.field import FieldCells, Networks, count_field, load_networks
from erythron.read.fields import read_image
from erythron.read.inputs import InputImage
from erythron.results.field_folder import write_record
from erythron.results.fingerprint import Settings, fingerprint, hash_bundle, hash_file
from erythron.results.record import read_record


@dataclass(frozen=True)
class FolderRun:
    """What a run over fields left in its output folder.

    Attributes:
        folders: each image that is done, with its folder, in the order given.
        failures: the others.
    """

    folders: tuple[tuple[InputImage, Path], ...]
    failures: tuple[Failure, ...]


FillFolder = Callable[[FieldCells, Path], None]
"""Writes one image's results into an empty folder."""


def describe_settings(task: str, options: RunOptions, bundle: Bundle) -> Settings:
    """Return what the results of a run over fields depend on besides the images."""
    reference = "" if options.reference is None else hash_file(options.reference)
    return Settings(task, options.mpp, hash_bundle(bundle), (reference, str(options.width)))


class FolderRunner:
    """Counts fields into folders.

    Args:
        task: name of the command, part of every fingerprint.
        out: output folder of the run.
        options: model, scale and whether to replace.
        loading: the model of ``options`` where its networks load already; None begins that now.

    Attributes:
        bundle: the model.

    Raises:
        BundleError: the model cannot be used.
    """

    def __init__(
        self, task: str, out: Path, options: RunOptions, loading: LoadingBundle | None = None
    ) -> None:
        self.out = out
        self.options = options
        self._loading = start_loading(options.model) if loading is None else loading
        self.bundle = self._loading.bundle
        self._networks: Networks | None = None
        self._settings = describe_settings(task, options, self.bundle)

    def run(self, inputs: Sequence[InputImage], fill: FillFolder, progress: Progress) -> FolderRun:
        """Do every input that is not done yet.

        Raises:
            UsageError: two inputs have one folder, or a folder holds something else and ``force`` is not set.
        """
        folders = {image: self.out / image.relative.with_suffix("") for image in inputs}
        check_distinct([(image, folder.relative_to(self.out)) for image, folder in folders.items()])
        if not self.options.force:
            for image, folder in folders.items():
                self._refuse_foreign(image, folder)

        failures = run_batch(inputs, lambda image: self._do(image, folders[image], fill), progress)
        failed = {failure.image for failure in failures}
        return FolderRun(
            tuple((image, folder) for image, folder in folders.items() if str(image.path) not in failed),
            failures,
        )

    def _do(self, image: InputImage, folder: Path, fill: FillFolder) -> None:
        sha256 = hash_file(image.path)
        mark = fingerprint(self._settings, str(image.path), sha256)
        record = None if self.options.force else read_record(folder)
        if record is not None and record.fingerprint == mark:
            return
        found = count_field(read_image(image.path, self.options.mpp), self._get_networks)
        with whole_folder(folder) as partial:
            fill(found, partial)
            write_record(found, partial, sha256, mark)

    def _get_networks(self) -> Networks:
        if self._networks is None:
            self._networks = load_networks(self.bundle, self._loading.runtimes.result())
        return self._networks

    def _refuse_foreign(self, image: InputImage, folder: Path) -> None:
        if not folder.exists():
            return
        try:
            mark = fingerprint(self._settings, str(image.path), hash_file(image.path))
        except ImageReadError:
            return
        record = read_record(folder)
        if record is None or record.fingerprint != mark:
            raise UsageError(
                f"{folder} is there and was not made from {image.path} with these settings; "
                "add --force to replace it or choose another --out"
            )
