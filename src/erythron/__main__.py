"""``python -m erythron``, the same as the command ``erythron``."""

from erythron.cli import main

main()
