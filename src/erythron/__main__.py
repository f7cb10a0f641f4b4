"""``python -m erythron``, the same as the command ``erythron``."""

from __future__ import annotations

from erythron.interrupts import end_at_once


def run() -> None:
    """Run the command line; an interrupt while it is still loading ends it as any later one does."""
    end_at_once()
    from erythron.cli import main

    main()


if __name__ == "__main__":
    run()
