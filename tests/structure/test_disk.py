"""Nothing but ``erythron.files`` opens a file for writing, and nothing but ``files/hashing.py`` hashes.

A module writes by ``write_file``, or to the path that a block ``with whole_file(...)`` or
``with whole_folder(...)`` gives it. Whoever mends an exception takes it off the list: one that is no longer
found fails as well.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

import pytest

from tests.structure.source import read_modules

WRITERS = {"write_text", "write_bytes", "touch"}
"""Methods of a path that write to it."""

WITH_PATH = {"write_csv", "write_parquet", "write_ipc", "write_ndjson", "savefig", "save", "tofile"}
"""Methods of other objects whose first argument is where to."""

FUNCTIONS = {
    "np.save": 0,
    "np.savez": 0,
    "np.savez_compressed": 0,
    "torch.save": 1,
    "onnx.save": 1,
    "shutil.copy": 1,
    "shutil.copy2": 1,
    "shutil.copyfile": 1,
    "shutil.copytree": 1,
    "tifffile.imwrite": 0,
}
"""Functions that write, with the position of the path."""

BLOCKS = {"whole_file", "whole_folder"}
BUFFERS = {"BytesIO", "StringIO"}

CALLER = "into a folder that its caller makes whole or drops"

KNOWN: dict[str, str] = {
    "datasets/bloodmnist.py: unpack_bloodmnist: save": CALLER,
    "datasets/import_labels.py: _CropWriter._save: save": CALLER,
    "pipeline/extract.py: _write_crops: save": CALLER,
    "report/pdf.py: print_pdf: shutil.copyfile": CALLER,
    "train/shared/bundle_writer.py: draw_test_cell: save": CALLER,
}
"""``module: function: call`` that writes or hashes by itself, with the reason."""


def find_writes(tree: ast.Module) -> Iterator[str]:
    """Yield ``function: call`` for every call that writes or hashes past ``erythron.files``."""
    for name, function in _list_functions(tree):
        safe, sources = _follow_names(function)
        for node in _walk_own(function):
            if isinstance(node, ast.Call) and (call := _name_write(node, safe, sources)):
                yield f"{name}: {call}"


def _list_functions(tree: ast.Module) -> Iterator[tuple[str, ast.AST]]:
    yield "(module)", tree

    def visit(node: ast.AST, prefix: str) -> Iterator[tuple[str, ast.AST]]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}"
                if isinstance(child, ast.FunctionDef):
                    yield name, child
                yield from visit(child, f"{name}.")
            else:
                yield from visit(child, prefix)

    yield from visit(tree, "")


def _walk_own(function: ast.AST) -> Iterator[ast.AST]:
    """Yield the nodes of a function without those of the functions in it."""
    for child in ast.iter_child_nodes(function):
        if not isinstance(child, ast.FunctionDef):
            yield child
            yield from _walk_own(child)


def _follow_names(function: ast.AST) -> tuple[set[str], dict[str, ast.expr]]:
    """Return names that are buffers or given by a block of ``erythron.files``, and sources of the others."""
    safe: set[str] = set()
    sources: dict[str, ast.expr] = {}
    for node in _walk_own(function):
        if isinstance(node, ast.With):
            for item in node.items:
                if isinstance(item.optional_vars, ast.Name) and _last_name(item.context_expr) in BLOCKS:
                    safe.add(item.optional_vars.id)
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            sources[node.targets[0].id] = node.value
            if _last_name(node.value) in BUFFERS:
                safe.add(node.targets[0].id)
    return safe, sources


def _last_name(node: ast.expr) -> str:
    """Return the last part of the name of what is called."""
    if not isinstance(node, ast.Call):
        return ""
    called = node.func
    return called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")


def _name_write(node: ast.Call, safe: set[str], sources: dict[str, ast.expr]) -> str | None:
    called = ast.unparse(node.func)
    place: ast.expr | None = None
    if re.fullmatch(r"hashlib\.\w+", called):
        return called
    if called in FUNCTIONS:
        position = FUNCTIONS[called]
        place = node.args[position] if len(node.args) > position else None
    elif called == "open" and _is_for_writing(node.args[1:2], node.keywords):
        place = node.args[0]
    elif isinstance(node.func, ast.Attribute):
        method = node.func.attr
        if method in WRITERS or (method == "open" and _is_for_writing(node.args[:1], node.keywords)):
            place = node.func.value
        elif method in WITH_PATH and node.args:
            place = node.args[0]
    if place is None or _find_root(place, sources) in safe:
        return None
    return called.rsplit(".", 1)[-1] if called not in FUNCTIONS else called


def _is_for_writing(mode: list[ast.expr], keywords: list[ast.keyword]) -> bool:
    given = [*mode, *(k.value for k in keywords if k.arg == "mode")]
    # What stands first in ``Image.open(path)`` is no mode: only what is written out is looked at.
    texts = [node.value for m in given for node in ast.walk(m) if isinstance(node, ast.Constant)]
    return any(isinstance(text, str) and re.fullmatch("[rbt]*[wax+][wabt+]*", text) for text in texts)


def _find_root(place: ast.expr, sources: dict[str, ast.expr]) -> str | None:
    """Return the name that a path starts from, through joins, methods and assignments."""
    seen: set[str] = set()
    while True:
        if isinstance(place, ast.BinOp):
            place = place.left
        elif isinstance(place, ast.Attribute):
            place = place.value
        elif isinstance(place, ast.Call) and isinstance(place.func, ast.Attribute):
            place = place.func.value
        elif isinstance(place, ast.Call) and place.args:
            place = place.args[0]
        elif isinstance(place, ast.Name):
            if place.id in seen or place.id not in sources or _last_name(sources[place.id]) in BUFFERS:
                return place.id
            seen.add(place.id)
            place = sources[place.id]
        else:
            return None


def test_only_files_writes_and_hashes() -> None:
    found = {
        f"{module}: {write}"
        for module, tree in read_modules().items()
        if not module.startswith("files/")
        for write in find_writes(tree)
    }
    assert found - set(KNOWN) == set(), "write by erythron.files, or put it on the list with the reason"
    assert set(KNOWN) - found == set(), "is no longer so; take it off the list"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("path.write_text('a')", "write_text"),
        ("(out / 'a').write_bytes(b'')", "write_bytes"),
        ("path.open('rb')", None),
        ("path.open()", None),
        ("path.open('wb')", "open"),
        ("Image.open(folder / 'wax.png')", None),
        ("path.open('r+b' if start else 'wb')", "open"),
        ("open(path, mode='a')", "open"),
        ("table.write_csv()", None),
        ("table.write_csv(path)", "write_csv"),
        ("figure.savefig(path)", "savefig"),
        ("np.save(path / 'a.npy', x)", "np.save"),
        ("torch.save(x, path)", "torch.save"),
        ("buffer = io.BytesIO(); image.save(buffer)", None),
        ("image.save(path)", "save"),
        ("hashlib.sha256(b'')", "hashlib.sha256"),
        ("with whole_file(path) as partial: table.write_csv(partial)", None),
        ("with whole_file(path) as partial: table.write_csv(path)", "write_csv"),
        ("with files.whole_folder(a) as f:\n  to = f / 'a' / b\n  image.save(str(to.with_name('b')))", None),
        ("with whole_file(path) as partial, partial.open('w') as file: pass", None),
    ],
)  # fmt: skip
def test_writes_are_found(body: str, expected: str | None) -> None:
    lines = "\n".join(f"  {line}" for line in body.splitlines())
    found = list(find_writes(ast.parse(f"def f(path):\n{lines}\n")))
    assert found == ([] if expected is None else [f"f: {expected}"])
