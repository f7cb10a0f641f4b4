"""Where the templates of the page come from: compiled when the wheel was built, else from their text."""

from __future__ import annotations

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from jinja2 import (
    BaseLoader,
    Environment,
    FileSystemLoader,
    ModuleLoader,
    PackageLoader,
    StrictUndefined,
    nodes,
)

COMPILED = "compiled"
"""Folder of the package with one folder of compiled templates, named by the release of Jinja that made it."""


def make_environment(loader: BaseLoader) -> Environment:
    """Return the settings with which templates are compiled and rendered, the same for both."""
    return Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # A page is rendered once: what folding its constants saves then is less than what it costs first.
        optimized=False,
    )


def name_release() -> str:
    """Return the release of Jinja, without the last number, whose compiled templates this one runs."""
    return "jinja-" + ".".join(version("jinja2").split(".")[:2])


def open_templates() -> Environment:
    """Return the environment of the page.

    Compiling the templates is a twentieth of a whole count, so a wheel holds them compiled; a checkout, or
    another release of Jinja than the wheel was built with, compiles their text.
    """
    compiled = Path(str(files("erythron.report"))) / COMPILED / name_release()
    return make_environment(ModuleLoader(compiled) if compiled.is_dir() else PackageLoader("erythron.report"))


def compile_templates(source: Path, target: Path) -> None:
    """Write each template of a folder as a Python module.

    Args:
        source: folder of the templates.
        target: folder of the modules, which exists.
    """
    environment = make_environment(FileSystemLoader(source))
    # What a filter does is looked up when a page is rendered; to compile, its name must be known.
    for template in source.rglob("*.j2"):
        for used in environment.parse(template.read_text(encoding="utf-8")).find_all(nodes.Filter):
            environment.filters.setdefault(used.name, str)
    environment.compile_templates(target, extensions=["j2"], zip=None, ignore_errors=False)
