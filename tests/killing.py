"""A task whose items fail in every way, for tests of executors."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from erythron.errors import BundleError, ImageReadError
from erythron.files.writing import unnamed_file


@dataclass(frozen=True)
class Item:
    """What a worker is told to do."""

    name: str


@dataclass(frozen=True)
class Doing:
    """A task whose items fail in every way, and kill their workers.

    Attributes:
        folder: where a worker notes that it was killed, or began to write, so that it does so once.
    """

    folder: Path

    def start(self) -> Callable[[Item], str]:
        folder = self.folder

        def work(item: Item) -> str:
            match item.name.split("-")[0]:
                case "broken":
                    raise ImageReadError("broken: copy it again")
                case "model":
                    raise BundleError("the model is no model")
                case "killed":
                    note = folder / item.name
                    if not note.exists() or item.name == "killed-always":
                        note.touch()
                        os.kill(os.getpid(), signal.SIGKILL)
                case "writing":
                    note = folder / item.name
                    if not note.exists():
                        with unnamed_file(folder) as partial:
                            partial.write_text("half")
                            note.touch()
                            time.sleep(60)
            return item.name.upper()

        return work
