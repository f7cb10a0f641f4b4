"""The page printed as PDF by a Chromium that is installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from erythron.errors import BrowserError

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_TIMEOUT_S = 180


def find_chromium() -> Path:
    """Return the browser: the program that the environment's ``CHROME`` names, else the first on the path.

    Raises:
        BrowserError: there is none.
    """
    named = os.environ.get("CHROME")
    if named:
        found = shutil.which(named)
        if found is None:
            raise BrowserError(f"CHROME={named} is no program; correct it or unset it")
        return Path(found)
    for name in _NAMES:
        found = shutil.which(name)
        if found is not None:
            return Path(found)
    raise BrowserError(
        "--pdf needs Chromium or Google Chrome and none was found; install one, name it by the environment "
        "variable CHROME, or print report.html from any browser"
    )


def print_pdf(browser: Path, page: Path, pdf: Path) -> None:
    """Print a page.

    Args:
        browser: as :func:`find_chromium` returns it.
        page: an HTML file.
        pdf: the file to write.

    Raises:
        BrowserError: the browser failed or took too long; nothing is left at ``pdf``.
    """
    with tempfile.TemporaryDirectory(prefix="erythron-") as scratch:
        made = Path(scratch) / "page.pdf"
        command = [
            str(browser),
            "--headless",
            "--disable-gpu",
            "--no-first-run",
            "--disable-background-networking",
            f"--user-data-dir={scratch}/profile",
            "--no-pdf-header-footer",
            f"--print-to-pdf={made}",
            page.resolve().as_uri(),
        ]
        # Chromium refuses its sandbox to root, as in most containers.
        if hasattr(os, "geteuid") and os.geteuid() == 0:
            command.insert(1, "--no-sandbox")
        try:
            done = subprocess.run(command, capture_output=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            raise BrowserError(f"{browser} could not print {page}: {error}; print it by hand") from error
        if done.returncode != 0 or not made.is_file() or not made.read_bytes().startswith(b"%PDF"):
            last = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise BrowserError(f"{browser} could not print {page}: {last[0]}; print it by hand")
        shutil.copyfile(made, pdf)
