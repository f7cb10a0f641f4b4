"""A whole bundle from a stranger, every text of it markup, through a run."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from PIL import Image

from erythron.bundle.folder import DEFAULT_BUNDLE
from erythron.pipeline.count import count_images
from erythron.pipeline.options import RunOptions
from erythron.read.inputs import find_images
from erythron.synthetic.field import DrawnFieldSpec, draw_field

MARKUP = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
FREE = (
    "description",
    "outlines_from",
    "unclassified_rule",
    "calibrated_on",
    "limits",
    "outline_data",
    "data",
)


def mark_up(value: Any) -> Any:
    """Put markup behind every text, those of a hash but for."""
    if isinstance(value, str):
        return value if len(value) == 64 else value + MARKUP
    if isinstance(value, list):
        return [mark_up(item) for item in value]
    return {key: mark_up(item) for key, item in value.items()} if isinstance(value, dict) else value


def test_no_text_of_a_bundle_is_markup_on_the_page(tmp_path: Path) -> None:
    bundle = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    card = json.loads((bundle / "model.json").read_text())
    card |= {name: mark_up(card[name]) for name in FREE}
    card["limits"] = [MARKUP]
    card["detection"]["source"] += MARKUP
    card["software"] = {MARKUP: MARKUP}
    card["evaluation"]["by_set"][MARKUP] = next(iter(card["evaluation"]["by_set"].values()))
    card["evaluation"]["figures"][MARKUP] = next(iter(card["evaluation"]["figures"].values()))
    (bundle / "model.json").write_text(json.dumps(card))
    Image.fromarray(draw_field(DrawnFieldSpec(200, 180, seed=1)).rgb).save(tmp_path / "a.png")
    options = RunOptions(mpp=0.25, model=bundle)
    assert count_images(find_images([tmp_path / "a.png"]), tmp_path / "out", options).failures == ()
    page = (tmp_path / "out" / "report.html").read_text()
    assert "alert(1)</script>" not in page
    assert "<img src=x" not in page
