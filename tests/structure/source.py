"""The package's modules as syntax trees, for the tests of how it is built."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "erythron"
TESTS = ROOT / "tests"


@cache
def read_modules() -> dict[str, ast.Module]:
    """Return every module by its path in the package, such as ``cells/classes.py``."""
    paths = sorted(PACKAGE.rglob("*.py"))
    return {p.relative_to(PACKAGE).as_posix(): ast.parse(p.read_bytes(), str(p)) for p in paths}


def list_imports(tree: ast.AST) -> Iterator[str]:
    """Yield the full name of every module that a tree imports, wherever the import stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            # ``from erythron import api`` imports a module, ``from erythron import __version__`` none.
            yield node.module
            if node.module == "erythron":
                yield from (f"erythron.{alias.name}" for alias in node.names)


def find_folder(module: str) -> str:
    """Return the folder of a module's path or of its name in an import; the module itself at the top."""
    parts = module.removeprefix("erythron.").replace("/", ".").removesuffix(".py").split(".")
    return parts[0]
