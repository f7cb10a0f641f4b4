"""Commands one after the other, as a program: ``python -m tests.commands FOLDER``.

What they printed lies in FOLDER afterwards; after one that fails, none follows.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from tests.program import Done, run_program

COMMANDS = "commands.json"
SAID = "said.json"


def chain(folder: Path, *commands: Sequence[str | Path]) -> list[str | Path]:
    """Return the program that runs commands of ``erythron``, each in its words."""
    (folder / COMMANDS).write_text(json.dumps([[str(word) for word in words] for words in commands]))
    return [sys.executable, "-m", "tests.commands", folder]


def read_said(folder: Path) -> list[Done]:
    """Return how each command ended that was run."""
    return [Done(**said) for said in json.loads((folder / SAID).read_text())]


if __name__ == "__main__":
    place = Path(sys.argv[1])
    ended: list[Done] = []
    for words in json.loads((place / COMMANDS).read_text()):
        ended.append(run_program(*words))
        if ended[-1].returncode:
            break
    (place / SAID).write_text(json.dumps([asdict(done) for done in ended]))
