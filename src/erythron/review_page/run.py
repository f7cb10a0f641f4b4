"""A finished count as the page opens it: specimens, fields and the model that counted them."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from pathlib import Path

from erythron.bundle.folder import load_bundle
from erythron.bundle.loading import start_loading
from erythron.errors import UsageError
from erythron.pipeline.field import Model, Networks, load_networks
from erythron.pipeline.recount import FinishedRun, find_run, need_pictures, refuse_slide
from erythron.pipeline.settings import choose_settings
from erythron.results.record import RECORD
from erythron.review_page.field import PageField


@dataclass(frozen=True)
class PageSpecimen:
    """One specimen of a run; a run without specimens is one.

    Attributes:
        number: its place in the run, from 0.
        name: what events and the page call it.
        folder: of its results.
        fields: its fields; those whose pixels came before are not counted and not among them.
    """

    number: int
    name: str
    folder: Path
    fields: tuple[PageField, ...]


class ReviewedRun:
    """A finished count.

    Args:
        out: its folder.

    Attributes:
        out: as given.
        finished: what lies there.
        specimens: with their fields.
        fields: of all specimens, in order; a field's ``number`` is its place here.
        model: that counted them.
        computing: held while its networks compute, which one request at a time may ask.

    Raises:
        UsageError: the folder holds no finished count of any image, or its pictures are gone.
        DataError: what is stored cannot be read, or is of a slide.
    """

    def __init__(self, out: Path) -> None:
        self.out = out
        self.finished: FinishedRun = find_run(out)
        need_pictures(self.finished.folders)
        options = self.finished.options
        bundle = load_bundle(options.model)
        settings = choose_settings(bundle, options.reference, options.width, options.me_ratio)
        self._networks: Networks | None = None
        self._loading, self.computing = threading.Lock(), threading.Lock()
        self.model = Model(bundle, settings, self._get_networks)
        self.fields: list[PageField] = []
        self.specimens = tuple(self._open_specimen(number) for number in range(len(self.finished.specimens)))
        if not self.fields:
            raise UsageError(f"{out}: no image of this run was counted, so there is nothing to review")

    def get_specimen(self, field: PageField) -> PageSpecimen:
        """Return the specimen of a field."""
        return self.specimens[field.specimen]

    def _open_specimen(self, number: int) -> PageSpecimen:
        specimen = self.finished.specimens[number]
        seen: set[str] = set()
        fields = []
        for image in specimen.images:
            folder = self.finished.folders[image.path]
            if not (folder / RECORD).exists():
                continue  # it could not be counted
            field = PageField(len(self.fields), image.path, folder, number)
            refuse_slide(field.record)
            if field.record.pixels_sha256 in seen:
                continue
            seen.add(field.record.pixels_sha256)
            fields.append(field)
            self.fields.append(field)
        return PageSpecimen(number, specimen.name, self.out / specimen.folder, tuple(fields))

    def _get_networks(self) -> Networks:
        with self._loading:
            if self._networks is None:
                loading = start_loading(self.finished.options.model, self.finished.options.runtime)
                self._networks = load_networks(loading.bundle, loading.runtimes.result())
            return self._networks
