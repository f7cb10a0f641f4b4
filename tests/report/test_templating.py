"""Compiled templates give the page that their text gives, and a wheel holds them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from hatchling.builders.config import BuilderConfig
from jinja2 import ModuleLoader, PackageLoader

from erythron.report import page, templating
from erythron.report.page import render_report
from erythron.report.templating import COMPILED, compile_templates, make_environment, name_release

from .conftest import HOSTILE_NAME, Field, make_report

ROOT = Path(__file__).parents[2]
TEMPLATES = Path(str(files("erythron.report"))) / "templates"


def test_compiled_templates_give_the_same_page(
    field: Field, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = make_report(field, [HOSTILE_NAME])
    from_text = render_report(report)
    compile_templates(TEMPLATES, tmp_path)
    monkeypatch.setattr(page, "open_templates", lambda: make_environment(ModuleLoader(tmp_path)))
    page._template.cache_clear()
    try:
        assert render_report(report) == from_text
    finally:
        page._template.cache_clear()


@pytest.mark.parametrize(
    ("release", "loader"), [(name_release(), ModuleLoader), ("jinja-2.0", PackageLoader)]
)
def test_only_templates_compiled_by_this_release_of_jinja_are_run(
    release: str, loader: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / COMPILED / release).mkdir(parents=True)
    monkeypatch.setattr(templating, "files", lambda _: tmp_path)
    assert isinstance(templating.open_templates().loader, loader)


@pytest.mark.parametrize(("version", "wanted"), [("standard", True), ("editable", False)])
def test_a_wheel_holds_them_and_an_editable_install_does_not(
    version: str, wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    from hatch_build import CompileTemplates

    hook = CompileTemplates(str(ROOT), {}, BuilderConfig, None, "", "wheel")  # type: ignore[arg-type]
    build: dict[str, dict[str, str]] = {"force_include": {}}
    hook.initialize(version, build)
    modules = [module for folder in build["force_include"] for module in Path(folder).glob("*.py")]
    hook.finalize(version, build, "")
    assert len(modules) == (len(list(TEMPLATES.rglob("*.j2"))) if wanted else 0)
    assert not any(Path(folder).exists() for folder in build["force_include"])
    assert set(build["force_include"].values()) == (
        {f"erythron/report/{COMPILED}/{name_release()}"} if wanted else set()
    )
