"""Where the public sets lie: the option that the benchmarks share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path


def add_data_option(parser: argparse.ArgumentParser) -> None:
    """Add ``--data``, the folder of the public sets, which ``ERYTHRON_DATA_DIR`` may give instead."""
    known = os.environ.get("ERYTHRON_DATA_DIR")
    parser.add_argument(
        "--data",
        type=Path,
        default=known,
        required=not known,
        help="folder of the public sets; by default $ERYTHRON_DATA_DIR",
    )
