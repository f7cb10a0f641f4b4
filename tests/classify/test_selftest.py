from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from PIL import Image

from erythron.bundle.folder import DEFAULT_BUNDLE, load_bundle
from erythron.classify.classifier import Classifier
from erythron.classify.selftest import MOST_PX, classify_stored_cell
from erythron.errors import BundleError


@pytest.mark.parametrize(("side", "format_"), [(MOST_PX + 1, "PNG"), (200_000, "PNG"), (144, "GIF")])
def test_a_stored_picture_that_is_none_of_a_cell_is_not_unpacked(
    side: int, format_: str, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(DEFAULT_BUNDLE, tmp_path / "bundle"))
    picture, card = folder / "selftest.png", folder / "model.json"
    Image.new("1", (side, 1)).save(picture, format_)
    content = json.loads(card.read_text())
    content["files"]["selftest.png"] = hashlib.sha256(picture.read_bytes()).hexdigest()
    card.write_text(json.dumps(content))
    bundle = load_bundle(folder)
    with pytest.raises(BundleError, match="the stored cell cannot be read"):
        classify_stored_cell(bundle, Classifier(load_bundle()))
