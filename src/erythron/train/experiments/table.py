"""The table of an experiment: each arm's accuracy with its interval, and its difference from another arm."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from erythron.bundle.schema import Estimate
from erythron.compare.bootstrap import limit_mean
from erythron.errors import DataError
from erythron.files.tables import read_csv, write_csv
from erythron.files.writing import write_file
from erythron.train.experiments.grids import Arm
from erythron.train.experiments.runner import BEST_EPOCH, CURVE, Plan, RunKey, find_calls, list_runs
from erythron.train.shared.curves import CURVE_SCHEMA, CURVES, FIGURE, draw_curves, read_curve
from erythron.train.shared.intervals import compare_right, estimate
from erythron.train.shared.metrics import Ints
from erythron.train.shared.pictures import draw_estimates
from erythron.train.shared.scores import find_figures, find_rows


@dataclass(frozen=True)
class ArmCalls:
    """Calls of one arm on every cell, once for each seed.

    Attributes:
        truth: (N,) int64.
        probabilities: (S, N, C) float64.
        groups: (N,) str.
        seeds: the S seeds that are complete.
        classes: names.
    """

    truth: Ints
    probabilities: NDArray[np.float64]
    groups: NDArray[np.str_]
    seeds: tuple[int, ...]
    classes: tuple[str, ...]


@dataclass(frozen=True)
class ArmResult:
    """One row of the table.

    Attributes:
        arm: what it is.
        seeds: number of complete seeds, 0 where none is; then everything below is None.
        figures: mean over seeds, interval by a bootstrap over groups.
        seed_sd: standard deviation of the accuracy over seeds; None with one seed.
        difference: accuracy minus that of ``arm.against`` on the seeds that both have.
        mcnemar_p: of the calls from probabilities averaged over those seeds.
        best_epoch: accuracy of the epochs that were best on the judged part itself, as published figures are;
            None where the split is not a published one.
    """

    arm: Arm
    seeds: int
    figures: dict[str, Estimate] | None = None
    seed_sd: float | None = None
    difference: Estimate | None = None
    mcnemar_p: float | None = None
    best_epoch: Estimate | None = None


def read_arm(plan: Plan, arm: Arm, out: Path, of: str = "") -> ArmCalls | None:
    """Return the calls of the seeds of which every fold is done, None where no seed is."""
    tables = {}
    for seed in range(plan.seeds):
        paths = [find_calls(out, RunKey(arm, seed, fold), of) for fold in range(max(plan.folds, 1))]
        if all(p.exists() for p in paths):
            tables[seed] = pl.concat([read_csv(p) for p in paths]).sort("sha256", "path")
    if not tables:
        return None
    first = next(iter(tables.values()))
    columns = [c for c in first.columns if c.startswith("prob_")]
    classes = tuple(c.removeprefix("prob_") for c in columns)
    for table in tables.values():
        if not table["sha256"].equals(first["sha256"]):
            raise DataError(f"{out}: the seeds of '{arm.name}' have called different cells; use a new folder")
    return ArmCalls(
        np.array([classes.index(name) for name in first["label"]], np.int64),
        np.stack([t.select(columns).to_numpy() for t in tables.values()]),
        first["group"].cast(pl.String).to_numpy().astype(str),
        tuple(tables),
        classes,
    )


def summarise(plan: Plan, out: Path) -> list[ArmResult]:
    """Return one result an arm from the runs that are done."""
    calls = {arm.name: read_arm(plan, arm, out) for arm in plan.arms}
    results = []
    for arm in plan.arms:
        mine = calls[arm.name]
        if mine is None:
            results.append(ArmResult(arm, 0))
            continue
        other = calls.get(arm.against) if arm.against else None
        difference, p = _difference(mine, other) if other is not None else (None, None)
        accuracies = [(p.argmax(1) == mine.truth).mean() for p in mine.probabilities]
        sd = float(np.std(accuracies, ddof=1)) if len(accuracies) > 1 else None
        best = read_arm(plan, arm, out, BEST_EPOCH) if plan.is_published else None
        at_best = None if best is None else _figures(best)["accuracy"]
        results.append(ArmResult(arm, len(mine.seeds), _figures(mine), sd, difference, p, at_best))
    return results


def _figures(calls: ArmCalls) -> dict[str, Estimate]:
    def mean_over_seeds(index: Ints) -> dict[str, float]:
        each = [find_figures(calls.truth[index], p[index], calls.classes) for p in calls.probabilities]
        return {name: float(np.mean([e[name] for e in each])) for name in each[0]}

    return estimate(mean_over_seeds, calls.groups, 0, find_rows(calls.truth, calls.classes))


def _difference(mine: ArmCalls, other: ArmCalls) -> tuple[Estimate | None, float | None]:
    common = [s for s in mine.seeds if s in other.seeds]
    if not common or not np.array_equal(mine.truth, other.truth):
        return None, None
    a = mine.probabilities[[mine.seeds.index(s) for s in common]]
    b = other.probabilities[[other.seeds.index(s) for s in common]]
    right_a, right_b = (p.argmax(2) == mine.truth for p in (a, b))

    def accuracy_difference(index: Ints) -> dict[str, float]:
        return {"difference": float(right_a[:, index].mean() - right_b[:, index].mean())}

    found = estimate(accuracy_difference, mine.groups, 0, limit=limit_mean)["difference"]
    p = compare_right(a.mean(0).argmax(1) == mine.truth, b.mean(0).argmax(1) == mine.truth)
    return found, p


def list_missing(plan: Plan, out: Path) -> list[str]:
    """Return the runs that are not done, as arm, seed and fold."""
    return [
        f"{arm.name}, seed {seed}, fold {fold}"
        for seed in range(plan.seeds)
        for arm in plan.arms
        for fold in range(max(plan.folds, 1))
        if not find_calls(out, RunKey(arm, seed, fold)).exists()
    ]


def render_table(results: list[ArmResult], missing: list[str]) -> str:
    """Return the table in Markdown, with what is missing below it."""
    names = next((list(r.figures) for r in results if r.figures), ["accuracy"])
    shown = [n for n in names if n != "accuracy"]
    is_published = any(r.best_epoch for r in results)
    head = [
        "arm",
        *(["accuracy, last epoch", "accuracy, best epoch (as published)"] if is_published else ["accuracy"]),
        "seeds (sd)",
        *(n.replace("_", " ") for n in shown),
        "against",
        "difference",
        "McNemar p",
    ]
    lines = [" | ".join(head), " | ".join("---" for _ in head)]
    for r in results:
        if r.figures is None:
            cells = [
                r.arm.name,
                "not run",
                *([""] if is_published else []),
                "0",
                *("" for _ in shown),
                r.arm.against or "",
                "",
                "",
            ]
        else:
            sd = "" if r.seed_sd is None else f" ({r.seed_sd:.3f})"
            cells = [
                r.arm.name,
                _format(r.figures["accuracy"]),
                *([_format(r.best_epoch) if r.best_epoch else ""] if is_published else []),
                f"{r.seeds}{sd}",
                *(f"{r.figures[n].value:.3f}" for n in shown),
                r.arm.against or "",
                "" if r.difference is None else _format(r.difference, sign="+"),
                "" if r.mcnemar_p is None else f"{r.mcnemar_p:.3f}",
            ]
        lines.append(" | ".join(cells))
    text = "\n".join(f"| {line} |" for line in lines) + "\n"
    if missing:
        text += f"\n{len(missing)} runs are missing, the first: {missing[0]}. The same command does them.\n"
    return text


def write_table(results: list[ArmResult], missing: list[str], out: Path) -> None:
    """Write ``table.md``, ``table.csv`` and ``accuracy.png``."""
    write_file(out / "table.md", render_table(results, missing))
    rows = []
    for r in results:
        row: dict[str, object] = {
            "arm": r.arm.name,
            "seeds": r.seeds,
            "seed_sd": r.seed_sd,
            "against": r.arm.against,
        }
        for name, figure in (r.figures or {}).items():
            row |= {name: figure.value, f"{name}_low": figure.low, f"{name}_high": figure.high}
        if r.difference is not None:
            d = r.difference
            row |= {"difference": d.value, "difference_low": d.low, "difference_high": d.high}
        row["mcnemar_p"] = r.mcnemar_p
        if r.best_epoch is not None:
            b = r.best_epoch
            row |= {"best_epoch": b.value, "best_epoch_low": b.low, "best_epoch_high": b.high}
        rows.append(row)
    write_csv(pl.DataFrame(rows, infer_schema_length=None), out / "table.csv")
    drawn = [(r.arm.name, r.figures["accuracy"]) for r in results if r.figures]
    if drawn:
        draw_estimates(drawn, "accuracy, out of fold, 95 % interval", out / "accuracy.png")


def write_curves(plan: Plan, out: Path) -> None:
    """Write ``curves.csv``, a row an epoch of every run, and ``curves.png``, the mean of each arm's."""
    by_arm: dict[str, pl.DataFrame] = {}
    for key in list_runs(plan):
        path = find_calls(out, key, CURVE)
        if path.exists():
            table = read_curve(path).select(
                pl.lit(key.arm.name).alias("arm"),
                pl.lit(key.seed).alias("seed"),
                pl.lit(key.fold).alias("fold"),
                *CURVE_SCHEMA,
            )
            done = by_arm.get(key.arm.name)
            by_arm[key.arm.name] = table if done is None else pl.concat([done, table])
    if by_arm:
        write_csv(pl.concat(by_arm.values()), out / CURVES)
        draw_curves({name: table.select(*CURVE_SCHEMA) for name, table in by_arm.items()}, out / FIGURE)


def _format(value: Estimate, sign: str = "") -> str:
    return f"{value.value:{sign}.3f} ({value.low:{sign}.3f} to {value.high:{sign}.3f})"
