"""``src/erythron/a/b.py`` is tested by ``tests/a/test_b.py``, or ``mirror.toml`` says where."""

from __future__ import annotations

import tomllib
from pathlib import Path, PurePosixPath

from tests.structure.source import TESTS, read_modules

LIST = tomllib.loads(Path(__file__).with_name("mirror.toml").read_text(encoding="utf-8"))


def name_test(module: str) -> str:
    path = PurePosixPath(module)
    return str(path.with_name(f"test_{path.name}"))


def list_modules() -> set[str]:
    """Return the modules that need a test: all but those that only open a folder or start the program."""
    return {m for m in read_modules() if PurePosixPath(m).name not in {"__init__.py", "__main__.py"}}


def list_tests() -> set[str]:
    return {path.relative_to(TESTS).as_posix() for path in TESTS.rglob("test_*.py")}


def test_every_module_has_a_test_of_its_name_or_is_listed_with_one() -> None:
    tests, covered = list_tests(), LIST["covered"]
    bare = {m for m in list_modules() if name_test(m) not in tests}
    assert bare - set(covered) == set(), "write the test of its name, or list the test that covers it"
    assert set(covered) - bare == set(), "has a test of its name, or is gone; take it off the list"
    assert {m: test for m, test in covered.items() if test not in tests} == {}, "there is no such test"


def test_every_test_mirrors_a_module_or_says_what_it_tests() -> None:
    mirrored = {name_test(module) for module in list_modules()}
    strays = list_tests() - mirrored
    assert strays - set(LIST["of_many"]) == set(), "name it after what it tests, or list what that is"
    assert set(LIST["of_many"]) - strays == set(), "mirrors a module, or is gone; take it off the list"
