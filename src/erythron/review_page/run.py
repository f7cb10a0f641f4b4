"""A finished count as the page opens it: specimens, fields and the model that counted them."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import start_loading
from erythron.errors import UsageError
from erythron.files.naming import as_text
from erythron.pipeline.field import Model, Networks, load_networks
from erythron.pipeline.finished import FinishedRun, find_run, need_pictures
from erythron.pipeline.settings import choose_settings
from erythron.results.record import RECORD
from erythron.review_page.field import PageField


@dataclass(frozen=True)
class PageSpecimen:
    """One specimen of a run; a run without specimens is one.

    Attributes:
        number: its place in the run, from 0.
        key: what events and sent pictures call it, see :attr:`erythron.pipeline.specimens.Specimen.key`.
        name: what the page calls it.
        folder: of its results.
        fields: its fields; those whose pixels came before are not counted and not among them.
    """

    number: int
    key: str
    name: str
    folder: Path
    fields: tuple[PageField, ...]


class ReviewedRun:
    """A finished count, to which fields may be added while it is reviewed.

    Args:
        out: its folder.
        later: images that joined it later, as it names them; their fields come last, in this order, so that
            a field has the same number at every start.

    Attributes:
        out: as given.
        finished: what lies there.
        specimens: with their fields; each is replaced by another where a field joins it.
        fields: of all specimens, in order; a field's ``number`` is its place here.
        model: that counted them.
        computing: held while its networks compute, which one request at a time may ask.
        writing: held while this server writes into the folder.

    Raises:
        UsageError: the folder holds no finished count of any image, or its pictures are gone.
        DataError: what is stored cannot be read.
    """

    def __init__(self, out: Path, later: Sequence[str] = ()) -> None:
        self.out = out
        self.finished: FinishedRun = find_run(out)
        need_pictures(self.finished.folders)
        options = self.finished.options
        bundle = load_bundle(options.model)
        settings = choose_settings(bundle, options.reference, options.width, options.me_ratio)
        self._networks: Networks | None = None
        self._loading, self._growing = threading.Lock(), threading.Lock()
        self.computing, self.writing = threading.Lock(), threading.Lock()
        self.model = Model(bundle, settings, self._get_networks)
        self.fields: list[PageField] = []
        self._known: dict[tuple[int, str], PageField] = {}
        self.specimens: tuple[PageSpecimen, ...] = tuple(
            PageSpecimen(number, found.key, found.name, out / found.folder, ())
            for number, found in enumerate(self.finished.specimens)
        )
        listed = [
            (one.number, i) for one in self.specimens for i in self.finished.specimens[one.number].images
        ]
        places = {name: place for place, name in enumerate(later, start=1)}
        for number, image in sorted(listed, key=lambda pair: places.get(pair[1].name, 0)):
            self._open_field(number, image.path)
        if not self.fields:
            raise UsageError(f"{out}: no image of this run was counted, so there is nothing to review")

    def get_specimen(self, field: PageField) -> PageSpecimen:
        """Return the specimen of a field."""
        return self.specimens[field.specimen]

    def find_field(self, specimen: str, image: str) -> PageField | None:
        """Return the field that an image of a specimen is: its own, or the one before of the same pixels.

        Args:
            specimen: its key.
            image: as the run names it.
        """
        return next((self._known.get((s.number, image)) for s in self.specimens if s.key == specimen), None)

    def add_field(self, specimen: str, image: Path) -> PageField | None:
        """Take in a field that was counted into the folder since.

        Args:
            specimen: its key.
            image: path of its image.

        Returns:
            The field; None where it is known, has the pixels of one that is, or is not counted.

        Raises:
            UsageError: the folder holds no finished count any more.
            DataError: what is stored of the field cannot be read.
        """
        if self.find_field(specimen, as_text(image)) is not None:
            return None
        with self._growing:
            self.finished = find_run(self.out)
            number = next(s.number for s in self.specimens if s.key == specimen)
            return self._open_field(number, image) if image in self.finished.folders else None

    def _open_field(self, number: int, path: Path) -> PageField | None:
        """Open a counted image of a specimen; pixels that came before are of the field that they came as."""
        folder = self.finished.folders[path]
        if not (folder / RECORD).exists():
            return None  # it could not be counted
        field = PageField(len(self.fields), path, folder, number)
        first = self._known.setdefault((number, field.record.pixels_sha256), field)
        self._known[number, field.name] = first
        if first is not field:
            return None
        self.fields.append(field)
        specimen = self.specimens[number]
        grown = replace(specimen, fields=(*specimen.fields, field))
        self.specimens = (*self.specimens[:number], grown, *self.specimens[number + 1 :])
        return field

    def _get_networks(self) -> Networks:
        with self._loading:
            if self._networks is None:
                loading = start_loading(self.finished.options.model, self.finished.options.runtime)
                self._networks = load_networks(loading.bundle, loading.runtimes.result())
            return self._networks
