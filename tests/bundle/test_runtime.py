from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime import CHUNK, OpenVinoRuntime


@pytest.fixture(scope="module")
def segmentation() -> OpenVinoRuntime:
    return OpenVinoRuntime(load_bundle().segmentation_path, threads=1)


@pytest.mark.parametrize("count", [1, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_a_row_gives_the_same_in_a_batch_of_any_size(segmentation: OpenVinoRuntime, count: int) -> None:
    side = load_bundle().card.segmenter.window_px
    pixels = np.random.default_rng(0).integers(0, 256, (2 * CHUNK + 3, side, side, 3), np.uint8)
    whole = segmentation.run({"pixels": pixels})["probabilities"]
    part = segmentation.run({"pixels": pixels[:count]})["probabilities"]
    assert part.shape == (count, 2, side, side)
    np.testing.assert_allclose(part, whole[:count], atol=1e-5)
    assert not np.allclose(whole[0], whole[1], atol=1e-3)


RUNTIMES_COME_AND_GO = """
import gc, signal, subprocess, sys
from erythron.bundle.folder import load_bundle
from erythron.bundle.runtime import OpenVinoRuntime

path = load_bundle().segmentation_path
first, second = OpenVinoRuntime(path, threads=1), OpenVinoRuntime(path, threads=1)
del first
gc.collect()
del second
gc.collect()
signal.signal(signal.SIGCHLD, lambda *_: print("told"))
subprocess.run([sys.executable, "-c", ""], check=True)
"""


@pytest.mark.skipif(os.name != "posix", reason="ended children are signals on POSIX")
def test_a_signal_finds_its_stack_when_networks_have_come_and_gone() -> None:
    """A second core of OpenVINO puts back the stack for signals of a first one that is gone."""
    ended = subprocess.run(
        [sys.executable, "-c", RUNTIMES_COME_AND_GO], capture_output=True, text=True, timeout=120
    )
    assert (ended.returncode, ended.stdout) == (0, "told\n"), ended.stderr
