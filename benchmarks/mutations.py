"""How many small faults put into the code the tests notice.

    python benchmarks/mutations.py --folders differential shape interchange results --sample 60 --seed 1

A mutant is one operator, number, condition or returned value of a module changed. Each of a random sample
runs in a process of its own against the tests of its module, which stop at the first failure, and, where
all of them pass, against those of its folder. No file is changed: the import system gives the process the
other module. A mutant whose tests take too long counts as noticed.

Own code: mutmut changes functions alone, not the constants of modules and classes, and cosmic-ray starts a
command, and with it every library, for each mutant.
"""

from __future__ import annotations

import argparse
import ast
import copy
import json
import os
import random
import signal
import sys
import time
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.abc import MetaPathFinder, SourceLoader
from importlib.machinery import ModuleSpec
from importlib.util import spec_from_loader
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCE, TESTS = ROOT / "src" / "erythron", ROOT / "tests"

_COMPARED: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Is: ast.IsNot, ast.IsNot: ast.Is,
}  # fmt: skip
_COMPUTED: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
}  # fmt: skip
_UNSEEN = {"annotation", "returns", "decorator_list"}
"""Parts of the syntax that are for readers and type checkers."""

Place = tuple[tuple[str, int | None], ...]
"""Where a part of the syntax is: names of fields from the module down, and places in those that are lists."""


@dataclass(frozen=True)
class Mutant:
    """A module with one fault.

    Attributes:
        module: its path below ``src/erythron``.
        line: where the fault is.
        change: what was there and what is.
        text: source of the module with the fault.
    """

    module: str
    line: int
    change: str
    text: str


def list_mutants(module: str) -> list[Mutant]:
    """Return all mutants of a module."""
    tree = ast.parse((SOURCE / module).read_text(encoding="utf-8"))
    found = []
    for path, node in _walk(tree, ()):
        for other in _change(node):
            mutated = copy.deepcopy(tree)
            _put(mutated, path, other)
            ast.fix_missing_locations(mutated)
            change = f"{ast.unparse(node)} -> {ast.unparse(other)}"
            found.append(Mutant(module, getattr(node, "lineno", 0), change, ast.unparse(mutated)))
    return found


def _walk(node: ast.AST, path: Place) -> Iterator[tuple[Place, ast.AST]]:
    yield path, node
    for name, value in ast.iter_fields(node):
        if name in _UNSEEN:
            continue
        if isinstance(value, ast.AST):
            yield from _walk(value, (*path, (name, None)))
        elif isinstance(value, list):
            for place, item in enumerate(value):
                if isinstance(item, ast.AST):
                    yield from _walk(item, (*path, (name, place)))


def _put(tree: ast.AST, path: Place, other: ast.AST) -> None:
    node: ast.AST = tree
    for name, place in path[:-1]:
        held = getattr(node, name)
        node = held if place is None else held[place]
    name, place = path[-1]
    if place is None:
        setattr(node, name, other)
    else:
        getattr(node, name)[place] = other


def _change(node: ast.AST) -> Iterator[ast.AST]:
    """Give the faults that a part of the syntax can have."""
    match node:
        case ast.Compare(left, [operator], [right]) if type(operator) in _COMPARED:
            yield ast.Compare(left, [_COMPARED[type(operator)]()], [right])
        case ast.BinOp(left, operator, right) if type(operator) in _COMPUTED:
            yield ast.BinOp(left, _COMPUTED[type(operator)](), right)
        case ast.AugAssign(target, operator, value) if type(operator) in _COMPUTED:
            yield ast.AugAssign(target, _COMPUTED[type(operator)](), value)
        case ast.BoolOp(operator, values):
            yield ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), values)
        case ast.UnaryOp(ast.Not() | ast.USub(), operand):
            yield operand
        case ast.Constant(bool() as value):
            yield ast.Constant(not value)
        case ast.Constant(int() | float() as value):
            yield ast.Constant(value + 1 if isinstance(value, int) else value * 1.5 + 1e-3)
        case ast.If(test, body, orelse) if isinstance(test, ast.Name | ast.Call | ast.Attribute):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield ast.Return(ast.Constant(None))
        case ast.Expr(ast.Call()):
            yield ast.Pass()


class _Other(MetaPathFinder, SourceLoader):
    """Gives one module of the package with a fault in it."""

    def __init__(self, mutant: Mutant) -> None:
        self._name = "erythron." + mutant.module.removesuffix(".py").replace("/", ".")
        self._path, self._text = SOURCE / mutant.module, mutant.text

    def find_spec(self, fullname: str, *_: object) -> ModuleSpec | None:
        return spec_from_loader(fullname, self) if fullname == self._name else None

    def get_filename(self, _: str) -> str:
        return str(self._path)

    def get_data(self, _: str | bytes) -> bytes:
        return self._text.encode()


def find_tests(module: str) -> list[Path]:
    """Return the tests of a module."""
    path = Path(module)
    own = TESTS / path.with_name(f"test_{path.name}")
    listed = tomllib.loads((TESTS / "structure" / "mirror.toml").read_text(encoding="utf-8"))["covered"]
    tests = [own] if own.exists() else []
    if module in listed:
        tests.append(TESTS / listed[module])
    return tests


def survives(mutant: Mutant | None, tests: list[Path], most_s: float) -> bool:
    """Return whether all tests pass; one that takes too long does not."""
    pid = os.fork()
    if not pid:
        os.setsid()
        with Path(os.devnull).open("w") as nothing:
            os.dup2(nothing.fileno(), 1)
            os.dup2(nothing.fileno(), 2)
        if mutant is not None:
            sys.meta_path.insert(0, _Other(mutant))
        import pytest

        options = ["-x", "-q", "-p", "no:cacheprovider", "-m", "not slow and not browser"]
        os._exit(int(pytest.main([*options, *map(str, tests)])))
    end = time.monotonic() + most_s
    while time.monotonic() < end:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return status == 0
        time.sleep(0.05)
    os.killpg(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return False


def main() -> None:
    """Run a sample of mutants of each folder and print what share of them the tests noticed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folders", nargs="+", default=["differential", "shape", "interchange", "results"])
    parser.add_argument("--sample", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--most-s", type=float, default=300, help="that the tests of a mutant may take")
    parser.add_argument("--out", type=Path, help="JSON lines, one a mutant")
    given = parser.parse_args()
    os.chdir(ROOT)
    import scipy.stats
    import typer.testing  # noqa: F401

    for folder in given.folders:
        modules = sorted(p.relative_to(SOURCE).as_posix() for p in (SOURCE / folder).rglob("*.py"))
        everything = [mutant for module in modules for mutant in list_mutants(module)]
        chosen = random.Random(given.seed).sample(everything, min(given.sample, len(everything)))  # noqa: S311
        killed = 0
        for mutant in chosen:
            own = find_tests(mutant.module)
            began = time.monotonic()
            left = (not own or survives(mutant, own, given.most_s)) and survives(
                mutant, [TESTS / folder], given.most_s
            )
            killed += not left
            line = {"killed": not left, "seconds": round(time.monotonic() - began, 1), **asdict(mutant)}
            del line["text"]
            if given.out:
                with given.out.open("a") as file:
                    file.write(json.dumps(line) + "\n")
            if left:
                print(f"survived: {mutant.module}:{mutant.line}: {mutant.change[:160]}", flush=True)
        found = scipy.stats.binomtest(killed, len(chosen)).proportion_ci(method="exact")
        print(
            f"{folder}: {killed} of {len(chosen)} of {len(everything)} mutants noticed, "
            f"{killed / len(chosen):.0%} (95 % interval {found.low:.0%} to {found.high:.0%})",
            flush=True,
        )


if __name__ == "__main__":
    main()
