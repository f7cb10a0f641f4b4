"""Compiles the templates of the report's page into the wheel."""

from __future__ import annotations

import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompileTemplates(BuildHookInterface[Any]):
    """Writes every template as a Python module, so that a count does not compile them each time."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile the templates, unless the install is to show every edit of their text at once."""
        if version == "editable":
            return
        source = Path(self.root) / "src"
        sys.path.insert(0, str(source))
        try:
            from erythron.report.templating import COMPILED, compile_templates, name_release
        finally:
            sys.path.remove(str(source))
        self.compiled = Path(mkdtemp(prefix="erythron-templates-"))
        compile_templates(source / "erythron" / "report" / "templates", self.compiled)
        build_data["force_include"][str(self.compiled)] = f"erythron/report/{COMPILED}/{name_release()}"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled, which the wheel now holds."""
        if version != "editable":
            for module in self.compiled.iterdir():
                module.unlink()
            self.compiled.rmdir()
