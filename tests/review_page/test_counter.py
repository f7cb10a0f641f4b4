"""Pictures are counted in a process of their own, which may break without the server."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from erythron.pipeline.added import NewImage
from erythron.results.run import read_specimens
from erythron.review_page.counter import CountingProcess, CrashError
from tests.review_page.conftest import encode


def test_a_process_that_breaks_is_started_anew(run: Path, smear: NDArray[np.uint8]) -> None:
    path = run / "sent.png"
    path.write_bytes(encode(smear))
    [specimen] = read_specimens(run)
    counter = CountingProcess(run)
    counter._start()
    process = counter._process
    assert process is not None
    assert process.pid is not None
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    new = NewImage(path, "", "sent")
    with pytest.raises(CrashError):
        counter.count(new)
    assert counter.count(new).reason == ""
    assert len(read_specimens(run)[0].images) == len(specimen.images) + 1
    assert counter.count(NewImage(path, "another", "sent")).reason.endswith(
        "send the picture to one that it has"
    )
    counter.stop()
    with pytest.raises(CrashError):
        counter.count(new)
