"""``python -m erythron``, the same as the command ``erythron``."""

from __future__ import annotations

from erythron.interrupts import INTERRUPTED, end_at_once, leave


def run() -> None:
    """Run the command line; an interrupt while it is still loading ends it as any later one does."""
    end_at_once()
    from erythron.cli import main

    try:
        main()
    except (SystemExit, KeyboardInterrupt) as ending:
        if isinstance(ending, SystemExit) and ending.code != INTERRUPTED:
            raise
        leave(ending)


if __name__ == "__main__":
    run()
