"""What each tuned constant of the segmentation and of the quality of an image is worth.

    python benchmarks/constants.py [--parts nucleus path scale areas flags] [--names NAME ...]

Prints Markdown tables: for every constant the figures that it serves, at a lower value, as shipped, and at a
higher one (0.8 and 1.25 times, one less and one more for small whole numbers, or as stated), and whether
they depend on it. The networks see each window once; their maps are kept, and the constants are varied on
them.

- *nucleus*: mean Dice of nuclei, from the network's maps onwards. ``marrow`` and every fifth field of
  ``bccd`` are training images of the shipped network; every third crop of ``segmentation_WBC`` is new to it.
- *path*: the same through the whole path, for constants that change what the network is shown or believed.
- *scale*: median error (natural logarithm) of microns per pixel against those that a reader found by eye
  (``blood-films``, ``marrow-fields``) and the boxes of every fifteenth field of ``bccd``; share of these
  fields and of ``marrow-field`` that surely have a scale, of images without red cells to measure that
  wrongly have one, and of intervals that hold the known scale.
- *areas*: share left out of sharp fields (``marrow-field``, ``marrow-fields``, three of ``blood-films``),
  which is wrong; of fields, or halves of them, that a Gaussian blurs; and of fields made as thick as twelve
  shifted copies on one another. With known scale, or without.
- *flags*: share of fields that each limit flags.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from importlib import import_module
from typing import Any
from unittest.mock import patch

from data_folder import add_data_option
from served import Figures, Measure, prepare_areas, prepare_flags, prepare_masked, prepare_scale
from tuned import PARTS, Constant


@contextmanager
def change(constant: Constant, value: object) -> Iterator[None]:
    """Give a constant another value for a while."""
    module = import_module(f"erythron.{constant.module}")
    name, new = constant.name, value
    if not hasattr(module, name):
        name, new = "THRESHOLDS", replace(module.THRESHOLDS, **{constant.name: value})
    with patch.object(module, name, new):
        yield


def read_value(constant: Constant) -> Any:
    """Return the value of a constant as shipped."""
    module = import_module(f"erythron.{constant.module}")
    owner = module if hasattr(module, constant.name) else module.THRESHOLDS
    return getattr(owner, constant.name)


def judge(part: str, shipped: Figures, tried: list[Figures]) -> str:
    """Return in words whether the figures depend on a constant."""
    least, sign = PARTS[part].least, PARTS[part].sign
    better, moved = [], False
    for which, figures in zip(("lower", "higher", "without"), tried, strict=False):
        for name, value in figures.items():
            gain = (value - shipped[name]) * sign(name)
            moved |= abs(value - shipped[name]) >= least(name)
            if gain >= least(name):
                better.append(f"{name} better {which}")
    if not moved:
        return "insensitive"
    if not any(sign(name) for name in shipped):
        return "otherwise"
    return "at a maximum" if not better else f"otherwise: {', '.join(better)}"


def show(part: str, constants: list[Constant], measure: Measure) -> None:
    """Print the table of a part."""
    shipped = measure(None)
    print(f"\n## {PARTS[part].title}\n")
    print(f"As shipped: {'; '.join(f'{name} {value:.3f}' for name, value in shipped.items())}.\n")
    print(f"| constant | values | {' | '.join(shipped)} | verdict | seen when chosen, and why it stands |")
    print("|---" * (len(shipped) + 4) + "|")
    for constant in constants:
        value = read_value(constant)
        base = measure(constant) if PARTS[part].is_own else shipped
        tried = []
        values = constant.list_tried(value)
        for one in values:
            with change(constant, one):
                tried.append(measure(constant))
        cells = [" / ".join(f"{f[n]:.3f}" for f in (tried[0], base, *tried[1:])) for n in base]
        values = " / ".join(constant.show(v) for v in (values[0], value, *values[1:]))
        name = f"`{constant.module.split('.')[-1]}.{constant.name}`"
        verdict = judge(part, base, tried)
        print(f"| {name} | {values} | {' | '.join(cells)} | {verdict} | {constant.note} |", flush=True)


def main() -> None:
    """Measure the parts."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_data_option(parser)
    parser.add_argument("--names", nargs="+", help="only the constants of these names")
    parser.add_argument("--parts", nargs="+", choices=list(PARTS), default=list(PARTS))
    options = parser.parse_args()
    measures: dict[str, Measure] = {}
    if {"nucleus", "path"} & set(options.parts):
        measures["nucleus"], measures["path"] = prepare_masked(options.data)
    for part, prepare in (("scale", prepare_scale), ("areas", prepare_areas), ("flags", prepare_flags)):
        if part in options.parts:
            measures[part] = prepare(options.data)
    for part in options.parts:
        chosen = [c for c in PARTS[part].constants if options.names is None or c.name in options.names]
        show(part, chosen, measures[part])


if __name__ == "__main__":
    main()
