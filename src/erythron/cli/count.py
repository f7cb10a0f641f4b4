"""``erythron count``."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from erythron.bundle.runtime_kind import RuntimeKind
from erythron.cli.engine import Engine, EngineOptions, check_engine, open_engine
from erythron.cli.options import (
    Cells,
    EngineChoice,
    Force,
    Images,
    Json,
    Model,
    Mpp,
    MyeloidRatio,
    RayAddress,
    Reference,
    Region,
    Runtime,
    Seed,
    TilePx,
    Whole,
    Width,
    Workers,
)
from erythron.differential.me_ratio import MERatio

if TYPE_CHECKING:
    from erythron.pipeline.options import RunOptions, SlideOptions

IN_THIS_PROCESS = EngineOptions()


def count(
    images: Images,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Folder for the results.")],
    mpp: Mpp = None,
    model: Model = None,
    runtime: Runtime = RuntimeKind.OPENVINO,
    force: Force = False,
    reference: Reference = None,
    width: Width = 5.0,
    me_ratio: MyeloidRatio = MERatio.ICSH,
    specimen: Annotated[
        str | None,
        typer.Option(
            "--specimen",
            metavar="folder|FILE.csv",
            help="One report a specimen: each folder of images is one, or a table says which image is whose "
            "(columns image, specimen and any further ones); images without a row are named and left out.",
        ),
    ] = None,
    cells: Cells = None,
    whole: Whole = False,
    region: Region = None,
    seed: Seed = 0,
    tile_px: TilePx = None,
    engine: EngineChoice = Engine.LOCAL,
    ray_address: RayAddress = None,
    workers: Workers = None,
    as_json: Json = False,
    pdf: Annotated[
        bool, typer.Option("--pdf", help="Print the report to report.pdf; needs Chromium.")
    ] = False,
) -> None:
    """Count the nucleated cells of marrow fields and slides by class and stage.

    Writes DIR/NAME/ for each image (cells.csv, cells.geojson, differential.json, overlay.png) and, for the
    run, summary.csv, report.html, run.json and, with --pdf, report.pdf. An interrupted run continues when the
    same command is given again, and images may be added to it. With --specimen each specimen has its own
    folder DIR/SPECIMEN with its report, and DIR/summary.csv has a row a specimen. Of a slide the best areas
    are counted until there are 500 nucleated cells (--cells), or all of it (--all), or a --region.
    """
    from erythron.pipeline.options import RunOptions

    where = EngineOptions(engine, ray_address, workers)
    slides = replace(_choose_scope(cells, region, whole=whole), seed=seed)
    if tile_px is not None:
        slides = replace(slides, tile_px=tile_px)
    run = RunOptions(
        model,
        mpp,
        force,
        reference,
        width / 100,
        runtime,
        me_ratio,
        slides,
        threads=1 if where.has_workers else None,
    )
    raise typer.Exit(run_count(images, out, run, as_json=as_json, pdf=pdf, specimen=specimen, engine=where))


def _choose_scope(cells: int | None, region: Path | None, *, whole: bool) -> SlideOptions:
    """Return where on slides is counted.

    Raises:
        UsageError: two options contradict one another.
    """
    from erythron.errors import UsageError
    from erythron.pipeline.options import SlideOptions

    given = [name for name, on in (("--cells", cells), ("--all", whole), ("--region", region)) if on]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)} exclude one another; give one of them")
    chosen = SlideOptions(whole=whole, region=region)
    return chosen if cells is None else replace(chosen, cells=cells)


def run_count(
    images: Sequence[Path],
    out: Path,
    options: RunOptions,
    *,
    as_json: bool,
    pdf: bool = False,
    specimen: str | None = None,
    engine: EngineOptions = IN_THIS_PROCESS,
) -> int:
    """Count, print the differential of the run, or a line a specimen, and return the exit status.

    Raises:
        UsageError: a region is given with several images.
        BrowserError: a PDF is wanted and no browser can print it; one that is missing is noticed before work
            begins.
    """
    check_engine(engine)
    # NumPy and SciPy each start a pool of threads, for which a count has no use.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from erythron.bundle.loading import start_loading
    from erythron.errors import UsageError

    # OpenVINO compiles the networks while Python is still importing what the count needs; a run that is there
    # mostly needs none.
    loading = (
        None
        if ((out / "run.json").exists() and not options.force) or engine.has_workers
        else start_loading(options.model, options.runtime)
    )
    import numpy as np

    # 0.07 s of 2: SciPy takes up every name of NumPy, among them its compiler of Fortran.
    vars(np).setdefault("f2py", None)
    from erythron.cli.progress import (
        gather_images,
        show_left_behind,
        show_notice,
        show_progress,
        show_runtime,
    )
    from erythron.cli.show_counts import find_browser, show_counts
    from erythron.pipeline.count import count_images, count_specimens
    from erythron.pipeline.specimens import find_not_listed, group_images, list_not_given

    browser, executor = find_browser() if pdf else None, open_engine(engine)
    inputs = gather_images(images, out)
    if options.slides.region is not None and len(inputs) > 1:
        raise UsageError(
            f"--region is of one slide, and {len(inputs)} images are given; count each with its own region "
            "into its own --out"
        )
    show_runtime(options.runtime)
    specimens = None if specimen is None else group_images(inputs, specimen)
    for text in () if specimen is None else list_not_given(inputs, specimen):
        show_notice(text)
    total = len(inputs) if specimens is None else sum(len(one.images) for one in specimens)
    with show_progress("Counting", total) as progress:
        if specimens is None:
            runs = [count_images(inputs, out, options, progress, loading, executor)]
        else:
            runs = list(count_specimens(specimens, out, options, progress, loading, executor))
    if options.force:
        show_left_behind(out)
    names = None if specimens is None else [s.name for s in specimens]
    not_listed = None if specimen is None else find_not_listed(inputs, specimen)
    return show_counts(runs, names, out, as_json=as_json, browser=browser, not_listed=not_listed)
