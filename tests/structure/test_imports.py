"""Imports point one way, down to ``files`` and ``cells``, and training alone needs torch."""

from __future__ import annotations

import pytest

from tests.structure.source import PACKAGE, find_folder, list_imports, read_modules

FLOOR = {"files", "cells"}
PIXELS = {"read", "segment", "shape"}
ABOVE_PIXELS = {"pipeline", "results", "report", "cli", "train"}
TRAINING = {"torch", "torchvision", "torchmetrics", "lightning", "timm", "onnxscript"}

KNOWN_BELOW: dict[str, str] = {}
"""Modules of the floor or of the pixels that import what they must not, each with the reason."""

KNOWN_TORCH = {"cli/train.py": "asks before anything else whether the extra is installed"}
"""Modules outside training that import torch, each with the reason."""

KNOWN_CIRCLES: dict[frozenset[str], str] = {}
"""Sets of folders that import each other in a circle, each with the reason."""


def import_graph() -> dict[str, dict[str, list[str]]]:
    """Return which folder imports which, with the modules that do; ``errors`` is no folder."""
    names = {p.name for p in PACKAGE.iterdir() if p.is_dir()} | {"api"}
    graph: dict[str, dict[str, list[str]]] = {name: {} for name in names}
    for module, tree in read_modules().items():
        here = find_folder(module)
        for imported in list_imports(tree):
            there = find_folder(imported) if imported.startswith("erythron.") else ""
            if here in names and there in names and there != here:
                graph[here].setdefault(there, []).append(module)
    return graph


def test_the_floor_and_the_pixels_import_nothing_above_them() -> None:
    graph = import_graph()
    found = {
        f"{module} imports {there}"
        for here in FLOOR | PIXELS
        for there, modules in graph[here].items()
        if here in FLOOR or there in ABOVE_PIXELS
        for module in modules
    }
    assert found == set(KNOWN_BELOW)


def test_training_alone_imports_torch() -> None:
    found = {
        module
        for module, tree in read_modules().items()
        if find_folder(module) != "train"
        for name in list_imports(tree)
        if name.split(".")[0] in TRAINING
    }
    assert found == set(KNOWN_TORCH)


def find_circles(graph: dict[str, dict[str, list[str]]]) -> set[frozenset[str]]:
    """Return the largest sets of folders of which each reaches every other."""
    reached: dict[str, set[str]] = {}
    for start in graph:
        todo, seen = list(graph[start]), set()
        while todo:
            if (folder := todo.pop()) not in seen:
                seen.add(folder)
                todo += graph[folder]
        reached[start] = seen
    return {
        frozenset(other for other in reached[folder] if folder in reached[other])
        for folder in graph
        if folder in reached[folder]
    }


def test_no_folders_import_each_other_in_a_circle() -> None:
    graph = import_graph()
    found = find_circles(graph)
    told = [
        f"{here} -> {there}: {', '.join(sorted(set(graph[here][there])))}"
        for circle in found - set(KNOWN_CIRCLES)
        for here in sorted(circle)
        for there in sorted(circle & set(graph[here]))
    ]
    assert found == set(KNOWN_CIRCLES), "\n".join(told)


@pytest.mark.parametrize(
    ("edges", "expected"),
    [
        (["a b", "b c"], []),
        (["a b", "b a", "b c"], ["a b"]),
        (["a b", "b c", "c a", "d a", "e f", "f e"], ["a b c", "e f"]),
    ],
)
def test_circles_are_found(edges: list[str], expected: list[str]) -> None:
    graph: dict[str, dict[str, list[str]]] = {name: {} for name in "abcdef"}
    for edge in edges:
        here, there = edge.split()
        graph[here][there] = []
    assert find_circles(graph) == {frozenset(circle.split()) for circle in expected}
